"""A resource read: pages and records, each one statement that PostgreSQL renders."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from atrium.core.access import Principal
from atrium.core.errors import NotFound
from atrium.core.query.ast import RELEVANCE, Query
from atrium.core.query.cursors import write_cursor
from atrium.core.resources import second_look
from atrium.core.resources.declaration import Declaration
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work
from atrium.core.statements import reads
from atrium.core.statements.compiled import Compiled, fetch
from atrium.core.statements.limited import estimate, fetch_limited
from atrium.core.statements.reads import COUNTED
from atrium.core.statements.table import WITHIN


@dataclass(frozen=True, slots=True)
class Record:
    """A rendered record: its JSON, its version for the ETag, its id, and whether other records are in it."""

    body: bytes
    version: int
    id: UUID
    includes: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    items: bytes
    rows: int
    total: int | None
    query: Query
    next_cursor: str | None

    def envelope(self) -> bytes:
        """The v1 list: items, total, page, limit, pages, next_cursor."""
        limit, total = self.query.limit, self.total
        return b'{"items":[%s],"total":%s,"page":%d,"limit":%d,"pages":%s,"next_cursor":%s}' % (
            self.items,
            b"null" if total is None else b"%d" % total,
            self.query.page,
            limit,
            b"null" if total is None else b"%d" % -(-total // limit),
            b"null" if self.next_cursor is None else b'"%s"' % self.next_cursor.encode(),
        )


def page_of(row: Any, query: Query, mark: str, total: int | None) -> Page:
    """The page in the row that `reads.page` answers, with the cursor of its last record if more may follow."""
    shape, rows = query.shape, row[2]
    known = total is not None and not shape.cursor and not (shape.estimated and total > COUNTED)
    more = rows == query.limit and not (known and query.offset + rows >= (total or 0))
    has_position = not any(one.column == RELEVANCE for one in shape.order)
    last = [row[3 + place] for place in range(len(shape.order))] if more and has_position else None
    return Page(row[1] or b"", rows, total, query, None if last is None else write_cursor(mark, last))


class Reading(Declaration):
    async def page(self, runtime: Runtime, caller: Caller, query_string: str, within: Mapping[str, UUID]) -> Page:
        principal = caller.principal
        principal.require(self.read)
        prepared = self._lists.prepare(query_string, self.policy.kind(principal), tuple(within), principal)
        values = prepared.values
        if within:
            values = {**values, **_named(within)}
            await second_look.require_parents(self, runtime, principal, within)
        row = (await fetch(runtime, prepared.compiled, values, principal, self.table))[0]
        total = row[0]
        if prepared.estimate is not None and total > COUNTED:
            total = max(total, await estimate(runtime, prepared.estimate, values, principal, self.table))
        return page_of(row, prepared.query, prepared.mark, total)

    async def aggregate(self, runtime: Runtime, caller: Caller, query_string: str, within: Mapping[str, UUID]) -> bytes:
        """Figures of groups of the rows that the same parameters would list."""
        principal = caller.principal
        principal.require(self.read)
        prepared = self._lists.prepare_aggregate(query_string, self.policy.kind(principal), tuple(within), principal)
        if within:
            await second_look.require_parents(self, runtime, principal, within)
        values = {**prepared.values, **_named(within)}
        rows = await fetch_limited(runtime, prepared.compiled, values, principal, self.table)
        return b'{"items":[%s]}' % (rows[0][0] or b"")

    async def get(
        self,
        runtime: Runtime,
        caller: Caller,
        row_id: UUID,
        within: Mapping[str, UUID] | None = None,
        query_string: str = "",
    ) -> Record:
        caller.principal.require(self.read)
        found = await self.find(runtime, caller.principal, row_id, within, query_string)
        if found is None:
            raise NotFound(f"There is no {self.noun()} with this id, or it is outside what you may see.")
        return found

    async def find(
        self,
        runtime: Runtime,
        principal: Principal,
        row_id: UUID,
        within: Mapping[str, UUID] | None = None,
        query_string: str = "",
    ) -> Record | None:
        columns, values = tuple(within or {}), {"id": row_id, **_named(within or {})}
        if query_string:
            kind = self.policy.kind(principal)
            prepared = self._lists.prepare_one(query_string, kind, columns, principal)
            compiled, includes = prepared.compiled, bool(prepared.query.shape.include)
            values = {**prepared.values, **values}
        else:
            compiled, includes = self._one(principal, columns), False
        rows = await fetch(runtime, compiled, values, principal, self.table)
        return Record(rows[0][0], rows[0][1], row_id, includes) if rows else None

    async def render(self, work: Work, row_id: UUID) -> bytes:
        """The record as its caller sees it, from inside a unit of work."""
        await work.session.flush()
        compiled = self._one(work.principal, ())
        connection = await work.connection()
        rows = await connection.fetch(compiled.sql, *compiled.arguments({"id": row_id}, work.principal))
        if not rows:
            raise NotFound
        return bytes(rows[0][0])

    def _one(self, principal: Principal, within: tuple[str, ...]) -> Compiled:
        kind = self.policy.kind(principal)
        return self.statements.get(("one", kind, within), lambda: reads.one(self.guarded, kind, within))


def _named(within: Mapping[str, UUID]) -> dict[str, Any]:
    return {WITHIN + name: value for name, value in within.items()}
