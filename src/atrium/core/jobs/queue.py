"""Put work into the background, and what a running job holds of its task.

    task = await enqueue(work, "wealth.growth_scan", {"scan_id": str(scan.id)}, dedupe_key=f"scan:{advisor_id}")

The row is written in the caller's transaction; after the commit Redis is told, which only wakes a worker. What Redis
does not take, or forgets, the sweeper sends again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from saq.job import Job as Message
from saq.job import Status
from saq.queue.redis import RedisQueue
from saq.utils import now as milliseconds
from sqlalchemy import select

from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.jobs import rows
from atrium.core.jobs.models import OPEN, QUEUES, BackgroundTask
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.realtime.publish import publish
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work

log = structlog.get_logger()
RUN = "run_task"
PATIENCE = 2.0
"""Seconds that a request may wait for Redis; afterwards the sweeper sends."""
ABANDONED_MS = 60_000
SWEPT_SECONDS = 60
"""How often one of all workers looks for messages of dead ones."""
FORGOTTEN = -1
"""SAQ forgets a message once it is done, so that the same key may be sent again."""


class TaskCancelled(Exception):
    """Somebody cancelled the task; let it through, the worker closes the row."""


class TaskLost(Exception):
    """The row belongs to another worker by now: what this one still does must have no effect."""


class Task:
    """A running job's handle on its row."""

    def __init__(self, runtime: Runtime, row: rows.Row, caller: Caller | None) -> None:
        self.runtime, self.id, self.attempt = runtime, UUID(str(row["id"])), int(row["attempts"])
        self.requested_by: UUID | None = row["requested_by"]
        self._caller = caller
        self._is_cancelled = False

    def caller(self) -> Caller | None:
        """The requester with the roles of the moment; None for tasks that nobody asked for."""
        return self._caller

    def act_for(self, caller: Caller | None) -> None:
        self._caller = caller

    def cancelled(self) -> bool:
        """Whether somebody cancelled it, as far as the last progress or heartbeat told."""
        return self._is_cancelled

    def mark_cancelled(self) -> None:
        self._is_cancelled = True

    async def progress(self, done: int, total: int | None = None, stage: str | None = None) -> None:
        """Store and publish how far it is. Raises TaskCancelled when it is to stop."""
        row = await rows.advance(self.runtime, self.id, self.attempt, done, total, stage)
        if row is None:
            await self._stop()
            return
        await tell(self.runtime, row)

    async def _stop(self) -> None:
        held = await rows.beat(self.runtime, self.id, self.attempt)
        if held is None:
            raise TaskLost
        self.mark_cancelled()
        raise TaskCancelled


async def tell(runtime: Runtime, row: rows.Row) -> None:
    """Push the state of a row to its requester."""
    if row["requested_by"] is not None:
        await publish(runtime, row["requested_by"], rows.frame(row))


async def enqueue(
    work: Work,
    job: Job | str,
    params: Mapping[str, Any],
    *,
    requested_by: UUID | None = None,
    advisor_id: UUID | None = None,
    client_id: UUID | None = None,
    entity_type: str | None = None,
    entity_id: UUID | None = None,
    dedupe_key: str | None = None,
    run_after: datetime | None = None,
    progress_total: int | None = None,
    priority: int | None = None,
) -> BackgroundTask:
    """A queued task; with a `dedupe_key` that is already queued or running, that task instead of a second one.

    The key is free again once its task is over: two are never open at once, but they may follow each other.
    """
    declared = JOBS[job] if isinstance(job, str) else job
    if requested_by is None and work.caller is not None:
        requested_by = work.caller.principal.user_id
    values = {
        "id": clock.new_id(),
        "job": declared.name,
        "module": declared.module,
        "kind": declared.kind,
        "queue": declared.queue,
        "max_attempts": declared.max_attempts,
        "params": msgspec.to_builtins(dict(params)),
        "requested_by": requested_by,
        "advisor_id": advisor_id,
        "client_id": client_id,
        "entity_type": entity_type,
        "entity_id": entity_id,
        "dedupe_key": dedupe_key,
        "progress_total": progress_total,
        "priority": declared.priority if priority is None else priority,
        "traceparent": (work.runtime.tracing.parent() or None) if work.runtime.tracing else None,
    }
    task, is_new = await _insert(work, values, run_after)
    if is_new and task.run_after <= clock.now():
        work.after_commit(lambda: send(work.runtime, task.queue, f"{task.id}:{task.attempts}"))
    return task


