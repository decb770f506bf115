"""The bytes of transfers, as rows that every process reaches: written while they come, read while they go."""

import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from atrium.core.jobs.queue import TaskLost
from atrium.core.runtime import Runtime

CHUNK_BYTES = 262_144
STORE = """
INSERT INTO core.transfer_chunks (id, transfer_id, number, data)
SELECT core.uuid7(), id, $2, $3 FROM core.transfers WHERE id = $1 AND attempt = $4
RETURNING number
"""
READ = "SELECT data FROM core.transfer_chunks WHERE transfer_id = $1 AND number = $2"
FORGET = "DELETE FROM core.transfer_chunks WHERE transfer_id = $1"


class Writer:
    """Collects pieces of any size and stores them as chunks, each in a transaction of its own."""

    def __init__(self, runtime: Runtime, transfer_id: UUID, attempt: int = 0) -> None:
        self._runtime, self._transfer_id, self._attempt = runtime, transfer_id, attempt
        self._waiting = bytearray()
        self._number = 0
        self._digest = hashlib.sha256()
        self.size = 0

    async def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._digest.update(piece)
        self._waiting += piece
        while len(self._waiting) >= CHUNK_BYTES:
            await self._store(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]

    async def finish(self) -> bytes:
        """The SHA-256 of all that was written."""
        if self._waiting:
            await self._store(bytes(self._waiting))
            self._waiting.clear()
        return self._digest.digest()

    async def _store(self, data: bytes) -> None:
        """Raises TaskLost when another attempt writes this file by now, or nobody wants it any more."""
        given = (self._transfer_id, self._number, data, self._attempt)
        if await self._runtime.database.pool.fetchval(STORE, *given) is None:
            raise TaskLost
        self._number += 1


async def read(runtime: Runtime, transfer_id: UUID) -> AsyncIterator[bytes]:
    """The chunks in order, one at a time."""
    number = 0
    while True:
        row: asyncpg.Record | None = await runtime.database.pool.fetchrow(READ, transfer_id, number)
        if row is None:
            return
        yield row["data"]
        number += 1


async def forget(runtime: Runtime, transfer_id: UUID) -> None:
    await runtime.database.pool.execute(FORGET, transfer_id)
