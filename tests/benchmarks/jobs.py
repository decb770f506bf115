"""How long a worker takes for many small jobs, from the first enqueue to the last stored result.

`uv run python -m tests.benchmarks.jobs` starts servers in a temporary folder, and one worker process as an installation
has it. Each job is asked for by a user, in a transaction of its own. It exits with 1 when the bound is missed; `--help`
says what can be chosen.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from atrium import embedded
from atrium.app import MODULES
from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.http import logging
from atrium.core.jobs.pulse import is_beating
from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.tasks.worker import working
from atrium.embedded.watchdog import Watchdog

SMALL = "core.add_up"
BOUND_SECONDS = 10.0
REQUESTER = "INSERT INTO core.users (id, email, name) VALUES ($1, 'jobs@example.com', 'Jobs')"
ENDED = """
    SELECT extract(epoch FROM finished_at - created_at)::float8 AS took, status, attempts
    FROM core.background_tasks WHERE job = $1 ORDER BY 1
"""


async def add_up(_task: Task, numbers: list[int]) -> dict[str, int]:
    return {"sum": sum(numbers)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.jobs", description="Measure small jobs.")
    parser.add_argument("--jobs", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--writers", type=int, default=4, help="how many enqueue at a time (default 4)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    JOBS[SMALL] = Job(SMALL, "report", add_up)
    if options.worker:
        asyncio.run(work_alone())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        settings = prepare(stack)
        logging.configure(settings)
        stack.enter_context(a_worker(settings))
        return asyncio.run(measure(settings, options.jobs, options.writers))


def prepare(stack: ExitStack) -> Settings:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-jobs-")))
    stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
    watchdog = Watchdog()
    stack.callback(watchdog.close)
    urls = stack.enter_context(embedded.start(folder, watchdog=watchdog)).urls
    migrations.upgrade(urls.database_url or "")
    return Settings(database_url=urls.database_url or "", redis_url=urls.redis_url or "", log_level="WARNING")


@contextmanager
def a_worker(settings: Settings) -> Iterator[None]:
    environ = {**os.environ, "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.jobs", "--worker"], env=environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def work_alone() -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    settings = Settings.from_env(os.environ)
    logging.configure(settings)
    async with open_runtime(settings, MODULES) as runtime, working(runtime):
        await ending.wait()


async def measure(settings: Settings, jobs: int, writers: int) -> int:
    async with open_runtime(settings, MODULES) as runtime:
        while not await is_beating(runtime):
            await asyncio.sleep(0.1)
        requester = clock.new_id()
        await runtime.database.pool.execute(REQUESTER, requester)
        await run(runtime, requester, 20, writers)  # the worker's statements are prepared by then
        await runtime.database.pool.execute("DELETE FROM core.background_tasks WHERE job = $1", SMALL)
        begun = time.perf_counter()
        enqueued = await run(runtime, requester, jobs, writers)
        took = time.perf_counter() - begun
        rows = await runtime.database.pool.fetch(ENDED, SMALL)
    print(figures(rows, enqueued, took))
    return int(took > BOUND_SECONDS * jobs / 1000 or any(row["status"] != "succeeded" for row in rows))


async def run(runtime: Runtime, requester: UUID, jobs: int, writers: int) -> float:
    """How long enqueueing alone took; it returns when all have ended."""
    begun, numbers = time.perf_counter(), iter(range(jobs))

    async def keep_asking() -> None:
        for number in numbers:
            async with unit_of_work(runtime) as work:
                await enqueue(work, SMALL, {"numbers": [number, 1]}, requested_by=requester)

    await asyncio.gather(*(keep_asking() for _ in range(writers)))
    enqueued = time.perf_counter() - begun
    open_ones = "SELECT count(*) FROM core.background_tasks WHERE job = $1 AND status IN ('queued', 'running')"
    while await runtime.database.pool.fetchval(open_ones, SMALL):
        await asyncio.sleep(0.05)
    return enqueued


def figures(rows: list[Any], enqueued: float, took: float) -> str:
    lags = [row["took"] * 1000 for row in rows]
    failed = sum(row["status"] != "succeeded" for row in rows)
    again = sum(row["attempts"] > 1 for row in rows)
    ninety_ninth = statistics.quantiles(lags, n=100)[98]
    return (
        f"\n{len(rows)} jobs: enqueued in {enqueued:.2f} s, the last result stored after {took:.2f} s "
        f"({len(rows) / took:.0f}/s)\n{failed} did not succeed, {again} needed another attempt\n"
        "| from enqueue to result | p50 ms | p99 ms | max ms |\n|---|--:|--:|--:|\n"
        f"| each job | {statistics.median(lags):.0f} | {ninety_ninth:.0f} | {max(lags):.0f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
