"""`/ws/chat` (platform.md §10.2): talk to the assistant and to each other, and hear notifications."""

import asyncio
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from msgspec import Meta

from atrium.core.chat.assistant import Turn, assistant_of
from atrium.core.chat.frames import topic_of
from atrium.core.chat.models import ASSISTANT
from atrium.core.chat.schemas import Kind
from atrium.core.chat.services import MessageService
from atrium.core.errors import Invalid, NotFound
from atrium.core.http.bodies import explain
from atrium.core.realtime.sockets import Connection, Frame, connected, serve
from atrium.core.services import Caller, Work, transact

REMEMBERED = 64
BEGINS_WITHIN = 10.0
FrameT = TypeVar("FrameT", bound=msgspec.Struct)
Begun = asyncio.Future[Turn | None]


class MessageFrame(msgspec.Struct, kw_only=True):
    conversation_id: UUID | None = None
    content: str | None = None
    message: str | None = None
    kind: Kind = ASSISTANT  # type: ignore[assignment]
    client_id: UUID | None = None


class ReadFrame(msgspec.Struct, kw_only=True):
    conversation_id: UUID
    up_to_sequence: Annotated[int, Meta(ge=1, le=2**31 - 1)]


@websocket("/ws/chat", public=True)
async def chat_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await serve(socket, hello=_greet, frames={"message": _say, "cancel": _cancel, "read": _read})


async def _greet(connection: Connection) -> Frame:
    await connection.follow(topic_of(connection.principal.user_id))
    return connected(connection.principal)


async def _say(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, MessageFrame)
    content = given.content if given.content is not None else given.message
    if content is None:
        raise Invalid.at("content", "is required", "missing")
    begun: Begun = asyncio.get_running_loop().create_future()
    _remember(connection, frame.get("id"), begun)
    try:
        turn = await assistant_of(connection.runtime).begin(
            _caller(connection),
            content,
            conversation_id=given.conversation_id,
            kind=given.kind,
            about={} if given.client_id is None else {"client_id": given.client_id},
            echo=frame.get("id"),
        )
        begun.set_result(turn)
    finally:
        if not begun.done():
            begun.set_result(None)


async def _cancel(connection: Connection, frame: Frame) -> None:
    """By the id of the message frame; the answer's last frame is the error CANCELLED."""
    begun = _turns(connection).get(_key(frame.get("id")))
    turn = await asyncio.wait_for(asyncio.shield(begun), BEGINS_WITHIN) if begun else None
    if turn is None or turn.answer_id is None or turn.is_over.is_set():
        raise NotFound("There is no answer under way to a message with this id.")
    await assistant_of(connection.runtime).cancel(_caller(connection), turn.conversation_id, turn.answer_id)


async def _read(connection: Connection, frame: Frame) -> None:
    given = _convert(frame, ReadFrame)

    async def mark(work: Work) -> None:
        await MessageService(work).mark_read(given.conversation_id, given.up_to_sequence)

    await transact(connection.runtime, _caller(connection), mark, action="read")


def _convert(frame: Frame, kind: type[FrameT]) -> FrameT:
    try:
        return msgspec.convert(frame, kind)
    except msgspec.ValidationError as error:
        fault = explain(error, ("frame",))
        raise Invalid(f"{'.'.join(map(str, fault.loc[1:]))}: {fault.msg}.", errors=[fault]) from None


def _caller(connection: Connection) -> Caller:
    client = connection.socket.client
    return Caller(connection.principal, connection.id, client.host if client else None)


def _turns(connection: Connection) -> dict[bytes, Begun]:
    found: dict[bytes, Begun] = connection.state.setdefault("turns", {})
    return found


def _remember(connection: Connection, echo: Any, begun: Begun) -> None:
    turns = _turns(connection)
    turns[_key(echo)] = begun
    while len(turns) > REMEMBERED:
        del turns[next(iter(turns))]


def _key(echo: Any) -> bytes:
    """An id may be any JSON."""
    return msgspec.json.encode(echo)
