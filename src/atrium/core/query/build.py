"""AST → SQLAlchemy expressions. Parameters are named v0, v1, …; the values are bound when the statement runs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, Text, and_, any_, bindparam, not_, or_, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from atrium.core.query.ast import Condition, Group, Order
from atrium.core.query.parse import escape_like

Columns = Mapping[str, Any]

LIKE = {"contains": "%{}%", "icontains": "%{}%", "startswith": "{}%"}


def parameter(place: int) -> str:
    return f"v{place}"


def bind_values(group: Group, values: tuple[Any, ...]) -> dict[str, Any]:
    """The parameters of a group's conditions, patterns escaped."""
    bound = {parameter(place): value for place, value in enumerate(values)}
    for condition in _conditions(group):
        if condition.operator in LIKE:
            name = parameter(condition.value)
            bound[name] = LIKE[condition.operator].format(escape_like(bound[name]))
    return bound


def _conditions(group: Group) -> list[Condition]:
    found: list[Condition] = []
    for child in group.children:
        found += [child] if isinstance(child, Condition) else _conditions(child)
    return found


def where(group: Group, columns: Columns) -> ColumnElement[bool]:
    parts = [
        condition(child, columns) if isinstance(child, Condition) else where(child, columns) for child in group.children
    ]
    if group.joiner == "or":
        return or_(*parts)
    return not_(and_(*parts)) if group.joiner == "not" else and_(true(), *parts)


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
            return or_(column.is_(None), not_(listed)) if column.nullable else not_(listed)
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


def search(text: ColumnElement[str], places: range) -> ColumnElement[bool]:
    """Every word somewhere in the text, whatever the case; a trigram index on the same expression carries each."""
    return and_(*(text.ilike(bindparam(parameter(place), type_=Text())) for place in places))


def order_by(order: tuple[Order, ...], columns: Columns) -> list[ColumnElement[Any]]:
    """NULLS LAST only where a column can be null: elsewhere it would keep PostgreSQL from using the index."""
    found = []
    for one in order:
        column = columns[one.column]
        directed = column.desc() if one.descending else column.asc()
        found.append(directed.nulls_last() if column.nullable else directed)
    return found


def after(order: tuple[Order, ...], columns: Columns, nulls: tuple[bool, ...]) -> ColumnElement[bool]:
    """Rows behind a cursor: a row comparison where the columns cannot be null and run one way, else a ladder."""
    keys = [columns[one.column] for one in order]
    binds = [bindparam(f"after{place}", type_=key.type) for place, key in enumerate(keys)]
    if len({one.descending for one in order}) == 1 and not any(key.nullable for key in keys):
        row, last = tuple_(*keys), tuple_(*binds)
        return row < last if order[0].descending else row > last
    rungs = []
    for place, one in enumerate(order):
        equal = [keys[before].is_(None) if nulls[before] else keys[before] == binds[before] for before in range(place)]
        if nulls[place]:
            continue
        key, bind = keys[place], binds[place]
        beyond = key < bind if one.descending else key > bind
        rungs.append(and_(*equal, or_(beyond, key.is_(None)) if key.nullable else beyond))
    return or_(*rungs)
