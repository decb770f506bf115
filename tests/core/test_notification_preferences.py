import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from tests.core.factories import Account, Login, a_login, an_account, sql

from atrium.core import clock
from atrium.core.errors import Conflict
from atrium.core.identity.mails import VERIFY_EMAIL
from atrium.core.notifications import unsubscribe
from atrium.core.notifications.mail import send_mail
from atrium.core.notifications.messages import Mail, compose
from atrium.core.notifications.rules import QuietHours, quiet_until, wants_mail, zone_of
from atrium.core.notifications.services import notify
from atrium.core.notifications.unsubscribe import Subscription
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

PATH = "/api/v1/notifications/preferences"
NIGHT = QuietHours(time(22), time(7))


@pytest.fixture
async def owner(runtime: Runtime) -> Account:
    return await an_account(runtime)


@pytest.fixture
async def login(client: httpx.AsyncClient, owner: Account) -> Login:
    return await a_login(client, owner)


async def tell(runtime: Runtime, user_id: UUID, **over: Any) -> None:
    values = {"module": "wealth", "kind": "order", "title": "Order filled", "severity": "critical", **over}
    async with unit_of_work(runtime) as work:
        await notify(work, user_id, **values)


async def mails_to(runtime: Runtime, account: Account) -> list[Any]:
    return await sql(runtime, "SELECT * FROM core.outbox_messages WHERE to_address = :to ORDER BY id", to=account.email)


