"""A resource read: pages and records, each one statement that PostgreSQL renders."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from atrium.core.access import Principal
from atrium.core.errors import NotFound
from atrium.core.query.ast import Query
from atrium.core.query.parse import write_cursor
from atrium.core.resources import second_look
from atrium.core.resources.declaration import Declaration
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work
from atrium.core.statements import reads
from atrium.core.statements.compiled import Compiled, fetch
from atrium.core.statements.table import WITHIN


@dataclass(frozen=True, slots=True)
class Record:
    """A rendered record: its JSON, its version for the ETag, its id."""

    body: bytes
    version: int
    id: UUID


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


class Reading(Declaration):
    async def page(self, runtime: Runtime, caller: Caller, query_string: str, within: Mapping[str, UUID]) -> Page:
        principal = caller.principal
        principal.require(self.read)
        kind = self.policy.kind(principal)
        prepared = self._lists.prepare(query_string, kind, tuple(within), self.vocabulary)
        values = {**prepared.values, **{WITHIN + name: value for name, value in within.items()}}
        if within:
            await second_look.require_parents(self, runtime, principal, within)
        row = (await fetch(runtime, prepared.compiled, values, principal, self.table))[0]
        query, total, rows = prepared.query, row[0], row[2]
        more = rows == query.limit and (total is None or query.shape.cursor or query.offset + rows < total)
        cursor = (
            write_cursor(prepared.mark, [row[3 + place] for place in range(len(query.shape.order))]) if more else None
        )
        return Page(row[1] or b"", rows, total, query, cursor)

    async def get(
        self, runtime: Runtime, caller: Caller, row_id: UUID, within: Mapping[str, UUID] | None = None
    ) -> Record:
        caller.principal.require(self.read)
        found = await self.find(runtime, caller.principal, row_id, within)
        if found is None:
            raise NotFound(f"There is no {self.noun()} with this id, or it is outside what you may see.")
        return found

    async def find(
        self, runtime: Runtime, principal: Principal, row_id: UUID, within: Mapping[str, UUID] | None = None
    ) -> Record | None:
        compiled, values = self._one(principal, row_id, within or {})
        rows = await fetch(runtime, compiled, values, principal, self.table)
        return Record(rows[0][0], rows[0][1], row_id) if rows else None

    async def render(self, work: Work, row_id: UUID) -> bytes:
        """The record as its caller sees it, from inside a unit of work."""
        await work.session.flush()
        compiled, values = self._one(work.principal, row_id, {})
        connection = await work.connection()
        rows = await connection.fetch(compiled.sql, *compiled.arguments(values, work.principal))
        if not rows:
            raise NotFound
        return bytes(rows[0][0])

    def _one(self, principal: Principal, row_id: UUID, within: Mapping[str, UUID]) -> tuple[Compiled, dict[str, Any]]:
        kind, columns = self.policy.kind(principal), tuple(within)
        compiled = self.statements.get(("one", kind, columns), lambda: reads.one(self.guarded, kind, columns))
        return compiled, {"id": row_id, **{WITHIN + name: value for name, value in within.items()}}
