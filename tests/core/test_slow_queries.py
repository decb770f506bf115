"""Statements that take long are told, in whichever way they were run, and never with their values."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar, Request, get
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from atrium.core.config import Settings
from atrium.core.db.watch import Watch
from atrium.core.http import edge
from atrium.core.http import logging as logs
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import runtime_of
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

SECRET_VALUE = "value-that-nobody-may-read"
SLEEP = "SELECT pg_sleep($1), $2::text"
Run = Callable[[Runtime, float], Awaitable[Any]]


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    changed = msgspec.structs.replace(settings, slow_query_ms=100, database_pool_size=2)
    async with Runtime.open(changed) as opened:
        yield opened


@pytest.fixture
def told(settings: Settings, capfd: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The log lines about slow statements so far."""
    logs.configure(settings)

    def read() -> list[dict[str, Any]]:
        text = capfd.readouterr().err
        assert SECRET_VALUE not in text
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"] == "slow_query"]

    return read


async def through_the_pool(runtime: Runtime, seconds: float) -> None:
    await runtime.database.pool.fetch(SLEEP, seconds, SECRET_VALUE)


async def as_a_row(runtime: Runtime, seconds: float) -> None:
    await runtime.database.pool.fetchrow(SLEEP, seconds, SECRET_VALUE)


async def as_a_value(runtime: Runtime, seconds: float) -> None:
    await runtime.database.pool.fetchval(SLEEP, seconds, SECRET_VALUE)


async def executed(runtime: Runtime, seconds: float) -> None:
    await runtime.database.pool.execute(SLEEP, seconds, SECRET_VALUE)


async def many_times(runtime: Runtime, seconds: float) -> None:
    await runtime.database.pool.executemany(SLEEP, [(seconds, SECRET_VALUE)])


async def in_a_unit_of_work(runtime: Runtime, seconds: float) -> None:
    async with unit_of_work(runtime) as work:
        await work.session.execute(
            text("SELECT pg_sleep(:seconds), :value ::text"), {"seconds": seconds, "value": SECRET_VALUE}
        )


async def many_in_a_unit_of_work(runtime: Runtime, seconds: float) -> None:
    async with unit_of_work(runtime) as work:
        statement = text("SELECT pg_sleep(:seconds), :value ::text")
        given = {"seconds": seconds / 2, "value": SECRET_VALUE}
        await work.session.execute(statement, [given, given])


async def on_the_connection_of_a_unit_of_work(runtime: Runtime, seconds: float) -> None:
    async with unit_of_work(runtime) as work:
        await (await work.connection()).fetch(SLEEP, seconds, SECRET_VALUE)


WAYS = [
    through_the_pool,
    as_a_row,
    as_a_value,
    executed,
    many_times,
    in_a_unit_of_work,
    many_in_a_unit_of_work,
    on_the_connection_of_a_unit_of_work,
]


@pytest.mark.parametrize("run", WAYS, ids=lambda run: run.__name__)
async def test_a_slow_statement_is_told_once(
    runtime: Runtime, told: Callable[[], list[dict[str, Any]]], run: Run
) -> None:
    await run(runtime, 0.01)
    assert told() == []

    await run(runtime, 0.15)

    lines = told()
    assert len(lines) == runtime.watch.slow == 1
    assert lines[0]["sql"].startswith("SELECT pg_sleep(")
    assert 100 <= lines[0]["duration_ms"] < 2000
    assert len(lines[0]["fingerprint"]) == 16
    assert lines[0]["level"] == "warning"


async def test_a_statement_that_failed_late_is_told_too(
    runtime: Runtime, told: Callable[[], list[dict[str, Any]]]
) -> None:
    fails = "SELECT 1 / (0 * coalesce(length(pg_sleep(0.15)::text), 0))"
    with pytest.raises(asyncpg.DivisionByZeroError):
        await runtime.database.pool.fetch(fails)
    with pytest.raises(TimeoutError):
        await runtime.database.pool.fetch(SLEEP, 5.0, SECRET_VALUE, timeout=0.15)
    with pytest.raises(DBAPIError):
        async with unit_of_work(runtime) as work:
            await work.session.execute(text(fails))

    assert len(told()) == 3


async def test_the_same_statement_has_the_same_fingerprint_and_a_long_one_is_cut(
    runtime: Runtime, told: Callable[[], list[dict[str, Any]]]
) -> None:
    pool = runtime.database.pool
    await pool.fetch("SELECT  pg_sleep($1)", 0.15)
    await pool.fetch("SELECT pg_sleep($1)", 0.11)
    await pool.fetch("SELECT pg_sleep($1), '" + "x" * 1000 + "'", 0.11)

    one, same, long = told()
    assert one["fingerprint"] == same["fingerprint"] != long["fingerprint"]
    assert len(long["sql"]) == 500


@get("/slow")
async def slow(request: Request[Any, Any, Any]) -> str:
    await through_the_pool(runtime_of(request), 0.15)
    await in_a_unit_of_work(runtime_of(request), 0.15)
    return "done"


async def test_a_slow_statement_names_its_request(runtime: Runtime, told: Callable[[], list[dict[str, Any]]]) -> None:
    app = Litestar([slow], exception_handlers=HANDLERS, logging_config=None)
    edge.install(app, runtime.settings)
    app.state.runtime = runtime
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        one, two = await asyncio.gather(
            *(client.get("/slow", headers={"X-Request-Id": name}) for name in ("first", "second"))
        )

    assert (one.status_code, two.status_code) == (200, 200)
    assert sorted(line["request_id"] for line in told()) == ["first", "first", "second", "second"]


async def test_zero_watches_nothing(settings: Settings, told: Callable[[], list[dict[str, Any]]]) -> None:
    changed = msgspec.structs.replace(settings, slow_query_ms=0, database_pool_size=2)
    async with Runtime.open(changed) as runtime:
        await through_the_pool(runtime, 0.15)
        async with runtime.database.pool.acquire() as connection:
            opened: Any = connection
            assert type(opened._con) is asyncpg.Connection

    assert told() == []
    assert Watch().connection_class() is asyncpg.Connection
