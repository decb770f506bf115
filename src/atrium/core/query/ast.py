"""What a list request asks for, apart from the values: the *shape* decides the SQL, the values are its parameters."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Condition:
    """A column, an operator, and the number of the parameter that holds the value."""

    column: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Group:
    joiner: Literal["and", "or", "not"]
    children: tuple["Condition | Group", ...]


@dataclass(frozen=True, slots=True)
class Order:
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """Hashable, so that compiled statements are kept by it."""

    where: Group = Group("and", ())
    order: tuple[Order, ...] = ()
    fields: tuple[str, ...] = ()
    search: int = 0
    """How many words; each is a parameter of its own, so that an index can serve it."""
    cursor: bool = False
    total: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    shape: Shape
    values: tuple[Any, ...]
    limit: int
    offset: int = 0
    page: int = 1
    after: tuple[Any, ...] = ()
