import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.core.job_house import MakeJob, a_job, an_enqueued, leave_trace, row_of, sleep_deeply, started, until
from tests.core.servers import Valkey

from atrium.app import MODULES
from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.errors import Conflict, DependencyDown
from atrium.core.jobs import queue, rows, run
from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import JOBS
from atrium.core.jobs.sweep import sweep
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.tasks.worker import working

ROOT = str(Path(__file__).parents[2])


async def count_up(task: Task, steps: int) -> dict[str, int]:
    for step in range(steps):
        await task.progress(step + 1, steps, "counting")
    return {"counted": steps}


async def wait_for_the_end(task: Task, seconds: float = 30) -> dict[str, Any]:
    """A job that leaves a trace when it starts and reports progress while it waits."""
    await leave_trace(task)
    for _ in range(int(seconds / 0.05)):
        await task.progress(1, 2, "waiting")
        await asyncio.sleep(0.05)
    return {"process": os.getpid()}


async def test_a_job_succeeds_with_its_result(workshop: Runtime, make_job: MakeJob) -> None:
    async with working(workshop, ["default"]):
        task_id = await an_enqueued(workshop, make_job("count", count_up), params={"steps": 3})
        row = await until(workshop, task_id, "succeeded")

    assert (row["progress_done"], row["progress_total"], row["stage"], row["attempts"]) == (3, 3, "counting", 1)
    assert msgspec.json.decode(row["result"]) == {"counted": 3}
    assert row["finished_at"] >= row["started_at"]


async def test_an_expected_failure_is_final_and_says_why(workshop: Runtime, make_job: MakeJob) -> None:
    async def refuse(_task: Task) -> None:
        raise Conflict("The book is closed.", code="BOOK_CLOSED")

    async with working(workshop, ["default"]):
        row = await until(workshop, await an_enqueued(workshop, make_job("refuse", refuse)), "failed")

    assert (row["attempts"], row["error_code"], row["error_detail"]) == (1, "BOOK_CLOSED", "The book is closed.")


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("secret inside"), "INTERNAL"), (DependencyDown(), "DEPENDENCY_DOWN")]
)
async def test_an_unexpected_failure_is_tried_again_and_then_final(
    workshop: Runtime, make_job: MakeJob, error: Exception, code: str
) -> None:
    async def crash(_task: Task) -> None:
        raise error

    async with working(workshop, ["default"]):
        row = await until(workshop, await an_enqueued(workshop, make_job("crash", crash, max_attempts=2)), "failed")

    assert (row["attempts"], row["error_code"]) == (2, code)
    assert "It was tried 2 times." in row["error_detail"]
    assert "secret" not in row["error_detail"]


async def test_a_job_that_takes_too_long_is_stopped(workshop: Runtime, make_job: MakeJob) -> None:
    async with working(workshop, ["default"]):
        job = make_job("sleep", sleep_deeply, timeout=0.2, max_attempts=1)
        row = await until(workshop, await an_enqueued(workshop, job), "failed")

    assert row["error_code"] == "TIMEOUT"


async def test_what_a_second_attempt_achieves_counts(workshop: Runtime, make_job: MakeJob) -> None:
    attempts = []

    async def stumble(task: Task) -> str:
        attempts.append(task.attempt)
        if len(attempts) == 1:
            raise OSError
        return "well"

    async with working(workshop, ["default"]):
        row = await until(workshop, await an_enqueued(workshop, make_job("stumble", stumble)), "succeeded")

    assert (attempts, row["error_code"], row["result"]) == ([1, 2], None, '{"value": "well"}')


async def test_the_same_dedupe_key_gives_the_open_task(workshop: Runtime, make_job: MakeJob) -> None:
    job, key = make_job("count", count_up), str(clock.new_id())

    found = await asyncio.gather(*(an_enqueued(workshop, job, params={"steps": 1}, dedupe_key=key) for _ in range(8)))
    async with working(workshop, ["default"]):
        await until(workshop, found[0], "succeeded")
    later = await an_enqueued(workshop, job, params={"steps": 1}, dedupe_key=key)

    assert len(set(found)) == 1
    assert later != found[0]


