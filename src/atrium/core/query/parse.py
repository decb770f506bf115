"""Query parameters → AST. Whatever is unknown or unreadable is named, with what is allowed instead."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import DateTime, String

from atrium.core import clock
from atrium.core.db.wire import Field
from atrium.core.errors import FieldError, Invalid, UnknownParameter
from atrium.core.query.ast import Condition, Group, Order, Query, Shape

OPERATORS = ("ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains", "startswith", "isnull", "between")
TEXT_OPERATORS = frozenset({"contains", "icontains", "startswith"})
SUFFIX_ALIASES = {"_from": "gte", "_to": "lte", "_gte": "gte", "_lte": "lte", "_gt": "gt", "_lt": "lt", "_before": "lt"}
RESERVED = (
    "page",
    "limit",
    "skip",
    "offset",
    "cursor",
    "order_by",
    "sort",
    "search",
    "q",
    "fields",
    "count",
    "or",
    "and",
)
COUNTS = ("exact", "none")
MAX_OFFSET = 2**31 - 1
MAX_CONDITIONS = 40
MAX_DEPTH = 5
MAX_LIST = 500


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What one resource lets one kind of caller say."""

    fields: Mapping[str, Field]
    filters: frozenset[str]
    sorts: frozenset[str]
    default_order: tuple[Order, ...]
    searchable: bool = False
    max_limit: int = 100
    default_limit: int = 20
    presets: Mapping[str, Callable[[str], tuple[tuple[str, str, Any], ...]]] = field(default_factory=dict)

    def parameters(self) -> list[str]:
        names = (
            [*RESERVED, *self.presets]
            if self.searchable
            else [n for n in (*RESERVED, *self.presets) if n not in ("search", "q")]
        )
        return [*names, *(f"{name}" for name in sorted(self.filters)), *(f"<filter>__{op}" for op in OPERATORS)]


