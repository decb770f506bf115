from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.wealth.factories import Actor, a_client, an_advisor, an_officer, opportunities_of

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import Invalid, InvalidTransition
from atrium.core.jobs.run import attempt
from atrium.core.runtime import Runtime
from atrium.wealth.models.insights import ACTIVE, Opportunity
from atrium.wealth.rules import opportunities

PATH = "/api/v1/insights/opportunities"
NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
TOMORROW = date(2026, 6, 16)
ADVISOR = Principal(uuid4(), "wealth_advisor", frozenset({"wealth_advisor"}), frozenset({opportunities.UPDATE}))
STATUSES = (*ACTIVE, "won", "dismissed", "resolved", "expired")
STEPS = {
    "start": ("in_progress", {"open", "snoozed"}),
    "win": ("won", set(ACTIVE)),
    "snooze": ("snoozed", set(ACTIVE)),
    "dismiss": ("dismissed", set(ACTIVE)),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", STEPS)
def test_every_step_from_every_status(status: str, action: str) -> None:
    to, origins = STEPS[action]
    row = Opportunity(status=status)

    if status in origins:
        assert opportunities.take(row, action, ADVISOR, NOW, until=TOMORROW, reason="no")
        assert (row.status, row.closed_at) == (to, None if to in ACTIVE else NOW)
        assert row.snoozed_until == (TOMORROW if to == "snoozed" else None)
    elif status == to:
        assert not opportunities.take(row, action, ADVISOR, NOW)
    else:
        with pytest.raises(InvalidTransition) as refused:
            opportunities.take(row, action, ADVISOR, NOW)
        allowed = [name for name, (_to, origins) in STEPS.items() if status in origins]
        assert refused.value.members == {"from": status, "to": to, "allowed": allowed}


@pytest.mark.parametrize("until", [None, NOW.date(), NOW.date() - timedelta(days=1)])
def test_a_snooze_ends_in_the_future(until: date | None) -> None:
    with pytest.raises(Invalid):
        opportunities.take(Opportunity(status="open"), "snooze", ADVISOR, NOW, until=until)


async def found_for(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> str:
    await a_client(runtime, advisor, last_contact_at=clock.now() - timedelta(days=135))
    return await rescan(client, runtime, advisor)


async def rescan(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> str:
    queued = await client.post("/api/v1/insights/growth-scan", headers=advisor.headers)
    await attempt(runtime, UUID(queued.json()["task_id"]))
    return str((await opportunities_of(runtime, advisor))[0].id)


async def test_an_advisor_works_on_an_opportunity(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{await found_for(client, runtime, advisor)}"

    async def step(action: str, body: Any = None, actor: Actor = advisor) -> httpx.Response:
        return await client.post(f"{url}/{action}", headers=actor.headers, json=body)

    assert (await step("snooze", {"until": "2999-01-01"})).json()["snoozed_until"] == "2999-01-01"
    assert (await step("start")).json()["status"] == "in_progress"
    assert (await step("dismiss", {})).status_code == 422
    dismissed = await step("dismiss", {"reason": "knows him"})
    again = await step("dismiss", {"reason": "really"})
    won = await step("win")

    assert (dismissed.json()["dismissed_reason"], again.json()["dismissed_reason"]) == ("knows him", "knows him")
    assert dismissed.json()["version"] == again.json()["version"]
    assert (won.status_code, won.json()["allowed"]) == (409, [])
    assert (await step("win", actor=await an_officer(runtime))).status_code == 403
    assert (await step("win", actor=await an_advisor(runtime))).status_code == 404


async def test_a_snooze_that_is_over_ends_with_the_next_scan(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    url = f"{PATH}/{await found_for(client, runtime, advisor)}"
    tomorrow = clock.today() + timedelta(days=1)
    await client.post(f"{url}/snooze", headers=advisor.headers, json={"until": tomorrow.isoformat()})
    await rescan(client, runtime, advisor)
    asleep = (await client.get(url, headers=advisor.headers)).json()

    await runtime.database.pool.execute(
        "UPDATE wealth.opportunities SET snoozed_until = $1 WHERE id = $2", clock.today(), UUID(asleep["id"])
    )
    await rescan(client, runtime, advisor)
    awake = (await client.get(url, headers=advisor.headers)).json()

    assert (asleep["status"], awake["status"], awake["snoozed_until"]) == ("snoozed", "open", None)
