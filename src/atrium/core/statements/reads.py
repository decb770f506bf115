"""Compiled reads: the page and the record of one table, rendered by PostgreSQL.

A page is one statement: total, the rows as one JSON text, how many they are, and the sort keys of the last row for the
cursor. Values are parameters, so the statement depends only on the query's shape and the caller's policy kind.
"""

from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, false, func, literal_column, null, select
from sqlalchemy.sql.elements import ColumnElement

from atrium.core.query import build
from atrium.core.query.ast import Shape
from atrium.core.statements.table import Guarded, as_bytes, record, version_of

ITEM_KEYS = "k"


def page(
    guarded: Guarded,
    shape: Shape,
    kind: int,
    *,
    search: ColumnElement[str] | None,
    values: int,
    nulls: tuple[bool, ...] = (),
    within: tuple[str, ...] = (),
) -> Select[*tuple[Any, ...]]:
    """Columns: total (or NULL), items (bytes, without brackets), count of rows, and one array per sort key.

    `values` is the number of the first search parameter; `nulls` says which cursor values are null.
    """
    table, columns = guarded.table, dict(guarded.table.c)
    matching = [*guarded.readable(kind), *guarded.within(within), build.where(shape.where, columns)]
    if shape.search:
        matching.append(build.search(search, range(values, values + shape.search)) if search is not None else false())
    chosen = select(table).where(*matching).order_by(*build.order_by(shape.order, columns))
    chosen = chosen.limit(bindparam("limit", type_=BigInteger()))
    if shape.cursor:
        chosen = chosen.where(build.after(shape.order, columns, nulls))
    else:
        chosen = chosen.offset(bindparam("offset", type_=BigInteger()))
    rows = chosen.subquery("page")
    total = select(func.count()).select_from(table).where(*matching).scalar_subquery() if shape.total else null()
    items = as_bytes(func.string_agg(record(rows, guarded.visible(kind, shape.fields)), literal_column("','")))
    last = [
        func.array_agg(rows.c[one.column])[func.count()].label(f"{ITEM_KEYS}{n}") for n, one in enumerate(shape.order)
    ]
    return select(total.label("total"), items.label("items"), func.count().label("rows"), *last).select_from(rows)


def one(guarded: Guarded, kind: int, within: tuple[str, ...] = ()) -> Select[*tuple[Any, ...]]:
    """The record with the id `:id`, if the caller may read it, and its version."""
    table = guarded.table
    chosen = select(table).where(
        table.c.id == bindparam("id", type_=table.c.id.type), *guarded.readable(kind), *guarded.within(within)
    )
    rows = chosen.subquery("found")
    return select(as_bytes(record(rows, guarded.visible(kind))), version_of(rows)).select_from(rows)


def exists(guarded: Guarded, kind: int) -> Select[*tuple[Any, ...]]:
    """One row when the caller may see the row `:id`."""
    table = guarded.table
    return (
        select(literal_column("1"))
        .select_from(table)
        .where(table.c.id == bindparam("id", type_=table.c.id.type), *guarded.readable(kind))
    )