class _Reader:
    """Collects conditions and their values while one query string is read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.words = vocabulary
        self.values: list[Any] = []
        self.conditions: list[Condition | Group] = []

    def value(self, value: Any) -> int:
        self.values.append(value)
        if len(self.values) > MAX_CONDITIONS:
            raise Invalid(
                f"A query takes at most {MAX_CONDITIONS} conditions.", allowed=[f"up to {MAX_CONDITIONS} conditions"]
            )
        return len(self.values) - 1

    def condition(self, name: str, column: str, operator: str, texts: list[str]) -> Condition:
        known = self.words.fields[column]
        if operator in TEXT_OPERATORS and not isinstance(known.column.type, String):
            allowed = [op for op in OPERATORS if op not in TEXT_OPERATORS]
            raise UnknownParameter(f"{name}: {column} is not text, so {operator} does not apply.", allowed=allowed)
        if operator == "isnull":
            empty = _choose(name, texts[-1], {"true": True, "1": True, "false": False, "0": False})
            return Condition(column, "isnull" if empty else "notnull", -1)
        parsed = [self.parse(name, known, text) for text in texts]
        if operator in ("in", "nin"):
            return Condition(column, operator, self.value(parsed))
        if operator == "between":
            if len(parsed) != 2:
                raise _invalid(name, "needs two values, separated by a comma")
            low = self.value(parsed[0])
            self.value(parsed[1])
            return Condition(column, operator, low)
        return Condition(column, operator, self.value(parsed[-1]))

    def parse(self, name: str, known: Field, text: str) -> Any:
        try:
            value = known.parse(text)
        except ValueError as error:
            raise _invalid(name, str(error)) from None
        return value

    def filter(self, name: str, texts: list[str]) -> None:
        column, operator, whole_day = self.resolve(name)
        if operator == "eq" and len(texts) > 1:
            operator = "in"
        elif operator in ("in", "nin", "between"):
            texts = [part for text in texts for part in text.split(",")]
        if len(texts) > MAX_LIST:
            raise _invalid(name, f"takes at most {MAX_LIST} values")
        if whole_day:
            texts = [f"{text}T23:59:59.999999Z" if len(text) == 10 else text for text in texts]
        self.conditions.append(self.condition(name, column, operator, texts))

    def resolve(self, name: str) -> tuple[str, str, bool]:
        """(column, operator, whether a bare date means its whole day) of a parameter name, documented aliases
        included.
        """
        filters = self.words.filters
        if name in filters:
            return name, "eq", False
        column, separator, operator = name.rpartition("__")
        if separator and column in filters:
            if operator not in OPERATORS:
                raise UnknownParameter(f"{name} is not an operator of {column}.", allowed=list(OPERATORS))
            return column, operator, False
        for suffix, alias in SUFFIX_ALIASES.items():
            stem = name.removesuffix(suffix)
            for column in (stem, stem + "_at", stem + "_on"):
                if stem != name and column in filters:
                    moment = isinstance(self.words.fields[column].column.type, DateTime)
                    return column, alias, moment and suffix == "_to"
        raise UnknownParameter(f"{name} is not a parameter of this list.", allowed=self.words.parameters())

    def group(self, joiner: str, text: str, depth: int = 1) -> Group:
        """`(a.eq.1,or(b.gt.2,c.isnull.true))`, values quoted with " where they hold a comma or bracket."""
        if depth > MAX_DEPTH:
            raise _invalid(joiner, f"is nested more than {MAX_DEPTH} deep")
        if not (text.startswith("(") and text.endswith(")")):
            raise _invalid(joiner, "must look like (column.operator.value,column.operator.value)")
        children: list[Condition | Group] = []
        for part in _split(text[1:-1], joiner):
            head = part.partition("(")[0]
            if head in ("or", "and", "not"):
                children.append(self.group(head, part[len(head) :], depth + 1))
                continue
            column, _, rest = part.partition(".")
            operator, dot, value = rest.partition(".")
            if column not in self.words.filters:
                raise UnknownParameter(f"{column} in {joiner} is not a filter.", allowed=sorted(self.words.filters))
            if not dot or operator not in ("eq", *OPERATORS):
                raise UnknownParameter(f"{part} in {joiner} has no known operator.", allowed=["eq", *OPERATORS])
            listed = operator in ("in", "nin", "between")
            texts = list(_split(value.removeprefix("(").removesuffix(")"), joiner)) if listed else [_unquote(value)]
            children.append(self.condition(f"{joiner}.{column}", column, operator, texts))
        if not children:
            raise _invalid(joiner, "needs at least one condition")
        return Group("and" if joiner == "and" else "or" if joiner == "or" else "not", tuple(children))


def parse(query_string: str, words: Vocabulary) -> Query:
    """The query that a raw query string asks of a resource; raises Invalid or UnknownParameter."""
    given: dict[str, list[str]] = {}
    for name, text in parse_qsl(query_string, keep_blank_values=True):
        given.setdefault(name, []).append(text)
    reader = _Reader(words)
    search: list[str] = []
    for name, texts in given.items():
        if "\0" in "".join(texts):
            raise _invalid(name, "must not contain NUL characters")
        if name in ("or", "and"):
            reader.conditions += [reader.group(name, text) for text in texts]
        elif name in ("search", "q"):
            if not words.searchable:
                raise UnknownParameter(f"{name}: this list has no search.", allowed=words.parameters())
            search = [word for text in texts for word in text.split()][:10]
        elif name in words.presets:
            for column, operator, value in words.presets[name](texts[-1]):
                reader.conditions.append(Condition(column, operator, reader.value(value) if value is not None else -1))
        elif name not in RESERVED:
            reader.filter(name, texts)
    shape = Shape(
        where=Group("and", tuple(reader.conditions)),
        order=_order(given, words),
        fields=_fields(given, words),
        search=len(search),
        total=_count(given),
    )
    values = (*reader.values, *(f"%{escape_like(word)}%" for word in search))
    return _paged(given, words, Query(shape, values, limit=_limit(given, words)))


