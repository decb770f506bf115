"""Ending what runs in the background."""

import asyncio
from typing import Any

AGAIN_SECONDS = 1.0


async def stop(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel until they have ended.

    Once is not enough: under Python 3.11 a client's wait_for swallows a cancellation that arrives together with what it
    waits for, and the loop around it would go on for ever.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=AGAIN_SECONDS)
        for task in ended:
            if not task.cancelled():
                task.exception()
