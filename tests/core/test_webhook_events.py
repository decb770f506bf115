"""Which changes become deliveries, for whom, and what they tell."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.core.webhook_house import House, Receiver, a_house, a_receiver, an_owner, eventually, own_settings, permit
from tests.wealth.factories import Actor, a_client, a_portal_user, a_team, an_administrator, an_order, headers_for

from atrium.core import clock
from atrium.core.changes.record import record
from atrium.core.changes.relay import chain_batch
from atrium.core.config import Settings
from atrium.core.services import Caller, unit_of_work
from atrium.core.webhooks import sight
from atrium.core.webhooks.dispatching import CURSOR, dispatch_batch
from atrium.wealth.models.clients import Client


@pytest.fixture(scope="module")
def hook_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    return own_settings(settings, new_database, as_application, "webhook_events")


@pytest.fixture(scope="module")
async def house(hook_settings: Settings) -> AsyncIterator[House]:
    async with a_house(hook_settings) as opened:
        yield opened


@pytest.fixture
async def owner(house: House) -> AsyncIterator[Actor]:
    yield await an_owner(house.runtime)
    await house.runtime.database.pool.execute("DELETE FROM core.webhooks")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as one:
        yield one


async def names(house: House, hook: Any) -> list[str]:
    await house.dispatch()
    return [row["event"] for row in await house.deliveries(hook)]


async def payloads(house: House, hook: Any) -> list[Any]:
    await house.dispatch()
    return [msgspec.json.decode(row["payload"]) for row in await house.deliveries(hook)]


async def change_client(house: House, actor: Actor, client: UUID, **values: Any) -> None:
    answer = await house.client.patch(f"/api/v1/clients/{client}", headers=actor.headers, json=values)
    assert answer.status_code == 200, answer.text


async def test_what_happens_to_a_record_is_told_in_order(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, "wealth.clients.*")
    client = await a_client(house.runtime, owner)
    await change_client(house, owner, client, city="Haifa")
    await change_client(house, owner, client, city="Akko")
    await house.client.delete(f"/api/v1/clients/{client}", headers=owner.headers)

    await house.send_all()

    assert receiver.names == [f"wealth.clients.{what}" for what in ("created", "updated", "updated", "deleted")]
    assert all(one.is_signed_with(hook["secret"]) for one in receiver.received)
    assert all(one.headers["content-type"] == "application/json" for one in receiver.received)
    first, second, *_ = (one.event for one in receiver.received)
    assert first["data"]["entity_id"] == str(client)
    assert first["data"]["changes"]["last_name"] == [None, "Rosen"]
    assert second["data"]["changes"] == {"city": [None, "Haifa"]}
    assert second["data"]["actor_id"] == str(owner.user_id)
    assert second["timestamp"].endswith("Z")
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 4


async def test_a_verb_is_an_event_of_its_own(house: House, owner: Actor) -> None:
    cancels = await house.hook(owner, "http://127.0.0.1:9/", "wealth.orders.cancel")
    everything = await house.hook(owner, "http://127.0.0.1:9/", "wealth.orders.*")
    client = await a_client(house.runtime, owner, kyc_status="approved", status="active")
    order = await an_order(house.runtime, owner, client, status="draft")
    answer = await house.client.post(f"/api/v1/orders/{order}/cancel", headers=owner.headers)
    assert answer.status_code == 200, answer.text

    assert await names(house, cancels) == ["wealth.orders.cancel"]
    assert await names(house, everything) == ["wealth.orders.created", "wealth.orders.cancel"]
    (told,) = await payloads(house, cancels)
    assert told["data"]["from_status"] == "draft"


@pytest.mark.parametrize(
    ("pattern", "is_told"),
    [
        ("*", True),
        ("wealth.*", True),
        ("wealth.clients.*", True),
        ("wealth.clients.created", True),
        ("wealth.clients.updated", False),
        ("wealth.orders.*", False),
    ],
)
async def test_only_events_that_were_asked_for_are_noted(
    house: House, owner: Actor, pattern: str, is_told: bool
) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", pattern)
    client = await a_client(house.runtime, owner)

    await house.dispatch()

    noted = [row for row in await house.deliveries(hook) if str(client) in row["payload"]]
    assert len(noted) == int(is_told)


async def test_nobody_is_told_of_records_of_others(house: House, owner: Actor) -> None:
    other = await an_owner(house.runtime)
    hooks = [await house.hook(one, "http://127.0.0.1:9/", "*") for one in (owner, other)]
    client = await a_client(house.runtime, owner)
    await change_client(house, owner, client, city="Haifa")

    assert await names(house, hooks[0]) == ["wealth.clients.created", "wealth.clients.updated"]
    assert await names(house, hooks[1]) == []


async def test_a_team_that_shares_its_book_is_told_and_only_while_it_does(house: House, owner: Actor) -> None:
    pool = house.runtime.database.pool
    team = await a_team(house.runtime, share_book=True)
    first, second = await an_owner(house.runtime, team_id=team), await an_owner(house.runtime, team_id=team)
    hook = await house.hook(second, "http://127.0.0.1:9/", "wealth.clients.*")
    await a_client(house.runtime, first)
    assert await names(house, hook) == ["wealth.clients.created"]

    await pool.execute("UPDATE wealth.teams SET share_book = false WHERE id = $1", team)
    await a_client(house.runtime, first)

    assert await names(house, hook) == ["wealth.clients.created"]


async def test_an_administrator_is_told_of_everything(house: House, owner: Actor) -> None:
    administrator = await an_administrator(house.runtime)
    hook = await house.hook(administrator, "http://127.0.0.1:9/", "wealth.clients.created")

    await a_client(house.runtime, owner)

    assert await names(house, hook) == ["wealth.clients.created"]


async def test_fields_that_an_owner_may_not_see_are_not_told(house: House, owner: Actor) -> None:
    pool = house.runtime.database.pool
    household = await pool.fetchval(
        "INSERT INTO wealth.households (id, name, advisor_id) VALUES (gen_random_uuid(), 'Rosen', $1) RETURNING id",
        owner.id,
    )
    portal = await a_portal_user(house.runtime, owner, household_id=household)
    await permit(house.runtime, portal.user_id)
    client = Actor(portal.user_id, portal.id, await headers_for(house.runtime, portal.user_id))
    theirs = await house.hook(client, "http://127.0.0.1:9/", "wealth.households.*")
    mine = await house.hook(owner, "http://127.0.0.1:9/", "wealth.households.*")
    await pool.execute("UPDATE wealth.households SET name = 'Levi', notes = 'Rich.' WHERE id = $1", household)
    await pool.execute("UPDATE wealth.households SET notes = 'Very rich.' WHERE id = $1", household)

    told, full = await payloads(house, theirs), await payloads(house, mine)

    assert [one["data"]["changes"] for one in told] == [{"name": ["Rosen", "Levi"]}]
    assert [set(one["data"]["changes"]) for one in full] == [{"name", "notes"}, {"notes"}]


async def test_numbers_are_told_with_all_their_digits(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.updated")
    client = await a_client(house.runtime, owner)
    exact = Decimal("1234567890123456.7891")
    await house.runtime.database.pool.execute("UPDATE wealth.clients SET net_worth = $2 WHERE id = $1", client, exact)

    await house.dispatch()

    (row,) = await house.deliveries(hook)
    assert "1234567890123456.7891" in row["payload"]


async def test_a_record_that_is_really_gone_is_told_to_those_who_could_read_it(house: House, owner: Actor) -> None:
    other = await an_owner(house.runtime)
    hooks = [await house.hook(one, "http://127.0.0.1:9/", "wealth.clients.*") for one in (owner, other)]
    client = await a_client(house.runtime, owner)
    await house.runtime.database.pool.execute("UPDATE wealth.clients SET city = 'Haifa' WHERE id = $1", client)
    await house.runtime.database.pool.execute("DELETE FROM wealth.clients WHERE id = $1", client)

    told = [await names(house, hook) for hook in hooks]

    assert told == [["wealth.clients.created", "wealth.clients.updated", "wealth.clients.deleted"], []]


async def test_a_child_that_is_gone_is_judged_through_its_parent(house: House, owner: Actor) -> None:
    other = await an_owner(house.runtime)
    hooks = [await house.hook(one, "http://127.0.0.1:9/", "wealth.notes.*") for one in (owner, other)]
    client = await a_client(house.runtime, owner)
    made = await house.client.post(
        "/api/v1/notes", headers=owner.headers, json={"client_id": str(client), "body": "Called."}
    )
    assert made.status_code == 201, made.text
    await house.runtime.database.pool.execute("DELETE FROM wealth.notes WHERE id = $1", UUID(made.json()["id"]))

    told = [await names(house, hook) for hook in hooks]

    assert told == [["wealth.notes.created", "wealth.notes.deleted"], []]


async def test_what_cannot_be_judged_any_more_holds_up_nothing(
    house: House, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.*")
    bad, good = await a_client(house.runtime, owner), await a_client(house.runtime, owner)
    await house.runtime.database.pool.execute("DELETE FROM wealth.clients WHERE id = ANY ($1)", [bad, good])
    judged = sight._old

    def broken(row_id: UUID, changes: str) -> str:
        return '{"advisor_id": 7, "id": 1}' if row_id == bad else judged(row_id, changes)

    monkeypatch.setattr(sight, "_old", broken)

    with capture_logs() as logs:
        await house.dispatch()

    told = {msgspec.json.decode(row["payload"])["data"]["entity_id"] for row in await house.deliveries(hook)}
    assert told == {str(good)}
    assert [entry["row_id"] for entry in logs if entry["event"] == "record_not_judged"] == [str(bad)]


async def test_what_was_logged_without_a_change_is_told_too(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.reveal")
    client = await a_client(house.runtime, owner)
    async with unit_of_work(house.runtime, Caller(await owner.principal(house.runtime))) as work:
        await record(work, module="wealth", action="reveal", entity_type="wealth.clients", entity_id=client)

    (told,) = await payloads(house, hook)

    assert told["data"]["changes"] == {}


async def test_what_holds_no_pairs_of_values_holds_up_nothing(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.*")
    client = await a_client(house.runtime, owner)
    odd: dict[str, Any] = {"format": "csv", "rows": 3, "ids": [1, 2, 3], "city": None}
    async with unit_of_work(house.runtime) as work:
        await record(
            work, module="wealth", action="export", entity_type="wealth.clients", entity_id=client, changes=odd
        )

    assert await names(house, hook) == ["wealth.clients.created", "wealth.clients.export"]
    assert (await payloads(house, hook))[1]["data"]["changes"] == {}


async def test_a_record_is_created_or_deleted_whatever_the_verb_that_did_it(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.*")
    async with unit_of_work(house.runtime, action="migrate") as work:
        made = Client(advisor_id=owner.id, first_name="Nadia", last_name="Rosen")
        work.session.add(made)
        await work.session.flush()
        made.city = "Haifa"
        await work.session.flush()
        made.deleted_at = clock.now()
        await work.session.flush()
        made.deleted_at = None
        await work.session.flush()
        await work.session.delete(made)

    told = await payloads(house, hook)

    assert [one["type"].rpartition(".")[2] for one in told] == ["created", "migrate", "deleted", "restored", "deleted"]
    assert {one["data"]["action"] for one in told} == {"migrate"}


async def test_a_webhook_is_told_nothing_of_what_was_before_it(house: House, owner: Actor) -> None:
    await a_client(house.runtime, owner)
    await chain_batch(house.runtime)

    hook = await house.hook(owner, "http://127.0.0.1:9/", "*")

    assert await names(house, hook) == []


async def test_who_lost_the_permission_or_the_account_is_told_nothing(house: House, owner: Actor) -> None:
    pool = house.runtime.database.pool
    other = await an_owner(house.runtime)
    hooks = [await house.hook(one, "http://127.0.0.1:9/", "*") for one in (owner, other)]
    await pool.execute(
        "DELETE FROM core.user_roles WHERE user_id = $1 AND role_id IN "
        "(SELECT id FROM core.roles WHERE code LIKE 'role_%')",
        owner.user_id,
    )
    await pool.execute("UPDATE core.users SET is_active = false WHERE id = $1", other.user_id)
    for actor in (owner, other):
        await a_client(house.runtime, actor)

    assert [await names(house, hook) for hook in hooks] == [[], []]


async def test_a_webhook_that_was_switched_off_long_ago_is_noted_nothing(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", "*")
    await house.call(owner, "POST", f"/{hook['id']}/disable", 200)
    long_ago = clock.now() - timedelta(days=31)
    await house.runtime.database.pool.execute("UPDATE core.webhooks SET disabled_at = $1", long_ago)

    await a_client(house.runtime, owner)

    assert await names(house, hook) == []


async def test_a_dispatcher_that_is_killed_in_the_middle_loses_and_repeats_nothing(house: House, owner: Actor) -> None:
    pool = house.runtime.database.pool
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.created")
    await house.dispatch()
    clients = [await a_client(house.runtime, owner) for _ in range(3)]
    await chain_batch(house.runtime)
    killed = await pool.acquire()
    await killed.execute("BEGIN")
    await killed.fetch("SELECT FROM core.change_relay WHERE name = $1 FOR UPDATE", CURSOR)
    assert await dispatch_batch(house.runtime) == 0
    killed.terminate()
    await pool.release(killed)

    async def is_noted() -> bool:
        await dispatch_batch(house.runtime, 1)
        return len(await house.deliveries(hook)) == 3

    await eventually(is_noted)
    told = [msgspec.json.decode(row["payload"])["data"]["entity_id"] for row in await house.deliveries(hook)]
    assert told == [str(one) for one in clients]


async def test_a_batch_that_is_read_again_is_noted_once(house: House, owner: Actor) -> None:
    pool = house.runtime.database.pool
    hook = await house.hook(owner, "http://127.0.0.1:9/", "wealth.clients.*")
    before = await pool.fetchval("SELECT position FROM core.change_relay WHERE name = 'webhooks'")
    await a_client(house.runtime, owner)
    await house.dispatch()
    await pool.execute("UPDATE core.change_relay SET position = $1 WHERE name = 'webhooks'", before)

    assert await names(house, hook) == ["wealth.clients.created"]
