"""Kill the parts of a running Atrium under load, and look whether anything is lost that was confirmed.

    uv run python -m tests.benchmarks.faults --kills 20 --seconds 3

It starts `atrium up` in a temporary folder, keeps a ledger of what the API confirmed, and kills API, worker, Valkey
and PostgreSQL in turn. It fails on any loss, and where writes or a growth scan do not come back in time.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from atrium import embedded
from atrium.embedded import processes

PARTS = {"API": "uvicorn", "worker": "workers run", "Valkey": "valkey", "PostgreSQL": "postgres"}
LOGIN = {"email": "advisor@example.com", "password": "demo-password"}
WRITERS = 4
WRITES_PER_SECOND = 20
WRITES_WITHIN = 20.0
SCAN_WITHIN = 60.0
START_WITHIN = 120.0
STEADY = 1.0
RENEW_AFTER = 600.0


@dataclass
class Ledger:
    """What the API confirmed, and when writes succeeded and failed."""

    notes: set[str] = field(default_factory=set)
    clients: dict[str, tuple[int, str]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    failed_at: float = 0.0
    succeeded: list[float] = field(default_factory=list)

    def success_after(self, moment: float) -> float | None:
        return next((one for one in self.succeeded if one > moment), None)


@dataclass(frozen=True)
class Recovery:
    part: str
    writes: float
    scan: float


class Installation:
    """`atrium up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.output = folder / "output"
        environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atrium.cli", "up", "--port", str(self.port)],
                cwd=folder,
                env=environ,
                stdout=output,
                stderr=output,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + START_WITHIN
        while "Ready after" not in self.output.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Atrium did not start:\n{self.output.read_text()}")
            time.sleep(0.1)

    def pid(self, part: str) -> int | None:
        """The process that plays this part now."""
        if part in ("Valkey", "PostgreSQL"):
            state = json.loads((self.folder / ".atrium/state.json").read_text())
            found = state["postgres" if part == "PostgreSQL" else "valkey"]["pid"]
            return found if found and processes.is_running(found) else None
        listing = subprocess.run(["ps", "-axwwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, parent, command = line.split(maxsplit=2)
            if int(parent) == self.process.pid and PARTS[part] in command and processes.is_running(int(pid)):
                return int(pid)
        return None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=60)


class Load:
    """Writes as an advisor does them, at a steady rate."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=10, trust_env=False)
        self.ledger = Ledger()
        self._logged_in_at = -RENEW_AFTER

    async def log_in(self) -> None:
        if time.monotonic() < self._logged_in_at + RENEW_AFTER:
            return
        answer = (await self.http.post("/api/v1/auth/login", json=LOGIN)).raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._logged_in_at = time.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        listed = (await self.http.get("/api/v1/clients?limit=20")).raise_for_status().json()["items"]
        clients = [client["id"] for client in listed]
        writers = [asyncio.create_task(self._write(clients[place::WRITERS])) for place in range(WRITERS)]
        try:
            yield
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)

    async def _write(self, clients: Sequence[str]) -> None:
        """No two writers have a client in common, so versions are confirmed in their order."""
        number = 0
        while True:
            number += 1
            client = clients[number % len(clients)]
            pause = asyncio.create_task(asyncio.sleep(WRITERS / WRITES_PER_SECOND))
            await (self._note(client) if number % 2 else self._change(client, f"+1555{number:07}"))
            await pause

    async def _note(self, client: str) -> None:
        body = {"client_id": client, "body": "Called about the portfolio."}
        if made := await self._attempt("POST", "/api/v1/notes", body):
            self.ledger.notes.add(made["id"])

    async def _change(self, client: str, phone: str) -> None:
        if made := await self._attempt("PUT", f"/api/v1/clients/{client}", {"phone": phone}):
            self.ledger.clients[client] = (made["version"], phone)

    async def _attempt(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            answer = await self.http.request(method, path, json=body)
        except httpx.TransportError as error:
            self.ledger.answers[type(error).__name__] += 1
            self.ledger.failed_at = time.monotonic()
            return None
        self.ledger.answers[str(answer.status_code)] += 1
        if not answer.is_success:
            self.ledger.failed_at = time.monotonic()
            return None
        self.ledger.succeeded.append(time.monotonic())
        found: dict[str, Any] = answer.json()
        return found

    async def scan(self) -> str:
        """How a growth scan ends that is asked for now."""
        deadline = time.monotonic() + SCAN_WITHIN
        path = None
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if path is None:
                    queued = (await self.http.post("/api/v1/insights/growth-scan", json={})).raise_for_status().json()
                    path = f"/api/v1/background-tasks/{queued['task_id']}"
                task = (await self.http.get(path)).raise_for_status().json()
                if task["status"] not in ("queued", "running"):
                    return str(task["status"])
            await asyncio.sleep(0.1)
        return "neither done nor failed"

    async def losses(self) -> list[str]:
        """What was confirmed and is not there, or not as it was confirmed."""
        lost = []
        for note in self.ledger.notes:
            answer = await self.http.get(f"/api/v1/notes/{note}")
            if answer.status_code != 200:
                lost.append(f"note {note}: {answer.status_code}")
        for client, (version, phone) in self.ledger.clients.items():
            found = (await self.http.get(f"/api/v1/clients/{client}")).raise_for_status().json()
            if found["version"] < version or (found["version"] == version and found["phone"] != phone):
                lost.append(f"client {client}: version {found['version']} of {version}")
        return lost


async def strike(installation: Installation, load: Load, part: str) -> Recovery:
    """Kill one part; raises TimeoutError where writes do not come back."""
    victim = installation.pid(part)
    if victim is None:
        raise TimeoutError(f"{part} did not run")
    begin = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    writes = await _writes_again(installation, load.ledger, part, victim, begin)
    ended = await load.scan()
    if ended != "succeeded":
        raise TimeoutError(f"after the end of {part} a growth scan was {ended}")
    return Recovery(part, writes, time.monotonic() - begin)


async def _writes_again(installation: Installation, ledger: Ledger, part: str, victim: int, begin: float) -> float:
    """Seconds until the first write after the last that failed; none failed, none were waited for."""
    while (now := time.monotonic()) < begin + WRITES_WITHIN + STEADY:
        calm = max(begin, ledger.failed_at)
        first = ledger.success_after(calm)
        if first and now > calm + STEADY and installation.pid(part) not in (None, victim):
            return first - begin if ledger.failed_at > begin else 0.0
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{WRITES_WITHIN:g} s after the end of {part} it was not back, or writes were not")


async def torment(installation: Installation, kills: int, seconds: float) -> int:
    load = Load(f"http://127.0.0.1:{installation.port}")
    recoveries: list[Recovery] = []
    problems: list[str] = []
    async with load.http:
        await load.log_in()
        async with load.running():
            for number in range(kills):
                await asyncio.sleep(seconds)
                await load.log_in()
                part = list(PARTS)[number % len(PARTS)]
                try:
                    recoveries.append(await strike(installation, load, part))
                except TimeoutError as error:
                    problems.append(str(error))
                    break
                latest = recoveries[-1]
                print(f"{number + 1:3} {part:<10} writes {latest.writes:5.2f} s, scan {latest.scan:5.2f} s", flush=True)
        problems += await load.losses()
    report(load.ledger, recoveries, problems)
    return 1 if problems or any(code.startswith("4") for code in load.ledger.answers) else 0


def report(ledger: Ledger, recoveries: Sequence[Recovery], problems: Sequence[str]) -> None:
    print("\n| killed | times | writes again, median | worst | scan done, median | worst |\n|---|--:|--:|--:|--:|--:|")
    for title in (*PARTS, "all"):
        found = [one for one in recoveries if title in (one.part, "all")]
        if found:
            cells = [
                f"{act(values):.2f} s"
                for values in ([one.writes for one in found], [one.scan for one in found])
                for act in (statistics.median, max)
            ]
            print(f"| {title} | {len(found)} | {' | '.join(cells)} |")
    print(f"\nConfirmed: {len(ledger.notes)} notes, changes of {len(ledger.clients)} clients.")
    print("Answers: " + ", ".join(f"{count} x {code}" for code, count in ledger.answers.most_common()))
    print("\n".join(f"LOST OR STUCK: {line}" for line in problems) or "Nothing was lost.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of rest before each (default %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="atrium-faults-") as place:
        installation = Installation(Path(place))
        try:
            installation.wait()
            code = asyncio.run(torment(installation, options.kills, options.seconds))
            if code:
                print(installation.output.read_text())
            return code
        finally:
            installation.stop()
            embedded.erase(Path(place) / ".atrium")  # root's data may be kept outside of it


if __name__ == "__main__":
    sys.exit(main())
