"""The only statements that move a task's row. Each names the attempt it belongs to, so a worker that was given up
writes nothing.

                    claim                finish
        +--------> queued ----> running --------> succeeded | failed | cancelled
        |            ^  |          |                            |          |
      enqueue        |  +--cancel--|------------------> cancelled          |
                     |             |                            |          |
                     +-------------+ again    (attempt failed: after a pause, by the same row)
                     +-------------+ release  (its worker stops: uncounted)
                     +-------------+ rescue   (its worker is silent; failed when the attempts are used up)
                     +------------------------------------------+----------+ retry (somebody asks: attempts added)

Only the row is claimed, never a message. A message in Redis wakes one hand of a worker of its queue, which takes the
row whose turn it is (`claim_next`): the due one with the least `turn_at`, which is `run_after` and ten minutes for each
step of priority. So a high task overtakes normal ones that wait for less than ten minutes, and a low one that waits
for long is taken before new high ones. FOR UPDATE SKIP LOCKED gives each row to one worker. What follows from it:

- Which message led to which row does not matter. Who gets one takes rows until none is due, so a row is looked for
  as long as a message waits that was sent before or after it. Each enqueue and retry sends one unless many wait
  already, the sweeper counts messages and due rows and sends what is missing, and one too many finds no row.
- A message is never taken back. That of a cancelled task finds another row or none.
- A running task is cancelled through its row: its stage says `cancelling`, which its worker reads every second
  (`run.keep_watching`) whether or not the job ever looks, and whether or not Redis is there.
- The attempt number is in every statement, so a rescued row's old worker (attempt n) can write nothing into attempt
  n + 1. It never falls, except for a release, whose worker has ended the attempt before. A retry raises
  `max_attempts` and not the other way round.
- A worker leaves rows alone whose job it does not know, for one of a newer release that does.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from atrium.core.jobs.models import HANDICAP, IS_OPEN, QUEUES
from atrium.core.jobs.registry import JOBS
from atrium.core.runtime import Runtime


class Row(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> Any: ...


EXACT = msgspec.json.Encoder(decimal_format="number")
CANCELLING = "cancelling"
MOST_WAITING = 64
"""Messages of one queue that wait in Redis at most: more than workers have hands."""
MINE = "id = $1 AND status = 'running' AND attempts = $2"
PROGRESS = "id, kind, status, progress_done, progress_total, stage, requested_by"
HANDICAPPED = f"make_interval(secs => {HANDICAP.total_seconds():g} * priority)"
IS_DUE = "status = 'queued' AND run_after <= now() AND attempts < max_attempts"

TYPES = {
    **dict.fromkeys(("id", "requested_by", "advisor_id", "client_id", "entity_id"), "uuid"),
    **dict.fromkeys(("max_attempts", "progress_total"), "int"),
    "params": "jsonb",
    "priority": "smallint",
}
GIVEN = (
    *("id", "job", "module", "kind", "queue", "max_attempts", "params", "requested_by", "advisor_id", "client_id"),
    *("entity_type", "entity_id", "dedupe_key", "progress_total", "priority", "traceparent"),
)
DEFAULTS = "status, attempts, retries, progress_done, run_after, turn_at, created_at, updated_at"
VALUES = ", ".join(f"${place}::{TYPES.get(name, 'text')} AS {name}" for place, name in enumerate(GIVEN, 1))
INSERT = f"""
INSERT INTO core.background_tasks ({", ".join(GIVEN)}, run_after, turn_at)
SELECT given.*, due.run_after, due.run_after + make_interval(secs => {HANDICAP.total_seconds():g} * given.priority)
FROM (SELECT {VALUES}) AS given,
     (SELECT coalesce(${len(GIVEN) + 1}::timestamptz, now()) AS run_after) AS due
ON CONFLICT (dedupe_key) WHERE {IS_OPEN} DO NOTHING
RETURNING {DEFAULTS}
"""
CLAIM = """
UPDATE core.background_tasks
SET status = 'running', attempts = attempts + 1, started_at = coalesce(started_at, now()), attempted_at = now(),
    heartbeat_at = now(), error_code = NULL, error_detail = NULL, updated_at = now()
