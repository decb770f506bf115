"""Nothing that happens to an audited row escapes the log, however it happens."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from tests.core.change_house import a_branch, changes, rename
from tests.core.factories import a_principal, an_account
from tests.wealth.factories import a_client, an_advisor

from atrium.core.changes.erasure import erase
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, actor, unit_of_work
from atrium.wealth.models.organisation import Branch


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


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_rows_of_one_statement_are_logged_one_by_one(runtime: Runtime) -> None:
    ids = [uuid4() for _ in range(3)]
    await runtime.database.pool.execute(
        "INSERT INTO wealth.branches (id, code, name, country) SELECT id, left(id::text, 12), 'Many', 'IL' "
        "FROM unnest($1::uuid[]) id",
        ids,
    )
    await runtime.database.pool.execute(
        "UPDATE wealth.branches b SET name = v.name FROM (SELECT unnest($1::uuid[]) AS id, 'Renamed' AS name) v "
        "WHERE b.id = v.id",
        ids,
    )
    await runtime.database.pool.execute("DELETE FROM wealth.branches WHERE id = ANY ($1)", ids)

    for row_id in ids:
        assert [row["action"] for row in await changes(runtime, row_id)] == ["create", "update", "delete"]


async def test_upsert_and_merge_are_logged_as_what_they_did(runtime: Runtime) -> None:
    branch = await a_branch(runtime)
    upsert = (
        "INSERT INTO wealth.branches (id, code, name, country) VALUES ($1, $2, 'Upserted', 'IL') "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name"
    )
    merge = (
        "MERGE INTO wealth.branches b USING (SELECT $1::uuid AS id) v ON b.id = v.id "
        "WHEN MATCHED THEN UPDATE SET name = 'Merged' "
        "WHEN NOT MATCHED THEN INSERT (id, code, name, country) VALUES (v.id, $2, 'Made', 'IL')"
    )
    other = uuid4()
    await runtime.database.pool.execute(upsert, branch, branch.hex[:12])
    await runtime.database.pool.execute(merge, branch, branch.hex[:12])
    await runtime.database.pool.execute(merge, other, other.hex[:12])

    rows = await changes(runtime, branch)
    assert [row["changes"] for row in rows[1:]] == [
        '{"name": ["North", "Upserted"]}',
        '{"name": ["Upserted", "Merged"]}',
    ]
    assert [row["action"] for row in await changes(runtime, other)] == ["create"]


async def test_what_a_delete_takes_along_is_logged(runtime: Runtime) -> None:
    account = await an_account(runtime, roles=("client",))
    pool = runtime.database.pool
    held = await pool.fetchval("SELECT id FROM core.user_roles WHERE user_id = $1", account.id)
    await pool.execute("DELETE FROM core.users WHERE id = $1", account.id)

    assert [row["action"] for row in await changes(runtime, held)] == ["create", "delete"]
    assert (await changes(runtime, account.id))[-1]["action"] == "delete"


async def test_every_change_stands_in_the_queue_once(runtime: Runtime) -> None:
    branch = await a_branch(runtime)
    await rename(runtime, branch, "South")
    await runtime.database.pool.execute("DELETE FROM wealth.branches WHERE id = $1", branch)

    sql = """SELECT c.id, count(*) FROM core.changes c
        LEFT JOIN (SELECT change_id, sequence, occurred_at FROM core.change_queue
            UNION ALL SELECT change_id, sequence, occurred_at FROM core.change_chain) q
        ON (q.change_id, q.sequence, q.occurred_at) = (c.id, c.sequence, c.occurred_at)
        WHERE c.entity_id = $1 GROUP BY c.id"""
    assert [row["count"] for row in await runtime.database.pool.fetch(sql, branch)] == [1, 1, 1]


async def test_truncate_is_refused(owner: "asyncpg.Connection[Any]") -> None:
    for table in ("wealth.branches", "core.changes"):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await owner.execute(f"TRUNCATE {table} CASCADE")
        assert caught.value.sqlstate == "ATR02"


async def test_the_log_itself_only_takes_new_rows(runtime: Runtime, owner: "asyncpg.Connection[Any]") -> None:
    branch = await a_branch(runtime)

    for sql in (
        "UPDATE core.changes SET reason = 'x' WHERE entity_id = $1",
        "DELETE FROM core.changes WHERE entity_id = $1",
    ):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await owner.execute(sql, branch)
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


async def test_a_change_of_private_columns_alone_leaves_no_entry(runtime: Runtime) -> None:
    account = await an_account(runtime)
    before = len(await changes(runtime, account.id))
    await runtime.database.pool.execute(
        "UPDATE core.users SET hashed_password = 'a-very-secret-hash' WHERE id = $1", account.id
    )

    rows = await changes(runtime, account.id)

    assert len(rows) == before
    assert "hashed_password" not in " ".join(row["changes"] for row in rows)


async def test_values_are_logged_as_they_are(runtime: Runtime) -> None:
    """Quotes, line ends and nulls inside of JSON, in all three verbs."""
    text, payload = 'a "b"\n\\ c\u00e9\u2028', {"a": None, "b": [None, {"c": None}], "d": '"'}
    account = await an_account(runtime, name=text)
    pool = runtime.database.pool
    await pool.execute(
        "UPDATE core.users SET preferences = $2 WHERE id = $1", account.id, msgspec.json.encode(payload).decode()
    )
    await pool.execute("DELETE FROM core.users WHERE id = $1", account.id)

    made, changed, gone = [msgspec.json.decode(row["changes"]) for row in await changes(runtime, account.id)]

    assert made["name"] == [None, text]
    assert changed == {"preferences": [{}, payload]}
    assert (gone["name"], gone["preferences"]) == ([text, None], [payload, None])


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


async def test_a_history_is_paged_by_number_and_by_cursor(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"/api/v1/clients/{await a_client(runtime, advisor)}"
    for number in range(4):
        await client.put(url, headers=advisor.headers, json={"city": f"Town {number}"})

    async def page(query: str) -> dict[str, Any]:
        answer = await client.get(f"{url}/history?{query}", headers=advisor.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    whole, second, third = await page("limit=50"), await page("limit=2&page=2"), await page("limit=2&page=3")
    pages, cursor = [], ""
    while True:
        pages.append(await page(f"limit=2&cursor={cursor}" if cursor else "limit=2"))
        if not (cursor := pages[-1]["next_cursor"]):
            break

    assert [one["action"] for one in whole["items"]] == ["create", *["update"] * 4]
    assert (whole["total"], whole["pages"], whole["next_cursor"]) == (5, 1, None)
    assert [second["total"], second["pages"], third["total"]] == [5, 3, 5]
    assert second["items"] + third["items"] == whole["items"][2:]
    assert [one for part in pages for one in part["items"]] == whole["items"]
    assert [part["total"] for part in pages] == [5, None, None]
    assert (await page("limit=2&count=none"))["total"] is None
    assert (await page("limit=2&page=9"))["total"] == 5


async def test_a_history_shows_that_something_was_erased(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row_id = await a_client(runtime, advisor)
    url = f"/api/v1/clients/{row_id}"
    await client.put(url, headers=advisor.headers, json={"city": "Haifa"})
    await client.put(url, headers=advisor.headers, json={"city": "Eilat"})
    async with unit_of_work(runtime) as work:
        await erase(work, "wealth.clients", UUID(str(row_id)), ["city"], reason="request")

    items = (await client.get(f"{url}/history", headers=advisor.headers)).json()["items"]

    assert [one["changes"].get("city") for one in items[2:]] == [[{"erased": True}] * 2, None]
    assert "Haifa" not in str(items)
