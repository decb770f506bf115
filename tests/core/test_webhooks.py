"""Webhooks over HTTP: who may have them, what they may ask for, and that a secret is shown once."""

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.core.factories import a_role
from tests.core.webhook_house import House, Receiver, a_house, a_receiver, an_owner, own_settings, permit
from tests.wealth.factories import Actor, a_client, a_stranger, an_administrator, an_advisor, headers_for

from atrium.core.config import Settings
from atrium.core.secrets import Unreadable
from atrium.core.webhooks.sealing import unseal_secret

URL = "http://127.0.0.1:9/hooks"
FINE = {"url": URL, "events": ["wealth.clients.*"]}


@pytest.fixture(scope="module")
def hook_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    return own_settings(settings, new_database, as_application, "webhooks")


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


async def test_a_webhook_is_made_with_a_secret_that_is_shown_once(house: House, owner: Actor) -> None:
    answer = await house.client.post("/api/v1/webhooks", headers=owner.headers, json=FINE)

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    assert (made["owner_id"], made["module"], made["is_active"]) == (str(owner.user_id), "wealth", True)
    assert made["health"] == {"failure_count": 0, "failing_since": None, "waiting": 0, "oldest_waiting_at": None}
    seen = await house.call(owner, "GET", f"/{made['id']}", 200)
    listed = await house.call(owner, "GET", "", 200)
    assert seen == {name: value for name, value in made.items() if name != "secret"}
    assert listed["items"] == [seen]
    assert made["secret"] not in str(listed)


async def test_a_secret_is_ciphertext_in_the_database_and_bound_to_its_row(house: House, owner: Actor) -> None:
    made = await house.hook(owner, URL)

    row = await house.row(made)
    assert made["secret"].encode() not in bytes(row["secret_enc"])
    assert unseal_secret(house.runtime.settings, row["id"], row["secret_enc"]) == made["secret"]
    with pytest.raises(Unreadable):
        unseal_secret(house.runtime.settings, uuid4(), row["secret_enc"])


async def test_a_secret_is_neither_in_the_change_log_nor_among_kept_answers(house: House, owner: Actor) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    made = await house.call(owner, "POST", "", 201, json=FINE, headers=headers)
    rotated = await house.call(owner, "POST", f"/{made['id']}/rotate-secret", 200, headers=headers)

    pool = house.runtime.database.pool
    statement = "SELECT action, changes::text AS t FROM core.changes WHERE entity_id = $1"
    logged = await pool.fetch(statement, UUID(made["id"]))
    kept = await pool.fetchval("SELECT count(*) FROM core.idempotency_keys")
    assert {row["action"] for row in logged} == {"create", "update", "rotate_secret"}
    for secret in (made["secret"], rotated["secret"]):
        assert not any(secret in row["t"] or "secret_enc" in row["t"] for row in logged)
    assert kept == 0


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "must name 1 to 50 events"),
        (["wealth.client.created"], "did you mean wealth.clients"),
        (["wealth.clients.create"], "it is called wealth.clients.created"),
        (["wealth.clients"], "names no table"),
        (["crm.*"], "names no module: there are wealth"),
        (["wealth.clients.Created"], "must end in one of created, updated, deleted"),
        (["core.webhooks.*"], "names no table"),
        (["**"], "names no"),
    ],
)
async def test_events_that_never_happen_are_refused_with_those_that_do(
    house: House, owner: Actor, events: list[str], says: str
) -> None:
    refused = await house.call(owner, "POST", "", 422, json={**FINE, "events": events})

    assert says in refused["detail"]
    assert refused["errors"][0]["loc"][:2] == ["body", "events"]
    assert "wealth.clients.{created|updated|deleted|restored|<verb>|*}" in refused["allowed"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "must begin with https:// or http://"),
        ("https://user:secret@example.com/", "must not hold a name or a password"),
        ("https:///path", "must name a host"),
        ("https://example.com/#part", "no fragment"),
        ("http://[::1", "is not a URL"),
        ("https://example.com:99999/", "a port below 65536"),
        ("http://10.0.0.7/", "no public address"),
        ("http://169.254.169.254/latest/meta-data", "no public address"),
        ("http://[::1]/", "no public address"),
        ("http://[::ffff:10.0.0.1]/", "no public address"),
        ("http://0.0.0.0/", "no public address"),
        ("http://nobody.invalid/", "not known"),
    ],
)
async def test_addresses_where_nothing_may_be_sent_are_refused(house: House, owner: Actor, url: str, says: str) -> None:
    refused = await house.call(owner, "POST", "", 422, json={**FINE, "url": url})
    made = await house.hook(owner, URL)
    changed = await house.call(owner, "PATCH", f"/{made['id']}", 422, json={"url": url})

    assert says in refused["detail"]
    assert refused["errors"][0]["loc"] == ["body", "url"]
    assert says in changed["detail"]


