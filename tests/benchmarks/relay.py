"""How long a change takes from the trigger into the chain and out of the stream, under a steady load of writes.

`uv run python -m tests.benchmarks.relay` starts servers in a temporary folder, and the relay in a process of its own as
a worker has it; `--help` says what can be chosen.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis

import atrium.app  # noqa: F401  knows every table
from atrium import embedded
from atrium.core import clock
from atrium.core.changes.relay import keep_relaying, relay_state, stream_key
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.runtime import Runtime
from atrium.embedded.watchdog import Watchdog

BRANCHES = 200
MAKE = """
    INSERT INTO wealth.branches (id, code, name, country)
    SELECT gen_random_uuid(), 'B' || n, 'Branch', 'IL' FROM generate_series(1, $1) n RETURNING id
"""
WRITE = """
    WITH actor AS (SELECT set_config('atrium.actor', '{"role":"admin","ip":"127.0.0.1"}', true) AS setting)
    UPDATE wealth.branches SET name = $2, city = $2, updated_at = clock_timestamp()
    FROM actor WHERE id = $1 AND actor.setting IS NOT NULL
"""
CHAINED = """
    SELECT extract(epoch FROM relayed_at - occurred_at)::float8 * 1000 AS lag
    FROM core.change_chain WHERE occurred_at >= $1 ORDER BY 1
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.relay", description="Measure the relay's lag.")
    parser.add_argument("--rate", type=int, default=500, help="writes per second (default 500)")
    parser.add_argument("--seconds", type=int, default=30, help="how long (default 30)")
    parser.add_argument("--writers", type=int, default=8, help="connections that write (default 8)")
    parser.add_argument("--relay", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.relay:
        asyncio.run(relay_alone())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        settings = prepare(stack)
        stack.enter_context(relaying(settings))
        print(asyncio.run(measure(settings, options.rate, options.seconds, options.writers)))
    return 0


def prepare(stack: ExitStack) -> Settings:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-relay-")))
    stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
    watchdog = Watchdog()
    stack.callback(watchdog.close)
    urls = stack.enter_context(embedded.start(folder, watchdog=watchdog)).urls
    migrations.upgrade(urls.database_url or "")
    return Settings(database_url=urls.database_url or "", redis_url=urls.redis_url or "")


@contextmanager
def relaying(settings: Settings) -> Iterator[None]:
    environ = {**os.environ, "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.relay", "--relay"], env=environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def relay_alone() -> None:
    async with Runtime.open(Settings.from_env(os.environ)) as runtime:
        await keep_relaying(runtime)


async def measure(settings: Settings, rate: int, seconds: int, writers: int) -> str:
    async with Runtime.open(settings) as runtime:
        ids = [row["id"] for row in await runtime.database.pool.fetch(MAKE, BRANCHES)]
        await until_relayed(runtime)
        begun = clock.now()
        listening = asyncio.create_task(listen(settings.redis_url, stream_key(runtime), begun))
        lates = await write(settings.database_url, ids, rate, seconds, writers)
        took = (clock.now() - begun).total_seconds()
        await until_relayed(runtime)
        await asyncio.sleep(0.5)
        listening.cancel()
        (published,) = await asyncio.gather(listening, return_exceptions=True)
        assert isinstance(published, list), published
        chained = [row["lag"] for row in await runtime.database.pool.fetch(CHAINED, begun)]
    pace = f"{len(chained)} writes in {took:.1f} s ({len(chained) / took:.0f}/s)"
    lines = [
        f"\n{pace}, each at most {max(lates) * 1000:.0f} ms behind its time",
        "| from the trigger to | changes | p50 ms | p99 ms | max ms |",
        "|---|--:|--:|--:|--:|",
        row_of("the chain", chained),
        row_of("a reader of the stream", published),
    ]
    return "\n".join(lines)


def row_of(name: str, lags: list[float]) -> str:
    ninety_ninth = statistics.quantiles(lags, n=100)[98]
    return f"| {name} | {len(lags)} | {statistics.median(lags):.1f} | {ninety_ninth:.1f} | {max(lags):.1f} |"


async def until_relayed(runtime: Runtime) -> None:
    while (state := await relay_state(runtime)).queued or state.published < state.position:
        await asyncio.sleep(0.05)


async def write(url: str, ids: list[Any], rate: int, seconds: int, writers: int) -> list[float]:
    """Every writer keeps its own clock, so that a slow write does not hide behind fewer of them."""
    loop = asyncio.get_running_loop()
    begun, lates = loop.time(), [0.0]

    async def keep_writing(number: int) -> None:
        connection = await asyncpg.connect(url)
        for turn in range(number, rate * seconds, writers):
            due = begun + turn / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            lates.append(loop.time() - due)
            await connection.execute(WRITE, ids[turn % len(ids)], f"Town {turn}")
        await connection.close()

    await asyncio.gather(*(keep_writing(number) for number in range(writers)))
    return lates


async def listen(url: str, stream: str, begun: datetime) -> list[float]:
    """Milliseconds from every change to its arrival here, until cancelled."""
    redis: Redis = Redis.from_url(url)
    lags: list[float] = []
    after = b"$"
    try:
        while True:
            answer: Any = await redis.xread({stream: after}, block=1000)
            now = clock.now()
            for _, entries in answer:
                for after, said in entries:  # noqa: B007  the last one is where the next reading begins
                    happened = datetime.fromisoformat(said[b"at"].decode())
                    if happened >= begun:
                        lags.append((now - happened).total_seconds() * 1000)
    except asyncio.CancelledError:
        return lags
    finally:
        await redis.aclose()


if __name__ == "__main__":
    sys.exit(main())
