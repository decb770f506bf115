"""The worker process: litestar-saq's worker for the first queue, and in the same event loop those of the others.

litestar-saq starts a process per queue; five of them would mostly hold memory. `litestar workers run --workers 2`
still doubles everything. SAQ's own retries and sweeps stay out of the way: each message is tried once and means "look
for the row of this queue whose turn it is".
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog
from litestar_saq import QueueConfig, SAQConfig
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from saq import Worker
from saq.job import Job as Message

from atrium.core.changes.partitions import keep_partitions
from atrium.core.changes.relay import keep_relaying
from atrium.core.config import Settings
from atrium.core.jobs.models import QUEUES
from atrium.core.jobs.planning import keep_scheduling
from atrium.core.jobs.pulse import BEAT_SECONDS, beat
from atrium.core.jobs.queue import RowQueue, queue_name
from atrium.core.jobs.run import GRACE_SECONDS, attempt_due, keep_watching
from atrium.core.jobs.sweep import keep_sweeping
from atrium.core.modules import Module, open_runtime
from atrium.core.notifications.sending import keep_mailing
from atrium.core.runtime import Runtime
from atrium.core.stopping import stop
from atrium.core.webhooks.delivering import keep_delivering

log = structlog.get_logger()
NO_REDIS = "redis://localhost:6379/0"
DEQUEUE_SECONDS = 5
STOP_SECONDS = 2 * GRACE_SECONDS + 2
TIMERS: Any = {"sweep": 5, "abort": 1, "schedule": 5, "worker_info": 5}
"""Seconds between SAQ's chores. A worker that stops may have to wait for so long, because under Python 3.11 the Redis
client can swallow a cancellation (core.stopping), and SAQ asks once."""


async def run_task(ctx: Any) -> None:
    """The one SAQ function: a message says that there is something to do, and the rows say what."""
    await attempt_due(ctx["runtime"], ctx["serves"])


def saq_config(settings: Settings, modules: Sequence[Module]) -> SAQConfig:
    """litestar-saq's plugin configuration: all queues for its pages, one worker that serves them all."""
    redis = _worker_redis(settings)
    opened: Any = {queue_name(settings, name): WorkerQueue(redis, queue_name(settings, name)) for name in QUEUES}
    first, *others = QUEUES

    async def startup(ctx: Any) -> None:
        stack = ctx["stack"] = AsyncExitStack()
        runtime = await stack.enter_async_context(open_runtime(settings, modules))
        ctx |= {"runtime": runtime, "serves": first}
        await stack.enter_async_context(working(runtime, others, until=ctx["worker"].event))

    async def shutdown(ctx: Any) -> None:
        if "stack" in ctx:
            await ctx["stack"].aclose()

    serving = QueueConfig(
        name=queue_name(settings, first),
        broker_instance=redis,
        tasks=[run_task],
        concurrency=settings.worker_concurrency,
        startup=startup,
        shutdown=shutdown,
        timers=TIMERS,
        dequeue_timeout=DEQUEUE_SECONDS,
        cancellation_hard_deadline_s=STOP_SECONDS,
    )
    return SAQConfig(queue_configs=[serving], queue_instances=opened, web_path="/saq")


@asynccontextmanager
async def working(
    runtime: Runtime, names: Sequence[str] = QUEUES, *, until: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Serve these queues in this event loop, sweep, relay changes, and say that a worker is alive.

    `until` ends it early.
    """
    redis = _worker_redis(runtime.settings)
    workers = [_worker(runtime, name, WorkerQueue(redis, queue_name(runtime.settings, name))) for name in names]
    tasks = [asyncio.create_task(worker.start(), name=f"worker {worker.queue.name}") for worker in workers]
    kept = (
        keep_sweeping,
        keep_watching,
        keep_relaying,
        keep_partitions,
        keep_scheduling,
        keep_mailing,
        keep_delivering,
        _keep_beating,
    )
    tasks += [asyncio.create_task(keep(runtime)) for keep in kept]
    if until is not None:
        tasks.append(asyncio.create_task(_stop_after(until, workers)))
    try:
        yield
    finally:
        await _stop(workers)
        await stop(*tasks)
        await redis.aclose()


async def _stop(workers: Sequence[Worker[Any]]) -> None:
    await asyncio.gather(*(worker.stop() for worker in workers), return_exceptions=True)


async def _stop_after(event: asyncio.Event, workers: Sequence[Worker[Any]]) -> None:
    """Stop together with the first queue's worker, so that all share one time of grace."""
    await event.wait()
    await _stop(workers)


class QuietWorker(Worker[Any]):
    """Leaves the signals to the process that it is a part of."""

    SIGNALS = []  # noqa: RUF012  SAQ's


def _worker(runtime: Runtime, name: str, queue: RowQueue) -> QuietWorker:
    worker = QuietWorker(
        queue,
        [run_task],
        concurrency=runtime.settings.worker_concurrency,
        timers=TIMERS,
        dequeue_timeout=DEQUEUE_SECONDS,
        cancellation_hard_deadline_s=STOP_SECONDS,
    )
    worker.context |= {"runtime": runtime, "serves": name}
    return worker


class WorkerQueue(RowQueue):
    """A queue whose reader waits while Redis is away instead of asking as fast as it can."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Message | None:  # noqa: ASYNC109  SAQ's
        try:
            return await super().dequeue(timeout, poll_interval)
        except Exception as error:  # noqa: BLE001  whatever it is, the next look may succeed
            log.warning("queue_not_read", queue=self.name, error=repr(error))
            await asyncio.sleep(1)
            return None


def _worker_redis(settings: Settings) -> Redis:
    """A client for long reads: it waits longer than a dequeue, and notices a dead link all the same."""
    client: Redis = Redis.from_url(
        settings.redis_url or NO_REDIS,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
        socket_connect_timeout=2,
        socket_timeout=DEQUEUE_SECONDS + 5,
        health_check_interval=15,
    )
    return client


async def _keep_beating(runtime: Runtime) -> None:
    while True:
        with suppress(Exception):
            await beat(runtime)
        await asyncio.sleep(BEAT_SECONDS)
