"""The log stands in months: made ahead, dropped with an anchor, and nothing is refused in between."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from tests.core.change_house import a_branch, changes, harm, refusal, relay

from atrium.core import clock
from atrium.core.changes import verify as proof
from atrium.core.changes.partitions import maintain, month_after, month_before
from atrium.core.changes.verify import verify
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.runtime import Runtime

PARTITIONS = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'core.changes'::regclass ORDER BY 1
"""


async def partitions(runtime: Runtime) -> list[str]:
    return [row["relname"] for row in await runtime.database.pool.fetch(PARTITIONS)]


async def place_of(runtime: Runtime, row_id: UUID) -> str:
    sql = "SELECT tableoid::regclass::text FROM core.changes WHERE entity_id = $1"
    found: str = await runtime.database.pool.fetchval(sql, row_id)
    return found


async def a_change_of(runtime: Runtime, moment: datetime) -> UUID:
    """A change that happened then, queued like any other."""
    entity = uuid4()
    await runtime.database.pool.execute(
        """WITH made AS (
            INSERT INTO core.changes (id, module, action, entity_type, entity_id, changes, occurred_at)
            VALUES (gen_random_uuid(), 'wealth', 'update', 'wealth.branches', $1, '{"name": ["a", "b"]}', $2)
            RETURNING sequence, id, occurred_at)
        INSERT INTO core.change_queue SELECT * FROM made""",
        entity,
        moment,
    )
    return entity


async def retained(runtime: Runtime, months: int, now: datetime | None = None) -> Runtime:
    """Maintain the log as with that many months of retention."""
    settings = msgspec.structs.replace(runtime.settings, change_retention_months=months)
    kept = Runtime(settings, runtime.database, runtime.redis)
    await maintain(kept, now or clock.now())
    return kept


async def test_this_month_and_the_next_three_have_their_partition(log: Runtime) -> None:
    await maintain(log, datetime(2031, 11, 30, tzinfo=UTC))

    found = await partitions(log)

    assert {"changes_2031_11", "changes_2031_12", "changes_2032_01", "changes_2032_02"} <= set(found)
    assert "changes_2032_03" not in found
    await maintain(log, datetime(2031, 11, 30, tzinfo=UTC))
    assert await partitions(log) == found


async def test_a_change_stands_in_its_month(log: Runtime) -> None:
    assert await place_of(log, await a_branch(log)) == f"core.changes_{clock.now():%Y_%m}"


async def test_no_month_is_refused_and_strays_come_home_with_the_next_round(log: Runtime) -> None:
    last, first = datetime(2032, 3, 31, 23, 59, 59, tzinfo=UTC), datetime(2032, 4, 1, tzinfo=UTC)
    stray, next_one = await a_change_of(log, last), await a_change_of(log, first)
    assert await place_of(log, stray) == "core.changes_default"
    await relay(log)

    await maintain(log, clock.now())

    assert await place_of(log, stray) == "core.changes_2032_03"
    assert await place_of(log, next_one) == "core.changes_2032_04"
    assert (await verify(log)).is_sound
    assert "changes_strays" not in " ".join(await partitions(log))
    again = await a_change_of(log, datetime(2040, 1, 1, tzinfo=UTC))
    assert await place_of(log, again) == "core.changes_default"