def _paged(given: Mapping[str, list[str]], words: Vocabulary, query: Query) -> Query:
    if cursor := _last(given, "cursor"):
        shape = replace(query.shape, cursor=True, total=query.shape.total and "count" in given)
        return replace(query, shape=shape, after=read_cursor(cursor, query, words))
    for name in ("skip", "offset"):
        if name in given:
            offset = _number(name, given[name][-1], 0, MAX_OFFSET)
            return replace(query, offset=offset, page=offset // query.limit + 1)
    page = _number("page", _last(given, "page") or "1", 1, MAX_OFFSET)
    offset = (page - 1) * query.limit
    if offset > MAX_OFFSET:
        raise _invalid("page", "is beyond the last page that can be asked for; use cursor")
    return replace(query, offset=offset, page=page)


def _limit(given: Mapping[str, list[str]], words: Vocabulary) -> int:
    text = _last(given, "limit")
    return words.default_limit if text is None else _number("limit", text, 1, words.max_limit)


def _count(given: Mapping[str, list[str]]) -> bool:
    text = _last(given, "count")
    return text is None or _choose("count", text, {"exact": True, "none": False})


def _order(given: Mapping[str, list[str]], words: Vocabulary) -> tuple[Order, ...]:
    asked = [part for name in ("order_by", "sort") for text in given.get(name, ()) for part in text.split(",") if part]
    if not asked:
        return words.default_order
    found: dict[str, Order] = {}
    for part in asked:
        name, _, direction = part.lstrip("+-").partition(":")
        if name not in words.sorts or direction not in ("", "asc", "desc"):
            raise UnknownParameter(f"{part} cannot be sorted by.", allowed=sorted(words.sorts))
        found.setdefault(name, Order(name, part.startswith("-") or direction == "desc"))
    last = list(found.values())[-1]
    return (*found.values(), *(() if "id" in found else (Order("id", last.descending),)))


def _fields(given: Mapping[str, list[str]], words: Vocabulary) -> tuple[str, ...]:
    names = dict.fromkeys(part for text in given.get("fields", ()) for part in text.split(",") if part)
    for name in names:
        if name not in words.fields:
            raise UnknownParameter(f"{name} is not a field of this resource.", allowed=sorted(words.fields))
    return tuple(names)


def _last(given: Mapping[str, list[str]], name: str) -> str | None:
    return given[name][-1] if name in given else None


def _number(name: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
        raise _invalid(name, f"must be a whole number from {low} to {high}")
    return int(text)


def _choose(name: str, text: str, choices: Mapping[str, Any]) -> Any:
    if text.lower() not in choices:
        raise _invalid(name, f"must be one of {', '.join(choices)}")
    return choices[text.lower()]


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(f"{name} {message}.", errors=[FieldError(("query", name), message)])


def _split(text: str, joiner: str) -> Iterator[str]:
    """Split at the commas that stand outside brackets and quotes."""
    depth, quoted, start = 0, False, 0
    for place, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth == 0:
                yield text[start:place]
                start = place + 1
    if depth or quoted:
        raise _invalid(joiner, "has a bracket or quote that is not closed")
    if text:
        yield text[start:]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def signature(query: Query) -> str:
    """Ties a cursor to the filters and order it was made under."""
    seen = msgspec.json.encode([query.shape.where, query.shape.order, query.shape.search, query.values])
    return hashlib.sha256(seen).hexdigest()[:12]


def write_cursor(mark: str, last: list[Any]) -> str:
    """The position behind a row, for the list whose `signature` is the mark."""
    values = [
        None if value is None else clock.stamp(value) if isinstance(value, datetime) else str(value) for value in last
    ]
    return base64.urlsafe_b64encode(msgspec.json.encode([mark, *values])).decode().rstrip("=")


def read_cursor(cursor: str, query: Query, words: Vocabulary) -> tuple[Any, ...]:
    """The values of the row after which the page begins, as one `after` list."""
    try:
        made, *texts = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | None]
        )
    except (ValueError, msgspec.MsgspecError):
        raise _invalid("cursor", "is not a cursor of this list") from None
    if made != signature(query) or len(texts) != len(query.shape.order):
        raise _invalid("cursor", "belongs to another filter or order; start again without it")
    try:
        return tuple(
            _position(words.fields[order.column], text) for order, text in zip(query.shape.order, texts, strict=True)
        )
    except ValueError:
        raise _invalid("cursor", "is not a cursor of this list") from None


def _position(known: Field, text: str | None) -> Any:
    if text is None and not known.nullable:
        raise ValueError("must not be null")
    return None if text is None else known.parse(text)
