"""The sockets of this process and the one Redis subscription that feeds them.

Why not Litestar's ChannelsPlugin: after a Redis restart its subscriber task dies without a word, its backlog drops
frames without telling the client, and it opens a subscription per channel object rather than per process. What is
needed here is smaller than what would have to be worked around.

A socket that cannot keep up is closed with 1013 ("try again later"): it reconnects and reads what it missed over REST,
while the memory of this process stays bounded by `BACKLOG` frames per socket.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from atrium.core.runtime import Runtime
from atrium.core.stopping import stop

log = structlog.get_logger()
BACKLOG = 256
RESTARTING = 1012
TRY_AGAIN_LATER = 1013
LONGEST_PAUSE = 2.0
CONFIRMED_WITHIN = 1.0
SILENCE = 5.0
"""Seconds without traffic after which the subscription is probed, so that a dead link is found."""


class Listener(Protocol):
    def offer(self, text: str) -> None:
        """Take a frame without waiting."""
        ...

    def end(self, code: int, reason: str, event: str = "") -> None:
        """Close soon; `event` is told first."""
        ...


class Hub:
    """Who listens to which topic; `deliver` is called for every frame that arrives."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._listeners: dict[str, set[Listener]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._everybody = runtime.key("hub")

    @property
    def is_connected(self) -> bool:
        return self._pubsub is not None

    async def join(self, topic: str, listener: Listener) -> None:
        """Returns once Redis confirmed the topic, so that nothing published later is missed; or soon, without Redis."""
        self._listeners.setdefault(topic, set()).add(listener)
        confirmed = self._confirmed.get(topic)
        if confirmed is None:
            confirmed = self._confirmed[topic] = asyncio.Event()
            await self._tell("subscribe", topic)
        with suppress(TimeoutError):
            await asyncio.wait_for(confirmed.wait(), CONFIRMED_WITHIN)

    async def leave(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.get(topic, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(topic, None) is not None:
            self._confirmed.pop(topic, None)
            await self._tell("unsubscribe", topic)

    def deliver(self, topic: str, text: str) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            listener.offer(text)

    def close_all(self, code: int = RESTARTING, reason: str = "restarting") -> None:
        """Tell every socket of this process to come back later."""
        for listener in {one for listeners in self._listeners.values() for one in listeners}:
            listener.end(code, reason, "shutting_down")

    async def _tell(self, verb: str, topic: str) -> None:
        """Change the subscription; if that fails, the reader finds the link dead too and subscribes anew."""
        if self._pubsub is not None:
            with suppress(RedisError, OSError, RuntimeError):
                await getattr(self._pubsub, verb)(self._runtime.key(topic))

    async def run(self) -> None:
        """Read until cancelled, through any number of Redis restarts."""
        pause = 0.05
        while True:
            redis = Redis.from_url(
                self._runtime.settings.redis_url,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=2,
                socket_timeout=5,
            )
            try:
                async with redis, redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._everybody)
                    self._pubsub, pause = pubsub, 0.05
                    if self._listeners:
                        await pubsub.subscribe(*map(self._runtime.key, self._listeners))
                    await self._read(pubsub)
            except (RedisError, OSError) as error:
                log.warning("hub_lost_redis", error=repr(error), again_in=pause)
            finally:
                self._pubsub = None
                for confirmed in self._confirmed.values():
                    confirmed.clear()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _read(self, pubsub: PubSub) -> None:
        prefix = len(self._runtime.key(""))
        probed = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE)
            if message is None:
                if probed:
                    raise ConnectionError("the subscription does not answer")
                await pubsub.ping()
                probed = True
                continue
            probed = False
            topic = message["channel"].decode()[prefix:] if message["channel"] else ""
            if message["type"] == "subscribe" and topic in self._confirmed:
                self._confirmed[topic].set()
            elif message["type"] == "message":
                self.deliver(topic, message["data"].decode())


@asynccontextmanager
async def hub(runtime: Runtime) -> AsyncIterator[None]:
    """The hub of this process, at `runtime.parts["hub"]`."""
    opened = runtime.parts["hub"] = Hub(runtime)
    reader = asyncio.create_task(opened.run(), name="hub")
    try:
        yield
    finally:
        opened.close_all()
        await stop(reader)