@pytest.mark.parametrize("verb", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_parent_and_partitions_only_take_new_rows(log: Runtime, verb: str) -> None:
    month = clock.now()
    await a_branch(log)
    await a_change_of(log, datetime(2040, 1, 1, tzinfo=UTC))
    await maintain(log, datetime(2031, 1, 1, tzinfo=UTC))
    await a_change_of(log, datetime(2031, 1, 1, tzinfo=UTC))
    await a_change_of(log, datetime(2050, 1, 1, tzinfo=UTC))

    tables = ("changes", f"changes_{month:%Y_%m}", "changes_2031_01", "changes_2040_01", "changes_default")
    for table in tables:
        assert await refusal(log, verb.format(f"core.{table}")) == "ATR02", table


@pytest.mark.parametrize("table", ["change_chain", "change_anchors"])
async def test_the_chain_and_its_anchors_only_take_new_rows(log: Runtime, table: str) -> None:
    await a_change_of(log, datetime(2020, 5, 5, tzinfo=UTC))
    await a_branch(log)
    await relay(log)
    await retained(log, 12)

    for sql in (f"UPDATE core.{table} SET key_id = 'x'", f"DELETE FROM core.{table}", f"TRUNCATE core.{table}"):
        assert await refusal(log, sql) == "ATR02"


async def test_old_months_are_dropped_and_the_rest_is_still_proven(log: Runtime) -> None:
    old = [await a_change_of(log, datetime(2020, month, 5, tzinfo=UTC)) for month in (1, 1, 2)]
    await relay(log)
    kept = await a_branch(log)
    await relay(log)
    await maintain(log, clock.now())
    assert "changes_2020_02" in await partitions(log)

    await retained(log, 12)

    assert not [name for name in await partitions(log) if "2020" in name]
    assert [len(await changes(log, one)) for one in (*old, kept)] == [0, 0, 0, 1]
    report = await verify(log)
    assert report.is_sound
    assert (report.months_dropped, report.gone_with_them) == (2, 3)
    assert report.first == 4
    await a_branch(log)
    await relay(log)
    assert (await verify(log)).is_sound


async def test_for_ever_is_the_default(log: Runtime) -> None:
    await a_change_of(log, datetime(1999, 1, 5, tzinfo=UTC))
    await relay(log)

    await maintain(log, clock.now())
    await maintain(log, clock.now())

    assert "changes_1999_01" in await partitions(log)


async def test_a_month_that_came_late_stays_in_the_chain_but_may_be_missing(log: Runtime) -> None:
    """A change of a dropped month can be chained behind one that is kept: the chain is cut before the kept one."""
    await a_change_of(log, datetime(2020, 1, 5, tzinfo=UTC))
    kept = await a_branch(log)
    await a_change_of(log, datetime(2020, 1, 6, tzinfo=UTC))
    await relay(log)

    await retained(log, 12)

    assert await log.database.pool.fetchval("SELECT count(*) FROM core.change_chain") == 2
    assert len(await changes(log, kept)) == 1
    report = await verify(log)
    assert report.is_sound
    assert report.proven == 1


async def test_what_is_not_relayed_is_not_dropped(log: Runtime) -> None:
    await a_change_of(log, datetime(2020, 1, 5, tzinfo=UTC))
    waiting = await a_change_of(log, datetime(2020, 2, 5, tzinfo=UTC))
    queue = await log.database.pool.fetch("SELECT * FROM core.change_queue ORDER BY sequence DESC LIMIT 1")
    await log.database.pool.execute("DELETE FROM core.change_queue WHERE sequence = $1", queue[0]["sequence"])
    await relay(log)

    await retained(log, 12)

    assert "changes_2020_01" not in await partitions(log)
    assert len(await changes(log, waiting)) == 1
    await log.database.pool.execute("INSERT INTO core.change_queue VALUES ($1, $2, $3)", *queue[0].values())
    await relay(log)
    await retained(log, 12)
    assert len(await changes(log, waiting)) == 0
    assert (await verify(log)).is_sound


async def test_the_database_itself_refuses_to_drop_what_must_be_kept(log: Runtime) -> None:
    await a_branch(log)
    sql = "SELECT core.drop_change_partition($1, $2, NULL, NULL, 0, '', '', '')"

    for month in (clock.today(), month_before(clock.today(), 0)):
        assert await refusal(log, sql, month, 1) == "ATR02"

    await a_change_of(log, datetime(2020, 1, 5, tzinfo=UTC))
    await maintain(log, clock.now())
    with pytest.raises(asyncpg.PostgresError, match="not chained"):
        await log.database.pool.execute(sql, date(2020, 1, 1), 1)
    await relay(log)
    with pytest.raises(asyncpg.PostgresError, match="holds 1 changes, not 7"):
        await log.database.pool.execute(sql, date(2020, 1, 1), 7)
    above = "SELECT core.drop_change_partition($1, 1, 1, 1, 1000, '', '', '')"
    with pytest.raises(asyncpg.PostgresError, match="that are kept stand before"):
        await log.database.pool.execute(above, date(2020, 1, 1))


async def test_an_anchor_without_the_key_is_found(log: Runtime) -> None:
    await a_change_of(log, datetime(2020, 1, 5, tzinfo=UTC))
    await a_branch(log)
    await relay(log)
    await maintain(log, clock.now())
    await log.database.pool.execute(
        "SELECT core.drop_change_partition('2020-01-01', 1, 1, 1, 1, hash, key_id, hash) "
        "FROM core.change_chain WHERE position = 1"
    )

    assert dict((await verify(log)).faults) == {proof.UNSIGNED_ANCHOR: 1, proof.CUT_OUT: 1, proof.BROKEN: 1}


async def test_an_anchor_does_not_excuse_changes_of_other_months(log: Runtime) -> None:
    await a_change_of(log, datetime(2020, 1, 5, tzinfo=UTC))
    branch = await a_branch(log)
    await relay(log)
    await retained(log, 12)
    await harm(log, "DELETE FROM core.changes WHERE entity_id = $1", branch)

    assert dict((await verify(log)).faults) == {proof.MISSING: 1}


async def test_two_workers_maintain_at_once(log: Runtime, own_settings: Settings) -> None:
    await a_change_of(log, datetime(2044, 1, 5, tzinfo=UTC))
    async with Runtime.open(own_settings) as other:
        await asyncio.gather(*(maintain(one, datetime(2035, 1, 1, tzinfo=UTC)) for one in (log, other)))

    assert {"changes_2035_01", "changes_2044_01"} <= set(await partitions(log))


def test_months_follow_one_another() -> None:
    assert month_after(date(2026, 12, 1)) == date(2027, 1, 1)
    assert month_after(date(2026, 1, 31)) == date(2026, 2, 1)
    assert month_before(date(2026, 11, 20), 0) == date(2026, 11, 1)
    assert month_before(date(2026, 11, 20), 11) == date(2025, 12, 1)
    assert month_before(date(2026, 1, 31), 13) == date(2024, 12, 1)


def test_migrating_down_and_up_again_keeps_every_change(new_database: Any) -> None:
    url = new_database("kept")

    async def make() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        for moment in (datetime(2019, 7, 1, tzinfo=UTC), clock.now()):
            await connection.execute(
                "INSERT INTO core.changes (id, module, action, entity_type, entity_id, changes, ip, occurred_at) "
                "VALUES (gen_random_uuid(), 'core', 'x', 'core.x', gen_random_uuid(), '{\"a\": [1, 2]}', '::1', $1)",
                moment,
            )
        return await rows(connection)

    async def rows(connection: Any = None) -> list[asyncpg.Record]:
        connection = connection or await asyncpg.connect(url)
        found: list[asyncpg.Record] = await connection.fetch("SELECT * FROM core.changes ORDER BY sequence")
        await connection.close()
        return found

    async def where() -> list[str]:
        connection = await asyncpg.connect(url)
        found = await connection.fetch(
            "SELECT tableoid::regclass::text, (SELECT count(*) FROM core.change_queue q WHERE q.change_id = c.id) = 1 "
            "FROM core.changes c ORDER BY sequence"
        )
        await connection.close()
        return [row[0] for row in found if row[1]]

    made = asyncio.run(make())
    migrations.downgrade(url, "0003_chat")
    plain = asyncio.run(rows())
    migrations.upgrade(url)
    again = asyncio.run(rows())

    assert [dict(row) for row in plain] == [dict(row) for row in made] == [dict(row) for row in again]
    assert asyncio.run(where())[-2:] == ["core.changes_2019_07", f"core.changes_{clock.now():%Y_%m}"]
