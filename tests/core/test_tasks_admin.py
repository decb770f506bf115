"""Dead letters: seen with their reason, retried one by one by whose they are, and many at once by administrators."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.core.factories import Account, Login, a_login, a_role, an_account

from atrium.core import clock
from atrium.core.errors import Conflict
from atrium.core.jobs.queue import Task, enqueue
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.jobs.run import attempt
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

OWN = "/api/v1/background-tasks"
ALL = "/api/v1/admin/tasks"
WORD = "letmein"


class Moods:
    """What the job of a test does next."""

    fails = True


@pytest.fixture
def moods() -> Moods:
    return Moods()


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, moods: Moods) -> Job:
    """A job whose name is its test's own, so that what else failed in this database is not counted."""

    async def try_it(task: Task, word: str) -> dict[str, Any]:
        if moods.fails:
            raise Conflict("The book is closed.", code="BOOK_CLOSED")
        return {"word": word, "attempt": task.attempt}

    made = Job(f"wealth.try_{clock.new_id()}", "report", try_it, "wealth", max_attempts=2)
    monkeypatch.setitem(JOBS, made.name, made)
    return made


@pytest.fixture
async def owner(runtime: Runtime) -> Account:
    return await an_account(runtime)


@pytest.fixture
async def login(client: httpx.AsyncClient, owner: Account) -> Login:
    return await a_login(client, owner)


@pytest.fixture
async def admin(runtime: Runtime, client: httpx.AsyncClient) -> Login:
    return await a_login(client, await an_account(runtime, roles=("admin",)))


async def a_task(runtime: Runtime, job: Job, owner: Account, **over: Any) -> str:
    async with unit_of_work(runtime) as work:
        return str((await enqueue(work, job, {"word": WORD}, requested_by=owner.id, **over)).id)


async def a_dead_letter(runtime: Runtime, job: Job, owner: Account, **over: Any) -> str:
    task_id = await a_task(runtime, job, owner, **over)
    await attempt(runtime, UUID(task_id))
    return task_id


async def test_a_failed_task_is_retried_under_its_id_and_its_attempts_go_on(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job, moods: Moods
) -> None:
    task_id = await a_dead_letter(runtime, job, owner)
    failed = (await client.get(f"{OWN}/{task_id}", headers=login.headers)).json()
    moods.fails = False

    answer = await client.post(f"{OWN}/{task_id}/retry", headers=login.headers)
    await attempt(runtime, UUID(task_id))
    done = (await client.get(f"{OWN}/{task_id}", headers=login.headers)).json()

    assert (failed["status"], failed["error"]) == ("failed", {"code": "BOOK_CLOSED", "message": "The book is closed."})
    assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "queued", None)
    assert (answer.json()["finished_at"], answer.json()["progress"]["done"]) == (None, 0)
    assert (done["status"], done["result"]) == ("succeeded", {"word": WORD, "attempt": 2})


async def test_only_what_failed_or_was_cancelled_is_retried(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job, moods: Moods
) -> None:
    moods.fails = False
    task_id = await a_task(runtime, job, owner)
    path = f"{OWN}/{task_id}"

    queued = await client.post(f"{path}/retry", headers=login.headers)
    await client.post(f"{path}/cancel", headers=login.headers)
    cancelled = await client.post(f"{path}/retry", headers=login.headers)
    await attempt(runtime, UUID(task_id))
    succeeded = await client.post(f"{path}/retry", headers=login.headers)

    assert (queued.status_code, queued.json()["code"]) == (409, "TASK_NOT_OVER")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "queued")
    assert (succeeded.status_code, succeeded.json()["code"]) == (409, "TASK_NOT_OVER")


async def test_a_requester_retries_five_times_and_an_administrator_once_more(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, admin: Login, job: Job
) -> None:
    task_id = await a_dead_letter(runtime, job, owner)
    statuses = []
    for _ in range(6):
        statuses.append((await client.post(f"{OWN}/{task_id}/retry", headers=login.headers)).status_code)
        await attempt(runtime, UUID(task_id))
    refused = await client.post(f"{OWN}/{task_id}/retry", headers=login.headers)
    allowed = await client.post(f"{ALL}/{task_id}/retry", headers=admin.headers)

    assert statuses == [200, 200, 200, 200, 200, 409]
    assert (refused.status_code, refused.json()["code"]) == (409, "RETRIED_TOO_OFTEN")
    assert (allowed.status_code, allowed.json()["retries"], allowed.json()["status"]) == (200, 6, "queued")


async def test_nobody_retries_what_is_not_his(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, job: Job
) -> None:
    task_id = await a_dead_letter(runtime, job, owner)
    overseeing = await a_role(runtime, "wealth.oversee", module="wealth")
    officer = await a_login(client, await an_account(runtime, roles=(overseeing,)))
    stranger = await a_login(client, await an_account(runtime))

    assert (await client.post(f"{OWN}/{task_id}/retry", headers=officer.headers)).status_code == 403
    assert (await client.post(f"{OWN}/{task_id}/retry", headers=stranger.headers)).status_code == 404
    assert (await client.post(f"{OWN}/{task_id}/retry")).status_code == 401


