"""Schedules: one task per due moment, what becomes of missed ones, and what administrators do with them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx
import msgspec
import pytest
from tests.core.factories import Login, a_login, an_account
from tests.core.job_house import MakeJob

from atrium.core import clock
from atrium.core.jobs import planning
from atrium.core.jobs.models import Schedule
from atrium.core.jobs.queue import Task
from atrium.core.jobs.schedules import SCHEDULES, Missed, Plan, scheduled
from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working

PATH = "/api/v1/admin/schedules"
HOUR = timedelta(hours=1)
MakePlan = Callable[..., Plan]


async def do_nothing(_task: Task, moment: str | None = None) -> dict[str, Any]:
    return {"moment": moment}


@pytest.fixture
def make_plan(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Declares a schedule for one test, hourly unless told otherwise."""

    def make(missed: Missed = "once", cron: str = "0 * * * *", name: str = "", timezone: str = "UTC") -> Plan:
        name = name or f"tests.{clock.new_id()}"
        plan = Plan(name, make_job(name, do_nothing, queue="media"), cron, timezone, missed)
        monkeypatch.setitem(SCHEDULES, name, plan)
        return plan

    return make


async def _set_back(runtime: Runtime, plan: Plan, moment: datetime) -> None:
    await runtime.database.pool.execute("UPDATE core.schedules SET next_run_at = $2 WHERE name = $1", plan.name, moment)


async def _row(runtime: Runtime, plan: Plan) -> Any:
    return await runtime.database.pool.fetchrow("SELECT * FROM core.schedules WHERE name = $1", plan.name)


async def _tasks(runtime: Runtime, plan: Plan) -> list[Any]:
    """The tasks that a schedule made, the earliest moment first."""
    sql = "SELECT * FROM core.background_tasks WHERE job = $1 ORDER BY run_after, id"
    return await runtime.database.pool.fetch(sql, plan.job.name)


def _last_hour() -> datetime:
    return clock.now().replace(minute=0, second=0, microsecond=0)


async def test_nothing_is_made_before_the_first_moment(workshop: Runtime, make_plan: MakePlan) -> None:
    plan = make_plan()

    await planning.declare(workshop)
    await planning.make_due_tasks(workshop)

    row = await _row(workshop, plan)
    assert await _tasks(workshop, plan) == []
    assert (row["next_run_at"], row["last_run_at"]) == (_last_hour() + HOUR, None)


async def test_one_task_is_made_for_a_moment_however_many_workers_look(workshop: Runtime, make_plan: MakePlan) -> None:
    plan, moment = make_plan(), _last_hour()
    await planning.declare(workshop)
    await _set_back(workshop, plan, moment)

    await asyncio.gather(*(planning.make_due_tasks(workshop) for _ in range(8)))

    (task,), row = await _tasks(workshop, plan), await _row(workshop, plan)
    assert task["dedupe_key"] == f"schedule:{plan.name}:{clock.stamp(moment)}"
    assert (task["run_after"], task["requested_by"]) == (moment, None)
    assert (row["last_run_at"], row["last_task_id"], row["next_run_at"]) == (moment, task["id"], moment + HOUR)


@pytest.mark.parametrize(("missed", "moments"), [("once", [0]), ("each", [3, 2, 1, 0])])
async def test_after_an_outage_the_missed_moments_are_made_up_for_as_declared(
    workshop: Runtime, make_plan: MakePlan, missed: Missed, moments: list[int]
) -> None:
    plan, last = make_plan(missed), _last_hour()
    await planning.declare(workshop)
    await _set_back(workshop, plan, last - 3 * HOUR)

    await planning.make_due_tasks(workshop)
    await planning.make_due_tasks(workshop)

    made = await _tasks(workshop, plan)
    assert [task["run_after"] for task in made] == [last - ago * HOUR for ago in moments]
    if missed == "each":
        params = [msgspec.json.decode(task["params"]) for task in made]
        assert params == [{"moment": clock.stamp(last - ago * HOUR)} for ago in moments]
    assert (await _row(workshop, plan))["next_run_at"] == last + HOUR


async def test_what_is_to_be_skipped_is_not_made_up_for(workshop: Runtime, make_plan: MakePlan) -> None:
    plan = make_plan("skip", cron="0 0 1 1 *")
    await planning.declare(workshop)
    missed = clock.now().replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    await _set_back(workshop, plan, missed)

    await planning.make_due_tasks(workshop)

    row = await _row(workshop, plan)
    assert await _tasks(workshop, plan) == []
    assert (row["next_run_at"], row["last_run_at"]) == (missed.replace(year=missed.year + 1), None)


