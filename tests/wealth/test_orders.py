from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.wealth.factories import Actor, a_client, a_portal_user, an_administrator, an_advisor, an_officer, an_order

from atrium.core.runtime import Runtime

PATH = "/api/v1/orders"


async def place(client: httpx.AsyncClient, actor: Actor, row: UUID, **over: Any) -> httpx.Response:
    body = {"client_id": str(row), "symbol": "aapl", "quantity": 10, "order_type": "market", **over}
    return await client.post(PATH, headers=actor.headers, json=body)


@pytest.mark.parametrize(
    ("sent", "side", "order_type"),
    [
        ({}, "buy", "market"),
        ({"order_type": "buy"}, "buy", "market"),
        ({"order_type": "sell"}, "sell", "market"),
        ({"order_type": "limit", "limit_price": 101.5}, "buy", "limit"),
    ],
)
async def test_create_a_new_order(
    client: httpx.AsyncClient, runtime: Runtime, sent: dict[str, Any], side: str, order_type: str
) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)

    answer = await place(client, advisor, row, **sent)

    order = answer.json()
    assert (answer.status_code, order["status"], order["symbol"]) == (201, "pending", "AAPL")
    assert (order["side"], order["order_type"], order["quantity"]) == (side, order_type, 10)
    assert (order["advisor_id"], order["placed_by"]) == (str(advisor.id), str(advisor.user_id))
    assert answer.headers["location"] == f"{PATH}/{order['id']}"
    listed = await client.get(PATH, headers=advisor.headers, params={"client_id": str(row), "status": "pending"})
    assert [one["id"] for one in listed.json()["items"]] == [order["id"]]


@pytest.mark.parametrize(
    "sent",
    [
        {"quantity": 0},
        {"quantity": -5},
        {"order_type": "guess"},
        {"symbol": None},
        {"client_id": None},
        {"order_type": "limit"},
        {"limit_price": 5},
        {"notional": 100},
        {"status": "filled"},
        {"advisor_id": "00000000-0000-0000-0000-000000000000"},
    ],
)
async def test_a_senseless_order_is_refused_with_errors(
    client: httpx.AsyncClient, runtime: Runtime, sent: dict[str, Any]
) -> None:
    advisor = await an_advisor(runtime)

    answer = await place(client, advisor, await a_client(runtime, advisor), **sent)

    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_an_order_for_a_foreign_client_is_refused(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, foreign = await an_advisor(runtime), await a_client(runtime, await an_advisor(runtime))

    answer = await place(client, advisor, foreign)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "client_id"]


async def test_an_order_is_cancelled_once(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    order = (await place(client, advisor, await a_client(runtime, advisor))).json()
    url = f"{PATH}/{order['id']}"

    first = await client.post(f"{url}/cancel", headers=advisor.headers, json={"reason": "changed my mind"})
    again = await client.post(f"{url}/cancel", headers=advisor.headers, json={"reason": "once more"})
    submitted = await client.post(f"{url}/submit", headers=advisor.headers, json={})
    history = (await client.get(f"{url}/history", headers=advisor.headers)).json()

    assert (first.status_code, first.json()["status"], first.json()["version"]) == (200, "cancelled", 2)
    assert first.headers["etag"] == '"2"'
    assert (again.status_code, again.json()["version"], again.json()["cancel_reason"]) == (200, 2, "changed my mind")
    refused = submitted.json()
    assert (submitted.status_code, refused["code"]) == (409, "INVALID_TRANSITION")
    assert (refused["from"], refused["to"], refused["allowed"]) == ("cancelled", "approved", [])
    steps = [(one.get("from_status"), one["to_status"]) for one in history["items"]]
    assert sorted(steps, key=str) == sorted([(None, "pending"), ("pending", "cancelled")], key=str)


async def test_a_draft_is_confirmed_or_deleted(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)
    drafts = [(await place(client, advisor, row, draft=True)).json() for _ in range(2)]

    confirmed = await client.post(f"{PATH}/{drafts[0]['id']}/confirm", headers=advisor.headers)
    deleted = await client.delete(f"{PATH}/{drafts[1]['id']}", headers=advisor.headers)

    assert [one["status"] for one in drafts] == ["draft", "draft"]
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "pending")
    assert deleted.status_code == 204


