"""The only statements that move a task's row. Each names the attempt it belongs to, so a worker that was given up
writes nothing.

queued → running → succeeded | failed | cancelled, running → queued when it is tried again. A running task that somebody
cancels is marked by its stage, which its worker sees with the next progress or heartbeat.
"""

from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from atrium.core.jobs.models import QUEUES
from atrium.core.runtime import Runtime


class Row(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> Any: ...


EXACT = msgspec.json.Encoder(decimal_format="number")
CANCELLING = "cancelling"
MINE = "id = $1 AND status = 'running' AND attempts = $2"
PROGRESS = "id, kind, status, progress_done, progress_total, stage, requested_by"

CLAIM = """
UPDATE core.background_tasks
SET status = 'running', attempts = attempts + 1, started_at = coalesce(started_at, now()), heartbeat_at = now(),
    error_code = NULL, error_detail = NULL, updated_at = now()
WHERE id = $1 AND status = 'queued' AND run_after <= now() AND attempts < max_attempts
RETURNING *
"""
BEAT = f"UPDATE core.background_tasks SET heartbeat_at = now(), updated_at = now() WHERE {MINE} RETURNING stage"
ADVANCE = f"""
UPDATE core.background_tasks
SET progress_done = $3, progress_total = coalesce($4, progress_total), stage = coalesce($5, stage),
    heartbeat_at = now(), updated_at = now()
WHERE {MINE} AND stage IS DISTINCT FROM '{CANCELLING}'
RETURNING {PROGRESS}
"""
FINISH = f"""
UPDATE core.background_tasks
SET status = $3::text, result = $4::jsonb, error_code = $5, error_detail = $6, finished_at = now(), updated_at = now(),
    stage = nullif(stage, '{CANCELLING}'),
    progress_done = CASE WHEN $3 = 'succeeded' THEN coalesce(progress_total, progress_done) ELSE progress_done END
WHERE {MINE}
RETURNING {PROGRESS}
"""
AGAIN = f"""
UPDATE core.background_tasks
SET status = 'queued', run_after = now() + make_interval(secs => $3), error_code = $4, error_detail = $5,
    heartbeat_at = NULL, updated_at = now()
WHERE {MINE}
RETURNING {PROGRESS}
"""
RELEASE = f"""
UPDATE core.background_tasks
SET status = 'queued', attempts = attempts - 1, heartbeat_at = NULL, updated_at = now()
WHERE {MINE} AND stage IS DISTINCT FROM '{CANCELLING}'
RETURNING {PROGRESS}
"""
RESCUE = f"""
UPDATE core.background_tasks AS task
SET status = next.status, heartbeat_at = NULL, updated_at = now(), run_after = now(),
    stage = nullif(task.stage, '{CANCELLING}'),
    finished_at = CASE WHEN next.status <> 'queued' THEN now() END,
    error_code = CASE WHEN next.status <> 'cancelled' THEN 'WORKER_LOST' END,
    error_detail = CASE next.status
        WHEN 'queued' THEN 'The worker stopped in the middle; another one starts over.'
        WHEN 'failed' THEN format('The worker stopped in the middle %s times, so it is not tried again.', task.attempts)
    END
FROM (
    SELECT id, CASE WHEN stage = '{CANCELLING}' THEN 'cancelled'
                    WHEN attempts < max_attempts THEN 'queued' ELSE 'failed' END AS status
    FROM core.background_tasks
    WHERE status = 'running' AND heartbeat_at < now() - make_interval(secs => $1)
    ORDER BY heartbeat_at
    LIMIT 100
    FOR UPDATE SKIP LOCKED
) AS next
WHERE task.id = next.id
RETURNING {", ".join("task." + name for name in PROGRESS.split(", "))}
"""
DUE = """
SELECT due.id, due.queue, due.attempts, due.job
FROM unnest($1::text[]) AS queues(name)
CROSS JOIN LATERAL (
    SELECT id, queue, attempts, job
    FROM core.background_tasks
    WHERE status = 'queued' AND run_after <= now() AND queue = queues.name
    ORDER BY run_after
    LIMIT 200
) AS due
"""
CANCEL = f"""
UPDATE core.background_tasks
SET status = CASE status WHEN 'queued' THEN 'cancelled' ELSE status END,
    finished_at = CASE status WHEN 'queued' THEN now() END,
    stage = CASE status WHEN 'running' THEN '{CANCELLING}' ELSE stage END,
    updated_at = now()
WHERE id = $1 AND status IN ('queued', 'running')
RETURNING {PROGRESS}, queue, attempts
"""


async def _one(runtime: Runtime, sql: str, *values: Any) -> asyncpg.Record | None:
    return await runtime.database.pool.fetchrow(sql, *values)


async def claim(runtime: Runtime, task_id: UUID) -> Row | None:
    """The row, if it is this worker that runs it now."""
    return await _one(runtime, CLAIM, task_id)


async def beat(runtime: Runtime, task_id: UUID, attempt: int) -> Row | None:
    """The row's stage; None when the row is no longer this worker's."""
    return await _one(runtime, BEAT, task_id, attempt)


async def advance(
    runtime: Runtime, task_id: UUID, attempt: int, done: int, total: int | None, stage: str | None
) -> Row | None:
    """None when the row is no longer this worker's, or is to be cancelled."""
    return await _one(runtime, ADVANCE, task_id, attempt, done, total, stage)


async def finish(
    runtime: Runtime,
    task_id: UUID,
    attempt: int,
    status: str,
    *,
    result: Any = None,
    code: str | None = None,
    detail: str | None = None,
) -> Row | None:
    given = None if result is None else EXACT.encode(result).decode()
    return await _one(runtime, FINISH, task_id, attempt, status, given, code, detail)


async def again(runtime: Runtime, task_id: UUID, attempt: int, pause: float, *, code: str, detail: str) -> Row | None:
    return await _one(runtime, AGAIN, task_id, attempt, pause, code, detail)


async def release(runtime: Runtime, task_id: UUID, attempt: int) -> Row | None:
    """Give the row back without counting the attempt: the worker is going, the job is not to blame."""
    return await _one(runtime, RELEASE, task_id, attempt)


async def rescue(runtime: Runtime, stale_seconds: float) -> list[asyncpg.Record]:
    """Take the rows of workers that are silent: queued again, failed when the attempts are used up, or cancelled."""
    return await runtime.database.pool.fetch(RESCUE, stale_seconds)


async def due(runtime: Runtime) -> list[asyncpg.Record]:
    """Queued rows whose time has come, the oldest of each queue, so that one queue's flood hides no other."""
    return await runtime.database.pool.fetch(DUE, list(QUEUES))


async def cancel(runtime: Runtime, task_id: UUID) -> Row | None:
    """Cancelled at once when it waits, marked when it runs, None when it is finished."""
    return await _one(runtime, CANCEL, task_id)


def progress_of(row: Row) -> dict[str, Any]:
    done, total = row["progress_done"], row["progress_total"]
    percent = None if not total else min(100.0, round(100 * done / total, 1))
    return {"done": done, "total": total, "percent": percent, "stage": row["stage"]}


def frame(row: Row) -> dict[str, Any]:
    """The `task.progress` frame (platform.md §10.4)."""
    return {
        "type": "task.progress",
        "task_id": str(row["id"]),
        "kind": row["kind"],
        "status": row["status"],
        "progress": progress_of(row),
    }
