"""Who asked for a task, as a caller with the roles of the moment.

Who asks for many small tasks is not read anew for each: what was read within the last second counts, which is sooner
than a revoked session is noticed elsewhere.
"""

import asyncio
from uuid import UUID

from atrium.core.access import Principal
from atrium.core.runtime import Runtime

FRESH_SECONDS = 1.0
Reading = tuple[float, "asyncio.Task[Principal]"]


async def requester(runtime: Runtime, user_id: UUID) -> Principal:
    """Raises NotFound when there is no such user any more, or they may not act."""
    readings: dict[UUID, Reading] = runtime.parts.setdefault("jobs.requesters", {})
    now = asyncio.get_running_loop().time()
    known = readings.get(user_id)
    if known is None or now - known[0] > FRESH_SECONDS:
        for other in [one for one, (begun, _) in readings.items() if now - begun > FRESH_SECONDS]:
            del readings[other]
        known = readings[user_id] = (now, asyncio.create_task(runtime.principal_for(user_id), name="requester"))
    return await asyncio.shield(known[1])
