"""How tasks are found, and what one looks like from outside (platform.md §7.2)."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec

from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.rows import progress_of
from atrium.core.resources.reading import Page
from atrium.core.resources.resource import Resource
from atrium.core.tasks import policies

__all__ = ("background_tasks", "envelope", "policies", "requester_of", "view")

background_tasks = Resource(
    BackgroundTask,
    path="/api/v1/background-tasks",
    tag="background-tasks",
    read="",  # everybody's own tasks; the policy is the whole rule
    write=None,
    filters=("kind", "status", "module", "queue", "entity_type", "entity_id", "created_at"),
    sorts=("created_at", "run_after", "started_at", "finished_at"),
    history=False,
)


class _Row(msgspec.Struct):
    id: str
    module: str
    kind: str
    status: str
    progress_done: int
    progress_total: int | None
    stage: str | None
    requested_by: UUID | None
    result: msgspec.Raw
    error_code: str | None
    error_detail: str | None
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None


def _show(row: _Row) -> dict[str, Any]:
    error = None if row.error_code is None else {"code": row.error_code, "message": row.error_detail}
    return {
        "task_id": row.id,
        "id": row.id,
        "module": row.module,
        "kind": row.kind,
        "status": row.status,
        "progress": progress_of(msgspec.structs.asdict(row)),
        "result": row.result,
        "error": error,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def view(record: bytes) -> bytes:
    """One rendered row in the shape of the task resource."""
    return msgspec.json.encode(_show(msgspec.json.decode(record, type=_Row)))


def requester_of(record: bytes) -> UUID | None:
    return msgspec.json.decode(record, type=_Row).requested_by


def envelope(page: Page) -> bytes:
    """A rendered page in the shape of the task resource."""
    shown = [_show(row) for row in msgspec.json.decode(b"[%s]" % page.items, type=list[_Row])]
    return replace(page, items=msgspec.json.encode(shown)[1:-1]).envelope()
