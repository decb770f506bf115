"""What this process counts, and the answer of `/metrics`.

Requests are counted in a plain dictionary of lists (one look-up and four additions per request) and become Prometheus
families only when somebody asks. Each process counts for itself; several are merged by adding their `requests`.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from atrium.core.jobs import pulse
from atrium.core.runtime import Runtime

log = structlog.get_logger()
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = ("method", "route", "status")
SLOWEST = 2.0


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

    def cumulative(self) -> list[tuple[str, float]]:
        found, below = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


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


async def exposition(runtime: Runtime, metrics: Metrics) -> bytes:
    """Everything in Prometheus' text format."""
    shared = await _shared(runtime)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_http(metrics), *_pools(runtime), *shared]))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def _http(metrics: Metrics) -> Iterator[Metric]:
    requests = CounterMetricFamily("http_requests", "Answered requests.", labels=LABELS)
    seconds = HistogramMetricFamily("http_request_duration_seconds", "Time to the end of the answer.", labels=LABELS)
    for (method, route, status), counted in list(metrics.requests.items()):
        labels = (method, route, str(status))
        requests.add_metric(labels, counted.total)
        seconds.add_metric(labels, counted.cumulative(), counted.seconds)
    closed = CounterMetricFamily("websocket_closed", "Closed sockets by close code.", labels=("route", "code"))
    for (route, code), count in list(metrics.closed_sockets.items()):
        closed.add_metric((route, str(code)), count)
    yield requests
    yield seconds
    yield closed
    yield _gauge("http_requests_in_flight", "Requests being answered.", metrics.in_flight)
    yield _gauge("websocket_connections", "Open sockets.", metrics.sockets)


def _pools(runtime: Runtime) -> Iterator[Metric]:
    reads = runtime.database.pool
    work: Any = runtime.database.engine.pool
    # asyncpg has no public count of those who wait for a connection.
    queue = getattr(reads, "_queue", None)
    waiting = len(getattr(queue, "_getters", ()))
    size = GaugeMetricFamily("database_pool_connections", "Connections by pool and state.", labels=("pool", "state"))
    size.add_metric(("reads", "idle"), reads.get_idle_size())
    size.add_metric(("reads", "used"), reads.get_size() - reads.get_idle_size())
    size.add_metric(("work", "idle"), work.checkedin())
    size.add_metric(("work", "used"), work.checkedout())
    yield size
    limit = GaugeMetricFamily("database_pool_limit", "Connections a pool may open.", labels=("pool",))
    limit.add_metric(("reads",), reads.get_max_size())
    limit.add_metric(("work",), work.size() + getattr(work, "_max_overflow", 0))
    yield limit
    yield _gauge("database_pool_waiting", "Requests waiting for a connection of the read pool.", waiting)


async def _shared(runtime: Runtime) -> list[Metric]:
    """What lives in Redis; when it is away the answer says so instead of failing."""
    up = _gauge("redis_up", "Whether Redis answers.", 0)
    try:
        async with asyncio.timeout(SLOWEST):
            families = [await _tasks(runtime), await _queues(runtime)]
    except Exception as error:  # noqa: BLE001  whatever the client raises, Redis is what is missing
        log.warning("metrics_without_redis", error=repr(error))
        return [up]
    return [_gauge("redis_up", "Whether Redis answers.", 1), *families]


async def _tasks(runtime: Runtime) -> Metric:
    family = CounterMetricFamily("background_tasks", "Finished background tasks.", labels=("kind", "status"))
    for name, count in (await pulse.counts(runtime)).items():
        kind, _, status = name.decode().rpartition(":")
        family.add_metric((kind, status), int(count))
    return family


async def _queues(runtime: Runtime) -> Metric:
    family = GaugeMetricFamily("queue_jobs", "Jobs by queue and state.", labels=("queue", "state"))
    for name, counts in (await queue_depths(runtime)).items():
        for state, count in counts.items():
            family.add_metric((name, state), count)
    return family


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
