"""Somebody who follows `/ws/changes` and comes back wherever a process is left, with the last position it heard of."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.processes.cluster import Cluster, Listening, wait_until
from tests.wealth.factories import Actor
from websockets.exceptions import WebSocketException

PAUSE = 0.05


class Subscriber:
    """`seen` is every change it was told of, as record and position, in the order of the frames."""

    def __init__(self, cluster: Cluster, actor: Actor, *, first: int) -> None:
        self._cluster, self._actor, self._first = cluster, actor, first
        self.since: int | None = None
        self.seen: list[tuple[str, int]] = []
        self.others: list[dict[str, Any]] = []
        self.connections = 0

    async def run(self) -> None:
        for api in itertools.islice(itertools.cycle(self._cluster.apis), self._first, None):
            with suppress(OSError, WebSocketException):
                async with api.socket("/ws/changes", self._actor.headers, keep=self._take) as socket:
                    await self._ask(socket)
                    await socket.ended()
            await asyncio.sleep(PAUSE)

    async def _ask(self, socket: Listening) -> None:
        since = {} if self.since is None else {"since": self.since}
        await socket.send(type="subscribe", id="s", resource="clients", **since)
        self.connections += 1

    def _take(self, text: str) -> None:
        frame = json.loads(text)
        if frame["type"] == "change":
            self.seen.append((frame["record_id"], frame["position"]))
            self.since = frame["position"]
        elif frame["type"] == "subscribed":
            self.since = frame["position"]
        elif frame["type"] != "system":
            self.others.append(frame)


@asynccontextmanager
async def following(cluster: Cluster, actor: Actor, *, first: int) -> AsyncIterator[Subscriber]:
    """A subscriber that begins at one of the API processes."""
    subscriber = Subscriber(cluster, actor, first=first)
    running = asyncio.create_task(subscriber.run())
    try:
        await wait_until(lambda: subscriber.since is not None, 10)
        yield subscriber
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
