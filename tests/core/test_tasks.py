import json
from typing import Any

import httpx
import pytest
from tests.core.factories import Account, Login, a_login, a_role, an_account
from websockets.asyncio.client import connect

from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.jobs.run import attempt
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

PATH = "/api/v1/background-tasks"
SHAPE = {
    "task_id", "id", "module", "kind", "status", "progress", "result", "error", "attempts", "created_at", "started_at",
    "finished_at",
}  # fmt: skip


async def count_up(task: Task, steps: int) -> dict[str, Any]:
    for step in range(steps):
        await task.progress(step + 1, steps, "counting")
    caller = task.caller()
    return {
        "for": str(caller.principal.user_id) if caller else None,
        "roles": sorted(caller.principal.roles) if caller else [],
    }


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that no manifest names, so no worker of another test runs it."""
    made = Job("wealth.count", "report", count_up, "wealth")
    monkeypatch.setitem(JOBS, made.name, made)
    return made


@pytest.fixture
async def owner(runtime: Runtime) -> Account:
    return await an_account(runtime)


@pytest.fixture
async def login(client: httpx.AsyncClient, owner: Account) -> Login:
    return await a_login(client, owner)


async def a_task(runtime: Runtime, job: Job, owner: Account, **over: Any) -> BackgroundTask:
    async with unit_of_work(runtime) as work:
        return await enqueue(work, job, {"steps": 4}, requested_by=owner.id, **over)


async def _ids(client: httpx.AsyncClient, login: Login, **params: Any) -> set[str]:
    answer = await client.get(PATH, params={"limit": 100, **params}, headers=login.headers)
    assert answer.status_code == 200, answer.text
    return {item["task_id"] for item in answer.json()["items"]}


async def test_a_task_has_the_documented_shape_before_and_after(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    task = await a_task(runtime, job, owner, progress_total=4)
    waiting = (await client.get(f"{PATH}/{task.id}", headers=login.headers)).json()
    await attempt(runtime, task.id)
    done = (await client.get(f"{PATH}/{task.id}", headers=login.headers)).json()

    assert set(waiting) == SHAPE
    assert (waiting["status"], waiting["attempts"], waiting["result"], waiting["error"]) == ("queued", 0, None, None)
    assert waiting["progress"] == {"done": 0, "total": 4, "percent": 0.0, "stage": None}
    assert done["task_id"] == done["id"] == str(task.id)
    assert (done["status"], done["kind"], done["module"]) == ("succeeded", "report", "wealth")
    assert done["progress"] == {"done": 4, "total": 4, "percent": 100.0, "stage": "counting"}
    assert done["result"]["for"] == str(owner.id)
    assert done["finished_at"].endswith("Z")


async def test_a_failure_is_shown_with_its_reason(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(_task: Task, steps: int) -> None:
        raise ValueError(steps)

    crashing = Job("wealth.crash", "report", crash, "wealth", max_attempts=1)
    monkeypatch.setitem(JOBS, crashing.name, crashing)
    task = await a_task(runtime, crashing, owner)
    await attempt(runtime, task.id)

    shown = (await client.get(f"{PATH}/{task.id}", headers=login.headers)).json()

    assert (shown["status"], shown["error"]["code"]) == ("failed", "INTERNAL")
    assert "unexpected" in shown["error"]["message"]


async def test_the_requester_administrators_and_oversight_see_a_task_and_nobody_else(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    task = await a_task(runtime, job, owner)
    overseeing = await a_role(runtime, "wealth.oversee", module="wealth")
    officer = await a_login(client, await an_account(runtime, roles=(overseeing,)))
    admin = await a_login(client, await an_account(runtime, roles=("admin",)))
    stranger = await a_login(client, await an_account(runtime))

    for who in (login, officer, admin):
        assert (await client.get(f"{PATH}/{task.id}", headers=who.headers)).status_code == 200
        assert str(task.id) in await _ids(client, who)
    assert (await client.get(f"{PATH}/{task.id}", headers=stranger.headers)).status_code == 404
    assert (await client.post(f"{PATH}/{task.id}/cancel", headers=stranger.headers)).status_code == 404
    assert (await client.post(f"{PATH}/{task.id}/cancel", headers=officer.headers)).status_code == 403
    assert await _ids(client, stranger) == set()
    assert (await client.get(f"{PATH}/{task.id}")).status_code == 401
    assert (await client.get(f"{PATH}/nonsense", headers=login.headers)).status_code == 404


async def test_the_list_filters(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    task = await a_task(runtime, job, owner)

    assert await _ids(client, login, kind="report", status="queued", module="wealth") == {str(task.id)}
    assert await _ids(client, login, status="failed") == set()
    for wrong in ("status=flying", "params=x", "fields=id"):
        assert (await client.get(f"{PATH}?{wrong}", headers=login.headers)).status_code == 422


async def test_a_task_is_cancelled_once(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    task = await a_task(runtime, job, owner)

    first = await client.post(f"{PATH}/{task.id}/cancel", headers=login.headers)
    second = await client.post(f"{PATH}/{task.id}/cancel", headers=login.headers)

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["code"]) == (409, "TASK_FINISHED")


async def test_progress_is_pushed_to_the_requester_with_the_final_status_last(
    runtime: Runtime, server: str, owner: Account, login: Login, job: Job
) -> None:
    token = login.answer["access_token"]
    async with connect(f"{server.replace('http', 'ws')}/ws/notifications?token={token}", proxy=None) as socket:
        await socket.recv()
        task = await a_task(runtime, job, owner)
        await attempt(runtime, task.id)
        frames = [json.loads(await socket.recv()) for _ in range(6)]

    assert {(frame["type"], frame["task_id"], frame["kind"]) for frame in frames} == {
        ("task.progress", str(task.id), "report")
    }
    assert [frame["status"] for frame in frames] == ["running"] * 5 + ["succeeded"]
    assert [frame["progress"]["done"] for frame in frames] == [0, 1, 2, 3, 4, 4]


async def test_a_task_of_a_blocked_requester_does_not_run(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, job: Job
) -> None:
    task = await a_task(runtime, job, owner)
    await runtime.database.pool.execute("UPDATE core.users SET is_active = false WHERE id = $1", owner.id)

    await attempt(runtime, task.id)

    row = await runtime.database.pool.fetchrow("SELECT * FROM core.background_tasks WHERE id = $1", task.id)
    assert row is not None
    assert (row["status"], row["error_code"]) == ("failed", "NOT_FOUND")
