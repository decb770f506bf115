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

__all__ = (
    "all_tasks",
    "background_tasks",
    "envelope",
    "policies",
    "requester_of",
    "view",
    "whole_envelope",
    "whole_view",
)

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
all_tasks = Resource(
    BackgroundTask,
    name="admin_tasks",
    path="/api/v1/admin/tasks",
    tag="admin",
    read="",  # its controller lets administrators through and nobody else
    write=None,
    filters=(
        *("kind", "status", "queue", "module", "job", "requested_by", "created_at", "finished_at", "error_code"),
        *("priority", "entity_type", "entity_id"),
    ),
    sorts=("created_at", "run_after", "started_at", "finished_at", "attempted_at"),
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


class _WholeRow(_Row, kw_only=True):
    job: str
    queue: str
    priority: int
    params: msgspec.Raw
    entity_type: str | None
    entity_id: str | None
    max_attempts: int
    retries: int
    run_after: str
    attempted_at: str | None
    heartbeat_at: str | None
    dedupe_key: str | None


MORE = ("requested_by", *(name for name in _WholeRow.__struct_fields__ if name not in _Row.__struct_fields__))


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


def _show_whole(row: _WholeRow) -> dict[str, Any]:
    return {**_show(row), **{name: getattr(row, name) for name in MORE}}


def view(record: bytes) -> bytes:
    """One rendered row in the shape of the task resource."""
    return msgspec.json.encode(_show(msgspec.json.decode(record, type=_Row)))


def requester_of(record: bytes) -> UUID | None:
    return msgspec.json.decode(record, type=_Row).requested_by


def envelope(page: Page) -> bytes:
    """A rendered page in the shape of the task resource."""
    shown = [_show(row) for row in msgspec.json.decode(b"[%s]" % page.items, type=list[_Row])]
    return replace(page, items=msgspec.json.encode(shown)[1:-1]).envelope()


def whole_view(record: bytes) -> bytes:
    """One rendered row with what only administrators see of it."""
    return msgspec.json.encode(_show_whole(msgspec.json.decode(record, type=_WholeRow)))


def whole_envelope(page: Page) -> bytes:
    shown = [_show_whole(row) for row in msgspec.json.decode(b"[%s]" % page.items, type=list[_WholeRow])]
    return replace(page, items=msgspec.json.encode(shown)[1:-1]).envelope()
