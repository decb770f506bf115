"""How a transfer begins: its row, its bytes, and the task that works on it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert, update

from atrium.core import clock
from atrium.core.errors import RateLimited
from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import enqueue
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, unit_of_work
from atrium.core.transfers import chunks
from atrium.core.transfers.models import Transfer

KEPT_FOR = timedelta(days=1)
ENTITY = "core.transfers"
MOST_OPEN = 20
"""Unfinished transfers of one user; each may hold a large file."""
OPEN_ONES = """
SELECT count(*) FROM core.transfers AS transfer LEFT JOIN core.background_tasks AS task ON task.id = transfer.task_id
WHERE transfer.requested_by = $1 AND transfer.expires_at > now()
AND (task.id IS NULL OR task.status IN ('queued', 'running'))
"""
PRUNE, IMPORT_JOB, EXPORT_JOB = "core.prune_transfers", "core.import", "core.export"


async def begin(
    runtime: Runtime,
    caller: Caller,
    resource: Resource,
    kind: str,
    file_format: str,
    filename: str,
    options: Any,
) -> UUID:
    """A transfer without bytes or task; it is pruned by itself when nobody goes on with it."""
    if await runtime.database.pool.fetchval(OPEN_ONES, caller.principal.user_id) >= MOST_OPEN:
        raise RateLimited(f"{MOST_OPEN} of your imports and exports are not finished yet.", retry_after=60)
    transfer_id, expires_at = clock.new_id(), clock.now() + KEPT_FOR
    async with unit_of_work(runtime) as work:
        await work.session.execute(
            insert(Transfer).values(
                id=transfer_id,
                requested_by=caller.principal.user_id,
                kind=kind,
                resource=resource.path,
                format=file_format,
                filename=filename,
                options=msgspec.to_builtins(options),
                expires_at=expires_at,
            )
        )
        await _prune_later(work, expires_at)
    return transfer_id


async def _prune_later(work: Work, expires_at: datetime) -> None:
    """One sweep per hour in which something expires."""
    hour = expires_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await enqueue(work, PRUNE, {}, run_after=hour, dedupe_key=f"{PRUNE}:{hour:%Y-%m-%dT%H}")


async def store(runtime: Runtime, transfer_id: UUID, pieces: AsyncIterator[bytes]) -> tuple[int, bytes]:
    """The size and digest of what was stored; nothing is kept of an upload that breaks off."""
    writer = chunks.Writer(runtime, transfer_id)
    try:
        async for piece in pieces:
            await writer.write(piece)
        return writer.size, await writer.finish()
    except BaseException:
        await asyncio.shield(discard(runtime, transfer_id))
        raise


async def discard(runtime: Runtime, transfer_id: UUID) -> None:
    await runtime.database.pool.execute("DELETE FROM core.transfers WHERE id = $1", transfer_id)


async def queue(runtime: Runtime, caller: Caller, job: str, transfer_id: UUID, **known: Any) -> BackgroundTask:
    """The task that works on the transfer, and what is known of its file by now, in one transaction."""
    async with unit_of_work(runtime, caller) as work:
        task = await enqueue(work, job, {"transfer_id": str(transfer_id)}, entity_type=ENTITY, entity_id=transfer_id)
        await work.session.execute(update(Transfer).where(Transfer.id == transfer_id).values(task_id=task.id, **known))
    return task
