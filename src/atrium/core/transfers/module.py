"""What imports and exports show to the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atrium.core.modules import Module
from atrium.core.runtime import Runtime
from atrium.core.transfers import jobs, policies
from atrium.core.transfers.controllers import ExportController, ImportController
from atrium.core.transfers.exports import STREAMS
from atrium.core.transfers.models import Transfer, TransferChunk, TransferError

__all__ = ("module", "policies")


@asynccontextmanager
async def streams(runtime: Runtime) -> AsyncIterator[None]:
    """How many exports this process may stream at a time."""
    runtime.parts["export streams"] = asyncio.Semaphore(STREAMS)
    yield


module = Module(
    "core",
    "Imports and exports",
    controllers=(ImportController, ExportController),
    jobs=(jobs.import_records, jobs.export_records, jobs.prune_transfers),
    models=(Transfer, TransferChunk, TransferError),
    on_startup=(streams,),
)
