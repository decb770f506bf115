"""What a list request asks for, apart from the values: the *shape* decides the SQL, the values are its parameters.

A shape names columns and relations of one resource and nothing else, so that lists, records, aggregates and exports
read the same one; what a name means, and whether it exists for the caller, is said where the statement is built.
"""

from dataclasses import dataclass
from typing import Any, Literal

RELEVANCE = "relevance"
"""The order that a full-text match gives its rows."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A column, an operator, and the number of the parameter that holds the value."""

    column: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Through:
    """Some row behind a relation fulfils the conditions."""

    relation: str
    where: "Group"


@dataclass(frozen=True, slots=True)
class Group:
    joiner: Literal["and", "or", "not"]
    children: tuple["Condition | Group | Through", ...]


EVERYTHING_MATCHES = Group("and", ())


@dataclass(frozen=True, slots=True)
class Order:
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: conditions, the places of the words that are searched, and that of a full-text query."""

    where: Group = EVERYTHING_MATCHES
    search: tuple[int, ...] = ()
    """Each word is a parameter of its own, so that an index can serve it."""
    match: int = -1


@dataclass(frozen=True, slots=True)
class Include:
    """Related rows inside each row; `limit` is the place of its parameter, -1 where the relation leads to one row."""

    relation: str
    rows: Selection
    order: tuple[Order, ...]
    fields: tuple[str, ...]
    limit: int
    include: tuple["Include", ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """Hashable, so that compiled statements are kept by it."""

    rows: Selection = Selection()
    order: tuple[Order, ...] = ()
    fields: tuple[str, ...] = ()
    include: tuple[Include, ...] = ()
    cursor: bool = False
    total: bool = True
    estimated: bool = False
    """Whether the total may be a guess where counting would be dear."""
    limit: int = 0
    """A number that stands in the statement itself; 0 for a parameter."""

    @property
    def where(self) -> Group:
        return self.rows.where


@dataclass(frozen=True, slots=True)
class Query:
    shape: Shape
    values: tuple[Any, ...]
    """Of the conditions; those of included rows follow in `more`, numbered on."""
    limit: int
    offset: int = 0
    page: int = 1
    after: tuple[Any, ...] = ()
    more: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """What groups are made by: a column, perhaps behind relations, perhaps cut to a unit of time."""

    column: str
    path: tuple[str, ...] = ()
    unit: str = ""

    @property
    def name(self) -> str:
        return f"{self.unit}_{self.column}" if self.unit else ".".join((*self.path, self.column))


@dataclass(frozen=True, slots=True)
class Metric:
    function: str
    column: str = ""
    distinct: bool = False

    @property
    def name(self) -> str:
        return "_".join(part for part in (self.function, "distinct" * self.distinct, self.column) if part)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Figures of groups of rows; conditions of `having` and the order speak of metrics and keys by name."""

    rows: Selection
    keys: tuple[Key, ...]
    metrics: tuple[Metric, ...]
    having: Group
    order: tuple[Order, ...]
    measured: tuple[Metric, ...]
    """The metrics that `having` and the order name, shown or not."""
    zone: int = -1


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    shape: Aggregation
    values: tuple[Any, ...]
    limit: int
