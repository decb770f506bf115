"""What a background task looks like in the OpenAPI document (platform.md §7.2)."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from atrium.core.resources.openapi import page_struct
from atrium.core.resources.parameters import list_parameters
from atrium.core.tasks.resources import background_tasks


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


BackgroundTaskPage = page_struct(BackgroundTask)


def parameters() -> list[dict[str, Any]]:
    """A task is always shown whole."""
    return [one for one in list_parameters(background_tasks) if one["name"] != "fields"]
