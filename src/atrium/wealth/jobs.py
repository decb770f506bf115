"""What wealth does in the background."""

from typing import Any
from uuid import UUID

from atrium.core.jobs.queue import Task, TaskCancelled
from atrium.core.jobs.registry import job
from atrium.core.services import unit_of_work
from atrium.wealth.services import growth

BATCH = 50
STAGE = "scanning clients"


@job("wealth.growth_scan", kind="growth_scan", queue="wealth")
async def growth_scan(task: Task, scan_id: str) -> dict[str, Any]:
    """Scan a book in batches; starting over after a crash stores nothing twice."""
    async with unit_of_work(task.runtime, task.caller(), action="growth_scan") as work:
        run = await growth.begin(work, UUID(scan_id))
    if run is None:
        return {"scan_id": scan_id}
    try:
        await _examine_all(task, run)
    except TaskCancelled:
        async with unit_of_work(task.runtime, task.caller(), action="cancel_growth_scan") as work:
            await growth.close(work, run.scan_id, "cancelled")
        raise
    async with unit_of_work(task.runtime, task.caller(), action="growth_scan") as work:
        return await growth.finish(work, run)


async def _examine_all(task: Task, run: growth.Run) -> None:
    total = len(run.client_ids)
    await task.progress(0, total, STAGE)
    for start in range(0, total, BATCH):
        batch = run.client_ids[start : start + BATCH]
        async with unit_of_work(task.runtime, task.caller(), action="growth_scan") as work:
            await growth.examine(work, run, batch)
        await task.progress(start + len(batch), total, STAGE)
