"""Forgetting notifications that expired or grew old, and mails that are done with."""

from datetime import timedelta

from atrium.core.jobs.queue import Task
from atrium.core.jobs.registry import job
from atrium.core.jobs.schedules import scheduled
from atrium.core.runtime import Runtime

BATCH = 5000
NOTIFICATIONS = """
    DELETE FROM core.notifications WHERE id IN (
        SELECT id FROM core.notifications WHERE expires_at < now() OR created_at < now() - $1::interval
        LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
MAILS = """
    DELETE FROM core.outbox_messages WHERE id IN (
        SELECT id FROM core.outbox_messages WHERE status IN ('sent', 'failed') AND created_at < now() - $1::interval
        LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
FOR_EVER = timedelta(days=365_000)


@scheduled("core.prune_notifications", cron="41 * * * *")
@job("core.prune_notifications", kind="maintenance")
async def prune_notifications(task: Task) -> dict[str, int]:
    """Notifications go after NOTIFICATION_RETENTION_DAYS or when they expire, mails after MAIL_RETENTION_DAYS."""
    return await prune(task.runtime)


async def prune(runtime: Runtime) -> dict[str, int]:
    settings = runtime.settings
    return {
        "notifications": await _delete(runtime, NOTIFICATIONS, settings.notification_retention_days),
        "mails": await _delete(runtime, MAILS, settings.mail_retention_days),
    }


async def _delete(runtime: Runtime, statement: str, days: int) -> int:
    """In pieces, so that no transaction holds many rows; 0 days keep what has no end of its own."""
    age, total = timedelta(days=days) if days else FOR_EVER, 0
    while True:
        deleted = int((await runtime.database.pool.execute(statement, age, BATCH)).rpartition(" ")[2])
        total += deleted
        if deleted < BATCH:
            return total
