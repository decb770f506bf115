from uuid import UUID

import httpx
import pytest
from tests.core.factories import a_login, an_account, sql
from tests.core.mail_house import a_mail

from atrium.core import clock
from atrium.core.runtime import Runtime

PATH = "/api/v1/admin/outbox"


@pytest.fixture
async def admin(client: httpx.AsyncClient, runtime: Runtime) -> dict[str, str]:
    return (await a_login(client, await an_account(runtime, roles=("admin",)))).headers


@pytest.fixture
async def address(runtime: Runtime) -> str:
    """Somebody whom two mails were written to, one of which failed."""
    to = f"{clock.new_id()}@example.com"
    await a_mail(runtime, to=to, subject="Waiting")
    await a_mail(runtime, to=to, subject="Refused")
    await sql(
        runtime,
        "UPDATE core.outbox_messages SET status = 'failed', attempts = 3, last_error = '550 no', "
        "next_attempt_at = NULL, expires_at = now() WHERE to_address = :to AND subject = 'Refused'",
        to=to,
    )
    return to


async def id_of(runtime: Runtime, to: str, subject: str) -> UUID:
    ((found,),) = await sql(
        runtime,
        "SELECT id FROM core.outbox_messages WHERE to_address = :to AND subject = :subject",
        to=to,
        subject=subject,
    )
    return UUID(str(found))


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("", ["Refused", "Waiting"]),
        ("&status=failed", ["Refused"]),
        ("&status=queued,failed", None),
        ("&status__in=queued,failed&order_by=created_at", ["Waiting", "Refused"]),
        ("&attempts__gte=1", ["Refused"]),
        ("&template=letter&q=wait", ["Waiting"]),
        ("&next_attempt_at__isnull=true", ["Refused"]),
        ("&created_at__gt=2999-01-01T00:00:00Z", []),
    ],
)
async def test_mails_are_found_by_how_they_fare(
    client: httpx.AsyncClient, admin: dict[str, str], address: str, query: str, subjects: list[str] | None
) -> None:
    answer = await client.get(f"{PATH}?to={address}{query}", headers=admin)

    if subjects is None:
        assert answer.status_code == 422
    else:
        assert [mail["subject"] for mail in answer.json()["items"]] == subjects


async def test_one_mail_is_read_whole(
    client: httpx.AsyncClient, runtime: Runtime, admin: dict[str, str], address: str
) -> None:
    row_id = await id_of(runtime, address, "Refused")

    answer = await client.get(f"{PATH}/{row_id}", headers=admin)

    mail = answer.json()
    assert answer.status_code == 200
    assert (mail["id"], mail["status"], mail["last_error"], mail["attempts"]) == (str(row_id), "failed", "550 no", 3)
    assert "https://atrium.example/x" in mail["body_text"]
    assert "<p>Dear Dana,</p>" in mail["body_html"]
    assert "unsubscribe_url" not in mail


async def test_a_failed_mail_is_sent_again_and_only_a_failed_one(
    client: httpx.AsyncClient, runtime: Runtime, admin: dict[str, str], address: str
) -> None:
    row_id = await id_of(runtime, address, "Refused")

    again = await client.post(f"{PATH}/{row_id}/retry", headers=admin)
    twice = await client.post(f"{PATH}/{row_id}/retry", headers=admin)

    mail = again.json()
    assert (again.status_code, mail["status"], mail["attempts"], mail["last_error"]) == (200, "queued", 0, None)
    ((due, useful),) = await sql(
        runtime,
        "SELECT next_attempt_at <= now(), expires_at > now() + interval '2 days' FROM core.outbox_messages "
        "WHERE id = :id",
        id=row_id,
    )
    assert (due, useful) == (True, True)
    assert (twice.status_code, twice.json()["code"], twice.json()["from"]) == (409, "MAIL_NOT_FAILED", "queued")
    logged = await sql(
        runtime,
        "SELECT action FROM core.changes WHERE entity_type = 'core.outbox_messages' AND entity_id = :id",
        id=row_id,
    )
    assert logged == [("retry",)]


async def test_the_outbox_is_nobody_elses(client: httpx.AsyncClient, runtime: Runtime, address: str) -> None:
    row_id = await id_of(runtime, address, "Refused")
    somebody = await a_login(client, await an_account(runtime))
    calls = [("GET", PATH), ("GET", f"{PATH}/{row_id}"), ("POST", f"{PATH}/{row_id}/retry")]

    for verb, path in calls:
        assert (await client.request(verb, path)).status_code == 401
        assert (await client.request(verb, path, headers=somebody.headers)).status_code == 403


async def test_a_mail_that_is_not_there(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    for row_id in (clock.new_id(), "nonsense"):
        assert (await client.get(f"{PATH}/{row_id}", headers=admin)).status_code == 404
        assert (await client.post(f"{PATH}/{row_id}/retry", headers=admin)).status_code == 404