@pytest.mark.parametrize("field", ["secret", "owner_id", "is_active", "secret_enc"])
async def test_what_the_server_says_cannot_be_sent(house: House, owner: Actor, field: str) -> None:
    made = await house.hook(owner, URL)

    await house.call(owner, "POST", "", 422, json={**FINE, field: "x"})
    await house.call(owner, "PATCH", f"/{made['id']}", 422, json={field: "x"})


async def test_an_owner_changes_a_webhook_that_nobody_else_changed_meanwhile(house: House, owner: Actor) -> None:
    made = await house.hook(owner, URL)
    path, headers = f"/api/v1/webhooks/{made['id']}", owner.headers
    tag = (await house.client.get(path, headers=headers)).headers["etag"]

    changed = await house.client.patch(
        path, headers={**headers, "If-Match": tag}, json={"events": ["*", "*"], "description": "All of it"}
    )
    late = await house.client.patch(path, headers={**headers, "If-Match": tag}, json={"description": None})

    assert changed.status_code == 200
    assert (changed.json()["events"], changed.json()["module"], changed.json()["description"]) == (
        ["*"],
        "core",
        "All of it",
    )
    assert late.status_code == 412
    assert changed.headers["etag"] == (await house.client.get(path, headers=headers)).headers["etag"] != tag


