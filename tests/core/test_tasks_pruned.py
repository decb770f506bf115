"""What is over is remembered for a while, dead letters longer; and who asks for many tasks is read once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.core.job_house import MakeJob, an_enqueued, leave_trace, row_of, until

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.jobs import queue, rows
from atrium.core.jobs.requesters import requester
from atrium.core.jobs.rows import MOST_WAITING
from atrium.core.runtime import Runtime
from atrium.core.tasks import maintenance
from atrium.core.tasks.worker import working

DAY = timedelta(days=1)


@pytest.fixture
def finished(workshop: Runtime, make_job: MakeJob) -> Callable[..., Any]:
    """A task that ended so long ago."""
    job = make_job("leave", leave_trace, queue="media")

    async def make(status: str, ago: timedelta) -> UUID:
        task_id = await an_enqueued(workshop, job)
        await rows.claim(workshop, task_id)
        await rows.finish(workshop, task_id, 1, status)
        sql = "UPDATE core.background_tasks SET finished_at = now() - $2::interval WHERE id = $1"
        await workshop.database.pool.execute(sql, task_id, ago)
        return task_id

    return make


async def _pruned(runtime: Runtime) -> Any:
    async with working(runtime, ["default"]):
        row = await until(runtime, await an_enqueued(runtime, maintenance.prune_tasks), "succeeded")
    return msgspec.json.decode(row["result"])


async def test_finished_tasks_go_after_their_time_and_dead_letters_later(
    workshop: Runtime, finished: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 5000)
    gone = [
        await finished("succeeded", 31 * DAY),
        await finished("cancelled", 31 * DAY),
        await finished("failed", 91 * DAY),
    ]
    kept = [await finished("succeeded", 29 * DAY), await finished("failed", 89 * DAY)]

    assert await _pruned(workshop) == {"finished": 2, "dead_letters": 1}
    assert [await row_of(workshop, task_id) for task_id in gone] == [None] * 3
    assert None not in [await row_of(workshop, task_id) for task_id in kept]


async def test_a_task_that_waits_long_is_never_pruned(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("later", leave_trace, queue="media")
    task_id = await an_enqueued(workshop, job, run_after=clock.now() + 400 * DAY)
    old = "UPDATE core.background_tasks SET created_at = now() - interval '400 days' WHERE id = $1"
    await workshop.database.pool.execute(old, task_id)

    await _pruned(workshop)

    assert (await row_of(workshop, task_id))["status"] == "queued"
    await queue.cancel(workshop, task_id)


async def test_what_a_task_made_outlives_it(workshop: Runtime, finished: Callable[..., Any]) -> None:
    task_id, transfer_id, user_id = await finished("succeeded", 31 * DAY), clock.new_id(), clock.new_id()
    pool = workshop.database.pool
    await pool.execute("INSERT INTO core.users (id, email, name) VALUES ($1, 'pruned@example.com', 'Dana')", user_id)
    sql = """
        INSERT INTO core.transfers (id, requested_by, kind, resource, format, filename, expires_at, task_id)
        VALUES ($1, $2, 'export', '/api/v1/notes', 'csv', 'notes.csv', now(), $3)
    """
    await pool.execute(sql, transfer_id, user_id, task_id)

    await _pruned(workshop)

    assert await pool.fetchrow("SELECT task_id FROM core.transfers WHERE id = $1", transfer_id) == (None,)


async def test_messages_that_wait_are_bounded_and_all_is_done(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("leave", leave_trace, queue="bi")
    made = [await an_enqueued(workshop, job) for _ in range(MOST_WAITING + 40)]
    waiting = await workshop.parts["queues"]["bi"].count("queued")

    async with working(workshop, ["bi"]):
        for task_id in made:
            await until(workshop, task_id, "succeeded")

    assert waiting == MOST_WAITING


async def test_who_asks_for_many_tasks_is_read_once_a_second(
    workshop: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[UUID] = []

    async def read(user_id: UUID) -> Principal:
        asked.append(user_id)
        return Principal(user_id, "user", frozenset())

    monkeypatch.setattr(workshop, "principals", read)
    first, second = clock.new_id(), clock.new_id()

    found = [await requester(workshop, one) for one in (first, first, second, first)]
    monkeypatch.setattr("atrium.core.jobs.requesters.FRESH_SECONDS", -1)
    await requester(workshop, first)

    assert [one.user_id for one in found] == [first, first, second, first]
    assert asked == [first, second, first]