async def choose(client: httpx.AsyncClient, login: Login, **wanted: Any) -> dict[str, Any]:
    answer = await client.patch(PATH, json=wanted, headers=login.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_who_chose_nothing_gets_the_defaults(client: httpx.AsyncClient, login: Login) -> None:
    answer = await client.get(PATH, headers=login.headers)

    assert answer.json() == {
        "email": {"default": ["critical"]},
        "quiet_hours": None,
        "timezone": "UTC",
        "digest": "none",
        "updated_at": None,
    }
    assert (await client.get(PATH)).status_code == 401


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
async def test_what_is_named_changes_kind_by_kind(client: httpx.AsyncClient, login: Login, verb: str) -> None:
    first = {"email": {"order": ["warning", "critical"], "chat": []}, "quiet_hours": {"from": "22:00", "to": "07:00"}}
    await client.request(verb, PATH, json=first, headers=login.headers)
    await client.request(verb, PATH, json={"email": {"default": ["info"], "order": None}}, headers=login.headers)
    answer = await client.request(verb, PATH, json={"digest": "none"}, headers=login.headers)

    assert answer.status_code == 200
    assert answer.json() == (await client.get(PATH, headers=login.headers)).json()
    assert answer.json() | {"updated_at": None} == {
        "email": {"default": ["info"], "chat": []},
        "quiet_hours": {"from": "22:00", "to": "07:00"},
        "timezone": "UTC",
        "digest": "none",
        "updated_at": None,
    }

    answer = await client.request(verb, PATH, json={"email": None, "quiet_hours": None}, headers=login.headers)
    assert (answer.json()["email"], answer.json()["quiet_hours"]) == ({"default": ["critical"]}, None)


@pytest.mark.parametrize(
    "body",
    [
        {"email": {"nonsense": []}},
        {"email": {"order": ["urgent"]}},
        {"email": ["critical"]},
        {"quiet_hours": {"from": "22:00"}},
        {"quiet_hours": {"from": "24:00", "to": "07:00"}},
        {"quiet_hours": {"from": "22:00\n", "to": "07:00"}},
        {"quiet_hours": {"from": "07:00", "to": "07:00"}},
        {"digest": "daily"},
        {"sms": True},
    ],
)
async def test_what_cannot_be_chosen(client: httpx.AsyncClient, login: Login, body: dict[str, Any]) -> None:
    answer = await client.patch(PATH, json=body, headers=login.headers)

    assert answer.status_code == 422
    assert (await client.get(PATH, headers=login.headers)).json()["updated_at"] is None


async def test_two_who_choose_at_once_both_get_what_they_chose(client: httpx.AsyncClient, login: Login) -> None:
    kinds = ("order", "chat", "goal", "lead", "task")
    await asyncio.gather(*(choose(client, login, email={kind: []}) for kind in kinds))

    found = (await client.get(PATH, headers=login.headers)).json()["email"]
    assert found == {"default": ["critical"], **{kind: [] for kind in kinds}}


async def test_a_notification_is_repeated_by_mail_as_chosen(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    await choose(client, login, email={"order": ["warning"], "chat": [], "default": ["info"]})
    for kind in ("order", "chat", "goal"):
        for severity in ("info", "warning", "critical"):
            await tell(runtime, owner.id, kind=kind, severity=severity, title=f"{kind} {severity}")

    mails = await mails_to(runtime, owner)

    assert [mail.subject for mail in mails] == ["order warning", "goal info"]
    assert {(mail.template, mail.user_id) for mail in mails} == {("notification", owner.id)}


async def test_by_default_only_what_is_critical_is_mailed(runtime: Runtime, owner: Account) -> None:
    await tell(runtime, owner.id, severity="warning")
    await tell(runtime, owner.id, title="Margin\r\nBcc: x@example.com", body="<b>Now</b>")

    (mail,) = await mails_to(runtime, owner)

    assert mail.subject == "Margin Bcc: x@example.com"
    assert "<b>Now</b>" in mail.body_text
    assert "&lt;b&gt;Now&lt;/b&gt;" in mail.body_html


@pytest.mark.parametrize("state", ["is_verified = false", "is_active = false", "deleted_at = now()"])
async def test_nobody_is_mailed_who_may_not_be_the_owner_of_the_address(
    runtime: Runtime, owner: Account, state: str
) -> None:
    await sql(runtime, f"UPDATE core.users SET {state} WHERE id = :id", id=owner.id)

    await tell(runtime, owner.id)

    assert await mails_to(runtime, owner) == []


async def test_a_mail_of_a_rolled_back_notification_never_exists(runtime: Runtime, owner: Account) -> None:
    async def fail() -> None:
        async with unit_of_work(runtime) as work:
            await notify(work, owner.id, module="wealth", kind="order", title="x", severity="critical")
            raise Conflict

    with pytest.raises(Conflict):
        await fail()

    assert await mails_to(runtime, owner) == []


async def test_in_quiet_hours_a_mail_waits_unless_it_is_critical(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql(runtime, "UPDATE core.users SET timezone = 'Asia/Jerusalem' WHERE id = :id", id=owner.id)
    found = await choose(
        client, login, email={"order": ["info", "critical"]}, quiet_hours={"from": "22:00", "to": "07:00"}
    )
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 10, 23, 30, tzinfo=UTC))  # 01:30 there
    await tell(runtime, owner.id, severity="info", title="later")
    await tell(runtime, owner.id, severity="critical", title="now")
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 10, 12, tzinfo=UTC))
    await tell(runtime, owner.id, severity="info", title="by day")

    due = {mail.subject: mail.next_attempt_at for mail in await mails_to(runtime, owner)}

    assert found["timezone"] == "Asia/Jerusalem"
    assert due == {
        "later": datetime(2026, 1, 11, 5, tzinfo=UTC),
        "now": datetime(2026, 1, 10, 23, 30, tzinfo=UTC),
        "by day": datetime(2026, 1, 10, 12, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("zone", "hours", "now", "end"),
    [
        ("UTC", NIGHT, "2026-03-01T21:59:59", None),
        ("UTC", NIGHT, "2026-03-01T22:00:00", "2026-03-02T07:00:00"),
        ("UTC", NIGHT, "2026-03-01T23:59:59", "2026-03-02T07:00:00"),
        ("UTC", NIGHT, "2026-03-02T00:00:00", "2026-03-02T07:00:00"),
        ("UTC", NIGHT, "2026-03-02T06:59:59", "2026-03-02T07:00:00"),
        ("UTC", NIGHT, "2026-03-02T07:00:00", None),
        ("UTC", QuietHours(time(12), time(14)), "2026-03-02T13:00:00", "2026-03-02T14:00:00"),
        ("UTC", QuietHours(time(12), time(14)), "2026-03-02T11:59:59", None),
        # Half past eleven in the evening of the 1st in New York is the 2nd in UTC.
        ("America/New_York", NIGHT, "2026-03-02T04:30:00", "2026-03-02T12:00:00"),
        # In Auckland it is the 2nd already while UTC has the 1st.
        ("Pacific/Auckland", QuietHours(time(12), time(14)), "2026-03-01T23:30:00", "2026-03-02T01:00:00"),
        # Berlin's clocks go forward at 2 on 29 March: the night is an hour shorter.
        ("Europe/Berlin", NIGHT, "2026-03-28T22:00:00", "2026-03-29T05:00:00"),
        ("Europe/Berlin", NIGHT, "2026-03-29T04:59:59", "2026-03-29T05:00:00"),
        ("Europe/Berlin", NIGHT, "2026-03-29T05:00:00", None),
        # Half past two does not exist that night; the clock has passed it at half past three.
        ("Europe/Berlin", QuietHours(time(22), time(2, 30)), "2026-03-29T01:10:00", "2026-03-29T01:30:00"),
        # They go back at 3 on 25 October: the night is an hour longer, and half past two comes twice.
        ("Europe/Berlin", NIGHT, "2026-10-24T21:00:00", "2026-10-25T06:00:00"),
        ("Europe/Berlin", QuietHours(time(22), time(2, 30)), "2026-10-25T00:45:00", "2026-10-25T01:30:00"),
        ("Europe/Berlin", QuietHours(time(22), time(2, 30)), "2026-10-25T01:30:00", None),
        ("Mars/Olympus_Mons", NIGHT, "2026-03-01T22:30:00", "2026-03-02T07:00:00"),
        ("", NIGHT, "2026-03-01T12:00:00", None),
        ("UTC", None, "2026-03-01T22:30:00", None),
    ],
)
def test_quiet_hours_end_when_the_users_own_clock_says_so(
    zone: str, hours: QuietHours | None, now: str, end: str | None
) -> None:
    found = quiet_until(hours, zone_of(zone), datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert found == (datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None)


def test_quiet_hours_never_last_longer_than_a_day_and_an_hour() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for quarter in range(4 * 24 * 365):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        end = quiet_until(NIGHT, zone, now)
        local = now.astimezone(zone).time()
        assert (end is not None) == (local >= time(22) or local < time(7))
        assert end is None or now < end <= now + timedelta(hours=10)


def test_the_choice_for_a_kind_wins_over_that_for_all() -> None:
    assert wants_mail({}, "order", "critical")
    assert not wants_mail({}, "order", "warning")
    assert wants_mail({"default": ["info"]}, "order", "info")
    assert not wants_mail({"default": ["info"]}, "order", "critical")
    assert not wants_mail({"default": ["info"], "order": []}, "order", "info")


async def link_to(runtime: Runtime, owner: Account) -> str:
    await tell(runtime, owner.id)
    return str((await mails_to(runtime, owner))[-1].unsubscribe_url)


async def test_one_click_turns_the_mails_of_one_kind_off(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    link = await link_to(runtime, owner)
    url = link.removeprefix(runtime.settings.public_url)

    shown = await client.get(url)
    assert (shown.status_code, shown.json()) == (200, {"kind": "order", "is_subscribed": True})
    await tell(runtime, owner.id)
    assert len(await mails_to(runtime, owner)) == 2

    for _ in range(2):
        done = await client.post(url, data={"List-Unsubscribe": "One-Click"})
        assert (done.status_code, done.json()) == (200, {"kind": "order", "is_subscribed": False})
    await tell(runtime, owner.id)
    await tell(runtime, owner.id, kind="goal")

    assert [mail.context["kind"] for mail in await mails_to(runtime, owner)] == ["order", "order", "goal"]
    assert (await client.get(PATH, headers=login.headers)).json()["email"] == {"default": ["critical"], "order": []}


async def test_people_see_a_page_with_a_button(runtime: Runtime, client: httpx.AsyncClient, owner: Account) -> None:
    url = (await link_to(runtime, owner)).removeprefix(runtime.settings.public_url)

    page = await client.get(url, headers={"Accept": "text/html,*/*"})
    done = await client.post(url, headers={"Accept": "text/html,*/*"})

    assert page.headers["content-type"].startswith("text/html")
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert '<form method="post">' in page.text
    assert "<b>order</b>" in page.text
    assert "no more mails" in done.text


def signed(runtime: Runtime, said: str) -> str:
    return f"{said}.{unsubscribe._signature(runtime.settings.secret_key, said)}"


async def test_a_forged_link_turns_nothing_off(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    stranger = await an_account(runtime)
    token = urlsplit(await link_to(runtime, stranger)).query.removeprefix("token=")
    said, _, signature = token.rpartition(".")
    user_id, kind, moment = said.split(".")
    forged = [
        f"{owner.id}.{kind}.{moment}.{signature}",
        f"{user_id}.goal.{moment}.{signature}",
        f"{user_id}.{kind}.{int(moment) + 1}.{signature}",
        f"{said}.{signature[:-1]}",
        f"{said}.",
        said,
        "",
        "....",
        "é.é",
        signed(runtime, f"{user_id}.default.{moment}"),
    ]

    for each in forged:
        for verb in ("GET", "POST"):
            answer = await client.request(verb, unsubscribe.PATH, params={"token": each})
            assert (answer.status_code, answer.json()["code"]) == (403, "BAD_UNSUBSCRIBE_LINK"), each
    assert (await client.post(unsubscribe.PATH)).status_code == 403
    assert (await client.get(PATH, headers=login.headers)).json()["updated_at"] is None


async def test_a_link_expires(runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login) -> None:
    before = clock.now() - unsubscribe.LASTS - timedelta(seconds=2)
    url = unsubscribe.link(runtime.settings, Subscription(owner.id, "order"), before)

    answer = await client.post(url.removeprefix(runtime.settings.public_url))

    assert (answer.status_code, answer.json()["code"]) == (410, "UNSUBSCRIBE_LINK_EXPIRED")
    assert (await client.get(PATH, headers=login.headers)).json()["updated_at"] is None


async def test_a_link_of_an_account_that_is_gone_is_gone(runtime: Runtime, client: httpx.AsyncClient) -> None:
    url = unsubscribe.link(runtime.settings, Subscription(clock.new_id(), "order"), clock.now())

    assert (await client.post(url.removeprefix(runtime.settings.public_url))).status_code == 410


async def test_only_notifications_can_be_turned_off(runtime: Runtime, owner: Account) -> None:
    await tell(runtime, owner.id)
    async with unit_of_work(runtime) as work:
        await send_mail(work, VERIFY_EMAIL, to=owner.email, context={"name": "x", "link": "x"}, user_id=owner.id)
    messages = {}
    for row in await mails_to(runtime, owner):
        mail = Mail(row.id, row.to_address, row.subject, row.body_text, row.body_html, row.unsubscribe_url, clock.now())
        messages[row.template] = compose(mail, msgspec.structs.replace(runtime.settings, smtp_from="a@example.com"))

    told, verify = messages["notification"], messages["verify_email"]
    assert told["List-Unsubscribe"].startswith(
        f"<{runtime.settings.public_url}{unsubscribe.PATH}?token={owner.id}.order."
    )
    assert told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert verify["List-Unsubscribe"] is None
    assert verify["List-Unsubscribe-Post"] is None


async def test_mails_about_an_account_come_whatever_was_chosen(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    await choose(client, login, email={"default": [], "system": []}, quiet_hours={"from": "00:00", "to": "23:59"})

    await client.post("/api/v1/auth/forgot-password", json={"email": owner.email})

    (mail,) = await mails_to(runtime, owner)
    assert mail.template == "reset_password"
    assert mail.next_attempt_at <= clock.now()
    assert mail.unsubscribe_url is None
    assert mail.expires_at - mail.next_attempt_at == timedelta(hours=1)
