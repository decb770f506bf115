"""Forgetting what nobody may ask for again."""

import asyncio

import structlog

from atrium.core.replays.statements import prune
from atrium.core.runtime import Runtime

log = structlog.get_logger()
PAUSE_SECONDS = 600


async def keep_pruning(runtime: Runtime) -> None:
    """Every ten minutes, whatever a round runs into; any number of workers may do it."""
    while True:
        try:
            await prune(runtime)
        except Exception as error:  # noqa: BLE001  the next round is the remedy
            log.warning("prune_failed", error=repr(error))
        await asyncio.sleep(PAUSE_SECONDS)
