"""AST → SQLAlchemy expressions. Parameters are named v0, v1, …; the values are bound when the statement runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, Text, and_, any_, bindparam, literal_column, not_, or_, true
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY, REGCONFIG

from atrium.core.query.ast import AggregateQuery, Condition, Group, Include, Order, Query, Through
from atrium.core.query.conditions import escape_like

Columns = Mapping[str, Any]
Follow = Callable[[Through], ColumnElement[bool]]

LIKE = {"contains": "%{}%", "icontains": "%{}%", "startswith": "{}%"}


def parameter(place: int) -> str:
    return f"v{place}"


def bind(query: Query) -> dict[str, Any]:
    """All parameters of a list's statement."""
    bound = {parameter(place): value for place, value in enumerate((*query.values, *query.more))}
    for group in (query.shape.where, *_groups(query.shape.include)):
        _escape(group, bound)
    bound |= {f"after{place}": value for place, value in enumerate(query.after)}
    return bound | {"limit": query.limit, "offset": query.offset}


def bind_aggregate(query: AggregateQuery) -> dict[str, Any]:
    bound = {parameter(place): value for place, value in enumerate(query.values)}
    _escape(query.shape.rows.where, bound)
    return bound | {"limit": query.limit}


def bind_values(group: Group, values: tuple[Any, ...]) -> dict[str, Any]:
    """The parameters of a group's conditions, patterns escaped."""
    bound = {parameter(place): value for place, value in enumerate(values)}
    _escape(group, bound)
    return bound


def _escape(group: Group, bound: dict[str, Any]) -> None:
    for one in _conditions(group):
        if one.operator in LIKE:
            name = parameter(one.value)
            bound[name] = LIKE[one.operator].format(escape_like(bound[name]))


def _conditions(group: Group) -> Iterator[Condition]:
    for child in group.children:
        if isinstance(child, Condition):
            yield child
        else:
            yield from _conditions(child.where if isinstance(child, Through) else child)


def _groups(includes: tuple[Include, ...]) -> Iterator[Group]:
    for include in includes:
        yield include.rows.where
        yield from _groups(include.include)


def nowhere(asked: Through) -> ColumnElement[bool]:
    raise LookupError(f"{asked.relation}: this list has no relations")


def where(group: Group, columns: Columns, follow: Follow = nowhere) -> ColumnElement[bool]:
    parts = [_part(child, columns, follow) for child in group.children]
    if group.joiner == "or":
        return or_(*parts)
    return not_(and_(*parts)) if group.joiner == "not" else and_(true(), *parts)


def _part(child: Condition | Group | Through, columns: Columns, follow: Follow) -> ColumnElement[bool]:
    if isinstance(child, Condition):
        return condition(child, columns)
    return follow(child) if isinstance(child, Through) else where(child, columns, follow)


def condition(asked: Condition, columns: Columns) -> ColumnElement[bool]:
    column = columns[asked.column]
    kind = Text() if isinstance(column.type, String) else column.type
    value: ColumnElement[Any] = bindparam(parameter(asked.value), type_=kind)
    match asked.operator:
        case "eq":
            return column == value  # type: ignore[no-any-return]
        case "ne":
            return column.is_distinct_from(value)  # type: ignore[no-any-return]
        case "gt":
            return column > value  # type: ignore[no-any-return]
        case "gte":
            return column >= value  # type: ignore[no-any-return]
        case "lt":
            return column < value  # type: ignore[no-any-return]
        case "lte":
            return column <= value  # type: ignore[no-any-return]
        case "in":
            return column == any_(bindparam(parameter(asked.value), type_=ARRAY(kind)))  # type: ignore[no-any-return]
        case "nin":
            listed = column == any_(bindparam(parameter(asked.value), type_=ARRAY(kind)))
            return or_(column.is_(None), not_(listed)) if getattr(column, "nullable", True) else not_(listed)
        case "between":
            return column.between(value, bindparam(parameter(asked.value + 1), type_=kind))  # type: ignore[no-any-return]
        case "isnull":
            return column.is_(None)  # type: ignore[no-any-return]
        case "notnull":
            return column.is_not(None)  # type: ignore[no-any-return]
        case "contains" | "startswith":
            return column.like(value)  # type: ignore[no-any-return]
        case "icontains":
            return column.ilike(value)  # type: ignore[no-any-return]
    raise AssertionError(asked.operator)


def search(text: ColumnElement[str], places: tuple[int, ...]) -> ColumnElement[bool]:
    """Every word somewhere in the text, whatever the case; a trigram index on the same expression carries each."""
    return and_(*(text.ilike(bindparam(parameter(place), type_=Text())) for place in places))


SIMPLE: ColumnElement[Any] = literal_column("'simple'", REGCONFIG())
"""No language's endings and stop words: the texts are in several."""


def words_of(text: ColumnElement[str]) -> ColumnElement[Any]:
    return sql.to_tsvector(SIMPLE, text)


def match(text: ColumnElement[str], place: int) -> ColumnElement[bool]:
    return words_of(text).bool_op("@@")(_matched(place))


def relevance(text: ColumnElement[str], place: int) -> ColumnElement[float]:
    return sql.ts_rank(words_of(text), _matched(place))


def _matched(place: int) -> ColumnElement[Any]:
    return sql.websearch_to_tsquery(SIMPLE, bindparam(parameter(place), type_=Text()))


def order_by(order: tuple[Order, ...], columns: Columns) -> list[ColumnElement[Any]]:
    """NULLS LAST only where a column can be null: elsewhere it would keep PostgreSQL from using the index."""
    found = []
    for one in order:
        column = columns[one.column]
        directed = column.desc() if one.descending else column.asc()
        found.append(directed.nulls_last() if getattr(column, "nullable", False) else directed)
    return found
