"""Schedules for administrators: when each is due, and stopping, resuming or running one."""

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath

from atrium.core import clock
from atrium.core.http.requests import caller_of, json, runtime_of
from atrium.core.jobs import planning
from atrium.core.resources.openapi import verb
from atrium.core.tasks import openapi
from atrium.core.tasks.admin import administrators_only
from atrium.core.tasks.controllers import LOCATION, shown

AnyRequest = Request[Any, Any, Any]
MOMENTS = ("next_run_at", "last_run_at")


class ScheduleController(Controller):
    path = "/api/v1/admin/schedules"
    tags = ("admin",)
    guards = (administrators_only,)

    @get(
        "/",
        operation_id="listSchedules",
        operation_class=verb(openapi.Schedules, refused="401 403"),
        summary="List the schedules",
        description="What is done periodically, as the workers know it since they started.",
    )
    async def list_schedules(self, request: AnyRequest) -> Response[bytes]:
        return json({"items": [_show(row) for row in await planning.schedules(runtime_of(request))]})

    @post(
        "/{name:str}/pause",
        status_code=200,
        operation_id="pauseSchedule",
        operation_class=verb(openapi.Schedule, refused="401 403 404"),
        summary="Pause a schedule",
        description="No task is made until it is resumed, whatever restarts in between.",
    )
    async def pause(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        return json(_show(await planning.pause(runtime_of(request), name, request.user.user_id)))

    @post(
        "/{name:str}/resume",
        status_code=200,
        operation_id="resumeSchedule",
        operation_class=verb(openapi.Schedule, refused="401 403 404"),
        summary="Resume a schedule",
        description="It goes on with its next moment; those of the pause stay undone.",
    )
    async def resume(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        return json(_show(await planning.resume(runtime_of(request), name)))

    @post(
        "/{name:str}/run",
        status_code=202,
        operation_id="runSchedule",
        operation_class=verb(openapi.BackgroundTask, refused="401 403 404"),
        summary="Run a schedule now",
        description="Beside its due moments, paused or not; while such a task is open, asking again gives that one.",
    )
    async def run(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        task_id = await planning.run_now(runtime_of(request), caller_of(request), name)
        return json(await shown(request, task_id), 202, {"Location": LOCATION.format(task_id)})


def _show(row: dict[str, Any]) -> dict[str, Any]:
    moments = {name: row[name] and clock.stamp(row[name]) for name in MOMENTS}
    return {**row, **moments}
