"""What a resource is asked for: query strings, read and compiled once per kind of caller."""

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import ClauseElement, ColumnElement, Table, func, literal_column

from atrium.core.access import Principal
from atrium.core.query import build
from atrium.core.query.aggregates import parse_aggregate
from atrium.core.query.ast import AggregateQuery, Order, Query
from atrium.core.query.cursors import signature
from atrium.core.query.parse import parse, parse_one
from atrium.core.resources.relations import Sight, standing
from atrium.core.statements import aggregates, reads
from atrium.core.statements.compiled import Compiled

if TYPE_CHECKING:
    from atrium.core.resources.declaration import Declaration

KEPT_QUERIES = 2048
KEPT_LENGTH = 1000
"""Longer query strings are read anew each time: whoever invents them fills no memory."""

QueryT = TypeVar("QueryT", Query, AggregateQuery)
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prepared(Generic[QueryT]):
    """A query string read and compiled once for one kind of caller."""

    query: QueryT
    compiled: Compiled
    values: Mapping[str, Any]
    mark: str = ""
    estimate: Compiled | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """A query string that goes through relations: it is read once per kind of caller of all these resources."""

    used: "tuple[Declaration, ...]"


class Lists:
    """The query strings of one resource that were asked lately."""

    def __init__(self, resource: "Declaration") -> None:
        self._resource = resource
        self._kept: OrderedDict[Key, Prepared[Any] | Fork] = OrderedDict()

    def prepare(self, query_string: str, kind: int, within: tuple[str, ...], principal: Principal) -> Prepared[Query]:
        """The page that is asked for."""
        return self._prepare((query_string, kind, within), principal, self._page)

    def prepare_one(
        self, query_string: str, kind: int, within: tuple[str, ...], principal: Principal
    ) -> Prepared[Query]:
        """A record with what is asked to be included."""
        return self._prepare((query_string, kind, within, "one"), principal, self._one)

    def prepare_aggregate(
        self, query_string: str, kind: int, within: tuple[str, ...], principal: Principal
    ) -> Prepared[AggregateQuery]:
        return self._prepare((query_string, kind, within, "aggregate"), principal, self._aggregate)

    def _prepare(
        self, key: Key, principal: Principal, read: Callable[[str, tuple[str, ...], Sight], Prepared[QueryT]]
    ) -> Prepared[QueryT]:
        found = self._kept.get(key)
        if found is None:
            return self._read(key, principal, read)
        self._kept.move_to_end(key)
        if isinstance(found, Prepared):
            return found
        through = (*key, standing(found.used, principal))
        known = self._kept.get(through)
        if not isinstance(known, Prepared):
            return self._read(key, principal, read)
        self._kept.move_to_end(through)
        return known

    def _read(
        self, key: Key, principal: Principal, read: Callable[[str, tuple[str, ...], Sight], Prepared[QueryT]]
    ) -> Prepared[QueryT]:
        query_string, _, within, *_ = key
        sight = Sight(self._resource, principal)
        made = read(query_string, within, sight)
        if len(query_string) <= KEPT_LENGTH:
            if used := tuple(sight.used):
                self._keep((*key, standing(used, principal)), made)
                self._keep(key, Fork(used))
            else:
                self._keep(key, made)
        return made

    def _keep(self, key: Key, made: Prepared[Any] | Fork) -> None:
        self._kept[key] = made
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_QUERIES:
            self._kept.popitem(last=False)

    def _page(self, query_string: str, within: tuple[str, ...], sight: Sight) -> Prepared[Query]:
        query = parse(query_string, sight.words)
        shape, nulls = query.shape, tuple(value is None for value in query.after)
        compiled = self._compile(
            ("page", shape, nulls, within), sight, lambda: reads.page(sight.seen, shape, nulls=nulls, within=within)
        )
        estimate = None
        if shape.total and shape.estimated:
            estimate = self._compile(
                ("matching", shape.rows, within), sight, lambda: reads.matching(sight.seen, shape, within)
            )
        return Prepared(query, compiled, build.bind(query), signature(query), estimate)

    def _one(self, query_string: str, within: tuple[str, ...], sight: Sight) -> Prepared[Query]:
        query = parse_one(query_string, sight.words)
        compiled = self._compile(
            ("one", query.shape, within),
            sight,
            lambda: reads.one(self._resource.guarded, sight.kind, within, seen=sight.seen, shape=query.shape),
        )
        return Prepared(query, compiled, build.bind(query))

    def _aggregate(self, query_string: str, within: tuple[str, ...], sight: Sight) -> Prepared[AggregateQuery]:
        query = parse_aggregate(query_string, sight.words)
        compiled = self._compile(
            ("aggregate", query.shape, within), sight, lambda: aggregates.aggregate(sight.seen, query.shape, within)
        )
        return Prepared(query, compiled, build.bind_aggregate(query))

    def _compile(self, key: Key, sight: Sight, statement: Callable[[], ClauseElement]) -> Compiled:
        whole: Hashable = (*key, sight.kind, tuple(sight.used), sight.standing())
        return self._resource.statements.get(whole, statement)


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
