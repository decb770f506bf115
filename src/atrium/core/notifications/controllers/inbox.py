"""The inbox over HTTP."""

from functools import partial
from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath

from atrium.core.http.requests import caller_of, json, row_id, runtime_of
from atrium.core.notifications import openapi, services
from atrium.core.notifications.resources import notifications
from atrium.core.resources.openapi import one_of, page_of, verb
from atrium.core.resources.parameters import list_parameters
from atrium.core.services import transact

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
        query = request.scope["query_string"].decode("latin-1")
        return json((await notifications.page(runtime_of(request), caller_of(request), query, {})).envelope())

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
