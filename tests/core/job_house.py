"""Jobs with traces, a database of their own, and waiting for how a task goes on."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import Job
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

EFFECTS = "CREATE TABLE effects (task_id uuid, process int, attempt int); GRANT ALL ON effects TO PUBLIC"
LEAVE_TRACE = "INSERT INTO effects VALUES ($1, $2, $3)"
MakeJob = Callable[..., Job]


def a_job(name: str, work: Callable[..., Awaitable[Any]], **options: Any) -> Job:
    return Job(f"tests.{name}", "maintenance", work, **{"retry_after": 0.01, **options})


async def leave_trace(task: Task) -> None:
    await task.runtime.database.pool.execute(LEAVE_TRACE, task.id, os.getpid(), task.attempt)


async def sleep_deeply(task: Task) -> None:
    await task.progress(0, 1, "asleep")
    await asyncio.sleep(60)


async def an_enqueued(runtime: Runtime, job: Job, **options: Any) -> UUID:
    params = options.pop("params", {})
    async with unit_of_work(runtime) as work:
        task = await enqueue(work, job, params, **options)
    return task.id


async def row_of(runtime: Runtime, task_id: UUID) -> Any:
    return await runtime.database.pool.fetchrow("SELECT * FROM core.background_tasks WHERE id = $1", task_id)


async def until(runtime: Runtime, task_id: UUID, *statuses: str, seconds: float = 10) -> Any:
    async with asyncio.timeout(seconds):
        while (row := await row_of(runtime, task_id))["status"] not in statuses:
            await asyncio.sleep(0.02)
    return row


async def started(runtime: Runtime, task_id: UUID, times: int = 1) -> list[int]:
    """The processes that began this task, in order."""
    sql = "SELECT process FROM effects WHERE task_id = $1 ORDER BY ctid"
    async with asyncio.timeout(40):
        while len(found := await runtime.database.pool.fetch(sql, task_id)) < times:
            await asyncio.sleep(0.02)
    return [row["process"] for row in found]
