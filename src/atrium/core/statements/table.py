"""What reads and writes share: one table seen under its policy, and how a record of it is rendered."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    or_,
    select,
    true,
)

from atrium.core.access import Policy, Principal, policy_of_table
from atrium.core.db.wire import Field, fields_of, render

WITHIN = "within_"


@dataclass(frozen=True, slots=True, eq=False)
class Guarded:
    """A table, its outside fields and its policy."""

    table: Table
    fields: dict[str, Field]
    policy: Policy

    @property
    def is_soft_deleted(self) -> bool:
        return "deleted_at" in self.table.c

    @property
    def is_versioned(self) -> bool:
        return "version" in self.table.c

    def present(self) -> ColumnElement[bool]:
        return self.table.c.deleted_at.is_(None) if self.is_soft_deleted else true()

    def within(self, columns: Iterable[str]) -> list[ColumnElement[bool]]:
        """Rows under the parent that a nested path names; nothing is under a deleted one."""
        found = []
        for name in columns:
            column = self.table.c[name]
            found += [column == bindparam(WITHIN + name, type_=column.type), *_under_present(column)]
        return found

    def readable(self, kind: int) -> list[ColumnElement[bool]]:
        return self._within_policy(self.policy.rows(kind))

    def writable(self, kind: int, fields: Iterable[str] = ()) -> list[ColumnElement[bool]]:
        return self._within_policy(self.policy.written(kind, fields))

    def removable(self, kind: int) -> list[ColumnElement[bool]]:
        return self._within_policy(self.policy.removed(kind))

    def _within_policy(self, rows: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
        """Who sees every row does not see those that went with their parent; other policies name the parent."""
        if rows is not None:
            return [self.present(), rows]
        return [self.present(), *(self._went_along() if self.is_soft_deleted else ())]

    def _went_along(self) -> Iterator[ColumnElement[bool]]:
        for column in self.table.c:
            if column.info.get("scope"):
                for kept in _under_present(column):
                    yield or_(column.is_(None), kept) if column.nullable else kept

    def visible(self, kind: int, asked: Sequence[str] = ()) -> list[Field]:
        """The fields of a record in the order of the table; `deleted_at` is how a row is gone, not part of it."""
        hidden = self.policy.hidden(kind)
        chosen = asked or self.fields
        return [self.fields[name] for name in chosen if name not in hidden and name != "deleted_at"]


def _under_present(column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """The parents that the key names are not deleted."""
    parents = [key.column.table for key in column.foreign_keys]
    return [column.in_(select(one.c.id).where(one.c.deleted_at.is_(None))) for one in parents if "deleted_at" in one.c]


def parents_of(column: Column[Any], principal: Principal) -> Iterator[tuple[Guarded, int]]:
    """The tables that a foreign key points to, each with the kind of caller there; keys to nobody's table have none."""
    for key in column.foreign_keys:
        owner = policy_of_table(key.column.table)
        if owner is not None:
            model, policy = owner
            yield Guarded(key.column.table, dict(fields_of(model)), policy), policy.kind(principal)


def version_of(source: FromClause) -> ColumnElement[int]:
    """What the ETag says: the version, or the moment of the last change in microseconds."""
    if "version" in source.c:
        return source.c.version
    return cast(extract("epoch", source.c.updated_at) * literal_column("1000000"), BigInteger)


def record(source: FromClause, fields: Iterable[Field], more: Iterable[ColumnElement[Any]] = ()) -> ColumnElement[str]:
    """One row as JSON text; `row_to_json` over a sub-select, because json_build_object stops at fifty pairs."""
    columns = [rendered(source, field) for field in fields]
    row = select(*columns, *more).correlate(source).subquery("r")
    return select(cast(func.row_to_json(literal_column("r")), Text)).select_from(row).scalar_subquery()


def rendered(source: FromClause, field: Field) -> ColumnElement[Any]:
    return render(source.c[field.name]).label(field.name)


def as_bytes(text: ColumnElement[str]) -> ColumnElement[bytes]:
    return func.convert_to(text, literal_column("'UTF8'"))
