"""Clauses add up row by row, and nothing outlives what it hangs on: shown through the door."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import column
from tests.core.factories import a_principal
from tests.wealth.factories import (
    Actor,
    a_client,
    a_user,
    an_administrator,
    an_advisor,
    an_officer,
    an_order,
    headers_for,
)

from atrium.core.access import Clause, Policy, clause
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.wealth.models.organisation import Advisor

CLIENTS, NOTES = "/api/v1/clients", "/api/v1/notes"


async def made(client: httpx.AsyncClient, path: str, actor: Actor, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, headers=actor.headers, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
async def both(runtime: Runtime) -> tuple[Actor, UUID]:
    """An advisor who is at the same time the client of another advisor: (advisor, id of their own client record)."""
    other = await an_advisor(runtime)
    user_id = await a_user(runtime, "wealth_advisor", "client")
    async with unit_of_work(runtime) as work:
        advisor = Advisor(user_id=user_id, advisor_code=f"A-{secrets.token_hex(6)}")
        work.session.add(advisor)
        await work.session.flush()
        advisor_id = advisor.id
    client_id = await a_client(runtime, other, user_id=user_id)
    return Actor(user_id, advisor_id, await headers_for(runtime, user_id)), client_id


async def test_who_advises_and_is_advised_makes_records_of_the_own_book(
    client: httpx.AsyncClient, both: tuple[Actor, UUID]
) -> None:
    actor, _ = both

    for path, body in ((CLIENTS, {"last_name": "Rosen"}), ("/api/v1/households", {"name": "Rosen"})):
        assert (await made(client, path, actor, **body))["advisor_id"] == str(actor.id)


async def test_what_one_clause_lets_write_is_not_writable_in_the_rows_of_another(
    client: httpx.AsyncClient, both: tuple[Actor, UUID]
) -> None:
    actor, own_record = both
    booked = await made(client, CLIENTS, actor, last_name="Rosen")
    fields = {"first_name": "Ido", "risk_profile": "aggressive", "net_worth": 5, "household_id": None}

    for name, value in fields.items():
        answer = await client.put(f"{CLIENTS}/{own_record}", headers=actor.headers, json={name: value, "city": "x"})
        assert answer.status_code == 403, f"{name}: {answer.text}"
        answer = await client.put(f"{CLIENTS}/{booked['id']}", headers=actor.headers, json={name: value, "city": "x"})
        assert answer.status_code == 200, f"{name}: {answer.text}"
    contact = await client.put(f"{CLIENTS}/{own_record}", headers=actor.headers, json={"city": "Haifa"})
    gone = await client.delete(f"{CLIENTS}/{own_record}", headers=actor.headers)

    assert (contact.status_code, contact.json()["city"], contact.json()["first_name"]) == (200, "Haifa", "Nadia")
    assert gone.status_code == 403


async def test_an_own_client_record_is_no_part_of_the_own_book(
    client: httpx.AsyncClient, both: tuple[Actor, UUID]
) -> None:
    actor, own_record = both

    for path, body in (
        (NOTES, {"client_id": str(own_record), "body": "x"}),
        (f"{CLIENTS}/{own_record}/relationships", {"kind": "spouse", "name": "Daniel"}),
        ("/api/v1/orders", {"client_id": str(own_record), "symbol": "A", "quantity": 1, "basis": "advised"}),
    ):
        answer = await client.post(path, headers=actor.headers, json=body)
        assert answer.status_code == 403, f"{path}: {answer.text}"


async def test_what_hangs_on_a_deleted_client_is_gone_for_everybody(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor, officer, administrator = (
        await an_advisor(runtime),
        await an_officer(runtime),
        await an_administrator(runtime),
    )
    record = await made(client, CLIENTS, advisor, last_name="Rosen")
    under = f"{CLIENTS}/{record['id']}"
    note = await made(client, f"{under}/notes", advisor, body="x")
    relative = await made(client, f"{under}/relationships", advisor, kind="spouse", name="Daniel")
    order = await an_order(runtime, advisor, UUID(record["id"]), status="cancelled", quantity=1)
    assert (await client.delete(under, headers=advisor.headers)).status_code == 204

    for actor in (advisor, officer, administrator):
        for path in (
            under,
            f"{under}/history",
            f"{under}/notes",
            f"{under}/notes/{note['id']}",
            f"{under}/relationships",
            f"{under}/relationships/{relative['id']}",
            f"{NOTES}/{note['id']}",
            f"{NOTES}/{note['id']}/history",
        ):
            assert (await client.get(path, headers=actor.headers)).status_code == 404, path
        listed = await client.get(NOTES, headers=actor.headers, params={"client_id": record["id"]})
        assert (listed.json()["items"], listed.json()["total"]) == ([], 0)
    for actor in (advisor, administrator):
        body = {"client_id": record["id"], "body": "x"}
        assert (await client.post(NOTES, headers=actor.headers, json=body)).status_code == 422
        assert (await client.post(f"{under}/notes", headers=actor.headers, json={"body": "x"})).status_code == 404
        changed = await client.put(f"{NOTES}/{note['id']}", headers=actor.headers, json={"body": "y"})
        again = await client.delete(f"{NOTES}/{note['id']}", headers=actor.headers)
        assert (changed.status_code, again.status_code) == (404, 404)
        kept = await client.get(f"/api/v1/orders/{order}", headers=actor.headers)
        assert kept.status_code == 200  # trades stay on record


async def test_of_many_updates_with_one_if_match_one_wins(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    path = f"{CLIENTS}/{(await made(client, CLIENTS, advisor, last_name='Rosen'))['id']}"
    headers = {**advisor.headers, "If-Match": '"1"'}

    answers = await asyncio.gather(
        *(client.put(path, headers=headers, json={"city": f"City {place}"}) for place in range(10))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_an_update_never_revives_what_a_delete_took(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    for _ in range(5):
        path = f"{CLIENTS}/{(await made(client, CLIENTS, advisor, last_name='Rosen'))['id']}"
        answers: Sequence[httpx.Response] = await asyncio.gather(
            client.put(path, headers=advisor.headers, json={"city": "Haifa"}),
            client.delete(path, headers=advisor.headers),
            client.put(path, headers=advisor.headers, json={"city": "Eilat"}),
            client.delete(path, headers=advisor.headers),
        )
        statuses = [answer.status_code for answer in answers]
        assert sorted((statuses[1], statuses[3])) == [204, 404]
        assert {statuses[0], statuses[2]} <= {200, 404}
        assert (await client.get(path, headers=advisor.headers)).status_code == 404


def test_a_clause_of_some_fields_makes_and_removes_no_row() -> None:
    some = clause(claim="user_id", rows=column("mine") == 1, unlocked=("city",))
    policy = some | clause(claim="user_id", rows=column("booked") == 1)
    kind = policy.kind(a_principal())

    assert str(policy.removed(kind)) == str(policy.written(kind, ["name"])) == "booked = :booked_1"
    assert str(policy.written(kind, ["city"])) == "mine = :mine_1 OR booked = :booked_1"
    assert str(some.removed(1)) == "false"


def test_several_makers_stamp_nothing() -> None:
    one, other = Clause(claim="user_id", stamps={"a": "user_id"}), Clause(claim="user_id", stamps={"b": "user_id"})
    readers = Clause(claim="user_id", writes=False)

    assert dict(Policy((one, readers)).stamps(3)) == {"a": "user_id"}
    assert not Policy((one, other)).stamps(3)