def test_a_moment_that_is_just_due_is_not_skipped() -> None:
    plan = Plan("tests.skip", None, "0 * * * *", "UTC", "skip")  # type: ignore[arg-type]
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert plan.to_run(noon, noon + timedelta(seconds=59)) == [noon]
    assert plan.to_run(noon - 5 * HOUR, noon + timedelta(seconds=59)) == [noon]
    assert plan.to_run(noon, noon + timedelta(seconds=61)) == []


def test_a_moment_is_due_when_it_is_there_and_not_before() -> None:
    plan = Plan("tests.each", None, "0 * * * *", "UTC", "each")  # type: ignore[arg-type]
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert plan.to_run(noon - HOUR, noon - timedelta(milliseconds=1)) == [noon - HOUR]
    assert plan.to_run(noon - HOUR, noon) == [noon - HOUR, noon]
    assert (plan.after(noon - timedelta(milliseconds=1)), plan.after(noon)) == (noon, noon + HOUR)


def test_what_was_due_stays_due_when_the_calendar_has_changed() -> None:
    plan = Plan("tests.once", None, "0 0 1 1 *", "UTC", "once")  # type: ignore[arg-type]
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert plan.to_run(noon, noon + HOUR) == [noon]


def test_the_moments_of_a_long_outage_are_bounded() -> None:
    plan = Plan("tests.each", None, "* * * * *", "UTC", "each")  # type: ignore[arg-type]
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)

    due = plan.to_run(noon - 300 * HOUR, noon)

    assert (len(due), due[0], due[-1]) == (100, noon - timedelta(minutes=99), noon)


