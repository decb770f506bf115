"""Records put by a key: made when it is new, changed when it exists, left alone when nothing differs."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from tests.core.factories import sql
from tests.wealth.factories import Actor, a_portal_user, an_administrator, an_advisor, an_officer

from atrium.core.access import Clause, Policy
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.wealth.models.organisation import Branch

CLIENTS = "/api/v1/clients"
BRANCHES = "/api/v1/admin/branches"


@pytest.fixture
async def admin(runtime: Runtime) -> Actor:
    return await an_administrator(runtime)


def branch(**over: Any) -> dict[str, Any]:
    return {"code": uuid4().hex[:12], "name": "Tel Aviv", "country": "IL", **over}


async def changes_of(runtime: Runtime, row_id: str) -> list[str]:
    found = await sql(runtime, "SELECT action FROM core.changes WHERE entity_id = :id ORDER BY sequence", id=row_id)
    return [row[0] for row in found]


async def a_numbered_client(client: httpx.AsyncClient, actor: Actor) -> dict[str, Any]:
    made = await client.post(CLIENTS, headers=actor.headers, json={"last_name": "Rosen", "city": "Haifa"})
    found: dict[str, Any] = made.json()
    return found


async def test_a_new_key_makes_and_a_known_one_changes(
    client: httpx.AsyncClient, admin: Actor, runtime: Runtime
) -> None:
    body = branch()

    made = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json=body)
    changed = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={**body, "city": "Jaffa"})
    fewer = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={"code": body["code"], "name": "South"})
    same = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={**body, "name": "South"})

    assert [one.status_code for one in (made, changed, fewer, same)] == [201, 200, 200, 200], fewer.text
    assert made.headers["location"].endswith(made.json()["id"])
    assert {one.json()["id"] for one in (changed, fewer, same)} == {made.json()["id"]}
    assert (fewer.json()["city"], fewer.json()["name"]) == ("Jaffa", "South")
    assert same.json() == fewer.json()
    assert same.headers["etag"] == fewer.headers["etag"] != changed.headers["etag"]
    assert await changes_of(runtime, made.json()["id"]) == ["create", "update", "update"]


async def test_what_a_new_record_needs_is_asked_only_of_new_ones(client: httpx.AsyncClient, admin: Actor) -> None:
    answer = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={"code": uuid4().hex[:12]})
    nameless = await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={"name": "x", "country": "IL"})

    assert answer.status_code == nameless.status_code == 422
    assert ["body", "name"] in [one["loc"] for one in answer.json()["errors"]]
    assert [one["loc"] for one in nameless.json()["errors"]] == [["body", "code"]]


async def test_a_number_that_the_server_gave_finds_and_never_makes(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    known = await a_numbered_client(client, advisor)
    number = known["client_number"]

    changed = await client.put(
        f"{CLIENTS}/upsert", headers=advisor.headers, json={"client_number": number, "city": "Eilat"}
    )
    unknown = await client.put(
        f"{CLIENTS}/upsert", headers=advisor.headers, json={"client_number": "C-1", "last_name": "x"}
    )
    fresh = await client.put(f"{CLIENTS}/upsert", headers=advisor.headers, json={"last_name": "Levi"})

    assert (changed.status_code, changed.json()["city"], changed.json()["version"]) == (200, "Eilat", 2)
    assert (unknown.status_code, unknown.json()["errors"][0]["loc"]) == (422, ["body", "client_number"])
    assert (fresh.status_code, fresh.json()["last_name"]) == (201, "Levi")


async def test_nobody_overwrites_or_learns_of_a_foreign_record(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other, officer = await an_advisor(runtime), await an_advisor(runtime), await an_officer(runtime)
    foreign = await a_numbered_client(client, other)
    row = {"client_number": foreign["client_number"], "city": "Eilat"}

    one = await client.put(f"{CLIENTS}/upsert", headers=advisor.headers, json=row)
    none = await client.put(f"{CLIENTS}/upsert", headers=advisor.headers, json={**row, "client_number": "C-0"})
    many = await client.post(
        f"{CLIENTS}/bulk?upsert=client_number&partial=true", headers=advisor.headers, json=[row, {"last_name": "x"}]
    )
    reader = await client.put(f"{CLIENTS}/upsert", headers=officer.headers, json=row)

    assert (one.status_code, one.json()["errors"]) == (none.status_code, none.json()["errors"])
    assert [error["index"] for error in many.json()["errors"]] == [0]
    assert len(many.json()["created"]) == 1
    assert reader.status_code == 403
    after = await client.get(f"{CLIENTS}/{foreign['id']}", headers=other.headers)
    assert after.json() == foreign


async def test_both_halves_of_a_policy_hold_for_each_row_of_a_batch(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    """Somebody who may make rows in one city only: a foreign key is taken, and no row begins or ends outside."""
    admin = await an_administrator(runtime)
    taken = (await client.put(f"{BRANCHES}/upsert", headers=admin.headers, json=branch(city="Haifa"))).json()
    narrow = Resource(
        Branch, path="/tests/branches", read="", write="", create="", update="", delete=None, upsert=("code",)
    )
    mine = Clause(claim="user_id", rows=Branch.city == "Eilat")
    narrow.policy = Policy((mine,), administrators=False)
    narrow.guarded = type(narrow.guarded)(narrow.table, dict(narrow.fields), narrow.policy)
    somebody = await admin.caller(runtime)

    async def put(**over: Any) -> Any:
        return await narrow.make_many(runtime, somebody, [branch(**over)], partial=True, key=("code",))

    foreign = await put(code=taken["code"], city="Eilat")
    own = await put(city="Eilat")
    outside = await put(city="Haifa")
    again = await put(code=own_code(own), city="Haifa")

    cities = ["Eilat", "Eilat", "Haifa", "Eilat", "Haifa"]
    rows = [branch(city=city) for city in cities]
    batch = await narrow.make_many(runtime, somebody, rows, partial=True)
    changes = [{"id": str(one.record.id), "city": city} for one, city in zip(batch.created, cities[1:], strict=False)]
    moved = await narrow.change_many(runtime, somebody, changes, partial=True)

    assert [(one.index, one.code) for one in batch.errors] == [(2, "OUT_OF_SCOPE"), (4, "OUT_OF_SCOPE")]
    assert [one.index for one in batch.created] == [0, 1, 3]
    assert [(one.index, one.code) for one in moved.errors] == [(1, "OUT_OF_SCOPE")]
    assert [one.index for one in moved.updated] == [0, 2]
    assert [one.code for one in foreign.errors] == ["DUPLICATE"]
    assert taken["id"] not in str(foreign.errors)
    assert len(own.created) == 1
    assert [one.code for one in (*outside.errors, *again.errors)] == ["OUT_OF_SCOPE", "OUT_OF_SCOPE"]


def own_code(result: Any) -> str:
    found: str = msgspec.json.decode(result.created[0].record.body)["code"]
    return found


async def test_many_are_put_at_once(client: httpx.AsyncClient, admin: Actor, runtime: Runtime) -> None:
    old, same = branch(), branch()
    for body in (old, same):
        assert (await client.post(BRANCHES, headers=admin.headers, json=body)).status_code == 201
    new = branch()
    given = [{**old, "city": "Jaffa"}, same, new, {**new, "city": "Acre"}, {**old, "name": None}]

    answer = await client.post(f"{BRANCHES}/bulk?upsert=code&partial=1", headers=admin.headers, json=given)
    whole = await client.post(f"{BRANCHES}/bulk?upsert=code", headers=admin.headers, json=given)

    body = answer.json()
    assert [one["code"] for one in body["created"]] == [new["code"]]
    assert [(one["code"], one["city"]) for one in body["updated"]] == [(old["code"], "Jaffa"), (new["code"], "Acre")]
    assert [one["code"] for one in body["unchanged"]] == [same["code"]]
    assert [one["index"] for one in body["errors"]] == [4]
    assert whole.status_code == 422
    assert await changes_of(runtime, body["unchanged"][0]["id"]) == ["create"]


async def test_puts_of_one_new_key_at_once_make_one_record(client: httpx.AsyncClient, admin: Actor) -> None:
    body = branch()

    answers = await asyncio.gather(
        *(
            client.put(f"{BRANCHES}/upsert", headers=admin.headers, json={**body, "city": f"City {place}"})
            for place in range(8)
        )
    )
    listed = await client.get(BRANCHES, headers=admin.headers, params={"code": body["code"]})

    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    assert listed.json()["total"] == 1


async def test_a_caller_who_may_only_change_puts_nothing(client: httpx.AsyncClient, runtime: Runtime) -> None:
    portal = await a_portal_user(runtime, await an_advisor(runtime))

    answer = await client.put(f"{CLIENTS}/upsert", headers=portal.headers, json={"last_name": "x"})

    assert answer.status_code == 403, answer.text


def test_a_key_that_nothing_keeps_unique_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="nothing keeps it unique"):
        Resource(Branch, path="/tests/branches", write="", upsert=("name",))
