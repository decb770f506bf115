"""Forgetting deliveries that ended long ago, and secrets that no longer sign."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from atrium.core import clock
from atrium.core.runtime import Runtime
from atrium.core.webhooks import statements

log = structlog.get_logger()
KEPT = timedelta(days=30)
AT_ONCE = 5000
PAUSE_SECONDS = 600


async def keep_pruning(runtime: Runtime) -> None:
    """Every ten minutes, whatever a round runs into; any number of workers may do it."""
    while True:
        try:
            await prune(runtime)
        except Exception as error:  # noqa: BLE001  the next round is the remedy
            log.warning("webhooks_not_pruned", error=repr(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def prune(runtime: Runtime) -> int:
    """How many deliveries were forgotten. Ids are ordered by time, so the oldest stand at the start of their index."""
    before, count, pool = clock.now() - KEPT, 0, runtime.database.pool
    first = UUID(int=int(before.timestamp() * 1000) << 80)
    await pool.execute(statements.FORGET)
    while True:
        done = await pool.execute(statements.PRUNE, first, before, AT_ONCE)
        gone = int(done.rpartition(" ")[2])
        count += gone
        if gone < AT_ONCE:
            return count
