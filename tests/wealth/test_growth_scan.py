import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update
from tests.wealth.factories import (
    Actor,
    a_client,
    a_portal_user,
    a_stranger,
    an_administrator,
    an_advisor,
    an_officer,
    opportunities_of,
    some_clients,
    the_scan,
)

from atrium.core import clock
from atrium.core.jobs.run import attempt
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.wealth import jobs
from atrium.wealth.models.clients import Client
from atrium.wealth.models.insights import Opportunity
from atrium.wealth.rules import growth
from atrium.wealth.services import growth as scanning

PATH = "/api/v1/insights/growth-scan"


async def ask(client: httpx.AsyncClient, actor: Actor, **body: Any) -> dict[str, str]:
    answer = await client.post(PATH, headers=actor.headers, json=body)
    assert answer.status_code == 202, answer.text
    queued: dict[str, str] = answer.json()
    assert answer.headers["location"] == f"/api/v1/background-tasks/{queued['task_id']}"
    return queued


async def scan(client: httpx.AsyncClient, runtime: Runtime, actor: Actor, **body: Any) -> dict[str, str]:
    """Ask for a scan and run it as a worker does."""
    queued = await ask(client, actor, **body)
    await attempt(runtime, UUID(queued["task_id"]))
    return queued


def ago(days: int) -> Any:
    return clock.now() - timedelta(days=days)


async def change(runtime: Runtime, model: Any, row_id: UUID, **values: Any) -> None:
    async with unit_of_work(runtime) as work:
        await work.session.execute(update(model).where(model.id == row_id).values(**values))


async def test_growth_scan_runs_as_background_task(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, last_contact_at=ago(135))

    queued = await scan(client, runtime, advisor)

    assert queued["status"] == "queued"
    done = await the_scan(runtime, queued["scan_id"])
    assert (done.status, done.clients_scanned, done.opportunities_new) == ("completed", 1, 1)
    (found,) = await opportunities_of(runtime, advisor)
    assert (found.rule_code, found.client_id, found.score, found.status) == ("LAPSED_CONTACT", row, 46, "open")
    task = (await client.get(f"/api/v1/background-tasks/{queued['task_id']}", headers=advisor.headers)).json()
    assert (task["status"], task["result"]["opportunities_new"]) == ("succeeded", 1)
    assert (task["progress"]["done"], task["progress"]["total"]) == (1, 1)


async def test_a_second_scan_while_one_is_under_way_is_the_same(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)

    answers = await asyncio.gather(*(ask(client, advisor) for _ in range(5)))
    await attempt(runtime, UUID(answers[0]["task_id"]))
    after = await ask(client, advisor)

    assert len({(one["task_id"], one["scan_id"]) for one in answers}) == 1
    assert after["scan_id"] != answers[0]["scan_id"]


