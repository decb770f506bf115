"""How long the oldest task of each queue has been waiting, from the rows, which also know what Redis forgot."""

from atrium.core.jobs.models import QUEUES
from atrium.core.runtime import Runtime

OLDEST = """
SELECT queues.name, coalesce(extract(epoch FROM now() - oldest.run_after), 0)::float8 AS seconds
FROM unnest($1::text[]) AS queues(name)
LEFT JOIN LATERAL (
    SELECT run_after FROM core.background_tasks
    WHERE status = 'queued' AND run_after <= now() AND queue = queues.name
    ORDER BY run_after
    LIMIT 1
) AS oldest ON true
"""


async def oldest(runtime: Runtime) -> dict[str, float]:
    """Seconds since the oldest queued task could have begun, by queue; 0 where none waits."""
    return {row["name"]: row["seconds"] for row in await runtime.database.pool.fetch(OLDEST, list(QUEUES))}
