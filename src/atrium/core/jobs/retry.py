"""Doing again what is over: one task for who asked for it, or many dead letters for an administrator.

A dead letter is a failed row: `error_code` and `error_detail` say why, `attempts` how often it was tried and
`attempted_at` when last. It is the same row that is queued again, so whoever waits for it by its id goes on waiting.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from asyncpg import UniqueViolationError
from sqlalchemy import Select, select

from atrium.core.errors import Conflict
from atrium.core.jobs import rows
from atrium.core.jobs.models import FAILED, OPEN, BackgroundTask
from atrium.core.jobs.queue import send, tell
from atrium.core.jobs.registry import JOBS
from atrium.core.runtime import Runtime
from atrium.core.services import Work, unit_of_work

MOST_RETRIES = 5
"""How often who asked for a task may have it done again."""
ANY_NUMBER = 2**31 - 1
RETRY_MANY = f"""
UPDATE core.background_tasks AS task SET {rows.RESTARTED.replace("$2", "chosen.attempts")}
FROM unnest($1::uuid[], $2::int[]) AS chosen(id, attempts)
WHERE task.id = chosen.id AND task.status = 'failed'
RETURNING {", ".join("task." + name for name in rows.PROGRESS.split(", "))}, task.queue, task.attempts
"""


class TaskNotOver(Conflict):
    """The Task Is Not Over"""


class AlreadyQueued(Conflict):
    """The Same Work Is Queued Already"""


class RetriedTooOften(Conflict):
    """Retried Too Often"""


class UnknownJob(Conflict):
    """The Job Is No Longer Known"""


class Chosen(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters; what is not said does not narrow."""

    kind: str | None = None
    module: str | None = None
    queue: str | None = None
    job: str | None = None
    error_code: str | None = None
    requested_by: UUID | None = None
    finished_from: datetime | None = None
    finished_before: datetime | None = None


async def retry(runtime: Runtime, task_id: UUID, *, most: int = MOST_RETRIES) -> None:
    """Queue a failed or cancelled task again, with as many attempts as it had at first."""
    sql = "SELECT job, status, retries FROM core.background_tasks WHERE id = $1"
    row = await runtime.database.pool.fetchrow(sql, task_id)
    if row is None or row["job"] not in JOBS:
        raise UnknownJob("There is no longer a job that could do this.")
    try:
        queued = await rows.retry(runtime, task_id, JOBS[row["job"]].max_attempts, most)
    except UniqueViolationError:
        raise AlreadyQueued("Another task does the same at this moment.") from None
    if queued is None:
        if row["retries"] >= most:
            raise RetriedTooOften(f"It was retried {row['retries']} times; an administrator may try once more.")
        raise TaskNotOver("Only a task that failed or was cancelled can be retried.")
    await _announce(runtime, [queued])


async def retry_many(runtime: Runtime, chosen: Chosen, limit: int) -> int:
    """Queue so many dead letters again, those that failed first before others; how many there were."""
    async with unit_of_work(runtime) as work:
        letters = (await work.session.execute(_dead(chosen, limit))).all()
        once = {letter.dedupe_key or letter.id: letter for letter in letters}
        ids = [letter.id for letter in once.values()]
        attempts = [JOBS[letter.job].max_attempts for letter in once.values()]
        queued = await _restart(work, ids, attempts)
        work.after_commit(lambda: _announce(runtime, queued))
    return len(queued)


def _dead(chosen: Chosen, limit: int) -> Select[UUID, str, str | None]:
    """Those of which the same is not open already; two with one key are queued once, as they would be by `enqueue`."""
    task, other = BackgroundTask, BackgroundTask.__table__.alias("other")
    same = select(other.c.id).where(other.c.dedupe_key == task.dedupe_key, other.c.status.in_(OPEN)).exists()
    said = {name: value for name, value in msgspec.structs.asdict(chosen).items() if value is not None}
    since, until = said.pop("finished_from", None), said.pop("finished_before", None)
    statement = select(task.id, task.job, task.dedupe_key).where(
        task.status == FAILED, task.job.in_(list(JOBS)), ~same, *(getattr(task, name) == said[name] for name in said)
    )
    if since is not None:
        statement = statement.where(task.finished_at >= since)
    if until is not None:
        statement = statement.where(task.finished_at < until)
    return statement.order_by(task.finished_at).limit(limit).with_for_update(of=task, skip_locked=True)


async def _restart(work: Work, ids: Sequence[UUID], attempts: Sequence[int]) -> list[asyncpg.Record]:
    connection = await work.connection()
    try:
        return await connection.fetch(RETRY_MANY, ids, attempts)
    except UniqueViolationError:
        raise AlreadyQueued("Another task began to do the same at this moment. Ask again.") from None


async def _announce(runtime: Runtime, queued: Sequence[rows.Row]) -> None:
    """Wake workers and tell who waits."""
    for row in queued:
        await send(runtime, row["queue"], f"{row['id']}:{row['attempts']}")
        await tell(runtime, row)
