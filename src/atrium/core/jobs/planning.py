"""Makes one task for each due moment of a schedule, however many workers look.

The row of a schedule is locked while its tasks are made, and the same transaction moves `next_run_at` past now; so a
moment is either still to come or has its task. PostgreSQL's clock decides what is due.
"""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from atrium.core import clock
from atrium.core.errors import NotFound
from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import enqueue
from atrium.core.jobs.schedules import SCHEDULES, Plan
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, unit_of_work

log = structlog.get_logger()
LOOK_SECONDS = 1.0
COLUMNS = "name, job, cron, timezone, missed, next_run_at, last_run_at, last_task_id, is_paused, paused_by"
DECLARE = """
INSERT INTO core.schedules AS known (id, name, job, cron, timezone, missed, next_run_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO UPDATE
SET job = excluded.job, cron = excluded.cron, timezone = excluded.timezone, missed = excluded.missed,
    next_run_at = CASE WHEN (known.cron, known.timezone) = (excluded.cron, excluded.timezone)
                       THEN known.next_run_at ELSE excluded.next_run_at END,
    updated_at = now()
WHERE (known.job, known.cron, known.timezone, known.missed)
    IS DISTINCT FROM (excluded.job, excluded.cron, excluded.timezone, excluded.missed)
"""
FORGET = "DELETE FROM core.schedules WHERE name <> ALL($1::text[])"
TAKE = """
SELECT name, next_run_at, now() AS now FROM core.schedules
WHERE next_run_at <= now() AND NOT is_paused AND name = ANY($1::text[])
ORDER BY next_run_at
LIMIT 1
FOR UPDATE SKIP LOCKED
"""
MOVE = """
UPDATE core.schedules
SET next_run_at = $2, last_run_at = coalesce($3, last_run_at), last_task_id = coalesce($4, last_task_id),
    updated_at = now()
WHERE name = $1
"""
PAUSE = f"""
UPDATE core.schedules SET is_paused = true, paused_by = $2, updated_at = now() WHERE name = $1 RETURNING {COLUMNS}
"""
RESUME = f"""
UPDATE core.schedules
SET is_paused = false, paused_by = NULL, next_run_at = CASE WHEN is_paused THEN $2 ELSE next_run_at END,
    updated_at = now()
WHERE name = $1
RETURNING {COLUMNS}
"""


async def declare(runtime: Runtime) -> None:
    """Make the rows what the code says; a changed cron begins anew, the time until then is not made up for."""
    now = clock.now()
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        for _, plan in sorted(SCHEDULES.items()):
            row = (plan.name, plan.job.name, plan.cron, plan.timezone, plan.missed, plan.after(now))
            await connection.execute(DECLARE, clock.new_id(), *row)
        await connection.execute(FORGET, list(SCHEDULES))


async def make_due_tasks(runtime: Runtime) -> None:
    """One round over what is due."""
    while await _make_next(runtime):
        pass


async def _make_next(runtime: Runtime) -> bool:
    async with unit_of_work(runtime) as work:
        connection = await work.connection()
        row = await connection.fetchrow(TAKE, list(SCHEDULES))
        if row is None:
            return False
        plan, now = SCHEDULES[row["name"]], row["now"]
        moments = plan.to_run(row["next_run_at"], now)
        tasks = [await _make(work, plan, moment) for moment in moments]
        last = (moments[-1], tasks[-1].id) if tasks else (None, None)
        await connection.execute(MOVE, plan.name, plan.after(now), *last)
    log.info("schedule_due", schedule=plan.name, tasks=len(tasks), missed=plan.missed)
    return True


async def _make(work: Work, plan: Plan, moment: datetime) -> BackgroundTask:
    key = f"schedule:{plan.name}:{clock.stamp(moment)}"
    return await enqueue(work, plan.job, plan.params(moment), run_after=moment, dedupe_key=key)


async def keep_scheduling(runtime: Runtime) -> None:
    """Every second, whatever a round runs into."""
    is_declared = False
    while True:
        try:
            if not is_declared:
                await declare(runtime)
                is_declared = True
            await make_due_tasks(runtime)
        except Exception as error:  # noqa: BLE001  the next round is the remedy
            log.warning("scheduling_failed", error=repr(error))
        await asyncio.sleep(LOOK_SECONDS)


async def schedules(runtime: Runtime) -> list[dict[str, Any]]:
    return [
        dict(row) for row in await runtime.database.pool.fetch(f"SELECT {COLUMNS} FROM core.schedules ORDER BY name")
    ]


async def pause(runtime: Runtime, name: str, by: UUID) -> dict[str, Any]:
    return _found(await runtime.database.pool.fetchrow(PAUSE, name, by), name)


async def resume(runtime: Runtime, name: str) -> dict[str, Any]:
    """What was due during the pause stays undone: whoever paused it wanted that."""
    return _found(await runtime.database.pool.fetchrow(RESUME, name, _plan(name).after(clock.now())), name)


async def run_now(runtime: Runtime, caller: Caller, name: str) -> UUID:
    """A task beside those of the schedule; while one is open, asking again gives that."""
    plan = _plan(name)
    async with unit_of_work(runtime, caller) as work:
        return (await enqueue(work, plan.job, plan.params(clock.now()), dedupe_key=f"schedule:{name}:by hand")).id


def _plan(name: str) -> Plan:
    if name not in SCHEDULES:
        raise NotFound(f"There is no schedule called {name}.")
    return SCHEDULES[name]


def _found(row: Any, name: str) -> dict[str, Any]:
    if row is None:
        raise NotFound(f"There is no schedule called {name}.")
    return dict(row)
