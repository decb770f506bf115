"""Keeps the promise of the rows: silent workers lose theirs, and what Redis does not know is sent again.

Any number of workers may sweep: stale rows are taken with SKIP LOCKED, and a message that is sent twice is refused by
Redis (same key) or by the row (already claimed).
"""

import asyncio

import structlog

from atrium.core.jobs import rows
from atrium.core.jobs.queue import send, tell
from atrium.core.jobs.registry import JOBS
from atrium.core.runtime import Runtime

log = structlog.get_logger()


async def sweep(runtime: Runtime) -> None:
    """One round."""
    for row in await rows.rescue(runtime, runtime.settings.task_stale_seconds):
        log.warning("task_rescued", task_id=str(row["id"]), kind=row["kind"], status=row["status"])
        await tell(runtime, row)
    for row in await rows.due(runtime):
        declared = JOBS.get(row["job"])
        if declared is not None and not await send(runtime, row["id"], row["queue"], row["attempts"], declared.timeout):
            log.debug("task_already_sent", task_id=str(row["id"]))


async def keep_sweeping(runtime: Runtime) -> None:
    """Every `sweep_seconds`, whatever a round runs into."""
    while True:
        try:
            await sweep(runtime)
        except Exception as error:  # noqa: BLE001  the next round is the remedy
            log.warning("sweep_failed", error=repr(error))
        await asyncio.sleep(runtime.settings.sweep_seconds)
