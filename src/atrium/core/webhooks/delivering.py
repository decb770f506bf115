"""What a worker does for webhooks: dispatch, send, forget."""

import asyncio

from atrium.core.runtime import Runtime
from atrium.core.webhooks.dispatching import keep_dispatching
from atrium.core.webhooks.pruning import keep_pruning
from atrium.core.webhooks.sending import keep_sending


async def keep_delivering(runtime: Runtime) -> None:
    """Until cancelled."""
    await asyncio.gather(keep_dispatching(runtime), keep_sending(runtime), keep_pruning(runtime))