async def test_a_scan_that_was_given_up_does_not_keep_the_next_one_out(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor = await an_advisor(runtime)
    first = await ask(client, advisor)

    cancelled = await client.post(f"/api/v1/background-tasks/{first['task_id']}/cancel", headers=advisor.headers)
    second = await ask(client, advisor)

    assert cancelled.status_code == 200
    assert second["task_id"] != first["task_id"]
    assert (await the_scan(runtime, first["scan_id"])).status == "cancelled"


async def test_who_may_ask_for_a_scan(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    portal, officer = await a_portal_user(runtime, advisor), await an_officer(runtime)
    administrator, stranger = await an_administrator(runtime), await a_stranger(runtime)
    foreign = {"advisor_id": str(other.id)}

    async def status(actor: Actor, **body: Any) -> int:
        return (await client.post(PATH, headers=actor.headers, json=body)).status_code

    assert [await status(one) for one in (portal, officer, stranger)] == [403, 403, 404]
    assert (await client.post(PATH)).status_code == 401
    assert [await status(administrator), await status(administrator, **foreign)] == [422, 202]
    assert [await status(advisor, **foreign), await status(advisor, client_id=str(await a_client(runtime, other)))] == [
        403,
        422,
    ]


async def test_progress_follows_every_batch(
    client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    advisor = await an_advisor(runtime)
    await some_clients(runtime, advisor, 5, next_review_on=clock.today())
    monkeypatch.setattr(jobs, "BATCH", 2)

    queued = await scan(client, runtime, advisor)

    task = (await client.get(f"/api/v1/background-tasks/{queued['task_id']}", headers=advisor.headers)).json()
    assert task["progress"] == {"done": 5, "total": 5, "percent": 100, "stage": "scanning clients"}
    assert len(await opportunities_of(runtime, advisor)) == 5


async def test_a_rescan_updates_and_resolves(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    staying = await a_client(runtime, advisor, last_contact_at=ago(135))
    going = await a_client(runtime, advisor, next_review_on=clock.today())
    await scan(client, runtime, advisor)
    before = {one.client_id: one for one in await opportunities_of(runtime, advisor)}

    await change(runtime, Client, staying, last_contact_at=ago(180))
    await change(runtime, Client, going, next_review_on=None)
    queued = await scan(client, runtime, advisor)

    after = {one.client_id: one for one in await opportunities_of(runtime, advisor)}
    assert (before[staying].score, after[staying].score) == (46, 58)
    assert after[staying].first_seen_at == before[staying].first_seen_at < after[staying].last_seen_at
    assert (after[going].status, after[going].closed_at is None) == ("resolved", False)
    done = await the_scan(runtime, queued["scan_id"])
    assert (done.opportunities_new, done.opportunities_updated, done.opportunities_resolved) == (0, 1, 1)


async def test_what_was_dismissed_returns_only_when_it_is_more_urgent(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, last_contact_at=ago(100))
    await scan(client, runtime, advisor)
    (found,) = await opportunities_of(runtime, advisor)
    dismissal = {"status": "dismissed", "dismissed_reason": "knows him", "closed_at": clock.now()}
    await change(runtime, Opportunity, found.id, **dismissal)

    await scan(client, runtime, advisor)
    same = await opportunities_of(runtime, advisor)
    await change(runtime, Client, row, last_contact_at=ago(200))
    await scan(client, runtime, advisor)
    risen = await opportunities_of(runtime, advisor)

    assert [one.status for one in same] == ["dismissed"]
    assert [one.status for one in risen] == ["dismissed", "open"]


async def test_a_rule_that_raises_is_reported_and_does_not_stop_the_scan(
    client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, next_review_on=clock.today(), last_contact_at=ago(135))
    await scan(client, runtime, advisor)

    def broken(_client: growth.Subject, _today: Any) -> growth.Signal | None:
        raise ZeroDivisionError

    rules = [
        growth.Rule(one.code, one.category, one.threshold, one.cap, one.base, one.span, broken)
        if one.code == "REVIEW_DUE"
        else one
        for one in growth.RULES
    ]
    monkeypatch.setattr(growth, "RULES", rules)
    queued = await scan(client, runtime, advisor)

    task = (await client.get(f"/api/v1/background-tasks/{queued['task_id']}", headers=advisor.headers)).json()
    assert task["status"] == "succeeded"
    assert task["result"]["errors"] == [{"rule": "REVIEW_DUE", "client_id": str(row)}]
    assert [one.status for one in await opportunities_of(runtime, advisor)] == ["open", "open"]


async def test_a_scan_that_runs_twice_stores_nothing_twice(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await some_clients(runtime, advisor, 3, last_contact_at=ago(135))
    queued = await ask(client, advisor)
    async with unit_of_work(runtime) as work:
        run = await scanning.begin(work, UUID(queued["scan_id"]))
    assert run is not None
    async with unit_of_work(runtime) as work:
        await scanning.examine(work, run, run.client_ids[:2])

    await attempt(runtime, UUID(queued["task_id"]))

    done = await the_scan(runtime, queued["scan_id"])
    assert (done.opportunities_new, done.opportunities_updated) == (3, 0)
    assert len(await opportunities_of(runtime, advisor)) == 3


async def test_a_scan_of_one_client_leaves_the_others_alone(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    one, other = await some_clients(runtime, advisor, 2, last_contact_at=ago(135))
    await scan(client, runtime, advisor)
    for row in (one, other):
        await change(runtime, Client, row, last_contact_at=clock.now())

    await scan(client, runtime, advisor, client_id=str(one))

    found = {opportunity.client_id: opportunity.status for opportunity in await opportunities_of(runtime, advisor)}
    assert found == {one: "resolved", other: "open"}


async def test_a_scan_with_some_rules_asks_only_those(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await a_client(runtime, advisor, last_contact_at=ago(135), next_review_on=clock.today())

    await scan(client, runtime, advisor, rules=["REVIEW_DUE"])
    unknown = await client.post(PATH, headers=advisor.headers, json={"rules": ["GUESS"]})

    assert [one.rule_code for one in await opportunities_of(runtime, advisor)] == ["REVIEW_DUE"]
    assert unknown.status_code == 422


async def test_closed_and_deleted_clients_are_not_scanned(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor, last_contact_at=ago(135))
    await a_client(runtime, advisor, last_contact_at=ago(135), status="closed", closed_on=clock.today())
    await scan(client, runtime, advisor)

    await client.delete(f"/api/v1/clients/{row}", headers=advisor.headers)
    queued = await scan(client, runtime, advisor)

    assert [one.status for one in await opportunities_of(runtime, advisor)] == ["resolved"]
    assert (await the_scan(runtime, queued["scan_id"])).clients_scanned == 0


async def test_opportunities_are_for_staff(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    portal, officer = await a_portal_user(runtime, advisor, last_contact_at=ago(135)), await an_officer(runtime)
    await scan(client, runtime, advisor)
    (found,) = await opportunities_of(runtime, advisor)
    path = "/api/v1/insights/opportunities"

    async def status(verb: str, actor: Actor, body: Any = None) -> int:
        return (await client.request(verb, f"{path}/{found.id}", headers=actor.headers, json=body)).status_code

    reads = [await status("GET", one) for one in (advisor, officer, other, portal)]
    due = {"due_on": "2030-01-01"}
    writes = [await status("PUT", one, due) for one in (advisor, officer, other, portal)]

    assert reads == [200, 200, 404, 403]
    assert writes == [200, 403, 404, 403]
    assert await status("PUT", advisor, {"score": 1}) == 422
    listed = await client.get("/api/v1/insights/growth-scans", headers=advisor.headers)
    assert listed.json()["items"][0]["status"] == "completed"


async def test_the_requester_is_told_when_the_scan_is_done(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)

    queued = await scan(client, runtime, advisor)

    inbox = (await client.get("/api/v1/notifications", headers=advisor.headers)).json()["items"]
    assert [(one["kind"], one["entity_id"]) for one in inbox] == [("insight", queued["scan_id"])]
