"""Many records in one request: made, changed and deleted, all of them or those that can be."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.core.factories import sql
from tests.wealth.factories import Actor, a_client, a_portal_user, an_administrator, an_advisor, an_order, some_clients

from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.wealth.resources import clients

PATH = "/api/v1/clients"
BULK = f"{PATH}/bulk"
NOTES = "/api/v1/notes"


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"last_name": f"Rosen {place}", **more} for place in range(count)]


async def names(client: httpx.AsyncClient, advisor: Actor) -> list[str]:
    answer = await client.get(PATH, headers=advisor.headers, params={"limit": 100, "order_by": "last_name"})
    return [one["last_name"] for one in answer.json()["items"]]


async def changes_of(runtime: Runtime, ids: list[str], action: str) -> int:
    found = await sql(
        runtime,
        "SELECT count(*) FROM core.changes WHERE entity_id = ANY(:ids) AND action = :action",
        ids=ids,
        action=action,
    )
    count: int = found[0][0]
    return count


async def test_many_records_are_made_in_the_order_in_which_they_came(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    given = rows(50)
    given[7] |= {"first_name": "Nadia", "net_worth": "12.3400", "risk_profile": "moderate"}

    answer = await client.post(BULK, headers=advisor.headers, json=given)

    assert (answer.status_code, answer.json()["errors"]) == (200, []), answer.text
    made = answer.json()["created"]
    assert [one["last_name"] for one in made] == [one["last_name"] for one in given]
    assert {one["advisor_id"] for one in made} == {str(advisor.id)}
    assert '"net_worth":12.3400' in answer.text
    assert (await client.get(f"{PATH}/{made[7]['id']}", headers=advisor.headers)).json() == made[7]
    assert made[3]["client_number"] != made[4]["client_number"]
    assert (made[7]["status"], made[8]["first_name"]) == ("prospect", None)
    assert await changes_of(runtime, [one["id"] for one in made], "create") == 50


async def test_of_a_batch_with_bad_rows_nothing_is_written(client: httpx.AsyncClient, advisor: Actor) -> None:
    given = [*rows(3), {"first_name": 7}, {"last_name": "x", "household_id": str(uuid4())}, {"first_name": "Only"}]

    answer = await client.post(BULK, headers=advisor.headers, json=given)

    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")
    where = [tuple(error["loc"]) for error in answer.json()["errors"]]
    assert where[:2] == [("body", 3, "first_name"), ("body", 4, "household_id")]
    assert ("body", 5, "last_name") in where
    assert await names(client, advisor) == []


async def test_with_partial_the_good_rows_stay(client: httpx.AsyncClient, advisor: Actor) -> None:
    given = rows(40)
    given[3] = {"first_name": 7}
    given[11] = {"last_name": "x", "household_id": str(uuid4())}
    given[12] = {"first_name": "Only"}
    given[20] = {"last_name": "x", "shoe_size": 44}
    given[30] = {"last_name": "x", "advisor_id": str(uuid4())}
    given[39] = {"last_name": "x", "net_worth": "NaN"}

    answer = await client.post(BULK, headers=advisor.headers, json=given, params={"partial": "true"})

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [error["index"] for error in body["errors"]] == [3, 11, 12, 20, 30, 39]
    assert {error["index"]: error["code"] for error in body["errors"]}[20] == "UNKNOWN_FIELD"
    assert body["errors"][1]["errors"] == [
        {"loc": ["body", 11, "household_id"], "msg": "not found", "type": "not_found"}
    ]
    assert all(error["detail"] for error in body["errors"])
    assert [one["last_name"] for one in body["created"]] == [
        one["last_name"] for place, one in enumerate(given) if place not in (3, 11, 12, 20, 30, 39)
    ]
    assert len(await names(client, advisor)) == 34


@pytest.mark.parametrize("bad", [[0], [99], [0, 1, 2, 50, 98, 99], list(range(100))])
async def test_rows_that_only_the_database_refuses_do_not_take_others_along(
    client: httpx.AsyncClient, advisor: Actor, bad: list[int]
) -> None:
    given = [{"first_name": "Only"} if place in bad else one for place, one in enumerate(rows(100))]

    answer = await client.post(BULK, headers=advisor.headers, json=given, params={"partial": "true"})

    assert [error["index"] for error in answer.json()["errors"]] == bad
    assert len(answer.json()["created"]) == 100 - len(bad)


async def test_no_row_leaves_the_scope_of_its_writer(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other, admin = await an_advisor(runtime), await an_advisor(runtime), await an_administrator(runtime)
    mine, foreign = await a_client(runtime, advisor), await a_client(runtime, other)
    note = {"body": "x", "client_id": str(mine)}

    refused = await client.post(
        f"{NOTES}/bulk", headers=advisor.headers, json=[note, {**note, "client_id": str(foreign)}]
    )
    partial = await client.post(
        f"{NOTES}/bulk?partial=1", headers=advisor.headers, json=[note, {**note, "client_id": str(foreign)}]
    )
    elsewhere = await client.post(f"{PATH}/{foreign}/notes/bulk", headers=advisor.headers, json=[{"body": "x"}])

    assert [error["loc"] for error in refused.json()["errors"]] == [["body", 1, "client_id"]]
    assert (len(partial.json()["created"]), [one["index"] for one in partial.json()["errors"]]) == (1, [1])
    assert elsewhere.status_code == 404
    notes = await client.get(NOTES, headers=admin.headers, params={"client_id": str(foreign)})
    assert notes.json()["total"] == 0


async def test_a_row_that_would_leave_by_a_rule_of_the_database_is_named(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    """A portal user's orders must stay what a client may write; the batch finds the one that is not."""
    advisor = await an_advisor(runtime)
    portal = await a_portal_user(runtime, advisor)
    order = {"symbol": "AAPL", "quantity": 1}
    given = [order] * 5 + [{**order, "basis": "advised"}] + [order] * 5

    answer = await client.post("/api/v1/orders/bulk", headers=portal.headers, json=given, params={"partial": "true"})

    assert [error["index"] for error in answer.json()["errors"]] == [5], answer.text
    assert len(answer.json()["created"]) == 10
    assert {one["status"] for one in answer.json()["created"]} == {"pending"}


