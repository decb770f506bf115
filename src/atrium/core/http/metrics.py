"""What a process counts, and the answer of `/metrics`.

Requests are counted in a plain dictionary of lists (one look-up and four additions per request) and become Prometheus
families only when somebody asks. The figures of all processes on this machine are added up (`snapshots`); without
Redis the answer has those of the one process that was asked, and `metrics_processes` says so.
"""

import asyncio
import platform
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from atrium.core.changes.relay import relay_state
from atrium.core.http.snapshots import LASTS_SECONDS, Labelled, Shelf, Snapshot
from atrium.core.jobs import backlog, pulse
from atrium.core.limits import limits_of
from atrium.core.runtime import Runtime
from atrium.core.stopping import stop

log = structlog.get_logger()
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = ("method", "route", "status")
SLOWEST = 2.0
EVERY_SECONDS = LASTS_SECONDS / 3
DURATION = "http_request_duration_seconds"


class Family(NamedTuple):
    kind: Literal["counter", "gauge"]
    text: str
    labels: tuple[str, ...] = ()
    highest: bool = False
    """A gauge that is not summed over processes."""


FAMILIES = {
    "websocket_closed": Family("counter", "Closed sockets by close code.", ("route", "code")),
    "rate_limited": Family("counter", "Requests that a limit refused.", ("limit",)),
    "webhook_attempts": Family("counter", "Attempts to deliver to webhooks by what became of them.", ("outcome",)),
    "slow_queries": Family("counter", "Statements that took longer than SLOW_QUERY_MS."),
    "process_cpu_seconds": Family("counter", "Processor time of all processes."),
    "http_requests_in_flight": Family("gauge", "Requests being answered."),
    "websocket_connections": Family("gauge", "Open sockets."),
    "database_pool_connections": Family("gauge", "Connections by pool and state.", ("pool", "state")),
    "database_pool_limit": Family("gauge", "Connections that pools may open.", ("pool",)),
    "database_pool_waiting": Family("gauge", "Requests waiting for a connection of the read pool."),
    "process_resident_memory_bytes": Family("gauge", "Resident memory of all processes."),
    "process_virtual_memory_bytes": Family("gauge", "Virtual memory of all processes."),
    "process_open_fds": Family("gauge", "Open file descriptors of all processes."),
    "process_max_fds": Family("gauge", "File descriptors that all processes may open."),
    "process_start_time_seconds": Family("gauge", "When the youngest process started.", highest=True),
    "build_info": Family("gauge", "The versions that run.", ("version", "python"), highest=True),
}
UNSENT = """
    SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM core.webhook_deliveries
    WHERE status IN ('queued', 'sending')
"""
HIGHEST = frozenset(name for name, family in FAMILIES.items() if family.highest)


class Counted:
    """The requests of one method, route and status."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1

    @property
    def total(self) -> int:
        return sum(self.buckets)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], Counted] = {}
        self.closed_sockets: dict[tuple[str, int], int] = {}
        self.in_flight = 0
        self.sockets = 0

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        counted = self.requests.get(key)
        if counted is None:
            counted = self.requests[key] = Counted()
        counted.add(seconds)

    def socket_closed(self, route: str, code: int) -> None:
        self.closed_sockets[route, code] = self.closed_sockets.get((route, code), 0) + 1


@asynccontextmanager
async def publishing(runtime: Runtime) -> AsyncIterator[None]:
    """Part of every process that lives longer than a command: tell the others what it counts."""
    task = asyncio.create_task(_keep_publishing(runtime), name="metrics")
    try:
        yield
    finally:
        await stop(task)
        if _shelf(runtime).has_published:
            with suppress(Exception):
                async with asyncio.timeout(SLOWEST):
                    await _publish(runtime, leaving=True)


async def exposition(runtime: Runtime) -> bytes:
    """Everything in Prometheus' text format."""
    total, processes = snapshot(runtime), 1
    async with _patience("redis"):
        await _publish(runtime)
        total, processes = await _shelf(runtime).total(HIGHEST)
    up = [_gauge("metrics_processes", "Processes whose figures are added up here.", processes)]
    for name, read in (("redis", _from_redis), ("database", _from_database)):
        up.extend(await _shared(name, read, runtime))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_rendered(total), *up]))
    return generate_latest(registry)


def snapshot(runtime: Runtime) -> Snapshot:
    """The figures of this process alone."""
    metrics: Metrics = runtime.parts.get("metrics") or Metrics()
    found = Snapshot(time.time(), {}, {}, {})
    for (method, route, status), counted in metrics.requests.items():
        found.histograms[DURATION, method, route, str(status)] = [counted.seconds, *counted.buckets]
    for (route, code), count in metrics.closed_sockets.items():
        found.counters["websocket_closed", route, str(code)] = count
    for limit, count in limits_of(runtime).refused.items():
        found.counters["rate_limited", limit] = count
    for outcome, count in runtime.parts.get("webhook outcomes", {}).items():
        found.counters["webhook_attempts", outcome] = count
    found.counters["slow_queries",] = runtime.watch.slow
    found.gauges["http_requests_in_flight",] = metrics.in_flight
    found.gauges["websocket_connections",] = metrics.sockets
    found.gauges["build_info", version("atrium"), platform.python_version()] = 1
    found.gauges.update(_pools(runtime))
    for family in ProcessCollector(registry=None).collect():
        held = found.counters if family.type == "counter" else found.gauges
        held[family.name,] = family.samples[0].value
    return found


