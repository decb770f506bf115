"""The figures of several real processes behind one port, whichever of them is asked."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.core.servers import free_port

from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.http.metrics import DURATION, HIGHEST, exposition
from atrium.core.http.snapshots import Shelf, Snapshot
from atrium.core.runtime import Runtime

TOKEN = "prometheus-credential"
PIDS = '{method="GET",route="/pid",status="200"}'


class Workers:
    """uvicorn with two workers behind one port; every question is a connection of its own."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.asked: Counter[int] = Counter()

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def ask(self, times: int) -> None:
        for _ in range(times):
            self.asked[int((await self.get("/pid")).text)] += 1

    async def scrape(self) -> dict[str, float]:
        answer = await self.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200, answer.text
        return figures(answer.text)


def figures(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) ([^ ]+)$", text, re.MULTILINE)}


@asynccontextmanager
async def started(folder: Path, settings: Settings, **more: str) -> AsyncIterator[Workers]:
    port, log = free_port(), folder / "stderr"
    environ = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_POOL_SIZE": "3",
        "REDIS_URL": settings.redis_url,
        "REDIS_PREFIX": f"{settings.redis_prefix}:{clock.new_id()}",
        "METRICS_TOKEN": TOKEN,
        "GENERAL_RATE_PER_MINUTE": "0",
        "ANONYMOUS_RATE_PER_MINUTE": "0",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        **more,
    }
    command = [sys.executable, "-m", "uvicorn", "metrics_program:app", "--port", str(port), "--workers", "2"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--app-dir", str(Path(__file__).parent)], stderr=output, stdout=output, env=environ
        )
    try:
        deadline = time.monotonic() + 40
        while log.read_text().count("Application startup complete") < 2:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            await asyncio.sleep(0.1)
        every = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=every) as client:
            yield Workers(client)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)


async def until(look: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := await look():
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"{what} did not happen")


async def test_any_process_tells_the_sums_of_all_and_a_replaced_one_is_not_forgotten(
    tmp_path: Path, settings: Settings
) -> None:
    async with started(tmp_path, settings) as workers:

        async def both() -> bool:
            await workers.ask(1)
            return len(workers.asked) == 2 and sum(workers.asked.values()) >= 30

        await until(both, "an answer of both")
        # A process learns of the other's requests when that one publishes: at the latest when it is scraped itself.
        total = sum(workers.asked.values())

        async def all_told() -> bool:
            return (await workers.scrape())[f"http_requests_total{PIDS}"] == total

        await until(all_told, "the sum")
        shown = [await workers.scrape() for _ in range(10)]
        assert {one[f"http_requests_total{PIDS}"] for one in shown} == {total}
        assert {one[f"{DURATION}_count{PIDS}"] for one in shown} == {total}
        assert {one["metrics_processes"] for one in shown} == {2}
        assert {one['database_pool_limit{pool="reads"}'] for one in shown} == {6}

        victim = workers.asked.most_common(1)[0][0]
        before = await workers.scrape()
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> bool:
            with_new = Counter(workers.asked)
            try:
                await workers.ask(1)
                seen = await workers.scrape()
            except httpx.TransportError:
                return False
            for name in (f"http_requests_total{PIDS}", "process_cpu_seconds_total"):
                assert seen[name] >= before[name], name
            return len(set(workers.asked) - {victim}) == 2 and with_new.keys() != {victim}

        await until(replaced, "a new process")

        async def again() -> bool:
            seen = await workers.scrape()
            return seen[f"http_requests_total{PIDS}"] == sum(workers.asked.values()) and seen["metrics_processes"] == 2

        await until(again, "the sum over three processes, gauges of two")


