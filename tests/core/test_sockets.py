import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import jwt
import pytest
import uvicorn
from litestar import Litestar, WebSocket, websocket
from redis.asyncio import Redis
from tests.core.servers import Valkey, free_port
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.db.engines import Database
from atrium.core.errors import Conflict, Forbidden, Unauthenticated
from atrium.core.realtime import sockets
from atrium.core.realtime.hub import Hub, hub
from atrium.core.realtime.publish import publish
from atrium.core.realtime.sockets import Connection, connected, serve
from atrium.core.runtime import Runtime

ROOT = str(Path(__file__).parents[2])
SECRET = "a-secret-of-the-socket-tests-0123456789"


class Tokens:
    """Signed tokens; revocation as far as a socket can tell."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    def make(self, user_id: UUID, seconds: float = 900) -> str:
        claims = {"sub": str(user_id), "exp": time.time() + seconds, "jti": str(clock.new_id())}
        return jwt.encode(claims, SECRET, "HS256")

    def authenticate(self, token: str) -> Principal:
        try:
            claims = jwt.decode(token, SECRET, ["HS256"])
        except jwt.InvalidTokenError:
            raise Unauthenticated from None
        if token in self.revoked:
            raise Unauthenticated
        user_id = UUID(claims["sub"])
        return Principal(user_id, "client", frozenset({"client"}), expires_at=claims["exp"])


@asynccontextmanager
async def _runtime(redis_url: str, prefix: str) -> AsyncIterator[Runtime]:
    settings = Settings(redis_url=redis_url, redis_prefix=prefix)
    redis = Redis.from_url(redis_url, socket_connect_timeout=1, socket_timeout=2)
    runtime = Runtime(settings, cast(Database, None), redis, Tokens())
    async with hub(runtime):
        yield runtime
    await redis.aclose()


def _app(runtime: Runtime) -> Litestar:
    cancelled = asyncio.Event()

    async def greet(connection: Connection) -> dict[str, Any]:
        if connection.socket.query_params.get("whose") == "theirs":
            raise Forbidden
        return connected(connection.principal, unread_count=0)

    async def slow(connection: Connection, frame: dict[str, Any]) -> None:
        cancelled.clear()
        await asyncio.wait_for(cancelled.wait(), 5)
        await connection.send({"type": "cancelled", "id": frame["id"]})

    async def cancel(_connection: Connection, _frame: dict[str, Any]) -> None:
        cancelled.set()

    async def refuse(_connection: Connection, _frame: dict[str, Any]) -> None:
        raise Conflict("Not now.", code="NOT_NOW")

    async def crash(_connection: Connection, _frame: dict[str, Any]) -> None:
        raise ZeroDivisionError

    frames = {"slow": slow, "cancel": cancel, "refuse": refuse, "crash": crash}

    @websocket("/ws")
    async def door(socket: WebSocket[Any, Any, Any]) -> None:
        await serve(socket, hello=greet, frames=frames)

    app = Litestar([door], openapi_config=None)
    app.state.runtime = runtime
    return app


class Door:
    """One process that serves sockets."""

    def __init__(self, runtime: Runtime, port: int) -> None:
        self.runtime, self.port = runtime, port
        self.tokens = cast(Tokens, runtime.authenticator)

    def open(self, token: str = "", query: str = "", subprotocols: list[str] | None = None) -> connect:
        given = "&".join(part for part in (f"token={token}" if token else "", query) if part)
        offered = [Subprotocol(one) for one in subprotocols] if subprotocols else None
        return connect(f"ws://127.0.0.1:{self.port}/ws?{given}", proxy=None, subprotocols=offered)


@asynccontextmanager
async def _serving(runtime: Runtime) -> AsyncIterator[Door]:
    port = free_port()
    config = uvicorn.Config(_app(runtime), port=port, log_level="warning", lifespan="off", ws_ping_interval=25)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield Door(runtime, port)
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def door(valkey: Valkey) -> AsyncIterator[Door]:
    async with _runtime(valkey.url, f"t{clock.new_id().hex}") as runtime, _serving(runtime) as opened:
        yield opened


@pytest.fixture
def user() -> UUID:
    return clock.new_id()


async def _next(socket: ClientConnection, kind: str = "", seconds: float = 5) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if not kind or frame["type"] == kind:
                return frame


async def _close_code(socket: ClientConnection, seconds: float = 5) -> int:
    async with asyncio.timeout(seconds):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code or 0


async def _send(socket: ClientConnection, frame: Mapping[str, Any]) -> None:
    await socket.send(json.dumps(frame))


async def test_the_first_frame_says_who_is_connected(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        frame = await _next(socket)

    assert (frame["type"], frame["event"], frame["user_id"]) == ("system", "connected", str(user))


@pytest.mark.parametrize("token", ["nonsense", "expired", "revoked"])
async def test_a_bad_token_is_accepted_and_closed_with_4001(door: Door, user: UUID, token: str) -> None:
    bad = {"nonsense": "x.y.z", "expired": door.tokens.make(user, -1), "revoked": door.tokens.make(user)}[token]
    door.tokens.revoked.add(bad)

    async with door.open(bad) as socket:
        assert await _close_code(socket) == 4001


async def test_without_a_token_the_socket_is_closed_after_a_while(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "AUTHENTICATE_WITHIN", 0.2)
    async with door.open() as socket:
        assert await _close_code(socket) == 4001


async def test_the_token_may_come_as_subprotocol(door: Door, user: UUID) -> None:
    async with door.open(subprotocols=["bearer", door.tokens.make(user)]) as socket:
        assert socket.subprotocol == "bearer"
        assert (await _next(socket))["event"] == "connected"


async def test_the_token_may_come_in_a_first_frame(door: Door, user: UUID) -> None:
    async with door.open() as socket:
        await _send(socket, {"type": "auth", "token": door.tokens.make(user)})
        assert (await _next(socket))["event"] == "connected"


async def test_another_first_frame_is_closed_with_4001(door: Door) -> None:
    async with door.open() as socket:
        await _send(socket, {"type": "ping"})
        assert await _close_code(socket) == 4001


async def test_a_foreign_path_is_closed_with_4403(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user), "whose=theirs") as socket:
        assert await _close_code(socket) == 4403


async def test_ping_is_answered_with_its_id(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        await _send(socket, {"type": "ping", "id": "p1"})
        pong = await _next(socket, "pong")

    assert pong["id"] == "p1"
    assert pong["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "BAD_JSON"),
        ("[1]", "BAD_JSON"),
        ('{"id": 1}', "BAD_JSON"),
        ('{"type": "fly", "id": "f"}', "UNKNOWN_TYPE"),
        ('{"type": "refuse", "id": "f"}', "NOT_NOW"),
        ('{"type": "crash", "id": "f"}', "INTERNAL"),
    ],
)
async def test_a_bad_frame_is_answered_and_the_socket_stays(door: Door, user: UUID, text: str, code: str) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        await socket.send(text)
        error = await _next(socket, "error")
        await _send(socket, {"type": "ping"})
        await _next(socket, "pong")

    assert error["code"] == code
    assert error.get("id") == ("f" if '"f"' in text else None)


async def test_a_frame_over_16_kib_is_closed_with_1009(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        await _send(socket, {"type": "ping", "id": "x" * 17_000})
        assert await _close_code(socket) == 1009


async def test_a_cancel_frame_reaches_a_running_handler(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        for number in range(sockets.AT_ONCE):
            await _send(socket, {"type": "slow", "id": number})
        await _send(socket, {"type": "slow", "id": "one too many"})
        refused = await _next(socket, "error")
        await _send(socket, {"type": "cancel"})
        done = {(await _next(socket, "cancelled"))["id"] for _ in range(sockets.AT_ONCE)}

    assert (refused["code"], refused["id"]) == ("RATE_LIMITED", "one too many")
    assert done == set(range(sockets.AT_ONCE))


async def test_a_flood_of_frames_is_closed_with_4429(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        for _ in range(120):
            await _send(socket, {"type": "ping"})
        assert await _close_code(socket) == 4429


async def test_a_sixth_socket_is_closed_with_4429_and_a_place_comes_back(door: Door, user: UUID) -> None:
    token = door.tokens.make(user)
    opened = [await door.open(token) for _ in range(5)]
    for socket in opened:
        await _next(socket)

    async with door.open(token) as sixth:
        assert await _close_code(sixth) == 4429
    await opened[0].close()
    await asyncio.sleep(0.1)
    async with door.open(token) as again:
        assert (await _next(again))["event"] == "connected"

    for socket in opened:
        await socket.close()


async def test_a_token_is_announced_to_end_and_ends_with_4001(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user, 1.5)) as socket:
        await _next(socket)
        assert (await _next(socket))["event"] == "token_expiring"
        assert await _close_code(socket, 4) == 4001


async def test_an_auth_frame_prolongs(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user, 1)) as socket:
        await _send(socket, {"type": "auth", "token": door.tokens.make(user)})
        await asyncio.sleep(1.5)
        await _send(socket, {"type": "ping"})
        await _next(socket, "pong")


async def test_an_auth_frame_with_somebody_elses_token_is_closed(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        await _send(socket, {"type": "auth", "token": door.tokens.make(clock.new_id())})
        assert await _close_code(socket) == 4001


async def test_a_revoked_session_is_closed_within_five_seconds(door: Door, user: UUID) -> None:
    token = door.tokens.make(user)
    async with door.open(token) as socket:
        await _next(socket)
        door.tokens.revoked.add(token)
        assert await _close_code(socket, 5) == 4001


async def test_an_idle_socket_is_closed_with_4408(door: Door, user: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_SECONDS", 0.2)
    async with door.open(door.tokens.make(user)) as socket:
        assert await _close_code(socket) == 4408


async def test_a_client_that_does_not_read_is_closed_while_others_go_on(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as idle, door.open(door.tokens.make(user)) as busy:
        await _next(idle)
        await _next(busy)
        reading = asyncio.create_task(_count(busy, 700))
        stalled = _stop_reading(idle)
        for number in range(700):
            await publish(door.runtime, user, {"type": "notification", "n": number, "pad": os.urandom(15_000).hex()})
        assert await reading == 700
        stalled.resume_reading()
        assert await _close_code(idle, 15) == 1013


def _stop_reading(socket: ClientConnection) -> asyncio.ReadTransport:
    transport = cast(asyncio.ReadTransport, socket.transport)
    transport.pause_reading()
    return transport


async def _count(socket: ClientConnection, wanted: int) -> int:
    for _ in range(wanted):
        await _next(socket, "notification", 20)
    return wanted


async def test_shutdown_says_so_and_closes_with_1012(door: Door, user: UUID) -> None:
    async with door.open(door.tokens.make(user)) as socket:
        await _next(socket)
        cast(Hub, door.runtime.parts["hub"]).close_all()
        assert (await _next(socket))["event"] == "shutting_down"
        assert await _close_code(socket) == 1012


async def test_a_frame_reaches_all_sockets_of_its_user_only(door: Door, user: UUID) -> None:
    stranger = clock.new_id()
    async with (
        door.open(door.tokens.make(user)) as one,
        door.open(door.tokens.make(user)) as two,
        door.open(door.tokens.make(stranger)) as other,
    ):
        for socket in (one, two, other):
            await _next(socket)
        await publish(door.runtime, user, {"type": "notification", "n": 1})
        await publish(door.runtime, stranger, {"type": "notification", "n": 2})
        assert [(await _next(socket))["n"] for socket in (one, two, other)] == [1, 1, 2]


async def test_two_processes_share_a_user_and_survive_a_restart_of_redis(tmp_path: Path, user: UUID) -> None:
    with Valkey(tmp_path) as valkey:
        async with (
            _runtime(valkey.url, "shared") as runtime,
            _serving(runtime) as here,
            _another_process(valkey.url, "shared") as port,
            _signed_in(here, user) as one,
            _signed_in(Door(runtime, port), user) as two,
        ):
            await publish(runtime, user, {"type": "notification", "n": 1})
            assert (await _next(one))["n"] == (await _next(two))["n"] == 1

            valkey.stop()
            await publish(runtime, user, {"type": "notification", "n": 2})
            assert (await _next(one))["n"] == 2
            async with _signed_in(here, user) as late:
                valkey.start()
                await asyncio.sleep(3)
                await publish(runtime, user, {"type": "notification", "n": 3})
                assert [(await _next(each, seconds=3))["n"] for each in (one, two, late)] == [3, 3, 3]


@asynccontextmanager
async def _signed_in(door: Door, user: UUID) -> AsyncIterator[ClientConnection]:
    async with door.open(door.tokens.make(user)) as socket:
        await _next(socket)
        yield socket


@asynccontextmanager
async def _another_process(redis_url: str, prefix: str) -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, redis_url, prefix, str(port), env={**os.environ, "PYTHONPATH": ROOT}
    )
    try:
        async with asyncio.timeout(15):
            while not await _answers(port):
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _main(redis_url: str, prefix: str, port: str) -> None:
    async with _runtime(redis_url, prefix) as runtime:
        config = uvicorn.Config(_app(runtime), port=int(port), log_level="warning", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:4]))
