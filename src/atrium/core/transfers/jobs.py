"""Imports and exports in the background, and the end of their files."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from atrium.core.errors import Gone, NotFound
from atrium.core.jobs.queue import Task
from atrium.core.jobs.registry import job
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.transfers import exports, queueing
from atrium.core.transfers.imports import CLAIM, Importing

HOURS = 3600.0
PRUNE_BYTES = """
DELETE FROM core.transfer_chunks AS chunk USING core.transfers AS transfer
WHERE chunk.transfer_id = transfer.id AND transfer.expires_at <= now() AND NOT EXISTS (
    SELECT FROM core.background_tasks AS task
    WHERE task.id = transfer.task_id AND task.status IN ('queued', 'running'))
"""
PRUNE_ROWS = """
DELETE FROM core.transfers AS transfer
WHERE expires_at <= now() - CASE WHEN task_id IS NULL THEN interval '0' ELSE interval '30 days' END AND NOT EXISTS (
    SELECT FROM core.background_tasks AS task
    WHERE task.id = transfer.task_id AND task.status IN ('queued', 'running'))
"""


@job(queueing.IMPORT_JOB, kind="import", timeout=6 * HOURS, max_attempts=10)
async def import_records(task: Task, transfer_id: str) -> dict[str, Any]:
    """May be tried often: each attempt goes on where the one before stopped."""
    row = await _claimed(task, UUID(transfer_id))
    return await Importing(task, row, resource_at(task.runtime, row["resource"])).run()


@job(queueing.EXPORT_JOB, kind="export", timeout=2 * HOURS)
async def export_records(task: Task, transfer_id: str) -> dict[str, Any]:
    row = await _claimed(task, UUID(transfer_id))
    caller = task.caller()
    if caller is None:
        raise LookupError("an export has a requester")
    options = msgspec.json.decode(row["options"], type=exports.Options)
    plan = exports.Plan.make(resource_at(task.runtime, row["resource"]), caller.principal, options)
    return await exports.run(task, row, plan)


@job(queueing.PRUNE, kind="maintenance")
async def prune_transfers(task: Task) -> dict[str, Any]:
    """Files go when they expire; that there was one is remembered for a month, unless nothing came of it."""
    pool = task.runtime.database.pool
    chunks, rows = await pool.execute(PRUNE_BYTES), await pool.execute(PRUNE_ROWS)
    return {"chunks": int(chunks.split()[-1]), "transfers": int(rows.split()[-1])}


async def _claimed(task: Task, transfer_id: UUID) -> asyncpg.Record:
    """The transfer, marked with this attempt, so that one that was given up writes nothing more."""
    row: asyncpg.Record | None = await task.runtime.database.pool.fetchrow(CLAIM, transfer_id, task.attempt)
    if row is None:
        raise Gone("The transfer is no longer there.")
    return row


def resource_at(runtime: Runtime, path: str) -> Resource:
    for module in runtime.parts["modules"]:
        for resource in module.resources:
            if resource.path == path:
                return resource  # type: ignore[no-any-return]
    raise NotFound(f"There is no longer anything at {path}.")
