"""Behind a PgBouncer that gives two sessions to all clients of a database, transaction by transaction."""

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from sqlalchemy import make_url, text
from tests.core.factories import a_principal
from tests.core.servers import PgBouncer, free_port
from tests.wealth.factories import an_advisor

from atrium.app import create_app
from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, unit_of_work
from atrium.core.system import doctor

SESSIONS = 2
PATH = "/api/v1/clients"
HALF_WRITTEN = """
    SELECT count(*) FROM wealth.clients r
    WHERE (SELECT count(*) FROM core.changes c WHERE c.entity_id = r.id AND c.action = 'create') <> 1
"""
pytestmark = pytest.mark.skipif(PgBouncer.program() is None, reason="there is no PgBouncer on this machine")


@pytest.fixture
def pooler(server_urls: tuple[str, str, str]) -> Iterator[PgBouncer]:
    application = make_url(server_urls[2])
    roles = {str(application.username): str(application.password)}
    with tempfile.TemporaryDirectory(prefix="atrium-pooler-") as folder:
        with PgBouncer(Path(folder), server_urls[0], roles, size=SESSIONS) as started:
            yield started


@pytest.fixture(scope="module")
def direct(new_database: Any) -> str:
    url: str = new_database("pooled")
    return url


@pytest.fixture
def pooled(settings: Settings, pooler: PgBouncer, direct: str, as_application: Callable[[str], str]) -> Settings:
    return msgspec.structs.replace(
        settings,
        database_url=pooler.url(as_application(direct)),
        database_direct_url=direct,
        database_pooler="transaction",
        redis_prefix=f"{settings.redis_prefix}-pooler",
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    app = create_app(settings)
    async with app.lifespan():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield app.state.runtime, client


async def owners(direct: str, sql: str, *values: Any) -> Any:
    connection = await asyncpg.connect(direct)
    try:
        return await connection.fetchval(sql, *values)
    finally:
        await connection.close()


async def test_many_clients_share_few_sessions_and_get_their_own_answers(pooled: Settings) -> None:
    async with Runtime.open(pooled) as runtime:

        async def read(number: int) -> tuple[int, int]:
            sql = f"SELECT $1::int + {number % 7} AS sum, pg_backend_pid() AS session, $2::citext AS kept"
            row = await runtime.database.pool.fetchrow(sql, number, "Text")
            assert row is not None
            assert row["kept"] == "Text"
            return row["sum"], row["session"]

        async def work(number: int) -> tuple[int, int]:
            async with unit_of_work(runtime) as unit:
                statement = text(f"SELECT CAST(:number AS int) + {number % 7}, pg_backend_pid()")
                first = (await unit.session.execute(statement, {"number": number})).one()
                await asyncio.sleep(0)
                again = (await unit.session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
                assert first[1] == again
                kept = text("SELECT count(*) FROM pg_prepared_statements")
                assert (await unit.session.execute(kept)).scalar_one() == 0
                return first[0], first[1]

        done = await asyncio.gather(*(do(number) for number in range(200) for do in (read, work)))

    assert [sum_ for sum_, _ in done] == [number + number % 7 for number in range(200) for _ in range(2)]
    assert len({session for _, session in done}) == SESSIONS


async def test_the_actor_stays_in_its_transaction(pooled: Settings) -> None:
    sql = "SELECT nullif(current_setting('atrium.actor', true), '')"
    async with Runtime.open(pooled) as runtime:

        async def act() -> None:
            caller = Caller(a_principal(roles=("admin",)))
            async with unit_of_work(runtime, caller) as unit:
                found = (await unit.session.execute(text(sql))).scalar_one()
                assert json.loads(found)["user"] == str(caller.principal.user_id)

        async def look() -> None:
            assert await runtime.database.pool.fetchval(sql) is None

        await asyncio.gather(*(do() for _ in range(100) for do in (act, look)))


async def test_a_cancelled_request_leaves_no_transaction_behind(pooled: Settings, direct: str) -> None:
    async with Runtime.open(pooled) as runtime:

        async def hang() -> None:
            async with runtime.database.pool.acquire() as connection:
                await connection.execute("BEGIN")
                await connection.fetchval("SELECT pg_sleep(30)")

        hanging = [asyncio.create_task(hang()) for _ in range(SESSIONS)]
        await asyncio.sleep(0.3)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

        assert await runtime.database.pool.fetchval("SELECT 1", timeout=5) == 1
        open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        assert await owners(direct, open_ones) == 0


async def test_requests_survive_the_loss_of_the_pooler(pooled: Settings, pooler: PgBouncer, direct: str) -> None:
    answers: Counter[int] = Counter()
    acknowledged: list[str] = []
    ended = asyncio.Event()

    async with serving(pooled) as (runtime, client):
        advisor = await an_advisor(runtime)

        async def write() -> None:
            while not ended.is_set():
                answer = await client.post(PATH, headers=advisor.headers, json={"last_name": "Rosen"})
                answers[answer.status_code] += 1
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])
                else:
                    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_DOWN"), answer.text
                    await asyncio.sleep(0.02)

        writing = [asyncio.create_task(write()) for _ in range(6)]
        for _ in range(2):
            await _until(acknowledged, len(acknowledged) + 20, writing)
            await asyncio.to_thread(pooler.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(pooler.start)
        await _until(acknowledged, len(acknowledged) + 20, writing)
        ended.set()
        await asyncio.gather(*writing)
        alone = await client.post(PATH, headers=advisor.headers, json={"last_name": "Afterwards"})

    assert set(answers) == {201, 503}
    assert alone.status_code == 201
    assert await owners(direct, "SELECT count(*) FROM wealth.clients WHERE id = ANY($1)", acknowledged) == len(
        acknowledged
    )
    assert await owners(direct, HALF_WRITTEN) == 0


async def test_reads_survive_the_loss_of_the_sessions_behind_the_pooler(pooled: Settings, direct: str) -> None:
    async with serving(pooled) as (runtime, client):
        advisor = await an_advisor(runtime)
        made = await client.post(PATH, headers=advisor.headers, json={"last_name": "Rosen"})
        end_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND usename <> $2"
        name = make_url(direct).database
        for _ in range(3):
            assert await owners(direct, end_all, name, make_url(direct).username) > 0
            answers = [await client.get(made.headers["location"], headers=advisor.headers) for _ in range(4)]
            assert {answer.status_code for answer in answers} <= {200, 503}
            assert answers[-1].status_code == 200


async def _until(acknowledged: list[str], count: int, writing: list["asyncio.Task[None]"]) -> None:
    async with asyncio.timeout(20):
        while len(acknowledged) < count:
            for task in writing:
                if task.done():
                    await task
            await asyncio.sleep(0.01)


async def test_the_doctor_knows_what_pools_in_between(pooled: Settings, direct: str) -> None:
    well = await _told(pooled)
    assert well == {"ok": "in between, pooling by transaction"}

    wrong = await _told(msgspec.structs.replace(pooled, database_pooler="session"))
    assert wrong == {"fail": "it pools by transaction, but DATABASE_POOLER is session"}

    needless = await _told(msgspec.structs.replace(pooled, database_url=direct))
    assert needless == {"warn": "DATABASE_POOLER is transaction, but nothing pools in between"}

    lost = await _told(msgspec.structs.replace(pooled, database_direct_url=""))
    assert lost["warn"] == "migrations would go through the pooler"


async def _told(settings: Settings) -> dict[str, str]:
    found = await doctor.examine(settings, current=lambda _url: "b", head=lambda: "b")
    return {finding.level: finding.message for finding in found if finding.subject == "pooler"}


async def test_migrations_go_past_the_pooler(pooled: Settings) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere",
        "DATABASE_POOLER": "transaction",
        "DATABASE_DIRECT_URL": pooled.database_direct_url,
        "REDIS_URL": pooled.redis_url,
    }
    command = [sys.executable, "-m", "atrium.cli", "database", "upgrade", "--no-prompt"]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()

    assert process.returncode == 0, told.decode()
