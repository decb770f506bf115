"""Deliveries on their way: order, retries, leases, and when a webhook is switched off."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from tests.core.webhook_house import House, Receiver, a_house, a_receiver, an_owner, eventually, own_settings
from tests.wealth.factories import Actor, a_client

from atrium.core import clock
from atrium.core.changes.relay import keep_relaying
from atrium.core.config import Settings
from atrium.core.http.metrics import exposition
from atrium.core.stopping import stop
from atrium.core.webhooks import sending
from atrium.core.webhooks.delivering import keep_delivering
from atrium.core.webhooks.outcomes import MOST_ATTEMPTS, Answer, Verdict, judge, pause
from atrium.core.webhooks.pruning import prune
from atrium.core.webhooks.sending import claim, deliver, keep_sending

CREATED = "wealth.clients.created"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def hook_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    return own_settings(settings, new_database, as_application, "webhook_sending")


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


async def notices(house: House, actor: Actor) -> list[Any]:
    statement = "SELECT * FROM core.notifications WHERE user_id = $1 ORDER BY created_at"
    rows: list[Any] = await house.runtime.database.pool.fetch(statement, actor.user_id)
    return rows


async def end_leases(house: House) -> None:
    """As if thirty seconds had passed."""
    await house.runtime.database.pool.execute("UPDATE core.webhooks SET claimed_until = now()")
    await house.runtime.database.pool.execute(
        "UPDATE core.webhook_deliveries SET next_attempt_at = now() WHERE status = 'sending'"
    )


# The rules


def test_pauses_grow_from_seconds_to_hours_and_are_spread() -> None:
    spans = {attempts: [pause(attempts).total_seconds() for _ in range(200)] for attempts in range(1, MOST_ATTEMPTS)}

    for attempts, base in enumerate((5, 20, 80, 320, 1280, 5120, 14400, 14400, 14400, 14400, 14400), 1):
        assert min(spans[attempts]) >= base * 0.8
        assert max(spans[attempts]) <= base * 1.2
        assert max(spans[attempts]) - min(spans[attempts]) > base * 0.2


def test_all_attempts_together_take_most_of_a_day() -> None:
    bases = (5, 20, 80, 320, 1280, 5120, 14400, 14400, 14400, 14400, 14400)

    assert len(bases) == MOST_ATTEMPTS - 1
    assert 20 < sum(bases) / 3600 < 24


@pytest.mark.parametrize(("asked", "least"), [(0, 0), (600, 600), (10**9, 14400)])
def test_a_receiver_may_ask_for_more_time_but_not_for_ever(asked: int, least: int) -> None:
    assert least <= pause(1, asked).total_seconds() <= 14400


@pytest.mark.parametrize(
    ("answer", "attempts", "hours", "verdict"),
    [
        (Answer(200), 1, None, Verdict.DELIVERED),
        (Answer(204), 12, 30, Verdict.DELIVERED),
        (Answer(299), 1, None, Verdict.DELIVERED),
        (Answer(199), 1, None, Verdict.RETRY),
        (Answer(301), 1, None, Verdict.RETRY),
        (Answer(404), 1, None, Verdict.RETRY),
        (Answer(500), 11, 23, Verdict.RETRY),
        (Answer(500), 12, 23, Verdict.FAILED),
        (Answer(error="No answer"), 12, None, Verdict.FAILED),
        (Answer(500), 1, 24, Verdict.DISABLE),
        (Answer(410), 1, None, Verdict.DISABLE),
        (Answer(error="It is over.", is_final=True), 1, None, Verdict.DISABLE),
    ],
)
def test_what_becomes_of_an_attempt(answer: Answer, attempts: int, hours: int | None, verdict: Verdict) -> None:
    since = None if hours is None else NOW - timedelta(hours=hours)

    assert judge(answer, attempts, since, NOW)[0] is verdict


# Retries and order


async def test_what_failed_is_tried_again_later_under_the_same_id(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    receiver.then(500, 503)
    await house.send_all()
    (first,) = await house.deliveries(hook)
    assert await house.send() == 0
    await house.make_due(hook)
    await house.send_all()
    (second,) = await house.deliveries(hook)
    await house.make_due(hook)
    await house.send_all()
    (third,) = await house.deliveries(hook)

    assert [(one["status"], one["attempts"], one["response_status"]) for one in (first, second, third)] == [
        ("queued", 1, 500),
        ("queued", 2, 503),
        ("delivered", 3, 200),
    ]
    assert 3 <= (first["next_attempt_at"] - first["updated_at"]).total_seconds() <= 7
    assert 15 <= (second["next_attempt_at"] - second["updated_at"]).total_seconds() <= 25
    assert third["next_attempt_at"] is None
    assert third["delivered_at"] is not None
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.body for one in receiver.received}) == 1
    row = await house.row(hook)
    assert (row["failure_count"], row["failing_since"], row["claim"]) == (0, None, None)


async def test_later_deliveries_wait_for_the_one_that_is_tried_again(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    clients = [await a_client(house.runtime, owner) for _ in range(4)]
    receiver.then(200, 500)
    await house.send_all()
    assert len(receiver.received) == 2
    await house.make_due(hook)
    await house.send_all()

    told = [one.event["data"]["entity_id"] for one in receiver.received]
    first, second, third, fourth = map(str, clients)
    assert told == [first, second, second, third, fourth]


async def test_what_waits_is_sent_to_a_new_address_at_once(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", CREATED)
    await a_client(house.runtime, owner)
    await house.send_all()
    assert (await house.row(hook))["failure_count"] == 1

    url = receiver.url
    moved = await house.call(owner, "PATCH", f"/{hook['id']}", 200, json={"url": url})
    await house.send_all()

    assert (moved["url"], moved["health"]["failing_since"]) == (url, None)
    assert receiver.names == [CREATED]


async def test_when_its_attempts_are_used_up_the_next_goes_on(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    receiver.then(500)
    await house.dispatch()
    await house.runtime.database.pool.execute("UPDATE core.webhook_deliveries SET attempts = $1", MOST_ATTEMPTS - 1)

    await house.send_all()

    first, second = await house.deliveries(hook)
    assert (first["status"], first["attempts"], first["next_attempt_at"]) == ("failed", MOST_ATTEMPTS, None)
    assert second["status"] == "delivered"
    assert (await house.row(hook))["is_active"]


async def test_what_failed_is_sent_again_in_its_order_when_it_is_asked_for(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    clients = [await a_client(house.runtime, owner) for _ in range(3)]
    await house.dispatch()
    await house.runtime.database.pool.execute("UPDATE core.webhook_deliveries SET status = 'failed', attempts = 12")
    since = hook["created_at"]

    queued = await house.call(owner, "POST", f"/{hook['id']}/redeliver", 202, json={"since": since})
    later = (clock.now() + timedelta(hours=1)).isoformat()
    none = await house.call(owner, "POST", f"/{hook['id']}/redeliver", 202, json={"since": later})
    await house.send_all()

    assert (queued["queued"], none["queued"]) == (3, 0)
    assert [one.event["data"]["entity_id"] for one in receiver.received] == [str(one) for one in clients]
    assert [row["attempts"] for row in await house.deliveries(hook)] == [1, 1, 1]


async def test_a_webhook_that_hangs_holds_up_no_other_and_never_has_two_requests(
    house: House, owner: Actor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 1.0)
    async with a_receiver(hangs=True) as hanging:
        stuck = await house.hook(owner, hanging.url, CREATED)
        fine = await house.hook(owner, receiver.url, CREATED)
        clients = [str(await a_client(house.runtime, owner)) for _ in range(20)]
        await house.dispatch()
        tasks = [asyncio.create_task(keep_sending(house.runtime)) for _ in range(2)]

        async def is_sent() -> bool:
            return {row["status"] for row in await house.deliveries(fine)} == {"delivered"}

        async def is_left() -> bool:
            return (await house.row(stuck))["failing_since"] is not None

        await eventually(is_sent)
        await eventually(is_left)
        await stop(*tasks)

    assert [one.event["data"]["entity_id"] for one in receiver.received] == clients
    assert receiver.most_open == hanging.most_open == 1
    assert len(hanging.received) == 1
    statuses = [row["status"] for row in await house.deliveries(stuck)]
    assert statuses == ["queued"] * 20
    assert (await house.deliveries(stuck))[0]["error"] == "No answer within 1 seconds."


async def test_many_that_fail_leave_room_for_those_that_answer(house: House, owner: Actor, receiver: Receiver) -> None:
    failing = [await house.hook(owner, "http://127.0.0.1:9/", CREATED) for _ in range(6)]
    await a_client(house.runtime, owner)
    await house.dispatch()
    ids = [UUID(hook["id"]) for hook in failing]
    await house.runtime.database.pool.execute("UPDATE core.webhooks SET failing_since = now() WHERE id = ANY ($1)", ids)
    fine = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()

    claimed = await claim(house.runtime, 4, 2)

    assert UUID(fine["id"]) in {one.webhook_id for one in claimed}
    assert len(claimed) == 3
    assert await claim(house.runtime, 4, 0) == []


# Leases


async def test_nobody_sends_while_another_worker_holds_the_lease(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    await house.dispatch()

    (mine,) = await claim(house.runtime, 64, 64)

    assert await claim(house.runtime, 64, 64) == []
    assert [row["status"] for row in await house.deliveries(hook)] == ["sending", "queued"]
    assert await deliver(house.runtime, mine) is Verdict.DELIVERED


async def test_what_is_sent_again_waits_for_what_is_on_its_way(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    await house.dispatch()
    assert await house.send() == 1
    (second,) = await claim(house.runtime, 64, 64)
    first, *_ = await house.deliveries(hook)
    await house.call(owner, "POST", f"/{hook['id']}/deliveries/{first['id']}/redeliver", 202)

    assert await claim(house.runtime, 64, 64) == []

    assert await deliver(house.runtime, second) is Verdict.DELIVERED
    assert await house.send() == 1


async def test_two_workers_that_claim_at_once_take_each_webhook_once(house: House, owner: Actor) -> None:
    hooks = [await house.hook(owner, "http://127.0.0.1:9/", CREATED) for _ in range(10)]
    await a_client(house.runtime, owner)
    await house.dispatch()

    rounds = await asyncio.gather(*(claim(house.runtime, 64, 64) for _ in range(4)))

    taken = [str(one.webhook_id) for claimed in rounds for one in claimed]
    assert sorted(taken) == sorted(hook["id"] for hook in hooks)


async def test_what_a_killed_worker_was_sending_is_sent_again_under_its_id(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    await house.dispatch()
    receiver.hangs = True
    (lost,) = await claim(house.runtime, 64, 64)
    killed = asyncio.create_task(deliver(house.runtime, lost))

    async def has_arrived() -> bool:
        return bool(receiver.received)

    await eventually(has_arrived)
    await stop(killed)
    receiver.hangs = False
    assert await house.send() == 0
    await end_leases(house)
    await house.send_all()

    first, second = await house.deliveries(hook)
    assert (first["status"], first["attempts"]) == ("delivered", 2)
    assert second["status"] == "delivered"
    told = [one.headers["webhook-id"] for one in receiver.received]
    assert told == [str(first["event_id"]), str(first["event_id"]), str(second["event_id"])]


async def test_a_worker_that_ends_in_good_order_leaves_no_lease_behind(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()
    receiver.hangs = True
    ending = asyncio.create_task(keep_sending(house.runtime))

    async def has_arrived() -> bool:
        return bool(receiver.received)

    await eventually(has_arrived)
    await stop(ending)
    receiver.hangs = False

    assert (await house.row(hook))["claim"] is None
    assert await house.send() == 1
    assert [row["status"] for row in await house.deliveries(hook)] == ["delivered"]


async def test_a_worker_that_comes_back_too_late_changes_nothing(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()
    (late,) = await claim(house.runtime, 64, 64)
    await end_leases(house)
    await house.send_all()
    receiver.status = 410

    assert await deliver(house.runtime, late) is None

    (row,) = await house.deliveries(hook)
    assert (row["status"], row["response_status"]) == ("delivered", 200)
    assert (await house.row(hook))["is_active"]


async def test_a_delivery_that_takes_every_worker_with_it_is_given_up(house: House, owner: Actor) -> None:
    hook = await house.hook(owner, "http://127.0.0.1:9/", CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()
    await house.runtime.database.pool.execute("UPDATE core.webhook_deliveries SET attempts = $1", MOST_ATTEMPTS)

    await house.send_all()

    (row,) = await house.deliveries(hook)
    assert (row["status"], row["error"]) == ("failed", "Whoever sent it did not come back.")


async def test_a_worker_brings_changes_to_their_target_by_itself(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    await house.hook(owner, receiver.url, CREATED)
    tasks = [asyncio.create_task(keep(house.runtime)) for keep in (keep_relaying, keep_delivering)]
    for _ in range(3):
        await a_client(house.runtime, owner)

    async def is_there() -> bool:
        return len(receiver.received) == 3

    await eventually(is_there)
    await stop(*tasks)


# Switched off


async def test_a_receiver_that_is_gone_is_sent_nothing_more(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(3):
        await a_client(house.runtime, owner)
    receiver.status = 410
    await house.send_all()

    row = await house.row(hook)
    assert len(receiver.received) == 1
    assert (row["is_active"], row["disabled_reason"]) == (
        False,
        "The receiver answered 410 Gone: it wants nothing more.",
    )
    assert row["disabled_at"] is not None
    assert [one["status"] for one in await house.deliveries(hook)] == ["failed", "skipped", "skipped"]
    (notice,) = await notices(house, owner)
    assert (notice["module"], notice["kind"], notice["severity"]) == ("core", "system", "warning")
    assert (notice["entity_type"], str(notice["entity_id"])) == ("core.webhooks", hook["id"])
    assert notice["title"] == "A webhook was switched off"


async def test_a_webhook_that_only_failed_for_a_day_is_switched_off_and_its_owner_told(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    receiver.status = 500
    await house.send_all()
    pool = house.runtime.database.pool
    await pool.execute("UPDATE core.webhooks SET failing_since = now() - interval '23 hours 59 minutes'")
    await house.make_due(hook)
    await house.send_all()
    assert (await house.row(hook))["is_active"]
    assert await notices(house, owner) == []

    await pool.execute("UPDATE core.webhooks SET failing_since = now() - interval '24 hours'")
    await house.make_due(hook)
    await house.send_all()

    row = await house.row(hook)
    assert (row["is_active"], row["failure_count"]) == (False, 3)
    assert row["disabled_reason"].startswith("Every attempt failed since 20")
    assert [one["status"] for one in await house.deliveries(hook)] == ["failed", "skipped"]
    (notice,) = await notices(house, owner)
    assert notice["body"].startswith(row["disabled_reason"])
    logged = await pool.fetch("SELECT action FROM core.changes WHERE entity_id = $1 ORDER BY sequence", row["id"])
    assert [one["action"] for one in logged] == ["create", "disable"]


async def test_what_was_on_its_way_when_it_was_switched_off_is_not_tried_again(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()
    (mine,) = await claim(house.runtime, 64, 64)
    await house.call(owner, "POST", f"/{hook['id']}/disable", 200)
    receiver.status = 500

    await deliver(house.runtime, mine)

    (row,) = await house.deliveries(hook)
    assert (row["status"], row["response_status"], row["next_attempt_at"]) == ("skipped", 500, None)
    assert await notices(house, owner) == []


async def test_one_that_was_accepted_begins_the_day_anew(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    await house.dispatch()
    await house.runtime.database.pool.execute(
        "UPDATE core.webhooks SET failing_since = now() - interval '2 days', failure_count = 9"
    )
    receiver.then(200, 500)
    await house.send_all()

    row = await house.row(hook)
    assert (row["is_active"], row["failure_count"]) == (True, 1)
    assert clock.now() - row["failing_since"] < timedelta(minutes=1)


async def test_the_webhook_of_somebody_whose_account_ended_is_switched_off_unsent(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.dispatch()
    await house.runtime.database.pool.execute("UPDATE core.users SET is_active = false WHERE id = $1", owner.user_id)

    await house.send_all()

    assert receiver.received == []
    assert (await house.row(hook))["disabled_reason"] == "Its owner may not have webhooks any more."


async def test_a_secret_that_cannot_be_read_any_more_is_told_and_nothing_is_sent_unsigned(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    await a_client(house.runtime, owner)
    await house.runtime.database.pool.execute("UPDATE core.webhooks SET secret_enc = '\\x00' || secret_enc")

    await house.send_all()

    assert receiver.received == []
    assert "rotate it" in (await house.row(hook))["disabled_reason"]
    await house.call(owner, "POST", f"/{hook['id']}/rotate-secret", 200, json={"overlap_hours": 0})
    await house.call(owner, "POST", f"/{hook['id']}/enable", 200)
    await house.call(owner, "POST", f"/{hook['id']}/redeliver", 202, json={"since": hook["created_at"]})
    await house.send_all()
    assert len(receiver.received) == 1


# What is left behind


async def test_no_secret_signature_or_address_stands_in_the_logs(
    house: House, owner: Actor, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    for name in ("httpcore", "httpx"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    with structlog.testing.capture_logs() as entries:
        hook = await house.hook(owner, receiver.url + "?key=of-the-url", CREATED)
        rotated = await house.call(owner, "POST", f"/{hook['id']}/rotate-secret", 200)
        await a_client(house.runtime, owner)
        receiver.then(500)
        await house.send_all()
        await house.make_due(hook)
        await house.send_all()
    logging.getLogger().removeHandler(handler)
    said = "\n".join((written.getvalue(), str(entries), *capsys.readouterr()))

    assert len([one for one in entries if one["event"] == "webhook_attempted"]) == 2
    signature = receiver.received[0].headers["webhook-signature"].split(",")[1].split()[0]
    for secret in (hook["secret"], rotated["secret"], "whsec_", "of-the-url", signature):
        assert secret not in said


async def test_old_deliveries_that_ended_are_forgotten_and_open_ones_never(
    house: House, owner: Actor, receiver: Receiver
) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(4):
        await a_client(house.runtime, owner)
    await house.dispatch()
    pool = house.runtime.database.pool
    rows = await house.deliveries(hook)
    old = UUID(int=int((clock.now() - timedelta(days=31)).timestamp() * 1000) << 80)
    for place, (row, status) in enumerate(zip(rows, ("delivered", "failed", "queued", "skipped"), strict=True)):
        moved = UUID(int=old.int + place) if place < 3 else row["id"]
        await pool.execute(
            "UPDATE core.webhook_deliveries SET id = $2, status = $3, updated_at = now() - interval '31 days' "
            "WHERE id = $1",
            row["id"],
            moved,
            status,
        )
    await pool.execute("UPDATE core.webhooks SET old_secret_enc = 'x', old_secret_until = now()")

    assert await prune(house.runtime) == 2

    assert [row["status"] for row in await house.deliveries(hook)] == ["queued", "skipped"]
    assert (await house.row(hook))["old_secret_enc"] is None


async def test_outcomes_and_the_age_of_what_waits_are_counted(house: House, owner: Actor, receiver: Receiver) -> None:
    hook = await house.hook(owner, receiver.url, CREATED)
    for _ in range(2):
        await a_client(house.runtime, owner)
    receiver.then(200, 500)
    await house.send_all()
    await house.runtime.database.pool.execute(
        "UPDATE core.webhook_deliveries SET created_at = now() - interval '1 hour' WHERE webhook_id = $1",
        UUID(hook["id"]),
    )

    text = (await exposition(house.runtime)).decode()

    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("webhook"))
    assert float(figures['webhook_attempts_total{outcome="delivered"}']) >= 1
    assert float(figures['webhook_attempts_total{outcome="retry"}']) >= 1
    assert 3599 < float(figures["webhook_oldest_waiting_seconds"]) < 3700
