"""What the lists of a resource are asked for: query strings, read and compiled once per kind of caller."""

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, func, literal_column

from atrium.core.query import build
from atrium.core.query.ast import Order, Query
from atrium.core.query.parse import Vocabulary, parse, signature
from atrium.core.statements import reads
from atrium.core.statements.compiled import Cache, Compiled
from atrium.core.statements.table import Guarded

KEPT_QUERIES = 2048
KEPT_LENGTH = 1000
"""Longer query strings are read anew each time: whoever invents them fills no memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query string read and compiled once for one kind of caller."""

    query: Query
    compiled: Compiled
    values: Mapping[str, Any]
    mark: str


class Lists:
    """The query strings of one resource that were asked lately."""

    def __init__(self, guarded: Guarded, statements: Cache, search: ColumnElement[str] | None) -> None:
        self._guarded, self._statements, self._search = guarded, statements, search
        self._kept: OrderedDict[tuple[str, int, tuple[str, ...]], Prepared] = OrderedDict()

    def prepare(
        self, query_string: str, kind: int, within: tuple[str, ...], words: Callable[[int], Vocabulary]
    ) -> Prepared:
        key = (query_string, kind, within)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        query = parse(query_string, words(kind))
        shape, nulls = query.shape, tuple(value is None for value in query.after)
        compiled = self._statements.get(
            ("page", shape, kind, nulls, within),
            lambda: reads.page(
                self._guarded,
                shape,
                kind,
                search=self._search,
                values=len(query.values) - shape.search,
                nulls=nulls,
                within=within,
            ),
        )
        values = build.bind_values(shape.where, query.values) | {"limit": query.limit, "offset": query.offset}
        values |= {f"after{place}": value for place, value in enumerate(query.after)}
        found = Prepared(query, compiled, values, signature(query))
        if len(query_string) <= KEPT_LENGTH:
            self._kept[key] = found
            if len(self._kept) > KEPT_QUERIES:
                self._kept.popitem(last=False)
        return found


def read_order(sort: str) -> tuple[Order, ...]:
    orders = [Order(part.lstrip("-"), part.startswith("-")) for part in sort.split(",")]
    return (*orders, Order("id", orders[-1].descending)) if orders[-1].column != "id" else tuple(orders)


def search_text(search: Sequence[str] | ColumnElement[str], table: Table) -> ColumnElement[str] | None:
    if isinstance(search, ColumnElement):
        return search
    parts: list[ColumnElement[str]] = [func.coalesce(table.c[name], literal_column("''")) for name in search]
    return functools.reduce(_joined, parts) if parts else None


def _joined(one: ColumnElement[str], other: ColumnElement[str]) -> ColumnElement[str]:
    return one.op("||")(literal_column("' '")).op("||")(other)
