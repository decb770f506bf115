"""What tasks and schedules look like in the OpenAPI document (platform.md §7.2)."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from atrium.core.resources.openapi import page_struct
from atrium.core.resources.parameters import list_parameters
from atrium.core.tasks.resources import all_tasks, background_tasks


class Progress(msgspec.Struct):
    done: int
    total: int | None
    percent: float | None
    stage: str | None


class TaskError(msgspec.Struct):
    code: str
    message: str | None


class BackgroundTask(msgspec.Struct, kw_only=True):
    """Work that goes on after its request was answered."""

    task_id: UUID
    id: UUID
    module: str
    kind: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: Progress
    result: Any
    error: TaskError | None
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None


class AdminTask(BackgroundTask, kw_only=True):
    """A task with all that is known of it. One that failed is a dead letter: error says why, attempted_at when last."""

    requested_by: UUID | None
    job: str
    queue: str
    priority: int
    params: dict[str, Any]
    entity_type: str | None
    entity_id: UUID | None
    max_attempts: int
    retries: int
    run_after: str
    attempted_at: str | None
    heartbeat_at: str | None
    dedupe_key: str | None


class Replayed(msgspec.Struct):
    """How many dead letters were queued again; as many as the limit means that there may be more."""

    retried: int


class Schedule(msgspec.Struct):
    """When a periodic job is due; times are UTC."""

    name: str
    job: str
    cron: str
    timezone: str
    missed: Literal["once", "skip", "each"]
    next_run_at: str
    last_run_at: str | None
    last_task_id: UUID | None
    is_paused: bool
    paused_by: UUID | None


class Schedules(msgspec.Struct):
    items: list[Schedule]


BackgroundTaskPage = page_struct(BackgroundTask)
AdminTaskPage = page_struct(AdminTask)


def parameters() -> list[dict[str, Any]]:
    """A task is always shown whole."""
    return [one for one in list_parameters(background_tasks) if one["name"] != "fields"]


def admin_parameters() -> list[dict[str, Any]]:
    return [one for one in list_parameters(all_tasks) if one["name"] != "fields"]
