"""Two applications on ports of their own over one database, a relay, and sockets that listen to changes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import msgspec
import uvicorn
from tests.conftest import Server
from tests.wealth.factories import Actor
from websockets.asyncio.client import ClientConnection, connect

from atrium.app import create_app
from atrium.core.changes.relay import keep_relaying, relay_state
from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.stopping import stop
from atrium.core.subscriptions.feed import Feed, feed_of

PATIENCE = 10.0
QUIET = 0.6


@dataclass
class Ear:
    """One socket; `frames` are those that nobody has asked for yet."""

    socket: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self, kind: str = "", seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame, or the next of a type; the others are passed over."""
        async with asyncio.timeout(seconds):
            while True:
                frame: dict[str, Any] = json.loads(await self.socket.recv())
                if not kind or frame["type"] == kind:
                    return frame

    async def subscribe(self, resource: str = "clients", id: str = "s1", **more: Any) -> int:
        await self.say(type="subscribe", id=id, resource=resource, **more)
        answer = await self.hear()
        assert answer["type"] == "subscribed", answer
        assert (answer["id"], answer["resource"].rpartition("/")[2]) == (id, resource.rpartition("/")[2])
        return int(answer["position"])

    async def refused(self, **frame: Any) -> dict[str, Any]:
        await self.say(**frame)
        answer = await self.hear()
        assert answer["type"] == "error", answer
        return answer

    async def change(self) -> dict[str, Any]:
        return await self.hear("change")

    async def changes(self, count: int) -> list[dict[str, Any]]:
        return [await self.change() for _ in range(count)]


class Process:
    """One application on a port."""

    def __init__(self, runtime: Runtime, port: int) -> None:
        self.runtime, self.port = runtime, port
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20)

    @property
    def feed(self) -> Feed:
        return feed_of(self.runtime)

    @asynccontextmanager
    async def listen(self, who: Actor, **options: Any) -> AsyncIterator[Ear]:
        await settled(self.runtime)
        token = who.headers["Authorization"].removeprefix("Bearer ")
        url = f"ws://127.0.0.1:{self.port}/ws/changes?token={token}"
        async with connect(url, proxy=None, **options) as opened:
            ear = Ear(opened)
            assert (await ear.hear())["event"] == "connected"
            yield ear

    async def call(self, method: str, path: str, who: Actor, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body, headers=who.headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def edit(self, who: Actor, client_id: Any, **values: Any) -> Any:
        return await self.call("PATCH", f"/api/v1/clients/{client_id}", who, values)


async def settled(runtime: Runtime) -> None:
    """What was written so far is in the chain: nobody who subscribes now hears of it."""
    async with asyncio.timeout(PATIENCE):
        while (await relay_state(runtime)).queued:
            await asyncio.sleep(0.01)


class Relay:
    """The worker's part, which a test may kill."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(keep_relaying(self._runtime))

    async def stop(self) -> None:
        if self._task is not None:
            await stop(self._task)
            self._task = None


@dataclass
class House:
    here: Process
    there: Process
    relay: Relay

    @property
    def runtime(self) -> Runtime:
        return self.here.runtime

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        async with AsyncExitStack() as stack:
            here, there = [await stack.enter_async_context(serving(settings)) for _ in range(2)]
            relay = Relay(here.runtime)
            relay.start()
            stack.push_async_callback(relay.stop)
            yield cls(here, there, relay)


@asynccontextmanager
async def living(settings: Settings) -> AsyncIterator[House]:
    """Opened and closed by one task: pytest sets fixtures up and tears them down in different ones."""
    opened, done = asyncio.Event(), asyncio.Event()
    found: list[House] = []

    async def live() -> None:
        async with House.open(settings) as house:
            found.append(house)
            opened.set()
            await done.wait()

    task = asyncio.create_task(live())
    waiting = asyncio.create_task(opened.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    yield found[0]
    done.set()
    await task


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Process]:
    app = create_app(settings)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, loop="none", ws="websockets-sansio")
        server = Server(config)
        async with app.lifespan():
            task = asyncio.create_task(server.serve(sockets=[bound]))
            while not server.started:
                await asyncio.sleep(0.01)
            process = Process(app.state.runtime, bound.getsockname()[1])
            try:
                yield process
            finally:
                await process.http.aclose()
                server.should_exit = True
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def alone(settings: Settings, url: str, application_url: str, **over: Any) -> Settings:
    """The same settings over a database that no other test writes to."""
    prefix = f"{settings.redis_prefix}:subscriptions"
    values = {"database_url": application_url, "database_direct_url": url, "redis_prefix": prefix, **over}
    return msgspec.structs.replace(settings, **values)
