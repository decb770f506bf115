"""Compiled reads: the page and the record of one table, rendered by PostgreSQL.

A page is one statement: total, the rows as one JSON text, how many they are, and the sort keys of the last row for the
cursor. Values are parameters, so the statement depends only on the query's shape and the caller's policy kind.
"""

from typing import Any

from sqlalchemy import BigInteger, FromClause, Select, any_, bindparam, func, literal_column, null, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from atrium.core.query import build, keyset
from atrium.core.query.ast import RELEVANCE, Shape
from atrium.core.statements.includes import included
from atrium.core.statements.seen import Seen
from atrium.core.statements.table import Guarded, as_bytes, record, version_of

ITEM_KEYS = "k"
COUNTED = 1000
"""As many rows are counted one by one even where an estimate is asked for."""
PLAIN = Shape()


def page(
    seen: Seen, shape: Shape, *, nulls: tuple[bool, ...] = (), within: tuple[str, ...] = ()
) -> Select[*tuple[Any, ...]]:
    """Columns: total (or NULL), items (bytes, without brackets), count of rows, and one array per sort key.

    `nulls` says which cursor values are null.
    """
    matching = seen.matching(shape.rows, within)
    rows = _behind(seen, matching, shape, nulls) if shape.cursor else _page(seen, matching, shape)
    fields = seen.guarded.visible(seen.kind, shape.fields)
    lines = record(rows, fields, included(seen, shape.include, rows))
    items = as_bytes(func.string_agg(lines, literal_column("','")))
    last = [
        func.array_agg(rows.c[one.column])[func.count()].label(f"{ITEM_KEYS}{n}")
        for n, one in enumerate(shape.order)
        if RELEVANCE not in (key.column for key in shape.order)
    ]
    total = _total(seen, matching, shape).label("total")
    return select(total, items.label("items"), func.count().label("rows"), *last).select_from(rows)


def _page(seen: Seen, matching: list[ColumnElement[bool]], shape: Shape) -> FromClause:
    ordered = select(seen.table).where(*matching).order_by(*seen.order_by(shape.order, shape.rows))
    limited = ordered.limit(_limit(shape))
    return (limited if shape.limit else limited.offset(bindparam("offset", type_=BigInteger()))).subquery("page")


def _behind(seen: Seen, matching: list[ColumnElement[bool]], shape: Shape, nulls: tuple[bool, ...]) -> FromClause:
    """The rows behind a cursor: each range in the order of the list, and as many of them all as the page holds.

    The order of a range is that of the page word for word, so that the index which serves the first page serves it
    too. Several ranges find ids alone: planning them over all columns would cost more than reading the rows again.
    """
    columns = dict(seen.table.c)
    order = seen.order_by(shape.order, shape.rows)
    ranges = keyset.ranges(shape.order, columns, nulls)
    chosen: Select[Any] = select(seen.table)
    if len(ranges) == 1:
        return chosen.where(*matching, ranges[0]).order_by(*order).limit(_limit(shape)).subquery("page")
    keys = {name: columns[name] for name in ("id", *(one.column for one in shape.order))}
    each = select(*keys.values()).where(*matching).order_by(*order).limit(_limit(shape))
    together = union_all(*(each.where(one) for one in ranges)).subquery("ranges")
    again = build.order_by(shape.order, {name: _like(column, together.c[name]) for name, column in keys.items()})
    ids = select(together.c.id).order_by(*again).limit(_limit(shape)).scalar_subquery()
    return chosen.where(seen.table.c.id == any_(func.array(ids))).order_by(*order).subquery("page")


def _like(column: Any, again: ColumnElement[Any]) -> Any:
    """The column of a union, which has forgotten whether it can be null."""
    again.nullable = column.nullable  # type: ignore[attr-defined]
    return again


def _limit(shape: Shape) -> ColumnElement[int]:
    return literal_column(str(shape.limit)) if shape.limit else bindparam("limit", type_=BigInteger())


def _total(seen: Seen, matching: list[ColumnElement[bool]], shape: Shape) -> ColumnElement[Any]:
    if not shape.total:
        return null()
    if not shape.estimated:
        return select(func.count()).select_from(seen.table).where(*matching).scalar_subquery()
    some: Select[Any] = select(literal_column("1")).select_from(seen.table).where(*matching)
    counted = some.limit(literal_column(str(COUNTED + 1))).subquery("counted")
    return select(func.count()).select_from(counted).scalar_subquery()


def matching(seen: Seen, shape: Shape, within: tuple[str, ...] = ()) -> Select[Any]:
    """All rows that a list is about, for the planner to estimate."""
    return select(literal_column("1")).select_from(seen.table).where(*seen.matching(shape.rows, within))


def one(
    guarded: Guarded, kind: int, within: tuple[str, ...] = (), *, seen: Seen | None = None, shape: Shape = PLAIN
) -> Select[*tuple[Any, ...]]:
    """The record with the id `:id`, if the caller may read it, and its version; `seen` leads to what it includes."""
    table = guarded.table
    chosen = select(table).where(
        table.c.id == bindparam("id", type_=table.c.id.type), *guarded.readable(kind), *guarded.within(within)
    )
    rows = chosen.subquery("found")
    more = included(seen, shape.include, rows) if seen is not None else []
    body = as_bytes(record(rows, guarded.visible(kind, shape.fields), more))
    return select(body, version_of(rows)).select_from(rows)


def exists(guarded: Guarded, kind: int) -> Select[*tuple[Any, ...]]:
    """One row when the caller may see the row `:id`."""
    table = guarded.table
    return (
        select(literal_column("1"))
        .select_from(table)
        .where(table.c.id == bindparam("id", type_=table.c.id.type), *guarded.readable(kind))
    )
