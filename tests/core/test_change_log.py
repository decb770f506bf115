"""Nothing that happens to an audited row escapes the log, however it happens."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.core.factories import a_principal

from atrium.core.runtime import Runtime
from atrium.core.services import Caller, actor, unit_of_work
from atrium.wealth.models.organisation import Branch


async def changes(runtime: Runtime, row_id: UUID) -> list[asyncpg.Record]:
    sql = "SELECT * FROM core.changes WHERE entity_id = $1 ORDER BY sequence"
    rows: list[asyncpg.Record] = await runtime.database.pool.fetch(sql, row_id)
    return rows


async def a_branch(runtime: Runtime) -> UUID:
    row_id = uuid4()
    sql = "INSERT INTO wealth.branches (id, code, name, country) VALUES ($1, $2, 'North', 'IL')"
    await runtime.database.pool.execute(sql, row_id, row_id.hex[:12])
    return row_id


async def test_raw_sql_is_logged_like_everything_else(runtime: Runtime) -> None:
    branch = await a_branch(runtime)
    pool = runtime.database.pool
    await pool.execute("UPDATE wealth.branches SET name = 'South', city = 'Eilat' WHERE id = $1", branch)
    await pool.execute("UPDATE wealth.branches SET name = name WHERE id = $1", branch)
    await pool.execute("DELETE FROM wealth.branches WHERE id = $1", branch)

    made, changed, gone = await changes(runtime, branch)

    assert [row["action"] for row in (made, changed, gone)] == ["create", "update", "delete"]
    assert '"name": [null, "North"]' in made["changes"]
    assert changed["changes"] == '{"city": [null, "Eilat"], "name": ["North", "South"]}'
    assert '"name": ["South", null]' in gone["changes"]
    assert made["actor_user_id"] is None


async def test_copy_is_logged(runtime: Runtime) -> None:
    ids = [uuid4() for _ in range(3)]
    async with runtime.database.pool.acquire() as connection:
        await connection.copy_records_to_table(
            "branches",
            schema_name="wealth",
            columns=["id", "code", "name", "country"],
            records=[(row_id, row_id.hex[:12], "Copied", "IL") for row_id in ids],
        )

    for row_id in ids:
        assert [row["action"] for row in await changes(runtime, row_id)] == ["create"]


async def test_truncate_is_refused(runtime: Runtime) -> None:
    for table in ("wealth.branches", "core.changes"):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await runtime.database.pool.execute(f"TRUNCATE {table} CASCADE")
        assert caught.value.sqlstate == "ATR02"


async def test_the_log_itself_only_takes_new_rows(runtime: Runtime) -> None:
    branch = await a_branch(runtime)

    for sql in (
        "UPDATE core.changes SET reason = 'x' WHERE entity_id = $1",
        "DELETE FROM core.changes WHERE entity_id = $1",
    ):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await runtime.database.pool.execute(sql, branch)
        assert caught.value.sqlstate == "ATR02"


async def test_the_actor_of_a_unit_of_work_and_nobody_elses(runtime: Runtime) -> None:
    principal = a_principal(roles=("admin",))
    caller = Caller(principal, request_id="req-1", ip="127.0.0.1")
    async with unit_of_work(runtime, caller, action="open", reason="a new town") as work:
        branch = Branch(code=uuid4().hex[:12], name="East", country="IL")
        work.session.add(branch)
    later = await a_branch(runtime)

    (made,), (other,) = await changes(runtime, branch.id), await changes(runtime, later)

    assert (made["actor_user_id"], made["action"], made["reason"]) == (principal.user_id, "open", "a new town")
    assert (made["request_id"], str(made["ip"]), made["actor_role"]) == ("req-1", "127.0.0.1", "admin")
    assert other["actor_user_id"] is None


async def test_a_rolled_back_change_is_not_in_the_log(runtime: Runtime) -> None:
    row_id = uuid4()

    async def fail() -> None:
        async with unit_of_work(runtime) as work:
            work.session.add(Branch(id=row_id, code=row_id.hex[:12], name="West", country="IL"))
            await work.session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await changes(runtime, row_id) == []


async def test_private_columns_never_reach_the_log(runtime: Runtime) -> None:
    pool = runtime.database.pool
    source = await pool.fetchval("SELECT string_agg(prosrc, '') FROM pg_proc WHERE proname LIKE 'log\\_%'")

    for secret in ("hashed_password", "mfa_secret_enc", "tax_id_enc"):
        assert secret not in source


async def test_changes_of_one_record_are_numbered_in_order(runtime: Runtime) -> None:
    branch = await a_branch(runtime)
    for number in range(5):
        await runtime.database.pool.execute("UPDATE wealth.branches SET name = $2 WHERE id = $1", branch, f"n{number}")

    rows = await changes(runtime, branch)

    assert [row["changes"].count("n") > 0 for row in rows] == [True] * 6
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)


def test_an_actor_names_only_what_is_known() -> None:
    assert actor(None) == "{}"
    assert actor(UUID(int=1), "admin") == '{"user":"00000000-0000-0000-0000-000000000001","role":"admin"}'