async def test_a_pending_order_is_not_deleted_but_cancelled(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{(await place(client, advisor, await a_client(runtime, advisor))).json()['id']}"

    deleted = await client.delete(url, headers=advisor.headers)
    submitted = await client.post(f"{url}/submit", headers=advisor.headers)

    for answer in (deleted, submitted):
        assert (answer.status_code, answer.json()["allowed"]) == (409, ["cancel"])


async def test_an_order_is_edited_while_it_is_pending(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)
    pending, cancelled = (
        await an_order(runtime, advisor, row),
        await an_order(runtime, advisor, row, status="cancelled"),
    )

    edited = await client.put(f"{PATH}/{pending}", headers=advisor.headers, json={"symbol": "msft", "quantity": 3})
    wrong = await client.put(f"{PATH}/{pending}", headers=advisor.headers, json={"order_type": "limit"})
    late = await client.put(f"{PATH}/{cancelled}", headers=advisor.headers, json={"quantity": 3})
    status = await client.put(f"{PATH}/{pending}", headers=advisor.headers, json={"status": "filled"})

    assert (edited.json()["symbol"], edited.json()["quantity"]) == ("MSFT", 3)
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["body", "limit_price"])
    assert (late.status_code, late.json()["code"]) == (409, "ORDER_NOT_EDITABLE")
    assert status.status_code == 422


async def test_a_portal_user_directs_its_own_orders(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    portal, other = await a_portal_user(runtime, advisor), await a_client(runtime, advisor)
    advised = await an_order(runtime, advisor, portal.id)

    own = await client.post(PATH, headers=portal.headers, json={"symbol": "AAPL", "quantity": 1})
    foreign = await place(client, portal, other)
    cancelled = await client.post(f"{PATH}/{own.json()['id']}/cancel", headers=portal.headers)
    sneaked = await client.put(f"{PATH}/{advised}", headers=portal.headers, json={"quantity": 500})

    assert (own.json()["basis"], own.json()["client_id"]) == ("unsolicited", str(portal.id))
    assert own.json()["advisor_id"] == str(advisor.id)
    assert foreign.status_code == 403
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert sneaked.status_code == 403
    assert (await client.get(PATH, headers=portal.headers)).json()["total"] == 2


async def test_an_officer_reads_orders_and_an_administrator_cancels(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor, officer, administrator = (
        await an_advisor(runtime),
        await an_officer(runtime),
        await an_administrator(runtime),
    )
    url = f"{PATH}/{await an_order(runtime, advisor, await a_client(runtime, advisor))}"

    assert (await client.get(url, headers=officer.headers)).status_code == 200
    assert (await client.post(f"{url}/cancel", headers=officer.headers)).status_code == 403
    assert (await client.post(f"{url}/cancel", headers=administrator.headers)).json()["status"] == "cancelled"


async def test_another_advisors_order_is_not_there(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    url = f"{PATH}/{await an_order(runtime, other, await a_client(runtime, other))}"

    for verb, path in (("GET", url), ("PUT", url), ("DELETE", url), ("POST", f"{url}/cancel")):
        answer = await client.request(verb, path, headers=advisor.headers, json={} if verb != "GET" else None)
        assert answer.status_code == 404


async def test_open_orders_are_those_that_may_still_trade(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)
    pending = await an_order(runtime, advisor, row)
    over = {str(await an_order(runtime, advisor, row, status=status)) for status in ("draft", "cancelled", "rejected")}

    found = [
        {one["id"] for one in (await client.get(f"{PATH}?open={value}", headers=advisor.headers)).json()["items"]}
        for value in ("true", "false")
    ]

    assert found == [{str(pending)}, over]


async def test_the_same_client_order_id_is_taken_once(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)

    answers = [await place(client, advisor, row, client_order_id="mine-1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 409]
