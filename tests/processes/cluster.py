"""An installation as operators run it: API processes, workers and a Valkey, each of which a test may kill.

PostgreSQL is the suite's. Everything runs in sessions of its own under a watchdog, so that nothing outlives the tests.
"""

import asyncio
import inspect
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.core.servers import Valkey, free_port
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from atrium.embedded import processes
from atrium.embedded.processes import Target
from atrium.embedded.watchdog import Watchdog
from atrium.up.options import Options, Program

T = TypeVar("T")
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
START_WITHIN = 40.0
LINES = 60
HEARTBEAT, STALE, SWEEP = 1, 3, 1
RESCUED_WITHIN = STALE + SWEEP
"""Seconds after which a killed worker's task has been taken away from it; what follows is work."""
WAITING = """
SELECT client_port, query FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)) AND client_port > 0
"""


@overload
async def wait_until(condition: Callable[[], Awaitable[T | None]], seconds: float) -> T: ...


@overload
async def wait_until(condition: Callable[[], T], seconds: float) -> T: ...


async def wait_until(condition: Callable[[], Any], seconds: float) -> Any:
    """What the condition says once that is true of anything."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(0.05)


class Process:
    """A program of the cluster; it runs in the folder of its log, where no `.env` has a say."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path, watchdog: Watchdog
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command, self._environ, self._watchdog = command, environ, watchdog
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.log.parent,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._watchdog.guard(self.target)

    @property
    def target(self) -> Target:
        return Target(self.pid, signal.SIGTERM, 15.0, stage=0)

    def kill(self) -> None:
        """At once, with everything that it started."""
        processes.kill_group(self.pid)
        self.bury()

    def bury(self) -> None:
        """After its end."""
        if self._process is not None:
            self._process.wait(timeout=10)
            self._watchdog.release(self._process.pid)
            self._process = None

    def owns_port(self, port: int) -> bool:
        """Whether this end of a local connection is the process's (by Linux's /proc)."""
        sockets = {line.split()[9] for line in _connections() if line.split()[1].endswith(f":{port:04X}")}
        return any(f"socket:[{one}]" in self._files() for one in sockets)

    def _files(self) -> set[str]:
        found = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.add(str(entry.readlink()))
            except FileNotFoundError:
                continue
        return found

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LINES:])


def _connections() -> list[str]:
    files = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    return [line for file in files if file.exists() for line in file.read_text().splitlines()[1:]]