async def test_a_rolled_back_task_never_was(workshop: Runtime, make_job: MakeJob) -> None:
    job, made = make_job("count", count_up), []

    async def fail() -> None:
        async with unit_of_work(workshop) as work:
            made.append((await enqueue(work, job, {"steps": 1})).id)
            raise Conflict

    with pytest.raises(Conflict):
        await fail()

    assert await row_of(workshop, made[0]) is None


async def test_a_task_for_later_waits(workshop: Runtime, make_job: MakeJob) -> None:
    later = clock.now().replace(year=clock.now().year + 1)
    task_id = await an_enqueued(workshop, make_job("count", count_up), params={"steps": 1}, run_after=later)

    await run.attempt(workshop, task_id)

    assert (await row_of(workshop, task_id))["status"] == "queued"


async def test_a_queued_task_is_cancelled_at_once(workshop: Runtime, make_job: MakeJob) -> None:
    task_id = await an_enqueued(workshop, make_job("count", count_up), params={"steps": 1})

    await queue.cancel(workshop, task_id)
    await run.attempt(workshop, task_id)

    assert (await row_of(workshop, task_id))["status"] == "cancelled"
    assert await queue.cancel(workshop, task_id) is None


async def test_a_running_job_sees_that_it_is_cancelled(workshop: Runtime, make_job: MakeJob) -> None:
    async with working(workshop, ["default"]):
        task_id = await an_enqueued(workshop, make_job("wait", wait_for_the_end))
        await started(workshop, task_id)
        held = await queue.cancel(workshop, task_id)
        row = await until(workshop, task_id, "cancelled", seconds=2)

    assert held is not None
    assert (held["status"], held["stage"]) == ("running", rows.CANCELLING)
    assert row["result"] is None


async def test_a_job_that_never_looks_is_aborted(
    workshop: Runtime, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)
    async with working(workshop, ["default"]):
        task_id = await an_enqueued(workshop, make_job("sleep", sleep_deeply))
        async with asyncio.timeout(10):
            while (await row_of(workshop, task_id))["stage"] != "asleep":
                await asyncio.sleep(0.02)
        await queue.cancel(workshop, task_id)
        await until(workshop, task_id, "cancelled", seconds=5)


async def test_a_silent_task_is_queued_again_and_its_old_worker_writes_nothing(
    workshop: Runtime, make_job: MakeJob
) -> None:
    task_id = await an_enqueued(workshop, make_job("count", count_up), params={"steps": 2})
    claimed = await rows.claim(workshop, task_id)
    assert claimed is not None
    assert await rows.claim(workshop, task_id) is None

    await _make_stale(workshop, task_id)
    rescued = await rows.rescue(workshop, 2)
    second = await rows.claim(workshop, task_id)

    assert task_id in {row["id"] for row in rescued}
    assert second is not None
    assert second["attempts"] == 2
    assert await rows.finish(workshop, task_id, 1, "succeeded") is None
    with pytest.raises(queue.TaskLost):
        await Task(workshop, claimed, None).progress(1)
    await rows.finish(workshop, task_id, 2, "succeeded")


async def test_a_task_that_keeps_losing_its_worker_fails_with_a_reason(workshop: Runtime, make_job: MakeJob) -> None:
    task_id = await an_enqueued(workshop, make_job("count", count_up, max_attempts=1), params={"steps": 2})
    await rows.claim(workshop, task_id)
    await _make_stale(workshop, task_id)

    await asyncio.gather(*(sweep(workshop) for _ in range(4)))

    row = await row_of(workshop, task_id)
    assert (row["status"], row["error_code"]) == ("failed", "WORKER_LOST")
    assert "1 times" in row["error_detail"]


async def _make_stale(runtime: Runtime, task_id: UUID) -> None:
    sql = "UPDATE core.background_tasks SET heartbeat_at = now() - interval '1 minute' WHERE id = $1"
    await runtime.database.pool.execute(sql, task_id)


async def test_a_stopping_worker_gives_its_tasks_back_uncounted(
    workshop: Runtime, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)
    job = make_job("wait", wait_for_the_end)
    async with working(workshop, ["default"]):
        task_id = await an_enqueued(workshop, job, params={"seconds": 60})
        await started(workshop, task_id)
    row = await row_of(workshop, task_id)

    assert (row["status"], row["attempts"]) == ("queued", 0)
    await queue.cancel(workshop, task_id)


