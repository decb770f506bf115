from typing import Any

import httpx
import pytest
from tests.wealth.factories import (
    Actor,
    a_client,
    a_portal_user,
    a_stranger,
    a_team,
    an_administrator,
    an_advisor,
    an_officer,
    an_order,
    headers_for,
    some_clients,
)

from atrium.core.runtime import Runtime

PATH = "/api/v1/clients"


async def listed(client: httpx.AsyncClient, actor: Actor, path: str = PATH, **params: Any) -> dict[str, Any]:
    answer = await client.get(path, headers=actor.headers, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_protected_endpoint_rejects_unauthenticated_request(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_advisor_can_only_access_their_own_clients(client: httpx.AsyncClient, runtime: Runtime) -> None:
    one, other = await an_advisor(runtime), await an_advisor(runtime)
    own, foreign = await a_client(runtime, one), await a_client(runtime, other, last_name="Hidden")

    found = await listed(client, one)

    assert [row["id"] for row in found["items"]] == [str(own)]
    for verb, body in (("GET", None), ("PUT", {"city": "Haifa"}), ("DELETE", None)):
        refused = await client.request(verb, f"{PATH}/{foreign}", headers=one.headers, json=body)
        assert refused.status_code == 404
    for params in ({"q": "Hidden"}, {"last_name": "Hidden"}, {"advisor_id": str(other.id)}):
        assert (await listed(client, one, **params))["items"] == []


async def test_list_clients_with_pagination_and_filtering(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await some_clients(runtime, advisor, 50, risk_profile="aggressive")
    await some_clients(runtime, advisor, 3, risk_profile="conservative")

    pages = [await listed(client, advisor, page=n, limit=20, risk_profile="aggressive") for n in (1, 2, 3)]

    assert [(len(one["items"]), one["total"], one["pages"]) for one in pages] == [(20, 50, 3), (20, 50, 3), (10, 50, 3)]
    seen = [row for one in pages for row in one["items"]]
    assert len({row["id"] for row in seen}) == 50
    assert {row["risk_profile"] for row in seen} == {"aggressive"}


async def test_update_client_profile(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{await a_client(runtime, advisor, city='Acre')}"
    before = (await client.get(url, headers=advisor.headers)).json()

    after = (await client.put(url, headers=advisor.headers, json={"city": "Haifa", "phone": "1"})).json()

    changed = {"city": "Haifa", "phone": "1", "version": before["version"] + 1, "updated_at": after["updated_at"]}
    assert after == {**before, **changed}


async def test_an_advisor_needs_only_a_name_to_make_a_client(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)

    made = await client.post(PATH, headers=advisor.headers, json={"last_name": "Rosen"})
    entity = await client.post(PATH, headers=advisor.headers, json={"type": "trust", "entity_name": "Rosen Trust"})
    nameless = await client.post(PATH, headers=advisor.headers, json={"first_name": "Nadia"})
    foreign = await client.post(PATH, headers=advisor.headers, json={"last_name": "X", "advisor_id": str(other.id)})

    assert (made.status_code, entity.status_code) == (201, 201)
    record = made.json()
    assert (record["advisor_id"], record["status"], record["kyc_status"]) == (
        str(advisor.id),
        "prospect",
        "not_started",
    )
    assert record["client_number"] != entity.json()["client_number"]
    assert (nameless.status_code, foreign.status_code) == (422, 403)
    assert foreign.json()["code"] == "ADVISOR_MISMATCH"


@pytest.mark.parametrize(
    "sent",
    [{"kyc_status": "approved"}, {"is_pep": True}, {"risk_score": 5}, {"client_number": "C1"}, {"version": 7}],
)
async def test_an_advisor_does_not_decide_what_is_decided_elsewhere(
    client: httpx.AsyncClient, runtime: Runtime, sent: dict[str, Any]
) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{await a_client(runtime, advisor)}"

    answer = await client.put(url, headers=advisor.headers, json=sent)

    assert answer.status_code == 422
    assert answer.json()["code"] == "UNKNOWN_FIELD"


async def test_a_client_cannot_be_moved_out_of_the_book(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    row = await a_client(runtime, advisor)

    moved = await client.put(f"{PATH}/{row}", headers=advisor.headers, json={"advisor_id": str(other.id)})

    assert moved.status_code == 422


async def test_a_household_of_another_book_is_not_found(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    household = await client.post("/api/v1/households", headers=other.headers, json={"name": "Rosen"})
    sent = {"last_name": "Rosen", "household_id": household.json()["id"]}

    answer = await client.post(PATH, headers=advisor.headers, json=sent)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"loc": ["body", "household_id"], "msg": "not found", "type": "not_found"}]


async def test_a_declared_risk_profile_says_so(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, risk_profile="moderate", risk_profile_source="assessed", risk_score=40)

    kept = await client.put(f"{PATH}/{row}", headers=advisor.headers, json={"city": "Haifa"})
    declared = await client.put(f"{PATH}/{row}", headers=advisor.headers, json={"risk_profile": "aggressive"})

    assert kept.json()["risk_profile_source"] == "assessed"
    assert declared.json()["risk_profile_source"] == "declared"


async def test_a_deleted_client_is_gone(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{await a_client(runtime, advisor)}"

    assert (await client.delete(url, headers=advisor.headers)).status_code == 204
    assert (await client.get(url, headers=advisor.headers)).status_code == 404
    assert (await listed(client, advisor))["total"] == 0


async def test_a_client_with_open_orders_stays(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)
    order = await an_order(runtime, advisor, row)

    refused = await client.delete(f"{PATH}/{row}", headers=advisor.headers)
    await client.post(f"/api/v1/orders/{order}/cancel", headers=advisor.headers)
    gone = await client.delete(f"{PATH}/{row}", headers=advisor.headers)

    assert (refused.status_code, refused.json()["code"]) == (409, "CLIENT_HAS_OPEN_ORDERS")
    assert gone.status_code == 204


async def test_a_portal_user_sees_and_writes_itself(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    portal, other = await a_portal_user(runtime, advisor), await a_client(runtime, advisor)

    found = await listed(client, portal)
    contact = await client.put(f"{PATH}/{portal.id}", headers=portal.headers, json={"city": "Haifa"})
    standing = await client.put(f"{PATH}/{portal.id}", headers=portal.headers, json={"status": "active"})
    foreign = await client.get(f"{PATH}/{other}", headers=portal.headers)
    made = await client.post(PATH, headers=portal.headers, json={"last_name": "X"})

    assert [row["id"] for row in found["items"]] == [str(portal.id)]
    assert (contact.status_code, contact.json()["city"]) == (200, "Haifa")
    assert (standing.status_code, foreign.status_code, made.status_code) == (422, 404, 403)


async def test_an_officer_reads_all_and_writes_nothing(client: httpx.AsyncClient, runtime: Runtime) -> None:
    officer, row = await an_officer(runtime), await a_client(runtime, await an_advisor(runtime))

    assert (await client.get(f"{PATH}/{row}", headers=officer.headers)).status_code == 200
    for answer in (
        await client.put(f"{PATH}/{row}", headers=officer.headers, json={"city": "Haifa"}),
        await client.delete(f"{PATH}/{row}", headers=officer.headers),
        await client.post(PATH, headers=officer.headers, json={"last_name": "X"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_a_user_of_another_system_finds_nothing(client: httpx.AsyncClient, runtime: Runtime) -> None:
    stranger, row = await a_stranger(runtime), await a_client(runtime, await an_advisor(runtime))

    for path in (PATH, f"{PATH}/{row}", "/api/v1/orders", "/api/v1/notes", "/api/v1/households"):
        assert (await client.get(path, headers=stranger.headers)).status_code == 404


async def test_a_team_that_shares_its_books_works_on_all_of_them(client: httpx.AsyncClient, runtime: Runtime) -> None:
    team = await a_team(runtime, share_book=True)
    one, mate = await an_advisor(runtime, team_id=team), await an_advisor(runtime, team_id=team)
    row = await a_client(runtime, mate)
    order = {"client_id": str(row), "symbol": "AAPL", "quantity": 1}

    assert (await listed(client, one))["total"] == 1
    changed = await client.put(f"{PATH}/{row}", headers=one.headers, json={"city": "Haifa"})
    placed = await client.post("/api/v1/orders", headers=one.headers, json=order)
    noted = await client.post(f"{PATH}/{row}/notes", headers=one.headers, json={"body": "Called."})
    own = await client.post(PATH, headers=one.headers, json={"last_name": "Rosen"})

    assert (changed.status_code, placed.status_code, noted.status_code) == (200, 201, 201)
    assert placed.json()["advisor_id"] == str(mate.id)
    assert own.json()["advisor_id"] == str(one.id)


async def test_a_team_that_keeps_its_books_apart(client: httpx.AsyncClient, runtime: Runtime) -> None:
    team = await a_team(runtime)
    one, mate = await an_advisor(runtime, team_id=team), await an_advisor(runtime, team_id=team)
    await a_client(runtime, mate)

    assert (await listed(client, one))["total"] == 0


async def test_an_administrator_hands_a_client_over(client: httpx.AsyncClient, runtime: Runtime) -> None:
    administrator = await an_administrator(runtime)
    one, other = await an_advisor(runtime), await an_advisor(runtime)
    row = await a_client(runtime, one)
    order = {"client_id": str(row), "symbol": "AAPL", "quantity": 1}
    placed = (await client.post("/api/v1/orders", headers=one.headers, json=order)).json()

    moved = await client.put(f"{PATH}/{row}", headers=administrator.headers, json={"advisor_id": str(other.id)})

    assert moved.status_code == 200
    for actor, status in ((one, 404), (other, 200)):
        assert (await client.get(f"{PATH}/{row}", headers=actor.headers)).status_code == status
        assert (await client.get(f"/api/v1/orders/{placed['id']}", headers=actor.headers)).status_code == status


@pytest.mark.parametrize("query", ["q=ROS nad", "search=rosen", "q=adi"])
async def test_search_finds_every_word_of_a_name(client: httpx.AsyncClient, runtime: Runtime, query: str) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, first_name="Nadia", last_name="Rosen")
    await a_client(runtime, advisor, first_name="Daniel", last_name="Haddad")

    found = (await client.get(f"{PATH}?{query}", headers=advisor.headers)).json()

    assert [one["id"] for one in found["items"]] == [str(row)]


async def test_clients_with_portal_access(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    portal, without = await a_portal_user(runtime, advisor), await a_client(runtime, advisor)

    found = [await listed(client, advisor, has_portal_user=value) for value in ("true", "false")]

    assert [one["items"][0]["id"] for one in found] == [str(portal.id), str(without)]


async def test_losing_the_link_ends_the_tokens_that_carry_it(client: httpx.AsyncClient, runtime: Runtime) -> None:
    administrator, advisor = await an_administrator(runtime), await an_advisor(runtime)
    portal = await a_portal_user(runtime, advisor)

    await client.put(f"{PATH}/{portal.id}", headers=administrator.headers, json={"user_id": None})
    before, after = await portal.principal(runtime), await headers_for(runtime, portal.user_id)

    assert before.version == 1
    assert before.claims == {}
    assert (await client.get(PATH, headers=after)).json()["total"] == 0