async def test_a_retry_does_not_run_the_same_work_twice_at_once(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    key = str(clock.new_id())
    dead = await a_dead_letter(runtime, job, owner, dedupe_key=key)
    await a_task(runtime, job, owner, dedupe_key=key)

    answer = await client.post(f"{OWN}/{dead}/retry", headers=login.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_QUEUED")


async def test_the_doors_of_administrators_are_closed_to_others(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login, job: Job
) -> None:
    task_id = await a_dead_letter(runtime, job, owner)

    for method, path in (
        ("GET", ALL), ("GET", f"{ALL}/{task_id}"), ("POST", f"{ALL}/{task_id}/cancel"),
        ("POST", f"{ALL}/{task_id}/retry"), ("POST", f"{ALL}/retry"),
    ):  # fmt: skip
        assert (await client.request(method, path, headers=login.headers)).status_code == 403, path
        assert (await client.request(method, path)).status_code == 401, path


async def test_an_administrator_sees_why_it_died_and_what_it_was_to_do(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, admin: Login, job: Job
) -> None:
    task_id = await a_dead_letter(runtime, job, owner)

    shown = (await client.get(f"{ALL}/{task_id}", headers=admin.headers)).json()

    assert (shown["status"], shown["error"]["code"], shown["attempts"], shown["max_attempts"]) == (
        "failed", "BOOK_CLOSED", 1, 2,
    )  # fmt: skip
    assert (shown["job"], shown["queue"], shown["priority"], shown["params"]) == (job.name, "wealth", 1, {"word": WORD})
    assert shown["requested_by"] == str(owner.id)
    assert shown["attempted_at"].endswith("Z")
    assert (await client.get(f"{ALL}/{clock.new_id()}", headers=admin.headers)).status_code == 404


async def test_the_list_of_everybodys_tasks_filters(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, admin: Login, job: Job
) -> None:
    before = clock.stamp(clock.now())
    dead, waiting = await a_dead_letter(runtime, job, owner), await a_task(runtime, job, owner)

    async def found(**params: Any) -> set[str]:
        answer = await client.get(ALL, params={"limit": 100, "job": job.name, **params}, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["items"])
        return {item["task_id"] for item in answer.json()["items"]}

    assert await found() == {dead, waiting}
    assert await found(status="failed") == {dead}
    assert await found(error_code="BOOK_CLOSED") == {dead}
    assert await found(error_code="OTHER") == set()
    assert await found(kind="report", queue="wealth", module="wealth") == {dead, waiting}
    assert await found(requested_by=str(owner.id)) == {dead, waiting}
    assert await found(requested_by=str(clock.new_id())) == set()
    assert await found(created_at__gte=before) == {dead, waiting}
    assert await found(created_at__lt=before) == set()
    for wrong in ("status=flying", "params=x", "fields=id"):
        assert (await client.get(f"{ALL}?{wrong}", headers=admin.headers)).status_code == 422


async def test_an_administrator_cancels_anybodys_task(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, admin: Login, job: Job
) -> None:
    task_id = await a_task(runtime, job, owner)

    first = await client.post(f"{ALL}/{task_id}/cancel", headers=admin.headers)
    second = await client.post(f"{ALL}/{task_id}/cancel", headers=admin.headers)

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["code"]) == (409, "TASK_FINISHED")


@pytest.fixture
def replay(client: httpx.AsyncClient, admin: Login) -> Callable[..., Any]:
    async def ask(**body: Any) -> httpx.Response:
        return await client.post(f"{ALL}/retry", json=body, headers=admin.headers)

    return ask


async def _statuses(runtime: Runtime, job: Job) -> list[str]:
    sql = "SELECT status FROM core.background_tasks WHERE job = $1 ORDER BY created_at"
    return [row["status"] for row in await runtime.database.pool.fetch(sql, job.name)]


async def test_dead_letters_are_replayed_by_filter_the_oldest_first_and_bounded(
    runtime: Runtime, owner: Account, job: Job, moods: Moods, replay: Callable[..., Any]
) -> None:
    letters = [await a_dead_letter(runtime, job, owner) for _ in range(3)]
    moods.fails = False

    other = await replay(job=job.name, error_code="OTHER")
    two = await replay(job=job.name, error_code="BOOK_CLOSED", requested_by=str(owner.id), limit=2)
    between = await _statuses(runtime, job)
    rest = await replay(job=job.name)
    for task_id in letters:
        await attempt(runtime, UUID(task_id))

    assert (other.status_code, other.json()) == (200, {"retried": 0})
    assert (two.json(), between) == ({"retried": 2}, ["queued", "queued", "failed"])
    assert rest.json() == {"retried": 1}
    assert await _statuses(runtime, job) == ["succeeded"] * 3


async def test_a_replay_queues_what_has_the_same_key_once(
    runtime: Runtime, owner: Account, job: Job, replay: Callable[..., Any]
) -> None:
    key = str(clock.new_id())
    for _ in range(2):
        await a_dead_letter(runtime, job, owner, dedupe_key=key)

    first = await replay(job=job.name)
    second = await replay(job=job.name)

    assert (first.json(), second.json()) == ({"retried": 1}, {"retried": 0})
    assert sorted(await _statuses(runtime, job)) == ["failed", "queued"]


async def test_a_replay_says_what_it_does_not_understand(replay: Callable[..., Any]) -> None:
    for wrong in ({"limit": 1001}, {"limit": 0}, {"jobs": "x"}, {"requested_by": "me"}):
        assert (await replay(**wrong)).status_code == 422, wrong