async def test_many_records_are_changed_each_in_its_own_way(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    ids = [str(one) for one in await some_clients(runtime, advisor, 6)]
    given: list[dict[str, Any]] = [{"id": one, "city": f"City {place}"} for place, one in enumerate(ids[:4])]
    given += [{"id": ids[4], "city": None, "phone": "1"}, {"id": ids[5]}]

    answer = await client.put(BULK, headers=advisor.headers, json=given)

    assert answer.status_code == 200, answer.text
    updated = answer.json()["updated"]
    assert [one["id"] for one in updated] == ids
    assert [one["city"] for one in updated] == ["City 0", "City 1", "City 2", "City 3", None, None]
    assert [one["version"] for one in updated] == [2, 2, 2, 2, 2, 1]
    assert await changes_of(runtime, ids, "update") == 5


async def test_a_stale_version_and_a_foreign_row_are_refused_by_row(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    ids = [str(one) for one in await some_clients(runtime, advisor, 4)]
    foreign = str(await a_client(runtime, await an_advisor(runtime)))
    given = [
        {"id": ids[0], "version": 1, "city": "Haifa"},
        {"id": ids[1], "version": 9, "city": "Haifa"},
        {"id": foreign, "city": "Haifa"},
        {"id": ids[2], "city": "Haifa"},
        {"id": ids[2], "city": "Eilat"},
        {"id": "7", "city": "Haifa"},
        {"city": "Haifa"},
        {"id": ids[3], "version": "one"},
        {"id": ids[3], "client_number": "C1"},
    ]

    whole = await client.put(BULK, headers=advisor.headers, json=given)
    partial = await client.put(BULK, headers=advisor.headers, json=given, params={"partial": "true"})

    assert whole.status_code == 422
    assert [one["id"] for one in partial.json()["updated"]] == [ids[0], ids[2]]
    assert {one["index"]: one["code"] for one in partial.json()["errors"]} == {
        1: "PRECONDITION_FAILED",
        2: "NOT_FOUND",
        4: "VALIDATION_ERROR",
        5: "VALIDATION_ERROR",
        6: "VALIDATION_ERROR",
        7: "VALIDATION_ERROR",
        8: "UNKNOWN_FIELD",
    }
    assert (await client.get(f"{PATH}/{ids[2]}", headers=advisor.headers)).json()["city"] == "Haifa"


async def test_many_records_are_deleted(client: httpx.AsyncClient, advisor: Actor, runtime: Runtime) -> None:
    ids = [str(one) for one in await some_clients(runtime, advisor, 4)]
    busy = str(await a_client(runtime, advisor))
    await an_order(runtime, advisor, busy)  # type: ignore[arg-type]
    foreign = str(await a_client(runtime, await an_advisor(runtime)))

    whole = await client.request("DELETE", BULK, headers=advisor.headers, json=[*ids, busy])
    assert (whole.status_code, whole.json()["errors"][0]["type"]) == (422, "client_has_open_orders")
    assert len(await names(client, advisor)) == 5

    gone = await client.request(
        "DELETE", BULK, headers=advisor.headers, json={"ids": [*ids, busy, foreign, "7"]}, params={"partial": "true"}
    )
    assert gone.json()["deleted"] == ids
    assert [one["index"] for one in gone.json()["errors"]] == [4, 5, 6]
    assert len(await names(client, advisor)) == 1


async def test_a_condition_on_the_old_row_holds_in_bulk(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    record = await a_client(runtime, advisor)
    draft = await an_order(runtime, advisor, record, status="draft")
    done = await an_order(runtime, advisor, record, status="cancelled")
    given = [{"id": str(one), "notes": "By phone."} for one in (draft, done)]

    answer = await client.put("/api/v1/orders/bulk", headers=advisor.headers, json=given, params={"partial": "true"})

    assert [one["id"] for one in answer.json()["updated"]] == [str(draft)]
    assert [one["code"] for one in answer.json()["errors"]] == ["ORDER_NOT_EDITABLE"]


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{}", 422), (b"7", 422), (b"[", 400), (b"", 400), (b"[" + b"{}," * 500 + b"{}]", 422), (b"[7, null]", 422)],
)
async def test_what_is_no_list_of_rows(client: httpx.AsyncClient, advisor: Actor, content: bytes, status: int) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await client.request(method, BULK, headers=advisor.headers, content=content)
        assert answer.status_code == status, f"{method}: {answer.text}"


async def test_nothing_is_a_batch_too(client: httpx.AsyncClient, advisor: Actor) -> None:
    answer = await client.post(BULK, headers=advisor.headers, json=[])

    assert answer.json() == {"created": [], "errors": []}


async def test_other_parameters_are_refused(client: httpx.AsyncClient, advisor: Actor) -> None:
    for params in ({"parital": "true"}, {"partial": "maybe"}, {"upsert": "email"}):
        answer = await client.post(BULK, headers=advisor.headers, json=[], params=params)
        assert (answer.status_code, answer.json()["errors"][0]["loc"][0]) == (422, "query"), answer.text


async def test_verbs_that_a_resource_lacks_have_no_bulk(client: httpx.AsyncClient, advisor: Actor) -> None:
    answer = await client.post("/api/v1/insights/opportunities/bulk", headers=advisor.headers, json=[])

    assert answer.status_code == 405, answer.text


async def test_batches_that_lock_each_others_rows_both_succeed(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    ids = [str(one) for one in await some_clients(runtime, advisor, 60)]
    orders = [ids if place % 2 else ids[::-1] for place in range(6)]

    answers = await asyncio.gather(
        *(
            client.put(BULK, headers=advisor.headers, json=[{"id": one, "city": f"C{place}"} for one in order])
            for place, order in enumerate(orders)
        )
    )

    assert [answer.status_code for answer in answers] == [200] * 6


async def test_a_value_that_is_taken_is_refused_by_row(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    order = {"client_id": str(await a_client(runtime, advisor)), "symbol": "AAPL", "quantity": 1}
    keys = [uuid4().hex for _ in range(4)]
    given = [{**order, "client_order_id": key} for key in (keys[0], keys[1], keys[0], keys[2], keys[1], keys[3])]

    answer = await client.post("/api/v1/orders/bulk?partial=1", headers=advisor.headers, json=given)

    assert [(one["index"], one["code"]) for one in answer.json()["errors"]] == [(2, "DUPLICATE"), (4, "DUPLICATE")]
    assert [one["client_order_id"] for one in answer.json()["created"]] == keys


async def test_more_batches_at_once_than_connections(client: httpx.AsyncClient, advisor: Actor) -> None:
    given = [*rows(10), {"last_name": "x", "household_id": str(uuid4())}]

    answers = await asyncio.wait_for(
        asyncio.gather(*(client.post(f"{BULK}?partial=1", headers=advisor.headers, json=given) for _ in range(30))), 20
    )

    assert [len(answer.json()["created"]) for answer in answers] == [10] * 30


async def test_rows_of_a_transaction_that_ends_badly_are_gone(advisor: Actor, runtime: Runtime) -> None:
    caller = await advisor.caller(runtime)

    class Stop(Exception):
        pass

    async def run() -> None:
        async with unit_of_work(runtime, caller) as work:
            given = [{"last_name": "Rosen"}, {"first_name": "Only"}]
            done = await clients.make_many(runtime, caller, given, partial=True, rendered=False, work=work)
            assert ([one.index for one in done.created], [one.index for one in done.errors]) == ([0], [1])
            raise Stop

    with pytest.raises(Stop):
        await run()

    assert await sql(runtime, "SELECT 1 FROM wealth.clients WHERE advisor_id = :id", id=advisor.id) == []