def _pools(runtime: Runtime) -> Iterator[tuple[Labelled, float]]:
    reads = runtime.database.pool
    work: Any = runtime.database.engine.pool
    # asyncpg has no public count of those who wait for a connection.
    queue = getattr(reads, "_queue", None)
    yield ("database_pool_connections", "reads", "idle"), reads.get_idle_size()
    yield ("database_pool_connections", "reads", "used"), reads.get_size() - reads.get_idle_size()
    yield ("database_pool_connections", "work", "idle"), work.checkedin()
    yield ("database_pool_connections", "work", "used"), work.checkedout()
    yield ("database_pool_limit", "reads"), reads.get_max_size()
    yield ("database_pool_limit", "work"), work.size() + getattr(work, "_max_overflow", 0)
    yield ("database_pool_waiting",), len(getattr(queue, "_getters", ()))


def _shelf(runtime: Runtime) -> Shelf:
    found: Shelf | None = runtime.parts.get("metrics.shelf")
    if found is None:
        found = runtime.parts["metrics.shelf"] = Shelf(runtime)
    return found


async def _keep_publishing(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        with suppress(Exception):
            async with asyncio.timeout(SLOWEST):
                await _publish(runtime)


async def _publish(runtime: Runtime, *, leaving: bool = False) -> None:
    """Once; one that leaves says so by the time that it gives."""
    mine = snapshot(runtime)
    if leaving:
        mine.at = 0.0
    await _shelf(runtime).publish(mine)


@asynccontextmanager
async def _patience(name: str) -> AsyncIterator[None]:
    """What is away is missing in the answer instead of failing it."""
    try:
        async with asyncio.timeout(SLOWEST):
            yield
    except Exception as error:  # noqa: BLE001  whatever the client raises, its server is what is missing
        log.warning("metrics_incomplete", without=name, error=repr(error))


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def _rendered(total: Snapshot) -> Iterator[Metric]:
    requests = CounterMetricFamily("http_requests", "Answered requests.", labels=LABELS)
    seconds = HistogramMetricFamily(DURATION, "Time to the end of the answer.", labels=LABELS)
    for (_, *labels), (spent, *buckets) in sorted(total.histograms.items()):
        requests.add_metric(labels, sum(buckets))
        seconds.add_metric(labels, _cumulative(buckets), spent)
    yield requests
    yield seconds
    for name, (kind, text, labelled, _) in FAMILIES.items():
        made = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
        family: Any = made(name, text, labels=labelled)
        for (found, *labels), value in sorted((total.counters if kind == "counter" else total.gauges).items()):
            if found == name:
                family.add_metric(labels, value)
        yield family


def _cumulative(buckets: list[float]) -> list[tuple[str, float]]:
    found, below = [], 0.0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
        below += count
        found.append((bound, below))
    return found


async def _shared(name: str, read: Callable[[Runtime], Awaitable[list[Metric]]], runtime: Runtime) -> list[Metric]:
    """What all machines share, and whether it could be read."""
    families: list[Metric] | None = None
    async with _patience(name):
        families = await read(runtime)
    return [_gauge(f"{name}_up", f"Whether {name} answers.", families is not None), *(families or ())]


async def _from_redis(runtime: Runtime) -> list[Metric]:
    tasks = CounterMetricFamily("background_tasks", "Finished background tasks.", labels=("kind", "status"))
    for name, count in (await pulse.counts(runtime)).items():
        kind, _, status = name.decode().rpartition(":")
        tasks.add_metric((kind, status), int(count))
    queues = GaugeMetricFamily("queue_jobs", "Messages in Redis by queue and state.", labels=("queue", "state"))
    for queue, counts in (await queue_depths(runtime)).items():
        for state, depth in counts.items():
            queues.add_metric((queue, state), depth)
    return [tasks, queues]


async def _from_database(runtime: Runtime) -> list[Metric]:
    waiting = GaugeMetricFamily("queue_oldest_seconds", "How long the oldest due task waits.", labels=("queue",))
    tasks = GaugeMetricFamily("queue_tasks", "Tasks that are due, wait for later or run.", labels=("queue", "state"))
    dead = GaugeMetricFamily("queue_dead_letters", "Tasks that failed for good and are kept.", labels=("queue",))
    for found in await backlog.backlogs(runtime):
        waiting.add_metric((found.queue,), found.oldest_seconds)
        dead.add_metric((found.queue,), found.dead_letters)
        for state in ("due", "later", "running"):
            tasks.add_metric((found.queue, state), getattr(found, state))
    relay, unsent = await relay_state(runtime), await runtime.database.pool.fetchval(UNSENT)
    return [
        waiting,
        tasks,
        dead,
        _gauge("webhook_oldest_waiting_seconds", "How long the oldest open delivery of a webhook waits.", unsent),
        _gauge("changes_queued", "Changes that are not chained yet.", relay.queued),
        _gauge("changes_lag_seconds", "How long the oldest of them waits.", relay.lag_seconds),
        _counter("changes_chained", "The position of the last change of the chain.", relay.position),
        _counter(
            "changes_published", "The position of the last change that subscribers were told of.", relay.published
        ),
    ]


async def queue_depths(runtime: Runtime) -> dict[str, dict[str, int]]:
    """How many jobs wait, run and are scheduled, by queue; empty in a process without queues."""
    queues = runtime.parts.get("queues") or {}
    found = {}
    for name, queue in queues.items():
        queued, active = await queue.count("queued"), await queue.count("active")
        incomplete = await queue.count("incomplete")
        found[name] = {"queued": queued, "active": active, "scheduled": max(0, incomplete - queued - active)}
    return found


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