class Api(Process):
    """One API process on a port that it keeps."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path, watchdog: Watchdog) -> None:
        self.port = free_port()
        super().__init__(name, Program().children["api"](Options(port=self.port)), environ, folder, watchdog)
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, headers: Mapping[str, str] | None = None, *, sent_from: str | None = None) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=sent_from, trust_env=False)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, transport=transport)

    async def is_ready(self) -> bool:
        try:
            async with self.client() as http:
                return (await http.get("/health/ready")).is_success
        except httpx.TransportError:
            return False

    @asynccontextmanager
    async def socket(
        self, path: str, headers: Mapping[str, str], keep: Callable[[str], Any] | None = None
    ) -> AsyncIterator["Listening"]:
        """A socket whose frames are kept as they come, or given to `keep`."""
        token = headers["Authorization"].removeprefix("Bearer ")
        joined = "&" if "?" in path else "?"
        url = f"ws://127.0.0.1:{self.port}{path}{joined}token={token}"
        async with connect(url, proxy=None, max_queue=None) as connection:
            listening = Listening(connection, keep)
            try:
                yield listening
            finally:
                listening.stop()


class Listening:
    """A socket, everything that came through it, and the code that closed it."""

    def __init__(self, connection: ClientConnection, keep: Callable[[str], Any] | None = None) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.code: int | None = None
        self._keep = keep or (lambda text: self.frames.append(json.loads(text)))
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                self._keep(str(text))
        except ConnectionClosed:
            pass
        self.code = self.connection.close_code

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    async def until(self, kind: str, count: int = 1, seconds: float = 10) -> list[dict[str, Any]]:
        """The frames of this type, once there are so many."""
        return await wait_until(lambda: self.of(kind) if len(self.of(kind)) >= count else [], seconds)

    async def closed(self, seconds: float = 10) -> int:
        return await wait_until(lambda: self.code or 0, seconds)

    async def ended(self) -> None:
        """Until it is closed, by whomever."""
        await asyncio.shield(self._reading)

    def stop(self) -> None:
        self._reading.cancel()


class Cluster:
    """Two API processes, two workers and their Valkey; `environ` is what all of them are told."""

    def __init__(self, folder: Path, environ: Mapping[str, str], owner_url: str) -> None:
        self.owner_url = owner_url
        self.valkey = Valkey(folder)
        self._valkey_pid = 0
        self.environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "ENVIRONMENT": "production",
            "REDIS_URL": self.valkey.url,
            "REDIS_PREFIX": f"processes-{secrets.token_hex(4)}",
            "DATABASE_POOL_SIZE": "4",
            "DATABASE_DIRECT_URL": owner_url,
            "TASK_HEARTBEAT_SECONDS": str(HEARTBEAT),
            "TASK_STALE_SECONDS": str(STALE),
            "SWEEP_SECONDS": str(SWEEP),
            "LOG_LEVEL": "INFO",
            **environ,
        }
        self.folder = folder
        self._watchdog = Watchdog()
        worker = Program().children["worker"](Options())
        self.apis = [Api(f"api-{place}", self.environ, folder, self._watchdog) for place in (1, 2)]
        self.workers = [Process(f"worker-{place}", worker, self.environ, folder, self._watchdog) for place in (1, 2)]

    @property
    def processes(self) -> list[Process]:
        return [*self.apis, *self.workers]

    async def sockets(self, stack: AsyncExitStack, path: str, headers: Mapping[str, str]) -> list["Listening"]:
        """One on each API process, greeted."""
        opened = [await stack.enter_async_context(api.socket(path, headers)) for api in self.apis]
        for socket in opened:
            await socket.until("system")
        return opened

    async def start(self, *needed: Process) -> None:
        """All or some of it, as far as a test killed it."""
        if not await self._valkey_answers():
            self._start_valkey()
        for process in needed or self.processes:
            if not process.is_running:
                process.bury()
                process.start()
        await self.ready(*(needed or self.processes))

    async def restart(self, process: Process) -> None:
        process.start()
        await self.ready(process)

    async def ready(self, *awaited: Process) -> None:
        deadline = time.monotonic() + START_WITHIN
        for process in awaited:
            while not await self._is_ready(process):
                if not process.is_running or time.monotonic() > deadline:
                    raise RuntimeError(f"{process.name} did not start:\n{process.last_lines()}")
                await asyncio.sleep(0.05)

    async def _is_ready(self, process: Process) -> bool:
        if isinstance(process, Api):
            return await process.is_ready()
        return await self._has_queues(process)

    async def _has_queues(self, process: Process) -> bool:
        """A worker is ready when it waits for messages."""
        async with self.redis() as redis:
            clients: Any = await redis.client_list()
        reading = [one for one in clients if one["cmd"] in ("blmove", "brpoplpush", "blpop", "bzpopmin")]
        return any(process.owns_port(int(one["addr"].rpartition(":")[2])) for one in reading)

    async def _valkey_answers(self) -> bool:
        try:
            async with self.redis() as redis:
                asking: Any = redis.ping()
                return bool(await asking)
        except RedisError:
            return False

    @asynccontextmanager
    async def redis(self) -> AsyncIterator["Redis"]:
        client: Redis = Redis.from_url(self.valkey.url)
        async with client:
            yield client

    async def flush_valkey(self) -> None:
        async with self.redis() as redis:
            await redis.flushall()

    def restart_valkey(self) -> None:
        """It comes back empty on the same port."""
        self.stop_valkey()
        self._start_valkey()

    def stop_valkey(self) -> None:
        if self._valkey_pid:
            self.valkey.stop()
            self._watchdog.release(self._valkey_pid)
            self._valkey_pid = 0

    def _start_valkey(self) -> None:
        self.valkey.start()
        self._valkey_pid = self.valkey.pid
        self._watchdog.guard(Target(self._valkey_pid, signal.SIGTERM, 5.0, stage=1))

    def stop(self) -> None:
        running = [process for process in self.processes if process.is_running]
        processes.stop([process.target for process in running])
        for process in self.processes:
            process.bury()
        self.stop_valkey()
        self._watchdog.close()

    @asynccontextmanager
    async def owner(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self.owner() as connection:
            return await connection.fetch(sql, *values)

    async def value(self, sql: str, *values: Any) -> Any:
        async with self.owner() as connection:
            return await connection.fetchval(sql, *values)

    async def waiting_for(self, holder: "asyncpg.Connection[Any]", query: str = "") -> Process | None:
        """The process that one of the holder's locks keeps waiting, in a statement with this text."""
        for row in await self.fetch(WAITING, holder.get_server_pid()):
            for process in self.processes:
                if query in row["query"] and process.is_running and process.owns_port(row["client_port"]):
                    return process
        return None

    async def run(self, *words: str) -> tuple[int, str]:
        """A command line as an operator gives it; its exit code and all it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "atrium.cli",
            *words,
            cwd=self.folder,
            env=self.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()
