"""Everybody's tasks for administrators: what waits, what runs, what failed and why, and doing it again."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from atrium.core.errors import Forbidden, NotFound
from atrium.core.http.requests import json, row_id, runtime_of
from atrium.core.jobs.queue import cancel
from atrium.core.jobs.retry import ANY_NUMBER, Chosen, retry, retry_many
from atrium.core.resources.openapi import verb
from atrium.core.tasks import openapi
from atrium.core.tasks.controllers import TaskFinished, page_of
from atrium.core.tasks.resources import all_tasks, whole_envelope, whole_view

AnyRequest = Request[Any, Any, Any]


async def administrators_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    if not connection.user.is_admin:
        raise Forbidden("Only an administrator may do this.")


class Replay(Chosen, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to queue again, and how many at most; what is not said does not narrow."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class AdminTaskController(Controller):
    path = "/api/v1/admin/tasks"
    tags = ("admin",)
    guards = (administrators_only,)

    @get(
        "/",
        operation_id="listAllTasks",
        operation_class=verb(openapi.AdminTaskPage, refused="401 403 422", query=openapi.admin_parameters),
        summary="List everybody's tasks",
        description="Dead letters are those with `status=failed`; they are kept for TASK_RETENTION_DAYS.",
    )
    async def list_tasks(self, request: AnyRequest) -> Response[bytes]:
        return json(whole_envelope(await page_of(request, all_tasks)))

    @get(
        "/{task_id:str}",
        operation_id="getTask",
        operation_class=verb(openapi.AdminTask, refused="401 403 404"),
        summary="Read anybody's task",
        description="With its parameters and its attempts.",
    )
    async def get_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        return await _shown(request, row_id(task_id))

    @post(
        "/{task_id:str}/cancel",
        status_code=200,
        operation_id="cancelTask",
        operation_class=verb(openapi.AdminTask, refused="401 403 404 409"),
        summary="Cancel anybody's task",
        description="A running task stops at its next step; a finished one is refused.",
    )
    async def cancel_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        found = row_id(task_id)
        await _shown(request, found)
        if await cancel(runtime_of(request), found) is None:
            raise TaskFinished("The task is finished and can no longer be cancelled.")
        return await _shown(request, found)

    @post(
        "/{task_id:str}/retry",
        status_code=200,
        operation_id="retryTask",
        operation_class=verb(openapi.AdminTask, refused="401 403 404 409"),
        summary="Retry anybody's task",
        description="Queues a task that failed or was cancelled once more, under the same id.",
    )
    async def retry_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        found = row_id(task_id)
        await _shown(request, found)
        await retry(runtime_of(request), found, most=ANY_NUMBER)
        return await _shown(request, found)

    @post(
        "/retry",
        status_code=200,
        operation_id="replayDeadLetters",
        operation_class=verb(
            openapi.Replayed, refused="401 403 409 422", example={"error_code": "DEPENDENCY_DOWN", "limit": 100}
        ),
        summary="Replay dead letters",
        description="Queues failed tasks again, those that failed first before others, a thousand at most.",
    )
    async def replay(self, request: AnyRequest, data: JSONBody[Replay | None] = None) -> Response[bytes]:
        asked = data or Replay()
        chosen = Chosen(**{name: getattr(asked, name) for name in Chosen.__struct_fields__})
        return json({"retried": await retry_many(runtime_of(request), chosen, asked.limit)})


async def _shown(request: AnyRequest, task_id: UUID) -> Response[bytes]:
    record = await all_tasks.find(runtime_of(request), request.user, task_id)
    if record is None:
        raise NotFound("There is no task with this id.")
    return json(whole_view(record.body))
