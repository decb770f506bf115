"""Import many clients as an advisor, and export them: a real API and a real worker, all checks and the change log on.

uv run python -m tests.benchmarks.import_clients [--rows 100000] [--format ndjson]
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from atrium import embedded
from atrium.core.db import migrations
from atrium.embedded import processes
from atrium.embedded.processes import Target
from atrium.embedded.watchdog import Watchdog
from atrium.up.options import Options, Program

from . import books, servers

BAD = 100
"""Every hundredth row is bad."""
COLUMNS = (
    "first_name", "last_name", "email", "phone", "date_of_birth", "nationality", "country_of_residence",
    "address_line1", "city", "postal_code", "marital_status", "dependents", "employment_status", "occupation",
    "annual_income", "net_worth", "risk_profile", "time_horizon_years", "marketing_opt_in", "source",
)  # fmt: skip
FAULTS = ({"net_worth": "1e400"}, {"dependents": "two"}, {"risk_profile": "reckless"}, {"last_name": ""})
WRITTEN = """
    SELECT count(*) || ' clients, ' || (SELECT count(*) FROM core.changes WHERE request_id = '{task}') || ' changes'
    FROM wealth.clients WHERE source = 'benchmark'
"""


def row(number: int) -> dict[str, str]:
    values = {
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
        "email": f"client-{number}@example.com",
        "phone": f"04-{number:07}",
        "date_of_birth": f"{1940 + number % 60}-{1 + number % 12:02}-{1 + number % 28:02}",
        "nationality": "IL",
        "country_of_residence": "IL",
        "address_line1": f"{number % 200} Herzl Street",
        "city": ("Haifa", "Tel Aviv", "Eilat")[number % 3],
        "postal_code": f"{3000000 + number}",
        "marital_status": ("single", "married")[number % 2],
        "dependents": str(number % 5),
        "employment_status": "employed",
        "occupation": "Engineer",
        "annual_income": f"{10_000 + number}.25",
        "net_worth": f"{number * 17}.5000",
        "risk_profile": ("conservative", "moderate", "aggressive")[number % 3],
        "time_horizon_years": str(number % 40),
        "marketing_opt_in": ("true", "false")[number % 2],
        "source": "benchmark",
    }
    return values | (FAULTS[number // BAD % len(FAULTS)] if number % BAD == 0 else {})


def content(rows: int, file_format: str) -> Iterator[bytes]:
    """The file, a thousand rows at a time."""
    if file_format == "csv":
        yield ",".join(COLUMNS).encode() + b"\r\n"
    for start in range(0, rows, 1000):
        some = (row(number) for number in range(start, min(rows, start + 1000)))
        if file_format == "csv":
            yield b"".join(",".join(one.values()).encode() + b"\r\n" for one in some)
        else:
            yield b"".join(json.dumps(_typed(one)).encode() + b"\n" for one in some)


def _typed(values: dict[str, str]) -> dict[str, Any]:
    whole = {name: int(values[name]) for name in ("dependents", "time_horizon_years") if values[name].isdigit()}
    return {**values, **whole, "marketing_opt_in": values["marketing_opt_in"] == "true"}


@contextmanager
def worker(starter: servers.Starter, watchdog: Watchdog) -> Iterator[int]:
    command = Program().children["worker"](Options())
    log = starter._folder / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=starter._folder,
            env={**starter._environ, "ENVIRONMENT": "production", "PYTHONPATH": str(servers.ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    target = Target(process.pid, signal.SIGTERM, 15.0, stage=0)
    watchdog.guard(target)
    try:
        yield process.pid
    finally:
        processes.stop([target])
        watchdog.release(process.pid)
        process.wait()


def peak_mib(pid: int) -> float:
    """The largest resident size that the process or one of its children ever had."""
    peaks = [_peak(pid)]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            peaks.append(peak_mib(int(stat.parent.name)))
    return max(peaks)


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.import_clients", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the file (default 100000)")
    parser.add_argument("--format", choices=("csv", "ndjson"), default="csv")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-benchmark-")))
        stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
        watchdog = Watchdog()
        stack.callback(watchdog.close)
        urls = stack.enter_context(embedded.start(folder, watchdog=watchdog)).urls
        starter = servers.Starter(folder, urls, watchdog)
        migrations.upgrade(urls.database_url or "")
        starter.load_demo_data()
        api = stack.enter_context(starter.start("atrium"))
        working = stack.enter_context(worker(starter, watchdog))
        starter.log_in(api)
        return run(api, working, urls.database_url or "", options.rows, options.format)


def run(api: servers.Server, working: int, database: str, rows: int, file_format: str) -> int:
    headers = {"Authorization": f"Bearer {api.token}"}
    with httpx.Client(base_url=api.url, headers=headers, timeout=120, trust_env=False) as client:
        _wait_for_worker(client)
        idle = peak_mib(working)
        began = time.perf_counter()
        answer = client.post(
            "/api/v1/clients/import", params={"format": file_format}, content=content(rows, file_format)
        )
        if answer.status_code != 202:
            raise SystemExit(answer.text)
        stored = time.perf_counter()
        while (task := client.get(answer.headers["location"]).json())["status"] in ("queued", "running"):
            time.sleep(0.25)
        took = time.perf_counter() - stored
        began_export = time.perf_counter()
        with client.stream("GET", "/api/v1/clients/export", params={"format": file_format}) as answer:
            size = sum(len(piece) for piece in answer.iter_raw())
        exported = time.perf_counter() - began_export
    told = asyncio.run(books.execute(database, [WRITTEN.format(task=task["task_id"])]))
    if task["status"] != "succeeded":
        raise SystemExit(str(task))
    result = task["result"]
    print(f"upload   {stored - began:6.1f} s")
    peak = f"{peak_mib(working):.0f} MiB (idle {idle:.0f})"
    print(f"import   {took:6.1f} s, {rows / took:,.0f} rows/s, the worker's peak {peak}")
    print(f"export   {exported:6.1f} s, {size / 2**20:.0f} MiB, the API's peak {peak_mib(api.pid):.0f} MiB")
    print(f"result   {result['created']} created, {result['failed']} failed; in the database: {told}")
    return 0


def _wait_for_worker(client: httpx.Client) -> None:
    deadline = time.monotonic() + servers.READY_WITHIN
    while client.get("/api/health").json()["services"]["worker"] not in ("connected", "running", "healthy", "ok"):
        if time.monotonic() > deadline:
            raise SystemExit(f"No worker: {client.get('/api/health').text}")
        time.sleep(0.2)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
