import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from tests.core.servers import Valkey

from atrium.app import MODULES
from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.errors import Conflict, DependencyDown
from atrium.core.jobs import queue, rows, run
from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.jobs.sweep import sweep
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.tasks.worker import working

ROOT = str(Path(__file__).parents[2])
EFFECTS = "CREATE TABLE effects (task_id uuid, process int); GRANT ALL ON effects TO PUBLIC"
MakeJob = Callable[..., Job]


async def count_up(task: Task, steps: int) -> dict[str, int]:
    for step in range(steps):
        await task.progress(step + 1, steps, "counting")
    return {"counted": steps}


async def wait_for_the_end(task: Task, seconds: float = 30) -> dict[str, Any]:
    """A job that leaves a trace when it starts and reports progress while it waits."""
    await task.runtime.database.pool.execute("INSERT INTO effects VALUES ($1, $2)", task.id, os.getpid())
    for _ in range(int(seconds / 0.05)):
        await task.progress(1, 2, "waiting")
        await asyncio.sleep(0.05)
    return {"process": os.getpid()}


async def sleep_deeply(task: Task) -> None:
    await task.progress(0, 1, "asleep")
    await asyncio.sleep(60)


def a_job(name: str, work: Callable[..., Awaitable[Any]], **options: Any) -> Job:
    return Job(f"tests.{name}", "maintenance", work, **{"retry_after": 0.01, **options})


@pytest.fixture(scope="module")
def job_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    direct = new_database("jobs")
    return msgspec.structs.replace(
        settings,
        database_url=as_application(direct),
        database_direct_url=direct,
        redis_prefix=f"{settings.redis_prefix}-jobs",
        task_heartbeat_seconds=1,
        task_stale_seconds=2,
    )


@pytest.fixture(scope="module")
async def house(job_settings: Settings) -> AsyncIterator[Runtime]:
    owner = await asyncpg.connect(job_settings.owner_url)
    await owner.execute(EFFECTS)
    await owner.close()
    async with open_runtime(job_settings, MODULES) as runtime:
        yield runtime


@pytest.fixture
def make_job(monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    def make(name: str, work: Callable[..., Awaitable[Any]], **options: Any) -> Job:
        made = a_job(name, work, **options)
        monkeypatch.setitem(JOBS, made.name, made)
        return made

    return make


async def _enqueue(runtime: Runtime, job: Job, **options: Any) -> UUID:
    params = options.pop("params", {})
    async with unit_of_work(runtime) as work:
        task = await enqueue(work, job, params, **options)
    return task.id


async def _row(runtime: Runtime, task_id: UUID) -> Any:
    return await runtime.database.pool.fetchrow("SELECT * FROM core.background_tasks WHERE id = $1", task_id)


async def _until(runtime: Runtime, task_id: UUID, *statuses: str, seconds: float = 10) -> Any:
    async with asyncio.timeout(seconds):
        while (row := await _row(runtime, task_id))["status"] not in statuses:
            await asyncio.sleep(0.02)
    return row


async def _started(runtime: Runtime, task_id: UUID, times: int = 1) -> list[int]:
    """The processes that began this task, in order."""
    sql = "SELECT process FROM effects WHERE task_id = $1 ORDER BY ctid"
    async with asyncio.timeout(15):
        while len(found := await runtime.database.pool.fetch(sql, task_id)) < times:
            await asyncio.sleep(0.02)
    return [row["process"] for row in found]


async def test_a_job_succeeds_with_its_result(house: Runtime, make_job: MakeJob) -> None:
    async with working(house, ["default"]):
        task_id = await _enqueue(house, make_job("count", count_up), params={"steps": 3})
        row = await _until(house, task_id, "succeeded")

    assert (row["progress_done"], row["progress_total"], row["stage"], row["attempts"]) == (3, 3, "counting", 1)
    assert msgspec.json.decode(row["result"]) == {"counted": 3}
    assert row["finished_at"] >= row["started_at"]


async def test_an_expected_failure_is_final_and_says_why(house: Runtime, make_job: MakeJob) -> None:
    async def refuse(_task: Task) -> None:
        raise Conflict("The book is closed.", code="BOOK_CLOSED")

    async with working(house, ["default"]):
        row = await _until(house, await _enqueue(house, make_job("refuse", refuse)), "failed")

    assert (row["attempts"], row["error_code"], row["error_detail"]) == (1, "BOOK_CLOSED", "The book is closed.")


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("secret inside"), "INTERNAL"), (DependencyDown(), "DEPENDENCY_DOWN")]
)
async def test_an_unexpected_failure_is_tried_again_and_then_final(
    house: Runtime, make_job: MakeJob, error: Exception, code: str
) -> None:
    async def crash(_task: Task) -> None:
        raise error

    async with working(house, ["default"]):
        row = await _until(house, await _enqueue(house, make_job("crash", crash, max_attempts=2)), "failed")

    assert (row["attempts"], row["error_code"]) == (2, code)
    assert "It was tried 2 times." in row["error_detail"]
    assert "secret" not in row["error_detail"]