async def test_a_stopping_worker_lets_short_work_end(workshop: Runtime, make_job: MakeJob) -> None:
    async with working(workshop, ["default"]):
        task_id = await an_enqueued(workshop, make_job("wait", wait_for_the_end), params={"seconds": 0.5})
        await started(workshop, task_id)

    assert (await row_of(workshop, task_id))["status"] == "succeeded"


async def test_the_task_of_a_killed_worker_is_finished_by_another(
    workshop: Runtime, job_settings: Settings, make_job: MakeJob
) -> None:
    job = make_job("wait", wait_for_the_end)
    async with _worker_process(job_settings) as first:
        task_id = await an_enqueued(workshop, job, params={"seconds": 2})
        await started(workshop, task_id)
        first.kill()
        async with _worker_process(job_settings) as second:
            row = await until(workshop, task_id, "succeeded", seconds=20)
            processes = await started(workshop, task_id, 2)

    assert processes == [first.pid, second.pid]
    assert (row["attempts"], msgspec.json.decode(row["result"])) == (2, {"process": second.pid})


async def test_a_task_that_redis_never_heard_of_is_sent_by_the_sweeper(
    workshop: Runtime, job_settings: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime:
            job = make_job("count", count_up)
            valkey.stop()
            async with asyncio.timeout(5):
                task_id = await an_enqueued(runtime, job, params={"steps": 1})
            assert (await row_of(runtime, task_id))["status"] == "queued"
            valkey.start()
            async with working(runtime, ["default"]):
                await until(runtime, task_id, "succeeded", seconds=10)


async def test_a_worker_outlives_a_restart_of_redis(job_settings: Settings, make_job: MakeJob, tmp_path: Path) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime, working(runtime, ["default"]):
            job = make_job("count", count_up)
            await until(runtime, await an_enqueued(runtime, job, params={"steps": 1}), "succeeded")
            valkey.stop()
            await asyncio.sleep(0.5)
            valkey.start()
            await until(runtime, await an_enqueued(runtime, job, params={"steps": 1}), "succeeded", seconds=15)


async def test_the_sweep_of_a_queue_drops_what_a_dead_worker_took_and_nothing_else(
    workshop: Runtime, make_job: MakeJob
) -> None:
    job = make_job("count", count_up, queue="media")
    task_id = await an_enqueued(workshop, job, params={"steps": 1})
    media: queue.RowQueue = workshop.parts["queues"]["media"]
    taken = await media.dequeue(1)
    assert taken is not None

    await _forget_last_sweep(media)
    assert await media.sweep() == []
    assert not await queue.send(workshop, "media", f"{task_id}:0")

    taken.queued -= 2 * queue.ABANDONED_MS
    await media.update(taken, status=taken.status)
    await _forget_last_sweep(media)
    assert await media.sweep() == [taken.id]
    assert await queue.send(workshop, "media", f"{task_id}:0")
    await queue.cancel(workshop, task_id)


async def _forget_last_sweep(media: queue.RowQueue) -> None:
    await media.redis.delete(media.namespace("sweep"))


async def test_every_queue_is_served(workshop: Runtime, make_job: MakeJob) -> None:
    async with working(workshop):
        made = [
            await an_enqueued(workshop, make_job(f"count_{name}", count_up, queue=name), params={"steps": 1})
            for name in ("default", "wealth", "crm", "bi", "media")
        ]
        for task_id in made:
            await until(workshop, task_id, "succeeded")
        assert await workshop.redis.exists(workshop.key("worker", "heartbeat"))


def test_the_model_knows_every_status() -> None:
    choices = BackgroundTask.__table__.c["status"].info["choices"]

    assert set(choices) == {"queued", "running", "succeeded", "failed", "cancelled"}


@asynccontextmanager
async def _worker_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker that can be killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, msgspec.json.encode(settings).decode(), env={**os.environ, "PYTHONPATH": ROOT}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _main(text: str) -> None:
    settings = msgspec.json.decode(text, type=Settings)
    JOBS["tests.wait"] = a_job("wait", wait_for_the_end)
    async with open_runtime(settings, MODULES) as runtime, working(runtime, ["default"]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
