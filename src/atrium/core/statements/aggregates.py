"""Figures of groups of rows: under the same policy as the list, rendered by PostgreSQL, decimals exact."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    FromClause,
    Numeric,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from atrium.core.db.wire import render
from atrium.core.query import build
from atrium.core.query.ast import Aggregation, Key, Metric, Order
from atrium.core.statements.seen import Link, Seen
from atrium.core.statements.table import as_bytes


def aggregate(seen: Seen, shape: Aggregation, within: tuple[str, ...] = ()) -> Select[*tuple[Any, ...]]:
    """One column: the groups as JSON objects (bytes, without brackets)."""
    joined = _Joined(seen)
    keys = {key.name: _key(joined.column(key), key, shape.zone) for key in shape.keys}
    columns = dict(seen.table.c)
    metrics = {metric.name: _metric(metric, columns) for metric in (*shape.metrics, *shape.measured)}
    named = {**keys, **metrics}
    names = [*(key.name for key in shape.keys), *(metric.name for metric in shape.metrics)]
    shown = [named[name].label(name) for name in names]
    groups = select(*shown).select_from(joined.source).where(*seen.matching(shape.rows, within))
    groups = groups.group_by(*keys.values()).order_by(*_ordered(shape.order, named))
    if shape.having.children:
        groups = groups.having(build.where(shape.having, metrics))
    found = groups.limit(bindparam("limit", type_=BigInteger())).subquery("groups")
    rendered = [render(found.c[name]).label(name) for name in names]
    row = select(*rendered).correlate(found).subquery("r")
    line = select(cast(func.row_to_json(literal_column("r")), Text)).select_from(row).scalar_subquery()
    return select(as_bytes(func.string_agg(line, literal_column("','")))).select_from(found)


class _Joined:
    """The table with the rows that its keys are found behind; a caller who does not see such a row has no key there."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.source: FromClause = seen.table
        self._met: dict[tuple[str, ...], tuple[Seen, FromClause]] = {(): (seen, seen.table)}

    def column(self, key: Key) -> ColumnElement[Any]:
        for length in range(1, len(key.path) + 1):
            self._join(key.path[:length])
        return self._met[key.path][1].c[key.column]

    def _join(self, path: tuple[str, ...]) -> None:
        if path in self._met:
            return
        before, rows = self._met[path[:-1]]
        link: Link = before.follow(path[-1])
        target = link.target
        seen = select(target.table).where(*target.guarded.readable(target.kind)).subquery()
        self.source = self.source.outerjoin(seen, seen.c[link.there] == rows.c[link.here])
        self._met[path] = (target, seen)


def _key(column: ColumnElement[Any], key: Key, zone: int) -> ColumnElement[Any]:
    """A unit of time begins when it does in the zone: its first day there, or the instant of its first hour."""
    if not key.unit:
        return column
    unit: ColumnElement[str] = literal_column(f"'{key.unit}'")
    if isinstance(column.type, Date):
        return cast(func.date_trunc(unit, column), Date())
    where = bindparam(build.parameter(zone), type_=Text())
    began = func.date_trunc(unit, func.timezone(where, column))
    return func.timezone(where, began, type_=DateTime(timezone=True)) if key.unit == "hour" else cast(began, Date())


def _metric(metric: Metric, columns: Mapping[str, Any]) -> ColumnElement[Any]:
    """Counts are numbers like sums here, so that conditions compare them with any number."""
    if not metric.column:
        return func.count(literal_column("*"), type_=Numeric())
    column = columns[metric.column]
    if metric.function == "count":
        return func.count(column.distinct() if metric.distinct else column, type_=Numeric())
    kind = column.type if metric.function in ("min", "max") else Numeric()
    found: ColumnElement[Any] = getattr(func, metric.function)(column, type_=kind)
    return found


def _ordered(order: tuple[Order, ...], named: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    directed = ((named[one.column], one.descending) for one in order)
    return [(found.desc() if descending else found.asc()).nulls_last() for found, descending in directed]