def test_moments_follow_the_clock_of_their_time_zone() -> None:
    plan = Plan("tests.zone", None, "0 9 * * *", "Asia/Jerusalem", "each")  # type: ignore[arg-type]

    assert plan.after(datetime(2026, 3, 26, 0, tzinfo=UTC)) == datetime(2026, 3, 26, 7, tzinfo=UTC)
    assert plan.after(datetime(2026, 3, 27, 0, tzinfo=UTC)) == datetime(2026, 3, 27, 6, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("cron", ["30 1 * * *", "30 2 * * *", "15 */3 * * *"])
def test_each_moment_of_a_year_is_made_once_whenever_the_clock_is_put_forward_or_back(zone: str, cron: str) -> None:
    plan = Plan("tests.zone", None, cron, zone, "once")  # type: ignore[arg-type]
    due, end, made = plan.after(datetime(2026, 1, 1, tzinfo=UTC)), datetime(2027, 1, 1, tzinfo=UTC), []
    while due < end:
        now = due + timedelta(milliseconds=300)
        made += plan.to_run(due, now)
        assert made[-1] == due
        due = plan.after(now)

    assert len(set(made)) == len(made) >= 365


@pytest.mark.parametrize(
    ("cron", "zone"), [("61 * * * *", "UTC"), ("nonsense", "UTC"), ("0 0 30 2 *", "UTC"), ("0 * * * *", "Mars/Olympus")]
)
def test_a_schedule_that_never_runs_is_told_at_its_declaration(make_job: MakeJob, cron: str, zone: str) -> None:
    with pytest.raises(ValueError, match="never runs"):
        scheduled("tests.never", cron=cron, timezone=zone)(make_job("nothing", do_nothing))

    assert "tests.never" not in SCHEDULES


def test_a_schedule_is_declared_once(make_job: MakeJob, make_plan: MakePlan) -> None:
    name = make_plan().name

    with pytest.raises(ValueError, match="twice"):
        scheduled(name, cron="0 * * * *")(make_job("nothing", do_nothing))


async def test_a_changed_cron_begins_anew_and_an_unchanged_one_goes_on(workshop: Runtime, make_plan: MakePlan) -> None:
    kept, changed = make_plan(), make_plan()
    await planning.declare(workshop)
    missed = _last_hour() - HOUR
    for plan in (kept, changed):
        await _set_back(workshop, plan, missed)

    make_plan(cron="0 0 1 1 *", name=changed.name)
    await planning.declare(workshop)

    assert (await _row(workshop, kept))["next_run_at"] == missed
    row = await _row(workshop, changed)
    assert (row["cron"], row["next_run_at"]) == ("0 0 1 1 *", datetime(clock.now().year + 1, 1, 1, tzinfo=UTC))


async def test_a_removed_schedule_disappears(
    workshop: Runtime, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan()
    await planning.declare(workshop)

    monkeypatch.delitem(SCHEDULES, plan.name)
    await _set_back(workshop, plan, _last_hour())
    await planning.make_due_tasks(workshop)
    before = await _row(workshop, plan)
    await planning.declare(workshop)

    assert (before["next_run_at"], await _tasks(workshop, plan)) == (_last_hour(), [])
    assert await _row(workshop, plan) is None


async def test_a_worker_makes_and_runs_what_is_due(
    workshop: Runtime, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LOOK_SECONDS", 0.05)
    plan = make_plan("each")
    await planning.declare(workshop)
    await _set_back(workshop, plan, _last_hour() - HOUR)

    async with working(workshop, ["media"]), working(workshop, ["media"]), asyncio.timeout(15):
        while [task["status"] for task in await _tasks(workshop, plan)] != ["succeeded"] * 2:
            await asyncio.sleep(0.02)


@pytest.fixture
async def admin(runtime: Runtime, client: httpx.AsyncClient) -> Login:
    return await a_login(client, await an_account(runtime, roles=("admin",)))


@pytest.fixture
async def plan(runtime: Runtime, make_plan: MakePlan) -> Plan:
    """Declared in the database of the application."""
    made = make_plan()
    await planning.declare(runtime)
    return made


async def test_an_administrator_lists_pauses_and_resumes(
    runtime: Runtime, client: httpx.AsyncClient, admin: Login, plan: Plan
) -> None:
    listed = (await client.get(PATH, headers=admin.headers)).json()["items"]
    paused = await client.post(f"{PATH}/{plan.name}/pause", headers=admin.headers)
    await planning.declare(runtime)
    await _set_back(runtime, plan, _last_hour() - HOUR)
    await planning.make_due_tasks(runtime)
    during = await _tasks(runtime, plan)
    resumed = await client.post(f"{PATH}/{plan.name}/resume", headers=admin.headers)
    await planning.make_due_tasks(runtime)

    found = next(one for one in listed if one["name"] == plan.name)
    assert found == {
        "name": plan.name, "job": plan.job.name, "cron": "0 * * * *", "timezone": "UTC", "missed": "once",
        "next_run_at": clock.stamp(_last_hour() + HOUR), "last_run_at": None, "last_task_id": None, "is_paused": False,
        "paused_by": None,
    }  # fmt: skip
    assert (paused.status_code, paused.json()["is_paused"]) == (200, True)
    assert paused.json()["paused_by"] is not None
    assert (resumed.status_code, resumed.json()["is_paused"], resumed.json()["paused_by"]) == (200, False, None)
    assert resumed.json()["next_run_at"] == clock.stamp(_last_hour() + HOUR)
    assert (during, await _tasks(runtime, plan)) == ([], [])


async def test_an_administrator_runs_a_schedule_now_and_once(
    runtime: Runtime, client: httpx.AsyncClient, admin: Login, plan: Plan
) -> None:
    first = await client.post(f"{PATH}/{plan.name}/run", headers=admin.headers)
    second = await client.post(f"{PATH}/{plan.name}/run", headers=admin.headers)

    (task,) = await _tasks(runtime, plan)
    assert (first.status_code, first.json()["status"], second.json()["task_id"]) == (202, "queued", str(task["id"]))
    assert first.headers["Location"] == f"/api/v1/background-tasks/{task['id']}"
    assert (await client.get(first.headers["Location"], headers=admin.headers)).status_code == 200
    assert (await _row(runtime, plan))["last_run_at"] is None


async def test_schedules_are_for_administrators_and_must_be_known(
    runtime: Runtime, client: httpx.AsyncClient, admin: Login, plan: Plan
) -> None:
    somebody = await a_login(client, await an_account(runtime))

    for method, path in (("GET", PATH), *(("POST", f"{PATH}/{plan.name}/{act}") for act in ("pause", "resume", "run"))):
        assert (await client.request(method, path, headers=somebody.headers)).status_code == 403, path
        assert (await client.request(method, path)).status_code == 401, path
    for act in ("pause", "resume", "run"):
        assert (await client.post(f"{PATH}/tests.unknown/{act}", headers=admin.headers)).status_code == 404, act


def test_the_policies_of_the_declaration_are_those_of_the_table() -> None:
    column = Schedule.__table__.c["missed"]

    assert set(column.info["choices"]) == set(get_args(Missed)) == {"once", "skip", "each"}
