"""Exports: what a list would show on all its pages together, in one snapshot, read a few hundred rows at a time.

The rows come out of a cursor in a read-only transaction on a connection of its own, so that a slow reader takes none
from the pool. What is written down about an export is committed before its first row leaves.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import func, select

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.changes.record import record as record_change
from atrium.core.db import engines
from atrium.core.db.wire import Field
from atrium.core.errors import PayloadTooLarge, RateLimited, UnknownParameter
from atrium.core.jobs.queue import Task, TaskLost
from atrium.core.query import build
from atrium.core.query.parse import parse
from atrium.core.query.vocabulary import PAGING, choose
from atrium.core.resources.relations import Sight
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, unit_of_work
from atrium.core.statements.compiled import Compiled, compile_statement
from atrium.core.statements.failures import explain
from atrium.core.statements.table import WITHIN, as_bytes, record
from atrium.core.transfers import chunks, links
from atrium.core.transfers.formats import separated
from atrium.core.transfers.formats.cells import Written
from atrium.core.transfers.models import CSV, FORMATS

FETCHED = 250
"""Rows at a time; a row may have some large texts."""
STATEMENT_SECONDS = 60
PATIENCE = STATEMENT_SECONDS + 5.0
"""Seconds after which a server that says nothing at all is taken for gone."""
IDLE_SECONDS = 60
"""As long may a reader leave the stream untouched."""
STREAMS = 4
"""Exports that one process streams at a time; more of them are jobs."""
MOST_BYTES = 1_073_741_824
MEDIA = {CSV: "text/csv; charset=utf-8; header=present", "ndjson": "application/x-ndjson"}
SETTINGS = (
    f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'",
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
    "SET LOCAL cursor_tuple_fraction = 1",
    "SET LOCAL jit = off",
)
COMPLETE = """
UPDATE core.transfers
SET size_bytes = $3, sha256 = $4, total_rows = $5::int, done_rows = $5::int, completed_at = now(), updated_at = now()
WHERE id = $1 AND attempt = $2
RETURNING expires_at
"""
YES = {"true": True, "1": True, "false": False, "0": False}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an export was asked for; `query` is the query string of the list."""

    query: str = ""
    within: dict[str, UUID] = {}
    format: str = CSV
    delimiter: str = ","
    bom: bool = False


def read_options(query_string: str, within: Mapping[str, UUID]) -> Options:
    """The parameters of the file apart from those of the list; an export has all pages."""
    own: dict[str, str] = {}
    rest = []
    for name, text in parse_qsl(query_string, keep_blank_values=True):
        if name in ("format", "delimiter", "bom"):
            own[name] = text
        elif name in PAGING or name.partition(".")[0] == "include":
            raise UnknownParameter(f"{name}: an export has all rows and no related ones.", allowed=ALLOWED)
        else:
            rest.append((name, text))
    return Options(
        query=urlencode(rest),
        within=dict(within),
        format=choose("format", own.get("format", CSV), {name: name for name in FORMATS}),
        delimiter=read_delimiter(own.get("delimiter")) or ",",
        bom=choose("bom", own.get("bom", "false"), YES),
    )


ALLOWED = ["format", "delimiter", "bom", "fields", "order_by", "search", "q", "or", "and", "<filter>"]


def read_delimiter(text: str | None) -> str | None:
    """By name or by itself: a semicolon in a query string is easily lost."""
    if text is None:
        return None
    known = separated.DELIMITERS | {sign: sign for sign in separated.DELIMITERS.values()}
    found: str = choose("delimiter", text, known)
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """An export read and compiled for its caller; raises what a list would raise."""

    resource: Resource
    options: Options
    fields: Mapping[str, Field]
    rows: Compiled
    count: Compiled
    values: Mapping[str, Any]
    principal: Principal

    @classmethod
    def make(cls, resource: Resource, principal: Principal, options: Options) -> "Plan":
        principal.require(resource.read)
        sight = Sight(resource, principal)
        query = parse(options.query, sight.words)
        seen, shape, within = sight.seen, query.shape, tuple(options.within)
        table, matching = seen.table, seen.matching(shape.rows, within)
        fields = seen.guarded.visible(seen.kind, shape.fields)
        order = seen.order_by(shape.order, shape.rows)
        rows = select(as_bytes(record(table, fields))).select_from(table).where(*matching).order_by(*order)
        count = select(func.count()).select_from(table).where(*matching)
        values = build.bind(query) | {WITHIN + name: value for name, value in options.within.items()}
        shown = {field.name: field for field in fields}
        return cls(resource, options, shown, compile_statement(rows), compile_statement(count), values, principal)

    @asynccontextmanager
    async def snapshot(self, runtime: Runtime) -> AsyncIterator["Snapshot"]:
        connection = await engines.connect(runtime.settings, patience=5)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                for setting in SETTINGS:
                    await connection.execute(setting)
                sql, arguments = self.count.sql, self.count.arguments(self.values, self.principal)
                total = await connection.fetchval(sql, *arguments, timeout=PATIENCE)
                sql, arguments = self.rows.sql, self.rows.arguments(self.values, self.principal)
                await connection.execute(f"DECLARE exported NO SCROLL CURSOR FOR {sql}", *arguments, timeout=PATIENCE)
                yield Snapshot(self, connection, total)
            await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise explain(error, (self.resource.table,)) or error from error
        finally:
            connection.terminate()


