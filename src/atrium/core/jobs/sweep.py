"""Keeps the promise of the rows: silent workers lose theirs, and what Redis does not know is sent again.

Any number of workers may sweep: stale rows are taken with SKIP LOCKED, and a message too many finds no row.
"""

import asyncio
from itertools import groupby
from operator import itemgetter

import structlog

from atrium.core.jobs import rows
from atrium.core.jobs.queue import send_missing, tell
from atrium.core.runtime import Runtime

log = structlog.get_logger()


async def sweep(runtime: Runtime) -> None:
    """One round."""
    for row in await rows.rescue(runtime, runtime.settings.task_stale_seconds):
        log.warning("task_rescued", task_id=str(row["id"]), kind=row["kind"], status=row["status"])
        await tell(runtime, row)
    for queue, due in groupby(await rows.due(runtime), itemgetter("queue")):
        await send_missing(runtime, queue, list(due))


async def keep_sweeping(runtime: Runtime) -> None:
    """Every `sweep_seconds`, whatever a round runs into."""
    while True:
        try:
            await sweep(runtime)
        except Exception as error:  # noqa: BLE001  the next round is the remedy
            log.warning("sweep_failed", error=repr(error))
        await asyncio.sleep(runtime.settings.sweep_seconds)