VERBS = (
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/rotate-secret"),
    ("POST", "/test"),
    ("POST", "/enable"),
    ("POST", "/disable"),
    ("POST", "/redeliver"),
    ("GET", "/deliveries"),
    ("GET", "/deliveries/01900000-0000-7000-8000-000000000001"),
    ("POST", "/deliveries/01900000-0000-7000-8000-000000000001/redeliver"),
)
BODIES = {"PATCH": {"description": "mine"}, "/redeliver": {"since": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(("method", "path"), VERBS, ids=str)
async def test_a_webhook_of_somebody_else_is_not_there(house: House, owner: Actor, method: str, path: str) -> None:
    made = await house.hook(owner, URL)
    other, body = await an_owner(house.runtime), BODIES.get(method) or BODIES.get(path)

    await house.call(other, method, f"/{made['id']}{path}", 404, **({"json": body} if body else {}))
    await house.call(other, method, f"/nonsense{path}", 404, **({"json": body} if body else {}))

    assert (await house.call(owner, "GET", f"/{made['id']}", 200))["description"] is None


@pytest.mark.parametrize(("method", "path"), VERBS, ids=str)
async def test_whoever_lost_the_permission_has_no_webhooks_any_more(
    house: House, owner: Actor, method: str, path: str
) -> None:
    made = await house.hook(owner, URL)
    await house.runtime.database.pool.execute(
        "DELETE FROM core.user_roles WHERE user_id = $1 AND role_id IN "
        "(SELECT id FROM core.roles WHERE code LIKE 'role_%')",
        owner.user_id,
    )
    former = Actor(owner.user_id, owner.id, await headers_for(house.runtime, owner.user_id))
    body = BODIES.get(method) or BODIES.get(path)

    await house.call(former, method, f"/{made['id']}{path}", 404, **({"json": body} if body else {}))


async def test_without_the_permission_there_are_no_webhooks(house: House) -> None:
    stranger, advisor = await a_stranger(house.runtime), await an_advisor(house.runtime)

    for actor in (stranger, advisor):
        await house.call(actor, "GET", "", 404)
        await house.call(actor, "POST", "", 404, json=FINE)
    anonymous = await house.client.get("/api/v1/webhooks")
    assert anonymous.status_code == 401


async def test_an_administrator_sees_and_ends_the_webhooks_of_others(house: House, owner: Actor) -> None:
    made = await house.hook(owner, URL)
    administrator = await an_administrator(house.runtime)

    listed = await house.call(administrator, "GET", "", 200)
    await house.call(administrator, "POST", f"/{made['id']}/disable", 200)
    await house.call(administrator, "DELETE", f"/{made['id']}", 204)

    assert [row["id"] for row in listed["items"]] == [made["id"]]
    assert "secret" not in listed["items"][0]
    await house.call(owner, "GET", f"/{made['id']}", 404)


async def test_nobody_has_more_than_fifty(house: House, owner: Actor) -> None:
    await house.hook(owner, URL)
    columns = "owner_id, module, url, events, secret_enc"
    await house.runtime.database.pool.execute(
        f"INSERT INTO core.webhooks (id, {columns}) SELECT gen_random_uuid(), {columns} "
        "FROM core.webhooks, generate_series(1, 49) WHERE owner_id = $1",
        owner.user_id,
    )

    refused = await house.call(owner, "POST", "", 409, json=FINE)

    assert refused["code"] == "TOO_MANY_WEBHOOKS"


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_while(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    rotated = await house.call(owner, "POST", f"/{made['id']}/rotate-secret", 200, json={"overlap_hours": 1})
    await a_client(house.runtime, owner)
    await house.send_all()
    both = receiver.received[-1]

    await house.runtime.database.pool.execute("UPDATE core.webhooks SET old_secret_until = now()")
    await a_client(house.runtime, owner)
    await house.send_all()
    one = receiver.received[-1]

    assert rotated["secret"] != made["secret"]
    assert both.is_signed_with(made["secret"])
    assert both.is_signed_with(rotated["secret"])
    assert not one.is_signed_with(made["secret"])
    assert one.is_signed_with(rotated["secret"])
    assert len(both.headers["webhook-signature"].split()) == 2
    assert len(one.headers["webhook-signature"].split()) == 1


async def test_an_old_secret_can_be_ended_at_once(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")

    rotated = await house.call(owner, "POST", f"/{made['id']}/rotate-secret", 200, json={"overlap_hours": 0})
    await a_client(house.runtime, owner)
    await house.send_all()

    assert rotated["old_secret_until"] is None
    assert not receiver.received[0].is_signed_with(made["secret"])
    assert receiver.received[0].is_signed_with(rotated["secret"])


async def test_a_test_event_is_sent_once_before_all_that_waits(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    await a_client(house.runtime, owner)
    await house.dispatch()

    queued = await house.call(owner, "POST", f"/{made['id']}/test", 202)
    receiver.then(500)
    await house.send_all()

    assert receiver.names == ["core.webhooks.test", "wealth.clients.created"]
    seen = await house.call(owner, "GET", f"/{made['id']}/deliveries/{queued['delivery_id']}", 200)
    assert (seen["status"], seen["attempts"], seen["response_status"]) == ("failed", 1, 500)
    assert receiver.received[0].is_signed_with(made["secret"])


async def test_a_webhook_that_is_switched_off_is_sent_nothing(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    await a_client(house.runtime, owner)
    await house.dispatch()

    off = await house.call(owner, "POST", f"/{made['id']}/disable", 200)
    await a_client(house.runtime, owner)
    await house.send_all()

    assert (off["is_active"], off["disabled_reason"]) == (False, "Switched off by hand.")
    assert receiver.received == []
    assert [row["status"] for row in await house.deliveries(made)] == ["skipped", "skipped"]
    for path in ("test", "redeliver"):
        body = {"since": "2026-01-01T00:00:00Z"} if path == "redeliver" else {}
        refused = await house.call(owner, "POST", f"/{made['id']}/{path}", 409, json=body)
        assert refused["code"] == "WEBHOOK_INACTIVE"


async def test_what_was_missed_is_sent_when_it_is_asked_for(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    await house.call(owner, "POST", f"/{made['id']}/disable", 200)
    clients = [await a_client(house.runtime, owner) for _ in range(3)]
    await house.send_all()

    on = await house.call(owner, "POST", f"/{made['id']}/enable", 200)
    again = await house.call(owner, "POST", f"/{made['id']}/redeliver", 202, json={"since": made["created_at"]})
    await house.send_all()

    assert (on["is_active"], on["disabled_at"], on["disabled_reason"]) == (True, None, None)
    assert again == {"queued": 3}
    assert [one.event["data"]["entity_id"] for one in receiver.received] == [str(one) for one in clients]
    none = await house.call(owner, "POST", f"/{made['id']}/redeliver", 202, json={"since": made["created_at"]})
    assert none == {"queued": 0}


async def test_a_delivery_is_sent_again_under_its_old_id(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    await a_client(house.runtime, owner)
    await house.send_all()
    (delivery,) = await house.deliveries(made)
    path = f"/{made['id']}/deliveries/{delivery['id']}"

    queued = await house.call(owner, "POST", f"{path}/redeliver", 202)
    refused = await house.call(owner, "POST", f"{path}/redeliver", 409)
    await house.send_all()

    first, second = receiver.received
    assert (queued["status"], queued["attempts"]) == ("queued", 0)
    assert refused["code"] == "DELIVERY_OPEN"
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(delivery["event_id"])
    assert first.body == second.body


async def test_the_log_of_deliveries_tells_what_was_answered(house: House, owner: Actor, receiver: Receiver) -> None:
    made = await house.hook(owner, receiver.url, "wealth.clients.created")
    receiver.answer = b"\x00\xffno room" + b"x" * 10_000
    await a_client(house.runtime, owner)
    receiver.then(507)
    await house.send_all()

    listed = await house.call(owner, "GET", f"/{made['id']}/deliveries?status=queued", 200)
    empty = await house.call(owner, "GET", f"/{made['id']}/deliveries?status=delivered", 200)
    (seen,) = listed["items"]

    assert empty["items"] == []
    assert (seen["status"], seen["attempts"], seen["response_status"]) == ("queued", 1, 507)
    assert seen["response_excerpt"].startswith("��no room")
    assert len(seen["response_excerpt"]) == 2048
    assert seen["duration_ms"] >= 0
    assert seen["payload"]["type"] == "wealth.clients.created"
    health = (await house.call(owner, "GET", f"/{made['id']}", 200))["health"]
    assert (health["failure_count"], health["waiting"]) == (1, 1)


async def test_a_role_of_core_that_lacks_the_permission_is_refused_by_name(house: House) -> None:
    stranger = await a_stranger(house.runtime)
    role = await a_role(house.runtime, "core.something.else")
    await house.runtime.database.pool.execute(
        "INSERT INTO core.user_roles (id, user_id, role_id) SELECT gen_random_uuid(), $1, id FROM core.roles "
        "WHERE code = $2",
        stranger.user_id,
        role,
    )
    known = Actor(stranger.user_id, stranger.id, await headers_for(house.runtime, stranger.user_id))

    refused = await house.call(known, "GET", "", 403)

    assert "core.webhooks.manage" in refused["detail"]
    await permit(house.runtime, stranger.user_id)