@dataclass(slots=True)
class Snapshot:
    """All rows of an export as they were at one moment."""

    plan: Plan
    connection: "asyncpg.Connection[Any]"
    total: int
    done: int = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, some rows at a time."""
        options = self.plan.options
        written = Written(self.plan.fields)
        if options.format == CSV:
            header = separated.write([written.names], options.delimiter)
            yield separated.BOM + header if options.bom else header
        while rows := await self.connection.fetch(f"FETCH FORWARD {FETCHED} FROM exported", timeout=PATIENCE):
            self.done += len(rows)
            if options.format == CSV:
                yield separated.write([written.cells(row[0]) for row in rows], options.delimiter)
            else:
                yield b"".join(row[0] + b"\n" for row in rows)


async def note(work: Work, plan: Plan, export_id: UUID, rows: int) -> None:
    """The entry of the change log: who took what away."""
    table, options = plan.resource.table, plan.options
    told = {"filter": options.query, "rows": rows, "format": options.format}
    told |= {name: str(value) for name, value in options.within.items()}
    await record_change(
        work,
        module=str(table.schema),
        action="export",
        entity_type=table.fullname,
        entity_id=export_id,
        changes={name: [None, value] for name, value in told.items()},
    )


async def stream(runtime: Runtime, caller: Caller, plan: Plan) -> AsyncIterator[bytes]:
    """The file as the body of an answer. A failure in the middle breaks the connection: nobody takes it for whole."""
    streams: asyncio.Semaphore = runtime.parts["export streams"]
    if streams.locked():
        raise RateLimited("Too many exports are streamed at the moment. Try again, or POST it as a job.", retry_after=5)
    async with streams, plan.snapshot(runtime) as snapshot:
        async with unit_of_work(runtime, caller) as work:
            await note(work, plan, clock.new_id(), snapshot.total)
        async for piece in snapshot.pieces():
            yield piece


async def run(task: Task, row: asyncpg.Record, plan: Plan) -> dict[str, Any]:
    """One attempt at an export in the background; what a former attempt wrote is thrown away."""
    runtime, transfer_id, caller = task.runtime, UUID(str(row["id"])), task.caller()
    await chunks.forget(runtime, transfer_id)
    writer = chunks.Writer(runtime, transfer_id, task.attempt)
    async with plan.snapshot(runtime) as snapshot:
        await task.progress(0, snapshot.total, "exporting")
        told = 0
        async for piece in snapshot.pieces():
            await writer.write(piece)
            if writer.size > MOST_BYTES:
                raise PayloadTooLarge(f"The file would be larger than {MOST_BYTES} bytes. Narrow it down.")
            if snapshot.done - told >= snapshot.total / 20:
                told = snapshot.done
                await task.progress(told, snapshot.total)
        rows = snapshot.done
    digest = await writer.finish()
    async with unit_of_work(runtime, caller) as work:
        connection = await work.connection()
        given = (transfer_id, task.attempt, writer.size, digest, rows)
        expires = await connection.fetchval(COMPLETE, *given)
        if expires is None:
            raise TaskLost
        await note(work, plan, transfer_id, rows)
    return {
        "export_id": str(transfer_id),
        "rows": rows,
        "size_bytes": writer.size,
        "sha256": digest.hex(),
        "download_url": download_url(runtime, transfer_id, expires),
    }


def headers_of(file_format: str, filename: str) -> dict[str, str]:
    """Of a file that is kept rather than shown."""
    return {"Content-Type": MEDIA[file_format], "Content-Disposition": f'attachment; filename="{filename}"'}


def download_url(runtime: Runtime, transfer_id: UUID, expires_at: Any) -> str:
    until = min(expires_at, clock.now() + links.LASTS)
    return f"/api/v1/exports/{transfer_id}/download?token={links.sign(runtime.settings.secret_key, transfer_id, until)}"
