"""A declared resource and what can be done with it, apart from HTTP.

    notes = Resource(
        Note,
        path="/api/v1/notes",
        also=("/api/v1/clients/{client_id}/notes",),
        tag="wealth-clients",
        read="wealth.notes.read",
        write="wealth.notes.write",
        filters=("category", "client_id"),
        search=("body",),
        sort="-created_at",
        example={"body": "Called about the house."},
    )

The rows come from the model's policy (core.access), the wire from its columns (core.db.wire). Plain verbs are one
statement each; rules that need no I/O hook in as pure functions (`on_create`, `on_update`) and as conditions on the
old row
(`update_if`, `delete_if`). Path parameters of `also` name columns: they narrow what is listed and fill what is made.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table

from atrium.core import clock
from atrium.core.access import Policy, Principal, policy_of, policy_of_table
from atrium.core.db.columns import Mark
from atrium.core.db.entity import Entity
from atrium.core.db.wire import Field, fields_of
from atrium.core.errors import AtriumError, Forbidden, MethodNotAllowed, NotFound
from atrium.core.query.ast import Query
from atrium.core.query.parse import Vocabulary, write_cursor
from atrium.core.resources import second_look
from atrium.core.resources.lists import Lists, read_order, search_text
from atrium.core.resources.schemas import Body
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work
from atrium.core.statements import reads, writes
from atrium.core.statements.compiled import Cache, Compiled, fetch, run
from atrium.core.statements.table import WITHIN, Guarded, parents_of

Prepare = Callable[[dict[str, Any], Principal, datetime], dict[str, Any]]
Condition = tuple[ColumnElement[bool], Callable[[dict[str, Any]], AtriumError]]
Preset = Callable[[str], tuple[tuple[str, str, Any], ...]]
PARAMETERS = re.compile(r"\{(\w+)\}")


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


@dataclass(eq=False)
class Resource:
    model: type[Entity]
    path: str
    tag: str = ""
    also: tuple[str, ...] = ()
    read: str = ""
    write: str | None = None
    create: str | None = ""
    update: str | None = ""
    delete: str | None = ""
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ("created_at",)
    search: Sequence[str] | ColumnElement[str] = ()
    sort: str = "-created_at"
    on_create: Prepare | None = None
    on_update: Prepare | None = None
    accepts: Mapping[str, Any] = field(default_factory=dict)
    update_if: Condition | None = None
    delete_if: Condition | None = None
    presets: Mapping[str, Preset] = field(default_factory=dict)
    history: bool = True
    max_limit: int = 100
    example: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        self.create, self.update, self.delete = (
            self.write if permission == "" else permission for permission in (self.create, self.update, self.delete)
        )
        table: Table = self.model.__table__  # type: ignore[assignment]
        self.table = table
        self.name = self.name or table.name
        self.title = self.title or (self.model.__doc__ or self.name).strip().splitlines()[0].rstrip(".")
        self.policy: Policy = policy_of(self.model)
        self.fields: Mapping[str, Field] = fields_of(self.model)
        self.guarded = Guarded(table, dict(self.fields), self.policy)
        self.statements = Cache()
        self.default_order = read_order(self.sort)
        self._search = search_text(self.search, table)
        self._lists = Lists(self.guarded, self.statements, self._search)
        self._check_declaration()

    def _check_declaration(self) -> None:
        named = {*self.filters, *self.sorts, *(order.column for order in self.default_order), *self.accepts}
        unknown = named - set(self.fields) - set(self.accepts)
        if unknown:
            raise ValueError(f"{self.name} names columns that it has not: {sorted(unknown)}")
        unordered = [name for name in (*self.filters, *self.sorts) if not self.fields[name].is_ordered]
        if unordered:
            raise ValueError(f"{self.name} cannot filter or sort by {sorted(unordered)}")
        if self.create is not None or self.update is not None:
            for reference in self._writable_keys():
                if policy_of_table(reference.column.table) is None and reference.column.table is not self.table:
                    raise ValueError(f"{self.name}: the parent of a writable key has no policy: {reference}")

    def _writable_keys(self) -> list[Any]:
        columns = (field.column for field in self.fields.values() if field.mark is not Mark.SYSTEM)
        return [key for column in columns for key in column.foreign_keys]

    def permissions(self) -> list[str]:
        return sorted({code for code in (self.read, self.create, self.update, self.delete) if code})

    # what comes in

    @functools.cache  # noqa: B019  resources live as long as the process
    def body(self, verb: str, kind: int, within: tuple[str, ...] = ()) -> Body:
        """The body of create or update for one kind of caller; `within` is what the path already says."""
        closed = {Mark.SYSTEM, Mark.PRIVATE} | ({Mark.CREATE_ONLY} if verb == "update" else set())
        stamps = self.policy.stamps(kind)
        open_fields = [
            field
            for field in self.fields.values()
            if field.mark not in closed
            and (self.policy.may_write(kind, field.name) or (verb == "create" and field.name in stamps))
        ]
        name = f"{self.model.__name__}{verb.capitalize()}"
        extra = self.accepts if verb == "create" else {}

        def required(known: Field) -> bool:
            named = known.name in stamps or known.name in extra or known.name in within
            return verb == "create" and known.required and not named

        return Body(name, open_fields, required, extra)

    @functools.cache  # noqa: B019
    def vocabulary(self, kind: int) -> Vocabulary:
        hidden = self.policy.hidden(kind)
        return Vocabulary(
            fields={name: known for name, known in self.fields.items() if name not in hidden and name != "deleted_at"},
            filters=frozenset({"id", *self.filters} - hidden),
            sorts=frozenset({"id", *self.sorts} - hidden),
            default_order=self.default_order,
            searchable=self._search is not None,
            max_limit=self.max_limit,
            presets=self.presets,
        )

    # reads

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

    # writes

    async def make(self, runtime: Runtime, caller: Caller, raw: bytes, within: Mapping[str, UUID]) -> Record:
        principal = caller.principal
        self._require(self.create, principal)
        kind = self._writer(principal)
        if not self.policy.writes(kind):
            raise Forbidden(f"You may not make a {self.noun()}.")
        values = self.body("create", kind, tuple(within)).decode(raw)
        asked = self._asked(values, kind)
        values |= within
        values = self._stamp(values, kind, principal)
        if self.on_create is not None:
            values = self.on_create(values, principal, clock.now())
        values = {name: value for name, value in values.items() if name in self.table.c}
        values["id"] = clock.new_id()
        references = self._references(values, principal)
        columns = tuple(sorted(values))
        compiled = self.statements.get(
            ("create", kind, columns, _key(references), asked),
            lambda: writes.create(self.guarded, kind, columns, references, asked),
        )
        rows = await run(runtime, compiled, self._binds(values, caller), principal, self.table)
        if not rows:
            await second_look.explain_missing_parents(runtime, principal, references, values, within)
            raise Forbidden("You may not make this record.")
        return Record(rows[0][0], rows[0][1], rows[0][2])

    async def change(
        self,
        runtime: Runtime,
        caller: Caller,
        row_id: UUID,
        raw: bytes,
        *,
        if_match: int | None = None,
        within: Mapping[str, UUID] | None = None,
    ) -> Record:
        principal = caller.principal
        self._require(self.update, principal)
        kind, within = self._writer(principal), within or {}
        if not self.policy.writes(kind):
            await self.get(runtime, caller, row_id, within)
            raise Forbidden(self._unchangeable())
        values = self.body("update", kind).decode(raw)
        asked = self._asked(values, kind)
        if self.on_update is not None and values:
            values = self.on_update(values, principal, clock.now())
        if not values:
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.update_if)
            return await self.get(runtime, caller, row_id, within)
        references = self._references(values, principal)
        columns, inside = tuple(sorted(values)), tuple(within)
        matching = if_match is not None
        only_if = self.update_if[0] if self.update_if else None
        compiled = self.statements.get(
            ("change", kind, columns, _key(references), matching, inside, asked),
            lambda: writes.change(
                self.guarded, kind, columns, references, asked, matching=matching, within=inside, only_if=only_if
            ),
        )
        binds = self._binds(values, caller) | {"id": row_id, "if_match": if_match}
        binds |= {WITHIN + name: value for name, value in within.items()}
        rows = await run(runtime, compiled, binds, principal, self.table)
        if not rows:
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.update_if)
            await second_look.explain_missing_parents(runtime, principal, references, values, {})
            raise Forbidden(self._unchangeable())
        return Record(rows[0][0], rows[0][1], rows[0][2])

    async def remove(
        self,
        runtime: Runtime,
        caller: Caller,
        row_id: UUID,
        *,
        if_match: int | None = None,
        within: Mapping[str, UUID] | None = None,
    ) -> None:
        principal = caller.principal
        self._require(self.delete, principal)
        kind, within = self._writer(principal), within or {}
        inside, matching = tuple(within), if_match is not None
        only_if = self.delete_if[0] if self.delete_if else None
        compiled = self.statements.get(
            ("remove", kind, matching, inside),
            lambda: writes.remove(self.guarded, kind, matching=matching, within=inside, only_if=only_if),
        )
        binds = {"id": row_id, "if_match": if_match, "actor": caller.actor()}
        binds |= {WITHIN + name: value for name, value in within.items()}
        if not await run(runtime, compiled, binds, principal, self.table):
            await second_look.explain_untouched(self, runtime, caller, row_id, if_match, within, self.delete_if)
            raise Forbidden(f"You may read this {self.noun()} but not delete it.")

    def _require(self, permission: str | None, principal: Principal) -> None:
        if permission is None:
            principal.require(self.read)
            raise MethodNotAllowed(f"{self.name} do not take this method.")
        principal.require(permission)

    def _writer(self, principal: Principal) -> int:
        kind = self.policy.kind(principal)
        if kind == 0:
            raise NotFound
        return kind

    def _asked(self, values: Mapping[str, Any], kind: int) -> tuple[str, ...]:
        """The fields of the table that the caller sends, where not every row it writes has them all open."""
        return tuple(sorted(name for name in values if name in self.fields)) if self.policy.is_mixed(kind) else ()

    def _stamp(self, values: dict[str, Any], kind: int, principal: Principal) -> dict[str, Any]:
        """What the policy sets from the caller; naming somebody else is refused rather than corrected."""
        for column, claim in self.policy.stamps(kind).items():
            own = principal.id_of(claim)
            if values.get(column) not in (None, own):
                stem = column.removesuffix("_id")
                raise Forbidden(f"{column} must be your own.", code=f"{stem.upper()}_MISMATCH")
            values[column] = own
        return values

    def _binds(self, values: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        fields = self.fields
        bound = {name: fields[name].bind(value) if name in fields else value for name, value in values.items()}
        return {**bound, "actor": caller.actor()}

    def _references(self, values: Mapping[str, Any], principal: Principal) -> tuple[writes.Reference, ...]:
        """The parents that this write names; keys that the server sets or that are null name none."""
        found = []
        for name in sorted(values):
            known = self.fields.get(name)
            if known is None or values[name] is None or known.mark is Mark.SYSTEM:
                continue
            found += [writes.Reference(name, *parent) for parent in parents_of(known.column, principal)]
        return tuple(found)

    def _unchangeable(self) -> str:
        return f"You may read this {self.noun()} but not change it."

    def noun(self) -> str:
        """What one record is called in a sentence."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.model.__name__).lower()


def _key(references: Sequence[writes.Reference]) -> tuple[tuple[str, int], ...]:
    return tuple((reference.column, reference.kind) for reference in references)
