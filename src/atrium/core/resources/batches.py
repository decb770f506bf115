"""Many rows written in one transaction: the whole batch in one statement, and only what that leaves over one by one."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from atrium.core.errors import AtriumError, Conflict, Duplicate, FieldError, Invalid
from atrium.core.resources.reading import Record
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.core.statements import many
from atrium.core.statements.compiled import Compiled, inside
from atrium.core.statements.failures import explain, failing_row
from atrium.core.statements.retries import is_retryable
from atrium.core.statements.table import WITHIN

if TYPE_CHECKING:
    from atrium.core.resources.bulk import Bulk

Found = dict[UUID, Record]


class Refused(msgspec.Struct, frozen=True):
    """A row that was not written, and why."""

    index: int
    detail: str
    code: str
    errors: list[FieldError] = []


@dataclass(frozen=True, slots=True)
class Written:
    """A row that was; the body of its record is empty unless it was asked for."""

    index: int
    record: Record


@dataclass(slots=True)
class BulkResult:
    """What became of the rows, each list in the order in which they came."""

    created: list[Written] = field(default_factory=list)
    updated: list[Written] = field(default_factory=list)
    unchanged: list[Written] = field(default_factory=list)
    deleted: list[Written] = field(default_factory=list)
    errors: list[Refused] = field(default_factory=list)

    def sort(self) -> None:
        for listed in (self.created, self.updated, self.unchanged, self.deleted):
            listed.sort(key=lambda one: one.index)
        self.errors.sort(key=lambda one: one.index)


@dataclass(slots=True)
class Row:
    """One row on its way; `id` is its own, or the one that it is to change."""

    index: int
    id: UUID
    values: dict[str, Any]
    asked: tuple[str, ...] = ()
    version: int | None = None


@dataclass(slots=True)
class KeyedRow:
    """A row that is made unless its key exists: what it would be when it is new, and what it changes otherwise."""

    index: int
    new: Row
    change: Row
    fixed: dict[str, Any]
    missing: AtriumError | None = None
    """Why it cannot be made when it does not exist."""


def refused(index: int, error: AtriumError) -> Refused:
    errors = [FieldError(("body", index, *one.loc[1:]), one.msg, one.type) for one in error.errors]
    return Refused(index, error.detail, error.instance_code, errors)


class Batch:
    """The rows of one call, inside one transaction."""

    def __init__(
        self,
        resource: "Bulk",
        runtime: Runtime,
        connection: Any,
        caller: Caller,
        kind: int,
        within: Mapping[str, UUID],
        *,
        rendered: bool,
    ) -> None:
        self.resource, self.caller, self.kind, self.within, self.rendered = resource, caller, kind, within, rendered
        self.connection, self.runtime = connection, inside(runtime, connection)
        self.result = BulkResult()
        self.is_strict = False
        """Whether the first refusal is the answer."""

    def refuse(self, index: int, error: AtriumError) -> None:
        if self.is_strict or error.status >= 500:
            raise error
        self.result.errors.append(refused(index, error))

    async def make(self, rows: Iterable[Row]) -> None:
        for group in _grouped(rows, self._creation_shape):
            await self._write(group, self._create, self._create_alone, self.result.created)

    async def change(self, rows: Iterable[Row]) -> None:
        for group in _grouped(rows, lambda row: (row.asked, tuple(sorted(row.values)))):
            if group[0].values:
                await self._write(group, self._change, self._change_alone, self.result.updated)
            else:
                await self._write(group, self._nothing, self._look_alone, self.result.updated)

    async def remove(self, rows: Sequence[Row]) -> None:
        await self._write(rows, self._remove, self._remove_alone, self.result.deleted)

    async def put(self, rows: Sequence[KeyedRow], key: tuple[str, ...]) -> None:
        """Each key once per round, so that a later row of the same key finds what an earlier one made."""
        waiting = list(rows)
        while waiting:
            now: dict[tuple[Any, ...], KeyedRow] = {}
            later = []
            for row in waiting:
                name = tuple(row.new.values.get(column) for column in key)
                if None not in name and name in now:
                    later.append(row)
                else:
                    now[name if None not in name else (row.index, None)] = row
            await self._put_round(list(now.values()), key, again=True)
            waiting = later

    async def _put_round(self, rows: Sequence[KeyedRow], key: tuple[str, ...], *, again: bool) -> None:
        by_id = {row.new.id: row for row in rows}
        known = await self._match(rows, key)
        changing = []
        for row in rows:
            if row.new.id not in known:
                continue
            row.change.id, fixed, same = known[row.new.id]
            if not fixed:
                names = ", ".join(sorted(row.fixed))
                self.refuse(row.index, Conflict(f"The record exists; its {names} can no longer be changed."))
            elif same:
                self.result.unchanged.append(Written(row.index, Record(b"", 0, row.change.id)))
            else:
                changing.append(row.change)
        making = []
        for row in rows:
            if row.new.id in known:
                continue
            if row.missing is not None:
                self.refuse(row.index, row.missing)
            else:
                making.append(row.new)
        await self.change(changing)
        before = len(self.result.errors)
        await self.make(making)
        taken = {one.index for one in self.result.errors[before:] if one.code == Duplicate.code}
        if again and taken:  # somebody made them since they were looked for
            lost = [row for row in by_id.values() if row.index in taken]
            if await self._match(lost, key):
                self.result.errors = [one for one in self.result.errors if one.index not in taken]
                await self._put_round(lost, key, again=False)

    async def _match(self, rows: Sequence[KeyedRow], key: tuple[str, ...]) -> dict[UUID, tuple[UUID, bool, bool]]:
        """Of the rows that exist: id, whether what cannot be changed is as it was sent, whether all else is, too."""
        found: dict[UUID, tuple[UUID, bool, bool]] = {}
        named = [row for row in rows if all(row.new.values.get(column) is not None for column in key)]
        shapes: dict[tuple[tuple[str, ...], ...], list[KeyedRow]] = defaultdict(list)
        for row in named:
            shapes[tuple(sorted(row.fixed)), tuple(sorted(row.change.values))].append(row)
        guarded, inside_of = self.resource.guarded, tuple(self.within)
        for (fixed, columns), group in shapes.items():
            compiled = self.resource.statements.get(
                ("match", self.kind, key, fixed, columns, inside_of),
                lambda fixed=fixed, columns=columns: many.match(  # type: ignore[misc]
                    guarded, self.kind, key, fixed, columns, inside_of
                ),
            )
            given = [
                {**row.change.values, **row.fixed, **{name: row.new.values[name] for name in key}} for row in group
            ]
            binds = many.arrays(guarded, dict.fromkeys((*key, *fixed, *columns)), given)
            for place, row_id, is_fixed, same in await self._fetch(compiled, binds):
                found[group[place - 1].new.id] = (row_id, is_fixed, same)
        return found

    async def render_unchanged(self) -> None:
        rows = self.result.unchanged
        if not rows or not self.rendered:
            return
        found = await self._some([one.record.id for one in rows])
        self.result.unchanged = [Written(one.index, found.get(one.record.id, one.record)) for one in rows]

    async def _write(
        self,
        rows: Sequence[Row],
        together: Callable[[Sequence[Row]], Awaitable[Found]],
        alone: Callable[[Row], Awaitable[Record]],
        done: list[Written],
    ) -> None:
        """The rows together; when that fails, those before the row at fault, that row, and those behind it."""
        pieces = [rows] if rows else []
        while pieces:
            piece = pieces.pop()
            if len(piece) == 1 and piece is not rows:
                await self._write_alone(piece[0], alone, done)
                continue
            try:
                async with self.connection.transaction():
                    found = await together(piece)
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                pieces += [part for part in reversed(_split(piece, error)) if part]
                continue
            done += [Written(row.index, found[row.id]) for row in piece if row.id in found]
            for row in piece:
                if row.id not in found:
                    await self._write_alone(row, alone, done)

    async def _write_alone(self, row: Row, alone: Callable[[Row], Awaitable[Record]], done: list[Written]) -> None:
        try:
            async with self.connection.transaction():
                record = await alone(row)
        except AtriumError as error:
            self.refuse(row.index, error)
        else:
            done.append(Written(row.index, record))

    def _creation_shape(self, row: Row) -> tuple[Any, ...]:
        columns = self.resource.table.c
        return row.asked, frozenset(name for name in row.values if many.needs_presence(columns[name]))

    async def _create(self, rows: Sequence[Row]) -> Found:
        columns = tuple(sorted({name for row in rows for name in row.values}))
        references = self.resource.parents_named(columns, self.caller.principal)
        asked = rows[0].asked
        compiled = self.resource.statements.get(
            ("create many", self.kind, columns, asked, self.rendered),
            lambda: many.create(self.resource.guarded, self.kind, columns, references, asked, rendered=self.rendered),
        )
        binds = many.arrays(self.resource.guarded, columns, [row.values for row in rows])
        return self._records(await self._fetch(compiled, binds))

    async def _create_alone(self, row: Row) -> Record:
        return await self.resource.insert(self.runtime, self.caller, self.kind, row.values, row.asked, self.within)

    async def _change(self, rows: Sequence[Row]) -> Found:
        columns, asked = tuple(sorted(rows[0].values)), rows[0].asked
        references = self.resource.parents_named(columns, self.caller.principal)
        inside_of, condition = tuple(self.within), self.resource.update_if
        compiled = self.resource.statements.get(
            ("change many", self.kind, columns, asked, inside_of, self.rendered),
            lambda: many.change(
                self.resource.guarded,
                self.kind,
                columns,
                references,
                asked,
                within=inside_of,
                only_if=condition[0] if condition else None,
                rendered=self.rendered,
            ),
        )
        given = [{**row.values, "id": row.id} for row in rows]
        versions = [row.version for row in rows]
        binds = many.arrays(self.resource.guarded, ("id", *columns), given, versions)
        return self._records(await self._fetch(compiled, binds))

    async def _change_alone(self, row: Row) -> Record:
        return await self.resource.update_row(
            self.runtime, self.caller, self.kind, row.id, row.values, row.asked, row.version, self.within
        )

    async def _nothing(self, _rows: Sequence[Row]) -> Found:
        """Rows that change nothing are looked at one by one."""
        return {}

    async def _look_alone(self, row: Row) -> Record:
        return await self.resource.look(self.runtime, self.caller, row.id, row.version, self.within)

    async def _remove(self, rows: Sequence[Row]) -> Found:
        inside_of, condition = tuple(self.within), self.resource.delete_if
        compiled = self.resource.statements.get(
            ("remove many", self.kind, inside_of),
            lambda: many.remove(
                self.resource.guarded, self.kind, within=inside_of, only_if=condition[0] if condition else None
            ),
        )
        gone = await self._fetch(compiled, {many.MANY + "id": [row.id for row in rows]})
        return {one[0]: Record(b"", 0, one[0]) for one in gone}

    async def _remove_alone(self, row: Row) -> Record:
        await self.resource.delete_row(self.runtime, self.caller, self.kind, row.id, row.version, self.within)
        return Record(b"", 0, row.id)

    async def _some(self, ids: Collection[UUID]) -> Found:
        compiled = self.resource.statements.get(
            ("some", self.kind), lambda: many.some(self.resource.guarded, self.kind)
        )
        return self._records(await self._fetch(compiled, {many.MANY + "id": list(ids)}))

    async def _fetch(self, compiled: Compiled, binds: Mapping[str, Any]) -> list[asyncpg.Record]:
        known = {**binds, "actor": self.caller.actor()}
        known |= {WITHIN + name: value for name, value in self.within.items()}
        found: list[asyncpg.Record] = await self.connection.fetch(
            compiled.sql, *compiled.arguments(known, self.caller.principal)
        )
        return found

    def _records(self, rows: Iterable[asyncpg.Record]) -> Found:
        return {row[0]: Record(row[2] if self.rendered else b"", row[1], row[0]) for row in rows}


def _grouped(rows: Iterable[Row], shape: Callable[[Row], Any]) -> list[list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[shape(row)].append(row)
    return list(groups.values())


def _is_of_a_row(error: Exception) -> bool:
    """Whether the others might be written without one of the rows; a lost connection is nobody's fault."""
    told = None if is_retryable(error) else explain(error, ())
    return told is not None and told.status < 500


def _split(rows: Sequence[Row], error: Exception) -> list[Sequence[Row]]:
    """Around the row that PostgreSQL names; in halves when it names none."""
    name = failing_row(error)
    place = next((place for place, row in enumerate(rows) if str(row.id) == name), None)
    if place is None:
        return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    behind = rows[place + 1 :]
    return [rows[:place], rows[place : place + 1], behind[: len(behind) // 2], behind[len(behind) // 2 :]]


def refusal_of(errors: Sequence[Refused], asked: int) -> Invalid:
    """All or nothing: what is wrong with each row that is to blame."""
    found: list[FieldError] = []
    for one in errors:
        found += one.errors or [FieldError(("body", one.index), one.detail, one.code.lower())]
    text = f"{len(errors)} of {asked} rows cannot be written, so none was."
    return Invalid(text, errors=found[:NAMED])


NAMED = 500
"""As many errors are named in one answer, so that it never grows with the bodies."""