async def test_slow_statements_and_refusals_are_counted(tmp_path: Path, settings: Settings) -> None:
    more = {"SLOW_QUERY_MS": "20", "ANONYMOUS_RATE_PER_MINUTE": "20"}
    async with started(tmp_path, settings, **more) as workers:
        answers = Counter([(await workers.get("/slow")).status_code for _ in range(60)])

        async def told() -> bool:
            seen = await workers.scrape()
            return (
                seen.get("slow_queries_total", 0) >= answers[200]
                and seen.get('rate_limited_total{limit="anonymous"}') == answers[429]
            )

        assert 20 <= answers[200] < 60, "a minute may have ended in between"
        await until(told, "the count")


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime without an application, in an installation of its own."""
    prefix = f"{settings.redis_prefix}:{clock.new_id()}"
    async with Runtime.open(msgspec.structs.replace(settings, redis_prefix=prefix)) as opened:
        yield opened


async def test_what_a_dead_process_counted_is_kept_once_and_its_gauges_are_not(runtime: Runtime) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, mine = Shelf(runtime), Shelf(runtime)
    dead._name = f"{process.pid}-dead".encode()
    key = (DURATION, "GET", "/x", "200")
    await dead.publish(Snapshot(time.time() - 60, {("slow_queries",): 3}, {key: [1.5, 2, 1]}, {("sockets",): 7}))
    await mine.publish(Snapshot(time.time(), {("slow_queries",): 1}, {key: [0.5, 1, 0]}, {("sockets",): 2}))

    totals = [await mine.total(HIGHEST) for _ in range(3)]

    for total, alive in totals:
        assert (total.counters, total.histograms) == ({("slow_queries",): 4}, {key: [2.0, 3, 1]})
        assert (total.gauges, alive) == ({("sockets",): 2}, 1)
    assert await runtime.redis.hkeys(mine._key) == [mine._name, b"past"]  # type: ignore[misc]


async def test_a_process_that_slept_is_not_counted_twice(runtime: Runtime) -> None:
    sleeping = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other, mine = Shelf(runtime), Shelf(runtime)
    other._name = f"{sleeping.pid}-asleep".encode()
    await other.publish(Snapshot(time.time() - 600, {("slow_queries",): 3}, {}, {("sockets",): 7}))

    asleep, _ = await mine.total(HIGHEST)
    await other.publish(Snapshot(time.time(), {("slow_queries",): 5}, {}, {("sockets",): 7}))
    awake, alive = await mine.total(HIGHEST)

    sleeping.communicate(b"\n")
    assert (asleep.counters["slow_queries",], asleep.gauges) == (3, {})
    assert (awake.counters["slow_queries",], awake.gauges, alive) == (5, {("sockets",): 7}, 1)


async def test_without_redis_a_process_tells_its_own_and_says_so(settings: Settings) -> None:
    away = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with Runtime.open(away) as alone:
        seen = figures((await exposition(alone)).decode())

    assert (seen["redis_up"], seen["database_up"], seen["metrics_processes"]) == (0, 1, 1)
    assert seen['database_pool_limit{pool="reads"}'] == settings.database_pool_size


async def test_without_the_database_the_rest_is_told(runtime: Runtime) -> None:
    whole = runtime.database

    class Gone:
        def __getattr__(self, name: str) -> Any:
            return getattr(whole.pool, name)

        async def fetch(self, *_: Any) -> None:
            raise OSError("gone")

    runtime.database = replace(whole, pool=Gone())  # type: ignore[arg-type]
    seen = figures((await exposition(runtime)).decode())
    runtime.database = whole

    assert (seen["redis_up"], seen["database_up"]) == (1, 0)
    assert not any(name.startswith("queue_oldest_seconds") for name in seen)


async def test_the_waiting_time_of_a_queue_is_that_of_its_oldest_due_task(runtime: Runtime) -> None:
    insert = """
        INSERT INTO core.background_tasks (id, job, module, kind, queue, params, run_after)
        VALUES (gen_random_uuid(), 'tests.none', 'tests', 'export', 'default', '{}', now() + make_interval(secs => $1))
        RETURNING id
    """
    before = figures((await exposition(runtime)).decode())
    made = [await runtime.database.pool.fetchval(insert, seconds) for seconds in (-7200.0, -3600.0, 3600.0)]
    seen = figures((await exposition(runtime)).decode())
    await runtime.database.pool.execute("DELETE FROM core.background_tasks WHERE id = ANY($1)", made)

    assert 7200 <= seen['queue_oldest_seconds{queue="default"}'] < 7300
    for state, more in (("due", 2), ("later", 1), ("running", 0)):
        name = f'queue_tasks{{queue="default",state="{state}"}}'
        assert seen[name] - before[name] == more, state
    assert seen['queue_dead_letters{queue="default"}'] == before['queue_dead_letters{queue="default"}']


async def test_versions_are_told(runtime: Runtime) -> None:
    seen = figures((await exposition(runtime)).decode())

    assert [value for name, value in seen.items() if name.startswith("build_info{")] == [1]
