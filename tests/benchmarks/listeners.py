"""People and their sockets for the benchmarks of sockets: an API and a worker as they are started, thin clients.

A client of this side must cost next to nothing, or it would be what is measured: it reads frames without looking into
them, and knows when they came.
"""

import asyncio
import base64
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.wealth.factories import Actor

from atrium import embedded
from atrium.app import MODULES
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.embedded import processes
from atrium.embedded.processes import Target
from atrium.embedded.watchdog import Watchdog
from atrium.up.options import Options, Program

from .servers import KEPT, READY_WITHIN, find_port

Made = TypeVar("Made")
TEXT, PING, CLOSE = 1, 9, 8


@dataclass
class Site:
    """Running servers and how to reach them."""

    settings: Settings
    port: int
    api: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def runtime(self) -> Any:
        return open_runtime(self.settings, MODULES)


@contextmanager
def running(*, worker: bool) -> Iterator[Site]:
    """PostgreSQL, Redis, one API process and perhaps one worker, in a temporary folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-sockets-")))
        stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
        watchdog = Watchdog()
        stack.callback(watchdog.close)
        urls = stack.enter_context(embedded.start(folder, watchdog=watchdog)).urls
        migrations.upgrade(urls.database_url or "")
        environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "DATABASE_URL": urls.database_url or "",
            "REDIS_URL": urls.redis_url or "",
            "SECRET_KEY": secrets.token_hex(32),
            "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
            "ENVIRONMENT": "production",
        }
        port, programs = find_port(), Program().children
        options = Options(port=port)
        names = ("api", "worker") if worker else ("api",)
        started = [_start(stack, folder, watchdog, name, programs[name](options), environ) for name in names]
        _wait(port, folder)
        yield Site(Settings.from_env(environ), port, started[0])


def _start(
    stack: ExitStack, folder: Path, watchdog: Watchdog, name: str, command: Sequence[str], environ: dict[str, str]
) -> int:
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    target = Target(process.pid, 15, 15.0, stage=0)
    watchdog.guard(target)
    stack.callback(process.wait)
    stack.callback(watchdog.release, process.pid)
    stack.callback(processes.stop, [target])
    return process.pid


def _wait(port: int, folder: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"The API did not start:\n{(folder / 'api.log').read_text()[-3000:]}")
        time.sleep(0.1)


async def several(count: int, make: Callable[[], Awaitable[Made]], at_once: int = 4) -> list[Made]:
    made: list[Made] = []

    async def some(number: int) -> None:
        made.extend([await make() for _ in range(number)])

    share, rest = divmod(count, at_once)
    await asyncio.gather(*(some(share + (place < rest)) for place in range(at_once)))
    return made


async def one_by_one(runtime: Runtime, count: int, make: Callable[[Runtime], Awaitable[Actor]]) -> list[Actor]:
    return await several(count, lambda: make(runtime))


class Listener(asyncio.Protocol):
    """A socket that notes when frames came; `kinds` counts those whose text contains a word."""

    def __init__(self, path: str, port: int, token: str) -> None:
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"Sec-WebSocket-Protocol: bearer, {token}\r\n\r\n"
        )
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self.arrived: list[float] = []
        self.last = b""
        self.closed = ""

    @classmethod
    async def open(cls, path: str, port: int, token: str) -> "Listener":
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_connection(lambda: cls(path, port, token), "127.0.0.1", port)
        await listener.until(lambda: bool(listener.last))
        if b'"connected"' not in listener.last:
            raise SystemExit(f"The first frame was {listener.last[:200]!r}")
        return listener

    async def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                if self.closed:
                    raise SystemExit(f"The socket was closed: {self.closed}")
                await asyncio.sleep(0.005)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = self.closed or repr(exc)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head[:20]:
                self.closed = head[:200].decode()
                return
            self._is_open, self._buffer = True, rest
        while (frame := self._take()) is not None:
            self._frame(*frame, now)

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start])
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 15, buffer[start : start + size]

    def _frame(self, kind: int, content: bytes, now: float) -> None:
        if kind == TEXT:
            self.last = content
            if content.startswith(b'{"type":"change"'):
                self.arrived.append(now)
        elif kind == PING:
            self._send(10, content)
        elif kind == CLOSE:
            self.closed = content.decode(errors="replace")

    def say(self, **frame: Any) -> None:
        self._send(TEXT, json.dumps(frame).encode())

    def _send(self, kind: int, content: bytes) -> None:
        """Masked with zeros, which leaves it as it is."""
        size = bytes([128 | len(content)]) if len(content) < 126 else bytes([254]) + len(content).to_bytes(2)
        assert self._transport is not None
        self._transport.write(bytes([128 | kind]) + size + bytes(4) + content)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def token_of(who: Actor) -> str:
    return who.headers["Authorization"].removeprefix("Bearer ")


def cpu_seconds(process: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """The memory of a process that is really there."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
