"""The rows behind a cursor, as ranges of which an index reads each from its first row on.

One range where the columns cannot be null and run one way: a row comparison. Else one per column and per way of being
behind it; a group of ORs over the same would read everything before the cursor first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, tuple_

from atrium.core.query.ast import Order


def ranges(order: tuple[Order, ...], columns: Mapping[str, Any], nulls: tuple[bool, ...]) -> list[ColumnElement[bool]]:
    """Conditions that exclude each other, in the order of the list; `nulls` are the places where the cursor is null."""
    keys = [columns[one.column] for one in order]
    last = [bindparam(f"after{place}", type_=key.type) for place, key in enumerate(keys)]
    return list(_ranges(order, keys, last, nulls, 0))


def _ranges(
    order: tuple[Order, ...], keys: list[Any], last: list[Any], nulls: tuple[bool, ...], place: int
) -> Iterator[ColumnElement[bool]]:
    if place == len(keys):
        return
    descending = order[place].descending
    rest = range(place, len(keys))
    if len({order[one].descending for one in rest}) == 1 and not any(keys[one].nullable for one in rest):
        row, behind = (keys[place], last[place]) if len(rest) == 1 else (tuple_(*keys[place:]), tuple_(*last[place:]))
        yield row < behind if descending else row > behind
        return
    key, value = keys[place], last[place]
    same = key.is_(None) if nulls[place] else key == value
    yield from (and_(same, inner) for inner in _ranges(order, keys, last, nulls, place + 1))
    if nulls[place]:
        return
    yield key < value if descending else key > value
    if key.nullable:
        yield key.is_(None)
