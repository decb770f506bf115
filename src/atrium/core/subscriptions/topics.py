"""What callers say to each other about a record: who may read it may join its topic, and speak in it.

A topic is not stored and nothing of it is told later. Each message is checked when it is sent, and each receiver again
before it hears something and its last check is older than `TRUSTED_SECONDS`, or its rights are no longer the same: in
doubt it is not told.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import structlog

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import AtriumError, Conflict, Forbidden, NotFound
from atrium.core.realtime.hub import Hub
from atrium.core.realtime.publish import publish_to
from atrium.core.realtime.sockets import Connection, encode, failure
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.subscriptions.feed import feed_of
from atrium.core.subscriptions.nouns import noun_of

log = structlog.get_logger()
TOPICS = 20
TRUSTED_SECONDS = 15.0
HELD = 32
"""Messages that wait for a check."""


class TooManyTopics(Conflict):
    """Too Many Topics"""


class Message(msgspec.Struct):
    """What travels between processes: the frame, and the socket that need not hear its own words."""

    sender: str
    frame: dict[str, Any]


class Membership:
    """One socket in one topic: the hub's listener."""

    def __init__(self, connection: Connection, topic: str, resource: Resource, record_id: UUID) -> None:
        self.connection, self.topic, self.resource, self.record_id = connection, topic, resource, record_id
        self.channel = channel_of(resource, record_id)
        self._principal: Principal | None = None
        self._checked = float("-inf")
        self._held: list[str] = []
        self._checking: asyncio.Task[None] | None = None

    async def join(self) -> None:
        await self._require()
        await _hub(self.connection.runtime).join(self.channel, self)

    async def leave(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await _hub(self.connection.runtime).leave(self.channel, self)

    def offer(self, text: str) -> None:
        """From the hub. What cannot be told at once waits for the check."""
        if self._is_trusted():
            self._tell(text)
        elif len(self._held) < HELD:
            self._held.append(text)
            if self._checking is None:
                self._checking = asyncio.create_task(self._check())

    def end(self, code: int, reason: str, event: str = "") -> None:
        self.connection.end(code, reason, event)

    def _is_trusted(self) -> bool:
        recently = asyncio.get_running_loop().time() - self._checked < TRUSTED_SECONDS
        return recently and self._principal is self.connection.principal

    async def _check(self) -> None:
        """Tell what was held, or leave."""
        try:
            await self._require()
        except AtriumError as error:
            self._held.clear()
            _topics(self.connection).pop(self.topic, None)
            self.connection.offer(encode({**failure(error, {}), "topic": self.topic}))
            await _hub(self.connection.runtime).leave(self.channel, self)
        except Exception as error:  # noqa: BLE001  the servers may be away: nobody is told what was not checked
            self._held.clear()
            log.warning("topic_not_checked", error=repr(error))
        finally:
            self._checking = None
        held, self._held = self._held, []
        for text in held:
            self._tell(text)

    async def _require(self) -> None:
        principal, now = self.connection.principal, asyncio.get_running_loop().time()
        await require(self.connection.runtime, principal, self.resource, self.record_id)
        self._principal, self._checked = principal, now

    def _tell(self, text: str) -> None:
        message = msgspec.json.decode(text, type=Message)
        if message.sender != self.connection.id and self.connection.has_room:
            self.connection.offer(encode({**message.frame, "topic": self.topic}))


async def join(connection: Connection, topic: str) -> None:
    known = _topics(connection)
    if topic in known:
        raise Conflict("This socket is in this topic already.")
    if len(known) >= TOPICS:
        raise TooManyTopics(f"A socket is in at most {TOPICS} topics.")
    resource, record_id = read_topic(connection, topic)
    member = known[topic] = Membership(connection, topic, resource, record_id)
    try:
        await member.join()
    except BaseException:
        known.pop(topic, None)
        raise


async def leave(connection: Connection, topic: str) -> None:
    member = _topics(connection).pop(topic, None)
    if member is None:
        raise NotFound("This socket is not in this topic.")
    await member.leave()


async def leave_all(connection: Connection) -> None:
    for member in tuple(_topics(connection).values()):
        await member.leave()
    _topics(connection).clear()


async def broadcast(connection: Connection, topic: str, event: str, payload: Any) -> None:
    resource, record_id = read_topic(connection, topic)
    principal = connection.principal
    await require(connection.runtime, principal, resource, record_id)
    said = {"event": event, "payload": payload, "from": str(principal.user_id), "sent_at": clock.stamp(clock.now())}
    message = {"sender": connection.id, "frame": {"type": "broadcast", **said}}
    await publish_to(connection.runtime, channel_of(resource, record_id), message)


def read_topic(connection: Connection, topic: str) -> tuple[Resource, UUID]:
    """`clients/<id>`; what is no record that the caller may read is not there."""
    noun, _, record_id = topic.rpartition("/")
    try:
        return feed_of(connection.runtime).nouns.find(noun, connection.principal), UUID(record_id)
    except (ValueError, Forbidden):
        raise NotFound("There is no such record, or it is outside what you may see.") from None


async def require(runtime: Runtime, principal: Principal, resource: Resource, record_id: UUID) -> None:
    if not principal.may(resource.read) or await resource.find(runtime, principal, record_id) is None:
        raise NotFound("There is no such record, or it is outside what you may see.")


def channel_of(resource: Resource, record_id: UUID) -> str:
    return f"topic:{noun_of(resource)}/{record_id}"


def _topics(connection: Connection) -> dict[str, Membership]:
    found: dict[str, Membership] = connection.state.setdefault("topics", {})
    return found


def _hub(runtime: Runtime) -> Hub:
    found: Hub = runtime.parts["hub"]
    return found
