"""What may be said of a resource: its columns, filters, orders and relations, and how much of it at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from atrium.core.db.wire import Field
from atrium.core.errors import FieldError, Invalid, UnknownParameter
from atrium.core.query.ast import Order

OPERATORS = ("ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains", "startswith", "isnull", "between")
TEXT_OPERATORS = frozenset({"contains", "icontains", "startswith"})
PAGING = ("page", "limit", "skip", "offset", "cursor", "count")
RESERVED = (*PAGING, "order_by", "sort", "search", "q", "match", "fields", "include", "or", "and")
MAX_OFFSET = 100_000
MAX_CONDITIONS = 40
MAX_DEPTH = 5
MAX_LIST = 500
MAX_ORDERS = 5
MAX_HOPS = 2
MAX_INCLUDES = 10
MAX_ROWS = 10_000
"""Of one answer, included ones counted."""
MAX_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Related:
    """A relation, as far as a query can name it."""

    many: bool
    words: Callable[[], "Vocabulary"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What one resource lets one kind of caller say."""

    fields: Mapping[str, Field]
    filters: frozenset[str]
    sorts: frozenset[str]
    default_order: tuple[Order, ...]
    searchable: bool = False
    matchable: bool = False
    max_limit: int = 100
    default_limit: int = 20
    presets: Mapping[str, Callable[[str], tuple[tuple[str, str, Any], ...]]] = field(default_factory=dict)
    relations: Mapping[str, Related] = field(default_factory=dict)

    def parameters(self, known: tuple[str, ...] = RESERVED) -> list[str]:
        absent = {"search", "q"} - ({"search", "q"} if self.searchable else set())
        absent |= set() if self.matchable else {"match"}
        absent |= set() if self.relations else {"include"}
        names = [name for name in (*known, *self.presets) if name not in absent]
        through = [f"{name}.<filter>" for name in sorted(self.relations)]
        return [*names, *sorted(self.filters), *through, *(f"<filter>__{name}" for name in OPERATORS)]

    def with_relations(self, relations: Mapping[str, Related]) -> "Vocabulary":
        """The same for one caller; written out, because `replace` costs as much as reading a short query."""
        return Vocabulary(
            self.fields,
            self.filters,
            self.sorts,
            self.default_order,
            self.searchable,
            self.matchable,
            self.max_limit,
            self.default_limit,
            self.presets,
            relations,
        )

    def related(self, name: str, where: str) -> Related:
        found = self.relations.get(name)
        if found is None:
            allowed = sorted(self.relations) or self.parameters()
            raise UnknownParameter(f"{where}: {name} is not a relation.", allowed=allowed)
        return found


def invalid(name: str, message: str) -> Invalid:
    return Invalid(f"{name} {message}.", errors=[FieldError(("query", name), message)])


def refuse(name: str, message: str) -> NoReturn:
    raise invalid(name, message)


def number(name: str, text: str, low: int, high: int, advice: str = "") -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise invalid(name, f"must be a whole number from {low} to {high}{advice}")
    return int(text)


def choose(name: str, text: str, choices: Mapping[str, Any]) -> Any:
    if text.lower() not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return choices[text.lower()]
