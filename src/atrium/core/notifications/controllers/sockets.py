"""The inbox as a socket (platform.md §10.4).

Beside the documented frames every change of an inbox says how many notifications are unread with it:
`notification.unread` behind a new one, `notification.read` with its `notification_id` or `"all": true`, and
`notification.deleted`, each with `unread_count`.
"""

from typing import Any
from uuid import UUID

from litestar import WebSocket, websocket

from atrium.core.errors import Invalid, NotFound
from atrium.core.notifications import services
from atrium.core.realtime.sockets import Connection, Frame, connected, serve
from atrium.core.services import Caller, transact


@websocket("/ws/notifications", public=True)
async def notification_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await serve(socket, hello=_greet, frames={"read": _read})


async def _greet(connection: Connection) -> Frame:
    unread = await transact(connection.runtime, Caller(connection.principal), services.count_unread)
    return connected(connection.principal, unread_count=unread)


async def _read(connection: Connection, frame: Frame) -> None:
    caller = Caller(connection.principal)
    if frame.get("all") is True:
        await transact(connection.runtime, caller, services.mark_all_read)
        return
    wanted = frame.get("notification_id")
    if not isinstance(wanted, str):
        raise Invalid('A read frame names a "notification_id", or says "all": true.')
    found = _id(wanted)
    await transact(connection.runtime, caller, lambda work: services.mark_read(work, found))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no notification with this id in your inbox.") from None
