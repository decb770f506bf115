"""The inbox over HTTP and as a socket, and the administrator's view of the outbox."""

from functools import partial
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, WebSocket, delete, get, post, websocket
from litestar.params import FromPath

from atrium.core.errors import Forbidden, Invalid, NotFound
from atrium.core.http.requests import caller_of, json, row_id, runtime_of
from atrium.core.notifications import openapi, services
from atrium.core.notifications.resources import notifications, outbox_messages
from atrium.core.realtime.sockets import Connection, Frame, connected, serve
from atrium.core.resources.openapi import one_of, page_of, verb
from atrium.core.resources.parameters import list_parameters
from atrium.core.services import Caller, transact

AnyRequest = Request[Any, Any, Any]


class NotificationController(Controller):
    path = "/api/v1/notifications"
    tags = ("notifications",)

    @get(
        "/",
        operation_id="listNotifications",
        operation_class=verb(page_of(notifications), refused="401 422", query=partial(list_parameters, notifications)),
        summary="List notifications",
        description="The caller's own, newest first; `unread=true` for those not yet read.",
    )
    async def list_notifications(self, request: AnyRequest) -> Response[bytes]:
        return await page(request, notifications, caller_of(request))

    @get(
        "/unread-count",
        operation_id="countUnreadNotifications",
        operation_class=verb(openapi.UnreadCount, refused="401"),
        summary="Count unread notifications",
        description="For the badge beside the bell.",
    )
    async def count(self, request: AnyRequest) -> Response[bytes]:
        unread = await transact(runtime_of(request), caller_of(request), services.count_unread)
        return json({"unread_count": unread})

    @post(
        "/read-all",
        status_code=200,
        operation_id="readAllNotifications",
        operation_class=verb(openapi.Updated, refused="401"),
        summary="Mark all notifications as read",
        description="Answers how many were unread.",
    )
    async def read_all(self, request: AnyRequest) -> Response[bytes]:
        return json({"updated": await transact(runtime_of(request), caller_of(request), services.mark_all_read)})

    @post(
        "/{notification_id:str}/read",
        status_code=200,
        operation_id="readNotification",
        operation_class=verb(one_of(notifications)),
        summary="Mark a notification as read",
        description="Once is enough: the first moment stays.",
    )
    async def read(self, request: AnyRequest, notification_id: FromPath[str]) -> Response[bytes]:
        found = row_id(notification_id)
        return json(
            await transact(runtime_of(request), caller_of(request), lambda work: services.mark_read(work, found))
        )

    @delete(
        "/{notification_id:str}",
        operation_id="deleteNotification",
        operation_class=verb(),
        summary="Delete a notification",
        description="Removes it from the caller's inbox.",
    )
    async def remove(self, request: AnyRequest, notification_id: FromPath[str]) -> None:
        found = row_id(notification_id)
        await transact(runtime_of(request), caller_of(request), lambda work: services.remove(work, found))


class OutboxController(Controller):
    path = "/api/v1/admin/outbox"
    tags = ("admin",)

    @get(
        "/",
        operation_id="listOutboxMessages",
        operation_class=verb(
            page_of(outbox_messages), refused="401 403 422", query=partial(list_parameters, outbox_messages)
        ),
        summary="List outgoing mails",
        description="Mails that were written, newest first, and whether they were delivered. For administrators.",
    )
    async def list_mails(self, request: AnyRequest) -> Response[bytes]:
        caller = caller_of(request)
        if not caller.principal.is_admin:
            raise Forbidden("Only administrators may read the outbox.")
        return await page(request, outbox_messages, caller)


async def page(request: AnyRequest, resource: Any, caller: Caller) -> Response[bytes]:
    """A v1 list of a resource whose door is not its own."""
    found = await resource.page(runtime_of(request), caller, request.scope["query_string"].decode("latin-1"), {})
    return json(found.envelope())


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
