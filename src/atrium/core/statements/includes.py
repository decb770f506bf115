"""Related rows inside the rows of a page, made by the same statement."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, FromClause, bindparam, func, literal_column, select

from atrium.core.query import build
from atrium.core.query.ast import Include
from atrium.core.statements.seen import Seen
from atrium.core.statements.table import rendered

NOTHING: ColumnElement[Any] = literal_column("'[]'", JSON())


def included(seen: Seen, asked: tuple[Include, ...], source: FromClause) -> list[ColumnElement[Any]]:
    """One JSON column per relation: the one row behind it or null, or a list.

    Each is a sub-select that runs once per row of the page, so that its order and limit are that row's and an index on
    the key serves both.
    """
    return [_included(seen, one, source).label(one.relation) for one in asked]


def _included(seen: Seen, asked: Include, source: FromClause) -> ColumnElement[Any]:
    link = seen.follow(asked.relation)
    target = link.target
    fields = target.guarded.visible(target.kind, asked.fields)
    keys = (target.follow(inner.relation).here for inner in asked.include)
    chosen = seen.related(link, asked.rows, source, [*(field.name for field in fields), *keys])
    if asked.limit >= 0:
        limit: ColumnElement[int] = bindparam(build.parameter(asked.limit), type_=BigInteger())
        chosen = chosen.order_by(*target.order_by(asked.order, asked.rows)).limit(limit)
    rows = chosen.subquery()
    columns = [rendered(rows, field) for field in fields]
    row = select(*columns, *included(target, asked.include, rows)).select_from(rows).correlate(source).subquery("o")
    record = func.row_to_json(literal_column("o"))
    if asked.limit < 0:
        return select(record).select_from(row).correlate(source).scalar_subquery()
    listed = func.coalesce(func.json_agg(record), NOTHING)
    return select(listed).select_from(row).correlate(source).scalar_subquery()
