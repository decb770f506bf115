"""Imports: rows of a file written through the same rules as single ones, a batch per transaction.

The watermark moves in the transaction that writes a batch. A worker that goes on after a dead one therefore begins with
the first row that was not written, and a worker that was given up, but lives, finds another attempt's mark and stops.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from atrium.core.errors import Invalid
from atrium.core.jobs.queue import Task, TaskLost
from atrium.core.resources.batches import Refused
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, unit_of_work
from atrium.core.statements.retries import retried
from atrium.core.transfers import chunks
from atrium.core.transfers.formats.cells import plainly
from atrium.core.transfers.rows import Given, Rows, batches, count, writable

KEPT_ERRORS = 10_000
MOST_TOGETHER = 20_000
"""Rows of one transaction, when all of them or none are to be written."""
CLAIM = "UPDATE core.transfers SET attempt = $2, updated_at = now() WHERE id = $1 AND attempt <= $2 RETURNING *"
HOLD = "SELECT done_rows FROM core.transfers WHERE id = $1 AND attempt = $2 AND done_rows = $3 FOR UPDATE"
COUNT = "UPDATE core.transfers SET total_rows = $2, updated_at = now() WHERE id = $1"
ADVANCE = """
UPDATE core.transfers
SET done_rows = $2, created = created + $3, updated = updated + $4, unchanged = unchanged + $5, failed = failed + $6,
    updated_at = now()
WHERE id = $1
"""
KEEP = """
INSERT INTO core.transfer_errors (id, transfer_id, row_number, column_name, message)
SELECT core.uuid7(), $1, fault.* FROM unnest($2::int[], $3::text[], $4::text[]) AS fault(row_number, name, message)
"""
KEPT = "SELECT count(*) FROM core.transfer_errors WHERE transfer_id = $1"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an import was asked for."""

    within: dict[str, UUID] = {}
    key: tuple[str, ...] = ()
    partial: bool = True
    dry_run: bool = False
    delimiter: str | None = None


class Fault(NamedTuple):
    """What is wrong with a row, and in which column if it is one."""

    row: int
    column: str | None
    message: str


