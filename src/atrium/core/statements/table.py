"""What reads and writes share: one table seen under its policy, and how a record of it is rendered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    select,
    true,
)

from atrium.core.access import Policy
from atrium.core.db.wire import Field, render

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
        """Rows under the parent that a nested path names."""
        return [self.table.c[name] == bindparam(WITHIN + name, type_=self.table.c[name].type) for name in columns]

    def readable(self, kind: int) -> list[ColumnElement[bool]]:
        return _known(self.present(), self.policy.rows(kind))

    def writable(self, kind: int) -> list[ColumnElement[bool]]:
        return _known(self.present(), self.policy.written(kind))

    def visible(self, kind: int, asked: Sequence[str] = ()) -> list[Field]:
        """The fields of a record in the order of the table; `deleted_at` is how a row is gone, not part of it."""
        hidden = self.policy.hidden(kind)
        chosen = asked or self.fields
        return [self.fields[name] for name in chosen if name not in hidden and name != "deleted_at"]


def _known(*parts: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [part for part in parts if part is not None]


def version_of(source: FromClause) -> ColumnElement[int]:
    """What the ETag says: the version, or the moment of the last change in microseconds."""
    if "version" in source.c:
        return source.c.version
    return cast(extract("epoch", source.c.updated_at) * literal_column("1000000"), BigInteger)


def record(source: FromClause, fields: Iterable[Field]) -> ColumnElement[str]:
    """One row as JSON text; `row_to_json` over a sub-select, because json_build_object stops at fifty pairs."""
    columns = [_rendered(source, field) for field in fields]
    row = select(*columns).correlate(source).subquery("r")
    return select(cast(func.row_to_json(literal_column("r")), Text)).select_from(row).scalar_subquery()


def _rendered(source: FromClause, field: Field) -> ColumnElement[Any]:
    return render(source.c[field.name]).label(field.name)


def as_bytes(text: ColumnElement[str]) -> ColumnElement[bytes]:
    return func.convert_to(text, literal_column("'UTF8'"))
