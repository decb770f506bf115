"""`/ws/changes`: what is asked of it and by whom.

{"type": "subscribe", "id": "s1", "resource": "clients", "filter": "status=active", "actions": ["update"],
 "since": 123}
{"type": "unsubscribe", "id": "s1"}
{"type": "join", "topic": "clients/<id>"}, {"type": "leave", "topic": "clients/<id>"}
{"type": "broadcast", "topic": "clients/<id>", "event": "typing", "payload": {}}
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from litestar import WebSocket, websocket
from msgspec import Meta

from atrium.core.errors import Conflict, Invalid, NotFound
from atrium.core.http.bodies import explain
from atrium.core.realtime.sockets import Connection, Frame, connected, serve
from atrium.core.subscriptions import topics
from atrium.core.subscriptions.feed import feed_of
from atrium.core.subscriptions.subscription import ACTIONS, Subscription, subscriptions_of
from atrium.core.subscriptions.views import LONGEST_FILTER

SUBSCRIPTIONS = 20
HIGHEST_POSITION = 2**63 - 1
FrameT = TypeVar("FrameT", bound=msgspec.Struct)
Id = Annotated[str, Meta(min_length=1, max_length=100)]


class TooManySubscriptions(Conflict):
    """Too Many Subscriptions"""


class SubscribeFrame(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: Id
    resource: Annotated[str, Meta(max_length=200)]
    filter: Annotated[str, Meta(max_length=LONGEST_FILTER)] = ""
    actions: Annotated[list[Literal["create", "update", "delete"]], Meta(min_length=1)] | None = None
    since: Annotated[int, Meta(ge=0, le=HIGHEST_POSITION)] | None = None


class UnsubscribeFrame(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: Id


class TopicFrame(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    topic: Annotated[str, Meta(max_length=300)]
    id: Any = None


class BroadcastFrame(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    topic: Annotated[str, Meta(max_length=300)]
    event: Annotated[str, Meta(min_length=1, max_length=100)]
    payload: Any = None
    id: Any = None


@websocket("/ws/changes", public=True)
async def changes_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await serve(socket, hello=_greet, frames=HANDLERS, closed=_farewell)


async def _greet(connection: Connection) -> Frame:
    return connected(connection.principal)


async def _subscribe(connection: Connection, frame: Frame) -> None:
    given, known = _convert(frame, SubscribeFrame), subscriptions_of(connection)
    if given.id in known:
        raise Conflict("This socket already has a subscription with this id.")
    if len(known) >= SUBSCRIPTIONS:
        raise TooManySubscriptions(f"A socket has at most {SUBSCRIPTIONS} subscriptions.")
    feed = feed_of(connection.runtime)
    resource = feed.nouns.find(given.resource, connection.principal)
    wanted = Subscription(connection, given.id, resource, given.filter, frozenset(given.actions or ACTIONS))
    known[given.id] = wanted
    try:
        await feed.add(wanted, given.since)
    except BaseException:
        known.pop(given.id, None)
        raise


async def _unsubscribe(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, UnsubscribeFrame)
    found = subscriptions_of(connection).pop(given.id, None)
    if found is None:
        raise NotFound("This socket has no subscription with this id.")
    feed_of(connection.runtime).remove(found)
    await connection.send({"type": "unsubscribed", "id": given.id})


async def _join(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, TopicFrame)
    await topics.join(connection, given.topic)
    await connection.send({"type": "joined", "topic": given.topic, "id": given.id})


async def _leave(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, TopicFrame)
    await topics.leave(connection, given.topic)
    await connection.send({"type": "left", "topic": given.topic, "id": given.id})


async def _broadcast(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, BroadcastFrame)
    await topics.broadcast(connection, given.topic, given.event, given.payload)


async def _farewell(connection: Connection) -> None:
    feed = feed_of(connection.runtime)
    for one in subscriptions_of(connection).values():
        feed.remove(one)
    await topics.leave_all(connection)


def _convert(frame: Frame, kind: type[FrameT]) -> FrameT:
    try:
        return msgspec.convert(frame, kind)
    except msgspec.ValidationError as error:
        fault = explain(error, ("frame",))
        raise Invalid(f"{'.'.join(map(str, fault.loc[1:]))}: {fault.msg}.", errors=[fault]) from None


HANDLERS = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "join": _join,
    "leave": _leave,
    "broadcast": _broadcast,
}