@dataclass(slots=True)
class Outcome:
    """What became of some rows."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: "Outcome", *, most: int = KEPT_ERRORS) -> None:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.failed += other.failed
        self.faults += other.faults[: max(0, most - len(self.faults))]

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("created", "updated", "unchanged", "failed")}


async def write_batch(work: Work, caller: Caller, resource: Resource, options: Options, batch: list[Given]) -> Outcome:
    """The rows of a batch, each for itself: those that are refused leave nothing."""
    good = [given for given in batch if not given.fault]
    outcome = Outcome(faults=[Fault(given.number, None, given.fault) for given in batch if given.fault])
    outcome.failed = len(outcome.faults)
    if good:
        result = await resource.make_many(
            work.runtime,
            caller,
            [given.body for given in good],
            options.within,
            partial=True,
            key=options.key or None,
            rendered=False,
            work=work,
        )
        outcome.created, outcome.updated = len(result.created), len(result.updated)
        outcome.unchanged, refused = len(result.unchanged), result.errors
        outcome.failed += len(refused)
        outcome.faults += [fault for one in refused for fault in _faults(good[one.index].number, one)]
    outcome.faults.sort(key=lambda fault: fault.row)
    return outcome


def _faults(number: int, refused: Refused) -> list[Fault]:
    if not refused.errors:
        return [Fault(number, None, refused.detail)]
    return [Fault(number, ".".join(map(str, error.loc[2:])) or None, plainly(error.msg)) for error in refused.errors]


class Undo(Exception):
    """Ends a transaction that was only a trial."""


async def attempt_all(
    runtime: Runtime,
    caller: Callable[[], Caller],
    resource: Resource,
    options: Options,
    given: AsyncIterator[list[Given]],
    tell: Callable[[int], Any] | None = None,
    commit: Callable[[Work, Outcome], Any] | None = None,
) -> Outcome:
    """All batches in one transaction, which is undone unless `commit` wants to keep what came out."""
    outcome = Outcome()
    try:
        async with unit_of_work(runtime, caller()) as work:
            async for batch in given:
                outcome.add(await write_batch(work, caller(), resource, options, batch))
                if tell is not None:
                    await tell(batch[-1].number)
            if commit is None or outcome.failed:
                raise Undo
            await commit(work, outcome)
    except Undo:
        pass
    return outcome


class Importing:
    """One attempt at one import."""

    def __init__(self, task: Task, row: asyncpg.Record, resource: Resource) -> None:
        self.task, self.runtime, self.resource = task, task.runtime, resource
        self.id: UUID = UUID(str(row["id"]))
        self.format: str = row["format"]
        self.options = msgspec.json.decode(row["options"], type=Options)
        self.total: int = row["total_rows"] or 0
        self.done: int = row["done_rows"]
        self.kept = 0

    @property
    def caller(self) -> Caller:
        """The requester with the roles of the moment."""
        found = self.task.caller()
        if found is None:
            raise LookupError("an import has a requester")
        return found

    async def run(self) -> dict[str, Any]:
        self.total = await count(self._pieces(), self.format, self.options.delimiter)
        await self.runtime.database.pool.execute(COUNT, self.id, self.total)
        self.kept = await self.runtime.database.pool.fetchval(KEPT, self.id)
        await self.task.progress(self.done, self.total, "importing")
        if self.options.dry_run or not self.options.partial:
            await self._together()
        else:
            async for batch in self._batches():
                await self._one_by_one(batch)
                await self.task.progress(self.done, self.total)
        return await result_of(self.runtime, self.id)

    def _pieces(self) -> AsyncIterator[bytes]:
        return chunks.read(self.runtime, self.id)

    def _batches(self) -> AsyncIterator[list[Given]]:
        open_fields = writable(
            self.resource, self.caller.principal, tuple(self.options.within), by_key=bool(self.options.key)
        )
        rows = Rows(self.format, open_fields, self.options.delimiter)
        return batches(self._pieces(), rows, behind=self.done)

    async def _one_by_one(self, batch: list[Given]) -> None:
        """A batch with the watermark behind it, in one transaction."""
        end = batch[-1].number

        async def act() -> Outcome:
            async with unit_of_work(self.runtime, self.caller) as work:
                connection = await work.connection()
                if await connection.fetchval(HOLD, self.id, self.task.attempt, self.done) is None:
                    raise TaskLost
                outcome = await write_batch(work, self.caller, self.resource, self.options, batch)
                await self._keep(connection, end, outcome)
            return outcome

        outcome = await retried(act)
        self.done = end
        self.kept += min(len(outcome.faults), KEPT_ERRORS - self.kept)

    async def _together(self) -> None:
        """All or nothing, or only as a trial."""
        if self.done:
            return  # a former attempt came to its end, and only could not say so
        if self.total > MOST_TOGETHER:
            raise Invalid(
                f"All or nothing takes up to {MOST_TOGETHER} rows, and these are {self.total}. Use partial=true."
            )

        async def tell(number: int) -> None:
            await self.task.progress(number, self.total)

        async def commit(work: Work, outcome: Outcome) -> None:
            connection = await work.connection()
            if await connection.fetchval(HOLD, self.id, self.task.attempt, self.done) is None:
                raise TaskLost
            await self._keep(connection, self.total, outcome)

        keep = None if self.options.dry_run else commit
        outcome = await attempt_all(
            self.runtime, lambda: self.caller, self.resource, self.options, self._batches(), tell, keep
        )
        if self.options.dry_run or outcome.failed:
            async with self.runtime.database.pool.acquire() as connection, connection.transaction():
                if not self.options.dry_run:
                    outcome = Outcome(failed=outcome.failed, faults=outcome.faults)
                await self._keep(connection, self.total, outcome)
        if outcome.failed and not self.options.dry_run:
            raise Invalid(f"{outcome.failed} of {self.total} rows cannot be written, so none was.")

    async def _keep(self, connection: Any, done: int, outcome: Outcome) -> None:
        counts = (outcome.created, outcome.updated, outcome.unchanged, outcome.failed)
        await connection.execute(ADVANCE, self.id, done, *counts)
        faults: Sequence[Fault] = outcome.faults[: KEPT_ERRORS - self.kept]
        if faults:
            await connection.execute(KEEP, self.id, *map(list, zip(*faults, strict=True)))


async def result_of(runtime: Runtime, transfer_id: UUID) -> dict[str, Any]:
    """What the task of an import ends with."""
    row = await runtime.database.pool.fetchrow("SELECT * FROM core.transfers WHERE id = $1", transfer_id)
    if row is None:
        raise TaskLost
    names = ("created", "updated", "unchanged", "failed")
    found: dict[str, Any] = {"import_id": str(transfer_id), "total": row["total_rows"]}
    found |= {name: row[name] for name in names}
    if row["failed"]:
        found["errors_url"] = f"/api/v1/imports/{transfer_id}/errors.csv"
    return found
