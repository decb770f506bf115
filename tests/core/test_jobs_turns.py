"""Whose turn it is: priority and age, one worker per attempt, and messages that only wake."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from tests.core.job_house import MakeJob, an_enqueued, leave_trace, row_of, sleep_deeply, until
from tests.core.servers import Valkey

from atrium.app import MODULES
from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.jobs import planning, queue, rows, run
from atrium.core.jobs.backlog import backlogs
from atrium.core.jobs.models import HIGH, LOW, NORMAL
from atrium.core.jobs.queue import Task
from atrium.core.jobs.registry import JOBS
from atrium.core.jobs.sweep import sweep
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working

MINUTE = timedelta(minutes=1)


async def leave(task: Task) -> None:
    await leave_trace(task)


async def leave_slowly(task: Task) -> None:
    await leave_trace(task)
    await asyncio.sleep(0.02)


async def _claimed(runtime: Runtime, name: str, times: int) -> list[Any]:
    claimed = [await rows.claim_next(runtime, name) for _ in range(times)]
    for row in claimed:
        if row is not None:
            await rows.finish(runtime, row["id"], row["attempts"], "succeeded")
    return [row and row["id"] for row in claimed]


async def test_due_tasks_are_taken_by_priority_and_then_by_age(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("leave", leave, queue="media")
    made = {}
    for name, priority in (("low", LOW), ("normal", NORMAL), ("later", NORMAL), ("high", HIGH)):
        made[name] = await an_enqueued(workshop, job, priority=priority)

    assert await _claimed(workshop, "media", 5) == [*(made[name] for name in ("high", "normal", "later", "low")), None]


async def test_a_low_task_that_waited_long_is_taken_before_a_new_high_one(workshop: Runtime, make_job: MakeJob) -> None:
    job, now = make_job("leave", leave, queue="media"), clock.now()
    young = await an_enqueued(workshop, job, priority=LOW, run_after=now - 19 * MINUTE)
    old = await an_enqueued(workshop, job, priority=LOW, run_after=now - 21 * MINUTE)
    high = await an_enqueued(workshop, job, priority=HIGH, run_after=now)

    assert await _claimed(workshop, "media", 3) == [old, high, young]


async def test_a_task_has_the_priority_of_its_job_unless_told_otherwise(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("leave", leave, queue="media", priority=LOW)

    found = [
        (await row_of(workshop, await an_enqueued(workshop, job, **over)))["priority"] for over in ({}, {"priority": 0})
    ]

    assert found == [LOW, HIGH]
    await _claimed(workshop, "media", 2)


async def test_what_is_to_wait_is_not_taken_however_urgent(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("leave", leave, queue="media")
    task_id = await an_enqueued(workshop, job, priority=HIGH, run_after=clock.now() + MINUTE)

    assert await _claimed(workshop, "media", 1) == [None]
    await queue.cancel(workshop, task_id)


async def test_a_worker_leaves_a_job_alone_that_it_does_not_know(
    workshop: Runtime, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("newer", leave, queue="media")
    task_id = await an_enqueued(workshop, job)

    monkeypatch.delitem(JOBS, job.name)
    assert await _claimed(workshop, "media", 1) == [None]
    monkeypatch.setitem(JOBS, job.name, job)
    assert await _claimed(workshop, "media", 1) == [task_id]


async def test_a_failed_attempt_keeps_its_priority(workshop: Runtime, make_job: MakeJob) -> None:
    task_id = await an_enqueued(workshop, make_job("leave", leave, queue="media"), priority=LOW)
    claimed = await rows.claim(workshop, task_id)
    assert claimed is not None

    await rows.again(workshop, task_id, 1, 60, code="X", detail="x")

    row = await row_of(workshop, task_id)
    assert row["turn_at"] - row["run_after"] == 20 * MINUTE
    await queue.cancel(workshop, task_id)


async def test_two_workers_run_each_attempt_once_however_many_messages_there_are(
    workshop: Runtime, make_job: MakeJob
) -> None:
    job = make_job("leave", leave, queue="crm")
    made = [await an_enqueued(workshop, job) for _ in range(60)]
    for task_id in made:
        for copy in range(2):
            await queue.send(workshop, "crm", f"{task_id}:copy:{copy}")

    async with working(workshop, ["crm"]), working(workshop, ["crm"]):
        await asyncio.gather(*(sweep(workshop) for _ in range(4)))
        for task_id in made:
            await until(workshop, task_id, "succeeded")

    traces = await workshop.database.pool.fetch("SELECT task_id, attempt FROM effects WHERE task_id = ANY($1)", made)
    assert Counter(tuple(row) for row in traces) == Counter({(task_id, 1): 1 for task_id in made})


async def test_the_message_of_a_cancelled_task_serves_another(workshop: Runtime, make_job: MakeJob) -> None:
    """One message too many wakes nobody twice, and one too few is noticed by the sweeper."""
    job = make_job("leave", leave, queue="crm")
    first, second = [await an_enqueued(workshop, job) for _ in range(2)]

    await queue.cancel(workshop, first)
    async with working(workshop, ["crm"]):
        await until(workshop, second, "succeeded")

    assert (await row_of(workshop, first))["status"] == "cancelled"


async def test_a_task_whose_message_served_another_is_sent_again(workshop: Runtime, make_job: MakeJob) -> None:
    job = make_job("leave", leave, queue="bi")
    task_id = await an_enqueued(workshop, job)
    messages: queue.RowQueue = workshop.parts["queues"]["bi"]
    taken = await messages.dequeue(1)
    assert taken is not None

    await sweep(workshop)
    assert await messages.count("queued") == 1
    await sweep(workshop)
    assert await messages.count("queued") == 1

    async with working(workshop, ["bi"]):
        await until(workshop, task_id, "succeeded")


async def test_tasks_outlive_a_flush_of_redis_in_their_middle(
    job_settings: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url, worker_concurrency=2)
        async with open_runtime(settings, MODULES) as runtime:
            job = make_job("leave", leave_slowly, queue="wealth")
            made = [await an_enqueued(runtime, job) for _ in range(40)]
            async with working(runtime, ["wealth"]):
                await until(runtime, made[5], "succeeded")
                flushing: Redis = Redis.from_url(valkey.url)
                await flushing.flushall()
                await flushing.aclose()
                assert (await row_of(runtime, made[-1]))["status"] == "queued"
                for task_id in made:
                    await until(runtime, task_id, "succeeded", seconds=20)
            traces = await runtime.database.pool.fetch("SELECT task_id FROM effects WHERE task_id = ANY($1)", made)

    assert len(traces) == len(made)


async def test_tasks_whose_messages_were_flushed_before_a_worker_looked_are_done(
    job_settings: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime:
            job = make_job("leave", leave, queue="wealth")
            made = [await an_enqueued(runtime, job) for _ in range(20)]
            flushing: Redis = Redis.from_url(valkey.url)
            await flushing.flushall()
            await flushing.aclose()
            async with working(runtime, ["wealth"]):
                for task_id in made:
                    await until(runtime, task_id, "succeeded", seconds=20)
            traces = await runtime.database.pool.fetch("SELECT task_id FROM effects WHERE task_id = ANY($1)", made)

    assert len(traces) == len(made)


async def test_a_running_task_is_cancelled_while_redis_is_away(
    job_settings: Settings, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)
    settings = msgspec.structs.replace(job_settings, task_heartbeat_seconds=60, task_stale_seconds=120)
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime, working(runtime, ["wealth"]):
            task_id = await an_enqueued(runtime, make_job("sleep", sleep_deeply, queue="wealth"))
            async with asyncio.timeout(10):
                while (await row_of(runtime, task_id))["stage"] != "asleep":
                    await asyncio.sleep(0.02)
            valkey.stop()
            await queue.cancel(runtime, task_id)
            row = await until(runtime, task_id, "cancelled", seconds=15)

    assert row["result"] is None


async def test_a_running_task_is_given_instead_of_a_second_one(workshop: Runtime, make_job: MakeJob) -> None:
    key, job = str(clock.new_id()), make_job("sleep", sleep_deeply, queue="media")
    first = await an_enqueued(workshop, job, dedupe_key=key)
    claimed = await rows.claim(workshop, first)
    assert claimed is not None

    second = await an_enqueued(workshop, job, dedupe_key=key)
    await rows.finish(workshop, first, 1, "succeeded")
    third = await an_enqueued(workshop, job, dedupe_key=key)

    assert (first == second, first == third) == (True, False)
    await queue.cancel(workshop, third)


async def test_the_backlog_of_a_queue_is_counted_from_its_rows(workshop: Runtime, make_job: MakeJob) -> None:
    async def found() -> Any:
        return next(one for one in await backlogs(workshop) if one.queue == "media")

    job, now = make_job("leave", leave, queue="media", max_attempts=1), clock.now()
    before = await found()
    made = [
        await an_enqueued(workshop, job, run_after=moment)
        for moment in (now - 5 * MINUTE, now, now - MINUTE, now + MINUTE, now - 7 * MINUTE)
    ]
    await rows.claim(workshop, made[1])
    await rows.claim(workshop, made[4])
    await rows.finish(workshop, made[4], 1, "failed", code="X", detail="x")
    after = await found()

    assert (before.due, before.later, before.running, before.oldest_seconds) == (0, 0, 0, 0)
    assert (after.due, after.later, after.running) == (2, 1, 1)
    assert after.dead_letters == before.dead_letters + 1
    assert 300 <= after.oldest_seconds < 330
    for task_id in made:
        await rows.finish(workshop, task_id, 1, "succeeded")
        await queue.cancel(workshop, task_id)


async def test_a_worker_declares_the_schedules_of_the_code(workshop: Runtime) -> None:
    declared = {"core.prune_tasks", "core.prune_replays", "core.prune_notifications"}

    async with working(workshop, ["media"]), asyncio.timeout(10):
        while not declared <= {one["name"] for one in await planning.schedules(workshop)}:
            await asyncio.sleep(0.02)