async def _insert(work: Work, values: dict[str, Any], run_after: datetime | None) -> tuple[BackgroundTask, bool]:
    """The new row, or the open one with the same key; the key may become free between the two looks."""
    if work.session.new:
        await work.session.flush()  # the requester may be as new as the task
    connection = await work.connection()
    while True:
        made = await rows.insert(connection, values, run_after)
        if made is not None:
            return BackgroundTask(**values, **made), True
        open_ones = select(BackgroundTask).where(
            BackgroundTask.dedupe_key == values["dedupe_key"], BackgroundTask.status.in_(OPEN)
        )
        task = await work.session.scalar(open_ones)
        if task is not None:
            return task, False


async def send(runtime: Runtime, queue: str, key: str) -> bool:
    """Wake a worker of this queue, which takes the rows whose turn it is; False when no message was sent for this one.

    None is sent when enough wait: each of them leads to all that is due. The key, a task's id and attempt, says in the
    monitor why a message is there, and keeps it from being sent twice.
    """
    found: RowQueue | None = runtime.parts.get("queues", {}).get(queue)
    if found is None:
        return False
    try:
        async with asyncio.timeout(PATIENCE):
            if await found.count("queued") >= rows.MOST_WAITING:
                return False
            return await found.enqueue(RUN, key=key, timeout=0, ttl=FORGOTTEN) is not None
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("task_not_sent", key=key, error=repr(error))
        return False


async def send_missing(runtime: Runtime, queue: str, due: Sequence[rows.Row]) -> None:
    """As many messages as rows of this queue are due, counting those that wait already."""
    found: RowQueue | None = runtime.parts.get("queues", {}).get(queue)
    if found is None:
        return
    missing = len(due) - await found.count("queued")
    moment = clock.stamp(clock.now())
    for row in due[:missing] if missing > 0 else ():
        if not await send(runtime, queue, f"{row['id']}:{row['attempts']}:{moment}"):
            return


async def cancel(runtime: Runtime, task_id: UUID) -> rows.Row | None:
    """Cancel a task; None when it is finished. The worker of a running one sees it in the row within a second."""
    row = await rows.cancel(runtime, task_id)
    if row is not None:
        await tell(runtime, row)
    return row


class RowQueue(RedisQueue):
    """A SAQ queue that only wakes workers, because rows are the record.

    SAQ's own sweep aborts jobs that a starting worker just took (they are in the active list before they are marked
    active) and waits five seconds for each dead one. Here nothing has to be saved: what dead workers left is dropped,
    and the sweeper sends for the rows again.
    """

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:  # noqa: ARG002  SAQ's signature
        if not await self.redis.set(self._sweep, 1, ex=SWEPT_SECONDS, nx=True):
            return []
        dropped = []
        for job_id in await self.redis.lrange(self._active, 0, -1):  # type: ignore[misc]
            job = await self._get_job_by_id(job_id)
            if job is None:
                await self.redis.lrem(self._active, 0, job_id)  # type: ignore[misc]
                await self.redis.zrem(self._incomplete, job_id)
            elif await self._is_abandoned(job):
                await self.finish(job, Status.ABORTED, error="its worker is gone")
            else:
                continue
            dropped.append(job_id.decode())
        return dropped

    async def notify(self, job: Message) -> None:
        """Nobody listens to messages; who asked for a task is told of its row."""

    async def _is_abandoned(self, job: Message) -> bool:
        """Whether its worker died: one that lives says so every few seconds."""
        if job.status == Status.ACTIVE:
            return not await self.redis.exists(self.namespace(f"worker_info:{job.worker_id}"))
        return milliseconds() - job.queued > ABANDONED_MS


def open_queues(settings: Settings, redis: Redis) -> dict[str, RowQueue]:
    """The queues of an installation by their plain names; Redis sees them under its prefix."""
    return {name: RowQueue(redis, name=queue_name(settings, name)) for name in QUEUES}


def queue_name(settings: Settings, name: str) -> str:
    return f"{settings.redis_prefix}.{name}"


@asynccontextmanager
async def queues(runtime: Runtime) -> AsyncIterator[None]:
    """The queues of this process, at `runtime.parts["queues"]`."""
    runtime.parts["queues"] = open_queues(runtime.settings, runtime.redis)
    yield
