"""What waits, runs and failed in each queue.

It is counted from the rows: they know what Redis forgot, and every process that is asked says the same.
"""

from dataclasses import dataclass

from atrium.core.jobs.models import QUEUES
from atrium.core.runtime import Runtime

BACKLOG = """
SELECT queues.name AS queue, counted.*
FROM unnest($1::text[]) AS queues(name)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE is_queued AND run_after <= now()) AS due,
           count(*) FILTER (WHERE is_queued AND run_after > now()) AS later,
           count(*) FILTER (WHERE status = 'running') AS running,
           count(*) FILTER (WHERE status = 'failed') AS dead_letters,
           coalesce(
               extract(epoch FROM now() - min(run_after) FILTER (WHERE is_queued AND run_after <= now())), 0
           )::float8 AS oldest_seconds
    FROM (
        SELECT status, run_after, status = 'queued' AS is_queued FROM core.background_tasks
        WHERE queue = queues.name AND status IN ('queued', 'running', 'failed')
    ) AS task
) AS counted
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One queue. `later` waits for its time, as a next attempt does; `oldest_seconds` is 0 where none is due."""

    queue: str
    due: int
    later: int
    running: int
    dead_letters: int
    oldest_seconds: float


async def backlogs(runtime: Runtime) -> list[Backlog]:
    return [Backlog(**row) for row in await runtime.database.pool.fetch(BACKLOG, list(QUEUES))]