async def test_a_job_that_takes_too_long_is_stopped(house: Runtime, make_job: MakeJob) -> None:
    async with working(house, ["default"]):
        job = make_job("sleep", sleep_deeply, timeout=0.2, max_attempts=1)
        row = await _until(house, await _enqueue(house, job), "failed")

    assert row["error_code"] == "TIMEOUT"


async def test_what_a_second_attempt_achieves_counts(house: Runtime, make_job: MakeJob) -> None:
    attempts = []

    async def stumble(task: Task) -> str:
        attempts.append(task.attempt)
        if len(attempts) == 1:
            raise OSError
        return "well"

    async with working(house, ["default"]):
        row = await _until(house, await _enqueue(house, make_job("stumble", stumble)), "succeeded")

    assert (attempts, row["error_code"], row["result"]) == ([1, 2], None, '{"value": "well"}')


async def test_the_same_dedupe_key_gives_the_open_task(house: Runtime, make_job: MakeJob) -> None:
    job, key = make_job("count", count_up), str(clock.new_id())

    found = await asyncio.gather(*(_enqueue(house, job, params={"steps": 1}, dedupe_key=key) for _ in range(8)))
    async with working(house, ["default"]):
        await _until(house, found[0], "succeeded")
    later = await _enqueue(house, job, params={"steps": 1}, dedupe_key=key)

    assert len(set(found)) == 1
    assert later != found[0]


async def test_a_rolled_back_task_never_was(house: Runtime, make_job: MakeJob) -> None:
    job, made = make_job("count", count_up), []

    async def fail() -> None:
        async with unit_of_work(house) as work:
            made.append((await enqueue(work, job, {"steps": 1})).id)
            raise Conflict

    with pytest.raises(Conflict):
        await fail()

    assert await _row(house, made[0]) is None


async def test_a_task_for_later_waits(house: Runtime, make_job: MakeJob) -> None:
    later = clock.now().replace(year=clock.now().year + 1)
    task_id = await _enqueue(house, make_job("count", count_up), params={"steps": 1}, run_after=later)

    await run.attempt(house, task_id)

    assert (await _row(house, task_id))["status"] == "queued"


async def test_a_queued_task_is_cancelled_at_once(house: Runtime, make_job: MakeJob) -> None:
    task_id = await _enqueue(house, make_job("count", count_up), params={"steps": 1})

    await queue.cancel(house, task_id)
    await run.attempt(house, task_id)

    assert (await _row(house, task_id))["status"] == "cancelled"
    assert await queue.cancel(house, task_id) is None


async def test_a_running_job_sees_that_it_is_cancelled(house: Runtime, make_job: MakeJob) -> None:
    async with working(house, ["default"]):
        task_id = await _enqueue(house, make_job("wait", wait_for_the_end))
        await _started(house, task_id)
        held = await queue.cancel(house, task_id)
        row = await _until(house, task_id, "cancelled", seconds=2)

    assert held is not None
    assert (held["status"], held["stage"]) == ("running", rows.CANCELLING)
    assert row["result"] is None


async def test_a_job_that_never_looks_is_aborted(
    house: Runtime, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)
    async with working(house, ["default"]):
        task_id = await _enqueue(house, make_job("sleep", sleep_deeply))
        await _until(house, task_id, "running")
        await queue.cancel(house, task_id)
        await _until(house, task_id, "cancelled", seconds=5)


async def test_a_silent_task_is_queued_again_and_its_old_worker_writes_nothing(
    house: Runtime, make_job: MakeJob
) -> None:
    task_id = await _enqueue(house, make_job("count", count_up), params={"steps": 2})
    claimed = await rows.claim(house, task_id)
    assert claimed is not None
    assert await rows.claim(house, task_id) is None

    await _make_stale(house, task_id)
    rescued = await rows.rescue(house, 2)
    second = await rows.claim(house, task_id)

    assert task_id in {row["id"] for row in rescued}
    assert second is not None
    assert second["attempts"] == 2
    assert await rows.finish(house, task_id, 1, "succeeded") is None
    with pytest.raises(queue.TaskLost):
        await Task(house, claimed, None).progress(1)
    await rows.finish(house, task_id, 2, "succeeded")


