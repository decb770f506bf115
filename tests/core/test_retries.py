"""What PostgreSQL undid is done again, a few times; what it refused for good is told."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import Table, UniqueConstraint
from tests.wealth.factories import a_client, an_advisor, an_order

from atrium.core.db import routines
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.wealth.models.organisation import Branch

FAILING = """
CREATE SEQUENCE core.test_failures;
CREATE FUNCTION core.test_fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF nextval('core.test_failures') <= tg_argv[0]::int THEN
        RAISE EXCEPTION 'try again' USING ERRCODE = tg_argv[1];
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
"""
TRIGGER = """
CREATE TRIGGER test_fail BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
EXECUTE FUNCTION core.test_fail('{times}', '{state}')
"""
HEALED = "DROP FUNCTION core.test_fail() CASCADE; DROP SEQUENCE core.test_failures"


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(FAILING)
    yield connection
    await connection.execute(HEALED)
    await connection.close()


async def fail(owner: "asyncpg.Connection[Any]", table: str, times: int, state: str) -> None:
    await owner.execute(f"DROP TRIGGER IF EXISTS test_fail ON {table}; ALTER SEQUENCE core.test_failures RESTART")
    await owner.execute(TRIGGER.format(table=table, times=times, state=state))


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_what_postgresql_undid_is_done_again(
    client: httpx.AsyncClient, runtime: Runtime, owner: "asyncpg.Connection[Any]", state: str
) -> None:
    advisor = await an_advisor(runtime)
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    url = "/api/v1/households"
    headers = advisor.headers

    for method, path, body in (
        ("POST", url, {"name": "Rosen"}),
        ("POST", f"{url}/bulk", [{"name": "A"}, {"name": "B"}]),
        ("PUT", "{made}", {"name": "Levi"}),
        ("PUT", f"{url}/bulk", [{"id": "{made}", "name": "Levi"}]),
        ("DELETE", "{made}", None),
        ("POST", f"/api/v1/orders/{order}/cancel", {}),
    ):
        made = (await client.post(url, headers=headers, json={"name": "x"})).json()["id"]
        target = f"{url}/{made}" if path == "{made}" else path
        given = [{**body[0], "id": made}] if isinstance(body, list) and "id" in body[0] else body
        await fail(owner, "wealth.orders" if "orders" in path else "wealth.households", 2, state)
        answer = await client.request(method, target, headers=headers, json=given)
        await owner.execute("DROP TRIGGER IF EXISTS test_fail ON wealth.households")
        await owner.execute("DROP TRIGGER IF EXISTS test_fail ON wealth.orders")
        assert answer.is_success, f"{method} {target}: {answer.text}"


async def test_what_postgresql_undoes_again_and_again_is_a_conflict(
    client: httpx.AsyncClient, runtime: Runtime, owner: "asyncpg.Connection[Any]"
) -> None:
    advisor = await an_advisor(runtime)
    await fail(owner, "wealth.households", 1000, "40001")

    for path, body in (
        ("", {"name": "x"}),
        ("/bulk", [{"name": "x"}, {"name": "y"}]),
        ("/bulk?partial=1", [{"name": "x"}]),
    ):
        answer = await client.post(f"/api/v1/households{path}", headers=advisor.headers, json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT"), answer.text
    tried = await owner.fetchval("SELECT last_value FROM core.test_failures")
    assert tried <= 3 * 4


async def test_other_failures_are_not_repeated(
    client: httpx.AsyncClient, runtime: Runtime, owner: "asyncpg.Connection[Any]"
) -> None:
    advisor = await an_advisor(runtime)
    await fail(owner, "wealth.households", 1, "22000")

    answer = await client.post("/api/v1/households", headers=advisor.headers, json={"name": "x"})

    assert answer.status_code == 422
    assert await owner.fetchval("SELECT last_value FROM core.test_failures") == 1


def test_a_table_that_is_judged_at_the_end_is_no_resource_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement of its own would be answered before the constraint was asked."""
    trigger = """CREATE CONSTRAINT TRIGGER later AFTER INSERT ON wealth.branches DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wealth.later()"""
    with monkeypatch.context() as patched:
        patched.setattr(routines, "_DECLARED", [*routines._DECLARED, routines.Routine.read(trigger)])
        with pytest.raises(ValueError, match="deferred"):
            Resource(Branch, path="/tests/branches", write="")
        Resource(Branch, path="/tests/branches", write=None)

    table: Table = Branch.__table__  # type: ignore[assignment]
    late = UniqueConstraint("code", "city", deferrable=True, initially="DEFERRED")
    table.append_constraint(late)
    try:
        with pytest.raises(ValueError, match="deferred"):
            Resource(Branch, path="/tests/branches", write="")
    finally:
        table.constraints.discard(late)
