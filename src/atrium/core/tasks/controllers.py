"""The resource behind every 202."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath

from atrium.core.errors import Conflict, Forbidden, NotFound, UnknownParameter
from atrium.core.http.requests import caller_of, json, row_id, runtime_of
from atrium.core.jobs.queue import cancel
from atrium.core.jobs.retry import retry
from atrium.core.resources.openapi import verb
from atrium.core.resources.reading import Page, Record
from atrium.core.resources.resource import Resource
from atrium.core.tasks import openapi
from atrium.core.tasks.resources import background_tasks, envelope, requester_of, view

AnyRequest = Request[Any, Any, Any]
LOCATION = "/api/v1/background-tasks/{}"


class TaskFinished(Conflict):
    """The Task Is Finished"""


async def page_of(request: AnyRequest, resource: Resource) -> Page:
    if "fields" in request.query_params:
        raise UnknownParameter("fields: a task is always shown whole.")
    query = request.scope["query_string"].decode("latin-1")
    return await resource.page(runtime_of(request), caller_of(request), query, {})


class BackgroundTaskController(Controller):
    path = "/api/v1/background-tasks"
    tags = ("background-tasks",)

    @get(
        "/",
        operation_id="listBackgroundTasks",
        operation_class=verb(openapi.BackgroundTaskPage, refused="401 422", query=openapi.parameters),
        summary="List background tasks",
        description="The caller's own tasks, newest first; administrators see all.",
    )
    async def list_tasks(self, request: AnyRequest) -> Response[bytes]:
        return json(envelope(await page_of(request, background_tasks)))

    @get(
        "/{task_id:str}",
        operation_id="getBackgroundTask",
        operation_class=verb(openapi.BackgroundTask),
        summary="Read a background task",
        description="How far it is, or how it ended: what to ask after a 202.",
    )
    async def get_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        return json(await shown(request, row_id(task_id)))

    @post(
        "/{task_id:str}/cancel",
        status_code=200,
        operation_id="cancelBackgroundTask",
        operation_class=verb(openapi.BackgroundTask, refused="401 403 404 409"),
        summary="Cancel a background task",
        description="A running task stops at its next step; a finished one is refused.",
    )
    async def cancel_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        runtime, found = runtime_of(request), row_id(task_id)
        await _require_own(request, found, "cancel")
        if await cancel(runtime, found) is None:
            raise TaskFinished("The task is finished and can no longer be cancelled.")
        return json(await shown(request, found))

    @post(
        "/{task_id:str}/retry",
        status_code=200,
        operation_id="retryBackgroundTask",
        operation_class=verb(openapi.BackgroundTask, refused="401 403 404 409"),
        summary="Retry a background task",
        description="Queues a task that failed or was cancelled once more, under the same id; a few times at most.",
    )
    async def retry_task(self, request: AnyRequest, task_id: FromPath[str]) -> Response[bytes]:
        runtime, found = runtime_of(request), row_id(task_id)
        await _require_own(request, found, "retry")
        await retry(runtime, found)
        return json(await shown(request, found))


async def shown(request: AnyRequest, task_id: UUID) -> bytes:
    return view((await _get(request, task_id)).body)


async def _get(request: AnyRequest, task_id: UUID) -> Record:
    record = await background_tasks.find(runtime_of(request), request.user, task_id)
    if record is None:
        raise NotFound("There is no task with this id, or it is not yours to see.")
    return record


async def _require_own(request: AnyRequest, task_id: UUID, act: str) -> None:
    """Oversight reads; only the requester and administrators stop or repeat a task."""
    principal = request.user
    requester = requester_of((await _get(request, task_id)).body)
    if not principal.is_admin and requester != principal.user_id:
        raise Forbidden(f"Only who asked for the task may {act} it.")