async def test_a_task_that_keeps_losing_its_worker_fails_with_a_reason(house: Runtime, make_job: MakeJob) -> None:
    task_id = await _enqueue(house, make_job("count", count_up, max_attempts=1), params={"steps": 2})
    await rows.claim(house, task_id)
    await _make_stale(house, task_id)

    await asyncio.gather(*(sweep(house) for _ in range(4)))

    row = await _row(house, task_id)
    assert (row["status"], row["error_code"]) == ("failed", "WORKER_LOST")
    assert "1 times" in row["error_detail"]


async def _make_stale(runtime: Runtime, task_id: UUID) -> None:
    sql = "UPDATE core.background_tasks SET heartbeat_at = now() - interval '1 minute' WHERE id = $1"
    await runtime.database.pool.execute(sql, task_id)


async def test_a_stopping_worker_gives_its_tasks_back_uncounted(
    house: Runtime, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)
    job = make_job("wait", wait_for_the_end)
    async with working(house, ["default"]):
        task_id = await _enqueue(house, job, params={"seconds": 60})
        await _started(house, task_id)
    row = await _row(house, task_id)

    assert (row["status"], row["attempts"]) == ("queued", 0)
    await queue.cancel(house, task_id)


async def test_a_stopping_worker_lets_short_work_end(house: Runtime, make_job: MakeJob) -> None:
    async with working(house, ["default"]):
        task_id = await _enqueue(house, make_job("wait", wait_for_the_end), params={"seconds": 0.5})
        await _started(house, task_id)

    assert (await _row(house, task_id))["status"] == "succeeded"


async def test_the_task_of_a_killed_worker_is_finished_by_another(
    house: Runtime, job_settings: Settings, make_job: MakeJob
) -> None:
    job = make_job("wait", wait_for_the_end)
    async with _worker_process(job_settings) as first:
        task_id = await _enqueue(house, job, params={"seconds": 2})
        await _started(house, task_id)
        first.kill()
        async with _worker_process(job_settings) as second:
            row = await _until(house, task_id, "succeeded", seconds=20)
            processes = await _started(house, task_id, 2)

    assert processes == [first.pid, second.pid]
    assert (row["attempts"], msgspec.json.decode(row["result"])) == (2, {"process": second.pid})


async def test_a_task_that_redis_never_heard_of_is_sent_by_the_sweeper(
    house: Runtime, job_settings: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime:
            job = make_job("count", count_up)
            valkey.stop()
            async with asyncio.timeout(5):
                task_id = await _enqueue(runtime, job, params={"steps": 1})
            assert (await _row(runtime, task_id))["status"] == "queued"
            valkey.start()
            async with working(runtime, ["default"]):
                await _until(runtime, task_id, "succeeded", seconds=10)


async def test_a_worker_outlives_a_restart_of_redis(job_settings: Settings, make_job: MakeJob, tmp_path: Path) -> None:
    with Valkey(tmp_path) as valkey:
        settings = msgspec.structs.replace(job_settings, redis_url=valkey.url)
        async with open_runtime(settings, MODULES) as runtime, working(runtime, ["default"]):
            job = make_job("count", count_up)
            await _until(runtime, await _enqueue(runtime, job, params={"steps": 1}), "succeeded")
            valkey.stop()
            await asyncio.sleep(0.5)
            valkey.start()
            await _until(runtime, await _enqueue(runtime, job, params={"steps": 1}), "succeeded", seconds=15)


async def test_the_sweep_of_a_queue_drops_what_a_dead_worker_took_and_nothing_else(
    house: Runtime, make_job: MakeJob
) -> None:
    job = make_job("count", count_up, queue="media")
    task_id = await _enqueue(house, job, params={"steps": 1})
    media: queue.RowQueue = house.parts["queues"]["media"]
    taken = await media.dequeue(1)
    assert taken is not None

    await _forget_last_sweep(media)
    assert await media.sweep() == []
    assert not await queue.send(house, task_id, "media", 0, 10)

    taken.queued -= 2 * queue.ABANDONED_MS
    await media.update(taken, status=taken.status)
    await _forget_last_sweep(media)
    assert await media.sweep() == [taken.id]
    assert await queue.send(house, task_id, "media", 0, 10)
    await queue.cancel(house, task_id)


async def _forget_last_sweep(media: queue.RowQueue) -> None:
    await media.redis.delete(media.namespace("sweep"))


async def test_every_queue_is_served(house: Runtime, make_job: MakeJob) -> None:
    async with working(house):
        made = [
            await _enqueue(house, make_job(f"count_{name}", count_up, queue=name), params={"steps": 1})
            for name in ("default", "wealth", "crm", "bi", "media")
        ]
        for task_id in made:
            await _until(house, task_id, "succeeded")
        assert await house.redis.exists(house.key("worker", "heartbeat"))


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
