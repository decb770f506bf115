"""The feed of one process: reads the chain while somebody is subscribed and tells each subscription what it sees.

A subscription is told everything up to its `position`. It begins, and begins again after it fell behind, by catching up
to where the feed is (`catching`), and is fed from there on: no gap and no change twice. The feed's position moves
before a page is judged, so whoever joins meanwhile reads that page by itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from asyncpg.exceptions import AdminShutdownError, CannotConnectNowError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from atrium.core.changes.relay import stream_key
from atrium.core.errors import AtriumError
from atrium.core.realtime.hub import TRY_AGAIN_LATER
from atrium.core.runtime import Runtime
from atrium.core.statements.failures import CONNECTION_LOST
from atrium.core.stopping import stop
from atrium.core.subscriptions import log as chain
from atrium.core.subscriptions.deliveries import Delivery, deliveries
from atrium.core.subscriptions.frames import (
    BEHIND,
    CAUGHT_UP,
    RIGHTS_CHANGED,
    TOO_FAR,
    TOO_OLD,
    pressure,
    resync,
    subscribed,
)
from atrium.core.subscriptions.log import Page
from atrium.core.subscriptions.nouns import Nouns, noun_of
from atrium.core.subscriptions.subscription import Subscription

log = structlog.get_logger()
PART = "changes_feed"
WAKE_SECONDS = 1.0
"""At least this often the chain is looked at, whether Redis says something or not."""
TROUBLE_SECONDS = 1.0
FARTHEST = 10_000
CATCHING_AT_ONCE = 2
FED_AT_ONCE = 50
"""After so many subscriptions their sockets have their turn to write."""
ATTEMPTS = 3
AWAY = (*CONNECTION_LOST, CannotConnectNowError, AdminShutdownError)


class Feed:
    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.nouns = runtime, Nouns.of(runtime)
        self.position = 0
        self._subscriptions: set[Subscription] = set()
        self._catching: dict[Subscription, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(CATCHING_AT_ONCE)
        self._wanted = asyncio.Event()
        self._woken_at = -1

    @property
    def subscriptions(self) -> "frozenset[Subscription]":
        return frozenset(self._subscriptions)

    async def add(self, subscription: Subscription, since: int | None) -> None:
        """Answers with `subscribed`, tells what happened since, and from then on what happens."""
        reach = await chain.reach(self.runtime)
        if not self._subscriptions:
            self.position = reach.head
        subscription.position = reach.head if since is None else since
        self._subscriptions.add(subscription)
        self._wanted.set()
        subscription.tell(subscribed(subscription.id, noun_of(subscription.resource), subscription.position))
        if since is not None and not reach.floor <= since <= reach.head:
            self._resync(subscription, reach.head, TOO_OLD)
        self._catch_up(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        subscription.is_live = False
        if catching := self._catching.pop(subscription, None):
            catching.cancel()
        if not self._subscriptions:
            self._wanted.clear()

    async def run(self) -> None:
        """Until cancelled, through any trouble: what cannot be read now is read later, from the same position."""
        in_trouble = False
        async with self._redis() as redis:
            while True:
                await self._wanted.wait()
                try:
                    if not await self._read():
                        await self._wait(redis)
                    in_trouble = False
                except Exception as error:  # noqa: BLE001  the servers may be away; the chain keeps what is due
                    if not in_trouble:
                        log.warning("changes_not_read", error=repr(error))
                    in_trouble = True
                    await asyncio.sleep(TROUBLE_SECONDS)

    async def close(self) -> None:
        await stop(*self._catching.values())

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[Redis]:
        """A connection of its own, because it is kept waiting."""
        url, retry = self.runtime.settings.redis_url, Retry(NoBackoff(), 0)
        redis = Redis.from_url(url, retry=retry, socket_connect_timeout=1, socket_timeout=3)
        try:
            yield redis
        finally:
            await redis.aclose()

    async def _wait(self, redis: Redis) -> None:
        """Until the relay published what is above the position, or for a while."""
        loop = asyncio.get_running_loop()
        begun, position = loop.time(), self.position
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(2 * WAKE_SECONDS):
                above: Any = {stream_key(self.runtime): f"{position}-0"}
                entries: Any = await redis.xread(above, count=1, block=int(WAKE_SECONDS * 1000))
                if entries and self._woken_at != position:  # a stream that is ahead of the log would never let it wait
                    self._woken_at = position
                    return
        await asyncio.sleep(max(0.0, begun + WAKE_SECONDS - loop.time()))

    async def _read(self) -> bool:
        """One page; whether there may be more."""
        for one in tuple(self._subscriptions):
            if one.has_stale_view:
                self._look_again(one)
        begun = self.position
        page = await chain.page_above(self.runtime, begun, {one.resource.table for one in self._subscriptions})
        if page.position == begun:
            await self._follow_a_restored_database()
            return False
        self.position = page.position
        groups: dict[Any, list[Subscription]] = defaultdict(list)
        for one in self._subscriptions:
            if one.is_live:
                groups[one.view.group].append(one)
        await asyncio.gather(*(self._tell_group(members, page) for members in groups.values()))
        return not page.is_last

    async def _follow_a_restored_database(self) -> None:
        """Its chain ends before the position that was told."""
        head = (await chain.reach(self.runtime)).head
        if head < self.position:
            self.position = head
            for one in tuple(self._subscriptions):
                self._resync(one, head, TOO_OLD)

    async def _tell_group(self, members: list[Subscription], page: Page) -> None:
        try:
            found = await deliveries(self.runtime, members[0].view, [one.view.values for one in members], page.changes)
        except Exception as error:  # noqa: BLE001  each of them tries again by itself, and resyncs if it must
            log.warning("changes_not_judged", resource=members[0].resource.name, error=repr(error))
            for one in members:
                self._catch_up(one)
            return
        by_values: dict[tuple[Any, ...], list[Delivery]] = defaultdict(list)
        for delivery in found:
            for values in delivery.values:
                by_values[values].append(delivery)
        texts: dict[tuple[str, str], str] = {}
        for number, one in enumerate(members, 1):
            self._tell(one, by_values.get(one.view.values, ()), page.position, texts)
            if number % FED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _tell(
        self,
        subscription: Subscription,
        found: Sequence[Delivery],
        position: int,
        texts: dict[tuple[str, str], str],
    ) -> None:
        """Most subscribers use the same ids, so that they can share the texts."""
        if not subscription.is_live:
            return
        if subscription.has_stale_view:
            self._catch_up(subscription)
            return
        for delivery in found:
            if not subscription.wants(delivery):
                continue
            if not subscription.connection.has_room:
                subscription.is_behind = True
                subscription.tell(pressure(subscription.id, BEHIND))
                self._catch_up(subscription)
                return
            key = (subscription.id, delivery.tail)
            subscription.connection.offer(texts.get(key) or texts.setdefault(key, subscription.frame(delivery)))
            subscription.position = delivery.position
        subscription.position = max(subscription.position, position)

    def _catch_up(self, subscription: Subscription) -> None:
        subscription.is_live = False
        task = asyncio.create_task(self._catching_up(subscription), name="catching up with changes")
        self._catching[subscription] = task
        task.add_done_callback(lambda done: self._caught_up(subscription, done))

    def _caught_up(self, subscription: Subscription, task: "asyncio.Task[None]") -> None:
        if self._catching.get(subscription) is task:
            del self._catching[subscription]
        if not task.cancelled() and (error := task.exception()):
            log.error("catching_up_failed", error=repr(error))
            subscription.connection.end(TRY_AGAIN_LATER, "subscriptions failed")

    async def _catching_up(self, subscription: Subscription) -> None:
        """Page by page to where the feed is, at the pace of the socket; then it is fed with the others."""
        attempts = 0
        while True:
            await subscription.connection.room()
            if subscription.has_stale_view and not self._look_again(subscription):
                return
            if self.position - subscription.position > FARTHEST or attempts >= ATTEMPTS:
                attempts = 0
                self._resync(subscription, self.position, TOO_FAR)
            if subscription.position >= self.position:
                self._join(subscription)
                return
            try:
                went_on = await self._replay(subscription)
            except Exception as error:  # noqa: BLE001  tried again; what never succeeds ends in a resync
                log.warning("changes_not_replayed", resource=subscription.resource.name, error=repr(error))
                attempts += isinstance(error, TimeoutError) or not isinstance(error, AWAY)
                went_on = False
            if not went_on:
                await asyncio.sleep(TROUBLE_SECONDS)

    async def _replay(self, subscription: Subscription) -> bool:
        """One page; whether there was one."""
        seen, begun = subscription.view, subscription.position
        async with self._places:
            page = await chain.page_above(self.runtime, begun, (subscription.resource.table,))
            found = await deliveries(self.runtime, seen, [seen.values], page.changes)
        for delivery in found:
            if subscription.wants(delivery):
                await subscription.connection.room()
                if subscription.view is not seen or subscription.has_stale_view:
                    return True  # judged for somebody who the caller no longer is
                subscription.connection.offer(subscription.frame(delivery))
                subscription.position = delivery.position
        if subscription.view is seen:
            subscription.position = max(subscription.position, page.position)
        return page.position > begun

    def _join(self, subscription: Subscription) -> None:
        subscription.is_live = True
        if subscription.is_behind:
            subscription.is_behind = False
            subscription.tell(pressure(subscription.id, CAUGHT_UP))

    def _look_again(self, subscription: Subscription) -> bool:
        """With the rights of the moment; False when there is nothing left to see and the subscription has ended."""
        try:
            is_same = subscription.look_again()
        except AtriumError as error:
            subscription.refuse(error)
            subscription.leave()
            self.remove(subscription)
            return False
        if not is_same:
            self._resync(subscription, max(self.position, subscription.position), RIGHTS_CHANGED)
        return True

    def _resync(self, subscription: Subscription, position: int, reason: str) -> None:
        subscription.position = position
        subscription.tell(resync(subscription.id, position, reason))


def feed_of(runtime: Runtime) -> Feed:
    found: Feed = runtime.parts[PART]
    return found


@asynccontextmanager
async def feed(runtime: Runtime) -> AsyncIterator[None]:
    """The feed of this process, at `runtime.parts["changes_feed"]`."""
    opened = runtime.parts[PART] = Feed(runtime)
    running = asyncio.create_task(opened.run(), name="changes feed")
    try:
        yield
    finally:
        await stop(running)
        await opened.close()