"""
CLAIM_ONE = f"{CLAIM} WHERE id = $1 AND {IS_DUE} RETURNING *"
CLAIM_NEXT = f"""{CLAIM}
WHERE id = (
    SELECT id FROM core.background_tasks
    WHERE queue = $1 AND job = ANY($2::text[]) AND {IS_DUE}
    ORDER BY turn_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
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
SET status = 'queued', run_after = now() + make_interval(secs => $3),
    turn_at = now() + make_interval(secs => $3) + {HANDICAPPED},
    error_code = $4, error_detail = $5, heartbeat_at = NULL, updated_at = now()
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
SET status = next.status, heartbeat_at = NULL, updated_at = now(), run_after = now(), turn_at = now() + {HANDICAPPED},
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
DUE = f"""
SELECT due.id, due.queue, due.attempts
FROM unnest($1::text[]) AS queues(name)
CROSS JOIN LATERAL (
    SELECT id, queue, attempts
    FROM core.background_tasks
    WHERE queue = queues.name AND job = ANY($2::text[]) AND {IS_DUE}
    ORDER BY turn_at
    LIMIT {MOST_WAITING}
) AS due
"""
TO_BE_STOPPED = f"""
SELECT id, attempts FROM core.background_tasks
WHERE id = ANY($1::uuid[]) AND status = 'running' AND stage = '{CANCELLING}'
"""
CANCEL = f"""
UPDATE core.background_tasks
SET status = CASE status WHEN 'queued' THEN 'cancelled' ELSE status END,
    finished_at = CASE status WHEN 'queued' THEN now() END,
    stage = CASE status WHEN 'running' THEN '{CANCELLING}' ELSE stage END,
    updated_at = now()
WHERE id = $1 AND status IN ('queued', 'running')
RETURNING {PROGRESS}
"""
RESTARTED = f"""
    status = 'queued', run_after = now(), turn_at = now() + {HANDICAPPED}, max_attempts = task.attempts + $2,
    retries = retries + 1, progress_done = 0, stage = NULL, result = NULL, error_code = NULL, error_detail = NULL,
    started_at = NULL, finished_at = NULL, heartbeat_at = NULL, updated_at = now()
"""
RETRY = f"""
UPDATE core.background_tasks AS task SET {RESTARTED}
WHERE id = $1 AND status IN ('failed', 'cancelled') AND retries < $3
RETURNING {PROGRESS}, queue, attempts
"""


async def _one(runtime: Runtime, sql: str, *values: Any) -> asyncpg.Record | None:
    return await runtime.database.pool.fetchrow(sql, *values)


async def insert(
    connection: "asyncpg.Connection[Any]", values: Mapping[str, Any], run_after: datetime | None
) -> asyncpg.Record | None:
    """What the database made up for the new row; None when one with its key is open."""
    params = EXACT.encode(values["params"]).decode()
    given = [params if name == "params" else values[name] for name in GIVEN]
    return await connection.fetchrow(INSERT, *given, run_after)


async def claim(runtime: Runtime, task_id: UUID) -> Row | None:
    """The row, if it is this worker that runs it now."""
    return await _one(runtime, CLAIM_ONE, task_id)


async def claim_next(runtime: Runtime, queue: str) -> Row | None:
    """The row of this queue whose turn it is, to be run by this worker now."""
    return await _one(runtime, CLAIM_NEXT, queue, list(JOBS))


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
    """Queued rows whose time has come, for each queue apart, so that one queue's flood hides no other."""
    return await runtime.database.pool.fetch(DUE, list(QUEUES), list(JOBS))


async def to_be_stopped(runtime: Runtime, task_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Those of these running tasks that somebody cancelled."""
    return await runtime.database.pool.fetch(TO_BE_STOPPED, task_ids)


async def cancel(runtime: Runtime, task_id: UUID) -> Row | None:
    """Cancelled at once when it waits, marked when it runs, None when it is finished."""
    return await _one(runtime, CANCEL, task_id)


async def retry(runtime: Runtime, task_id: UUID, attempts: int, most_retries: int) -> Row | None:
    """Queued again with so many more attempts; None when it is not over, or was retried that often."""
    return await _one(runtime, RETRY, task_id, attempts, most_retries)


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
