"""Periodic jobs of the core: forgetting what nobody asks for any more."""

from datetime import timedelta

from atrium.core.jobs.queue import Task
from atrium.core.jobs.registry import job
from atrium.core.jobs.schedules import scheduled
from atrium.core.replays.statements import prune
from atrium.core.runtime import Runtime

BATCH = 5000
PRUNE = f"""
DELETE FROM core.background_tasks WHERE id IN (
    SELECT id FROM core.background_tasks
    WHERE finished_at < now() - $1::interval AND (status = 'failed') = $2
    ORDER BY finished_at
    LIMIT {BATCH}
)
"""


@scheduled("core.prune_tasks", cron="17 3 * * *")
@job("core.prune_tasks", kind="maintenance")
async def prune_tasks(task: Task) -> dict[str, int]:
    """Finished tasks go after TASK_RETENTION_DAYS, dead letters after DEAD_LETTER_RETENTION_DAYS."""
    settings = task.runtime.settings
    return {
        "finished": await _prune(task.runtime, settings.task_retention_days, are_dead=False),
        "dead_letters": await _prune(task.runtime, settings.dead_letter_retention_days, are_dead=True),
    }


async def _prune(runtime: Runtime, days: int, *, are_dead: bool) -> int:
    """In batches, so that no statement holds its locks for long."""
    total = 0
    while True:
        deleted = int((await runtime.database.pool.execute(PRUNE, timedelta(days=days), are_dead)).split()[-1])
        total += deleted
        if deleted < BATCH:
            return total


@scheduled("core.prune_replays", cron="*/10 * * * *")
@job("core.prune_replays", kind="maintenance")
async def prune_replays(task: Task) -> None:
    """Answers kept for an Idempotency-Key go when they expire."""
    await prune(task.runtime)
