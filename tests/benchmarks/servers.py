"""Starting the servers alike, one process each, and stopping them whatever happens."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from atrium.embedded import Servers, processes
from atrium.embedded.processes import Target
from atrium.embedded.watchdog import Watchdog
from atrium.up.options import Options, Program

from .books import ADVISOR

ROOT = Path(__file__).parents[2]
APPS = {
    "atrium": "atrium.asgi:app",
    "bare": "tests.benchmarks.bare:app",
    "fastapi": "tests.benchmarks.fastapi_server:app",
}
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
READY_WITHIN = 60


@dataclass
class Server:
    name: str
    url: str
    pid: int
    token: str
    clients: list[str] = field(default_factory=list)
    """Ids of clients of the caller, over which the load is spread."""

    def call(self, method: str, path: str, body: str = "", token: str | None = None) -> httpx.Response:
        given = self.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        if body:
            headers["Content-Type"] = "application/json"
        return httpx.request(method, self.url + path, content=body, headers=headers, timeout=30, trust_env=False)

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/health/ready").is_success
        except httpx.TransportError:
            return False


class Starter:
    """What the servers of one run share. They run in the temporary folder, where no `.env` has a say."""

    def __init__(self, folder: Path, urls: Servers, watchdog: Watchdog) -> None:
        self._folder = folder
        self._watchdog = watchdog
        self._token = ""
        self._environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "DATABASE_URL": urls.database_url or "",
            "REDIS_URL": urls.redis_url or "",
            "SECRET_KEY": secrets.token_hex(32),
            "ACCESS_TOKEN_EXPIRE_MINUTES": "600",  # one login serves the whole run
            "GENERAL_RATE_PER_MINUTE": "0",  # and sends more in a second than a person in an hour
        }

    def load_demo_data(self) -> None:
        command = [sys.executable, "-m", "atrium.cli", "demo", "load"]
        subprocess.run(command, cwd=self._folder, env=self._environ, stdout=subprocess.DEVNULL, check=True)

    def log_in(self, atrium: Server) -> None:
        """With Atrium, whose token the other servers verify as well."""
        body = f'{{"email": "{ADVISOR}", "password": "demo-password"}}'
        answer = atrium.call("POST", "/api/v1/auth/login", body, token="")
        if answer.is_error:
            raise SystemExit(f"The demo advisor cannot log in: {answer.status_code} {answer.text[:300]}")
        self._token = atrium.token = answer.json()["access_token"]

    @contextmanager
    def start(self, name: str, more: Mapping[str, str] | None = None) -> Iterator[Server]:
        port, log = find_port(), self._folder / f"{name}.log"
        like_atrium = Program().children["api"](Options(port=port))
        command = [APPS[name] if part == APPS["atrium"] else part for part in like_atrium]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--app-dir", str(ROOT)],
                cwd=self._folder,
                env={**self._environ, "ENVIRONMENT": "production", **(more or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        target = Target(process.pid, signal.SIGTERM, 15.0, stage=0)
        self._watchdog.guard(target)
        try:
            server = Server(name, f"http://127.0.0.1:{port}", process.pid, self._token)
            deadline = time.monotonic() + READY_WITHIN
            while not server.is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{name} did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.1)
            yield server
        finally:
            processes.stop([target])
            self._watchdog.release(process.pid)
            process.wait()


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
