"""Query parameters → AST. Whatever is unknown or unreadable is named, with what is allowed instead."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from atrium.core.errors import UnknownParameter
from atrium.core.query.ast import RELEVANCE, Condition, Include, Order, Query, Selection, Shape
from atrium.core.query.conditions import Budget, Reader, escape_like
from atrium.core.query.cursors import read_cursor
from atrium.core.query.vocabulary import (
    MAX_HOPS,
    MAX_OFFSET,
    MAX_ORDERS,
    MAX_ROWS,
    PAGING,
    RESERVED,
    Vocabulary,
    choose,
    invalid,
    number,
)

Given = Mapping[str, list[str]]
INSIDE = tuple(name for name in RESERVED if name not in PAGING)
COUNTS = {"exact": (True, False), "estimated": (True, True), "none": (False, False)}
SEARCHED_WORDS = 10
USUAL_LIMITS = frozenset({10, 20, 25, 50, 100})
"""Stand in the statement of a list that has no values of its own, so that PostgreSQL need not plan it each time: of a
limit that it does not know it expects a tenth of the table, and no plan for that is one to keep."""


def parse(query_string: str, words: Vocabulary) -> Query:
    """The query that a raw query string asks of a resource; raises Invalid or UnknownParameter."""
    given = parameters(query_string)
    budget = Budget()
    rows = selection(given, words, budget)
    values = len(budget.values)
    total, estimated = _count(given)
    shape = Shape(
        rows,
        _order(given, words, rows),
        _fields(given, words),
        _includes(given, words, budget),
        total=total,
        estimated=estimated,
    )
    own, more = tuple(budget.values[:values]), tuple(budget.values[values:])
    limit = _limit(given, words)
    page, offset = _place(given, limit)
    if limit in USUAL_LIMITS and not (own or more or offset or rows.where.children):
        shape = replace(shape, limit=limit)
    query = Query(shape, own, limit, offset, page, more=more)
    _weigh(query)
    cursor = _last(given, "cursor")
    return _behind(cursor, given, words, query) if cursor else query


def parse_one(query_string: str, words: Vocabulary) -> Query:
    """What is asked of a single record: its fields and what is included."""
    given = parameters(query_string)
    for name in given:
        if name not in ("fields", "include") and not name.startswith("include."):
            raise UnknownParameter(f"{name} is not a parameter of a record.", allowed=["fields", "include"])
    budget = Budget()
    shape = Shape(fields=_fields(given, words), include=_includes(given, words, budget))
    query = Query(shape, (), limit=1, more=tuple(budget.values))
    _weigh(query)
    return query


def parameters(query_string: str) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, text in parse_qsl(query_string, keep_blank_values=True):
        if "\0" in name + text:
            raise invalid(name.replace("\0", ""), "must not contain NUL characters")
        given.setdefault(name, []).append(text)
    return given


def selection(
    given: Given, words: Vocabulary, budget: Budget, known: tuple[str, ...] = RESERVED, prefix: str = ""
) -> Selection:
    """Which rows are asked for; names that are neither `known` nor filters are refused."""
    reader = Reader(words, budget, prefix)
    for name, texts in given.items():
        said = prefix + name
        if name in ("or", "and"):
            reader.conditions += [reader.group(name, text) for text in texts]
        elif name in words.presets:
            _preset(reader, name, texts[-1])
        elif name in known:
            if (name in ("search", "q") and not words.searchable) or (name == "match" and not words.matchable):
                raise UnknownParameter(f"{said}: this list has no such search.", allowed=words.parameters(known))
        elif name.startswith("include."):
            continue
        elif name in RESERVED:
            raise UnknownParameter(f"{said} is not a parameter here.", allowed=words.parameters(known))
        else:
            reader.filter(name, texts)
    sought = [word for name in ("search", "q") for text in given.get(name, ()) for word in text.split()]
    places = tuple(budget.keep(f"%{escape_like(word)}%") for word in sought[:SEARCHED_WORDS])
    match = budget.keep(_matched(given["match"][-1], prefix)) if "match" in given else -1
    return Selection(reader.whole(), places, match)


def _preset(reader: Reader, name: str, text: str) -> None:
    conditions = reader.words.presets[name](text)
    if any(column not in reader.words.fields for column, _, _ in conditions):
        raise UnknownParameter(f"{name} is not a parameter of this list.", allowed=reader.words.parameters())
    for column, operator, value in conditions:
        reader.budget.spend()
        reader.conditions.append(Condition(column, operator, -1 if value is None else reader.budget.keep(value)))


def _matched(text: str, prefix: str) -> str:
    if not any(letter.isalnum() for letter in text):
        raise invalid(f"{prefix}match", "needs a word to look for")
    return text


def _includes(given: Given, words: Vocabulary, budget: Budget, prefix: str = "", depth: int = 1) -> tuple[Include, ...]:
    """`include=a,b` and `include.a.option=…`, which by itself includes a as well."""
    options: dict[str, dict[str, list[str]]] = {
        name: {} for text in given.get("include", ()) for name in text.split(",") if name
    }
    for name, texts in given.items():
        if name.startswith("include."):
            relation, _, option = name.removeprefix("include.").partition(".")
            if not option:
                raise UnknownParameter(f"{prefix}{name} names no option.", allowed=[*INSIDE, "limit", "<filter>"])
            options.setdefault(relation, {})[option] = texts
    if options and depth > MAX_HOPS:
        raise invalid(f"{prefix}include", f"goes through more than {MAX_HOPS} relations")
    return tuple(_include(name, asked, words, budget, f"{prefix}include", depth) for name, asked in options.items())


def _include(name: str, given: Given, words: Vocabulary, budget: Budget, said: str, depth: int) -> Include:
    related = words.related(name, said)
    budget.include()
    target, prefix = related.words(), f"{said}.{name}."
    known = (*INSIDE, "limit") if related.many else tuple(one for one in INSIDE if one not in ("order_by", "sort"))
    rows = selection(given, target, budget, known, prefix)
    limit = -1
    if related.many:
        limit = budget.keep(_limit(given, target, prefix))
    return Include(
        name,
        rows,
        _order(given, target, rows, prefix) if related.many else (),
        _fields(given, target, prefix),
        limit,
        _includes(given, target, budget, prefix, depth + 1),
    )


def _weigh(query: Query) -> None:
    """No more rows in one answer than a client can want at once."""
    if not query.shape.include:
        return
    values = (*query.values, *query.more)

    def rows(include: Include, parents: int) -> int:
        each = parents * (values[include.limit] if include.limit >= 0 else 1)
        return int(each + sum(rows(inner, each) for inner in include.include))

    if query.limit + sum(rows(include, query.limit) for include in query.shape.include) > MAX_ROWS + query.limit:
        raise invalid("include", f"could make more than {MAX_ROWS} rows in one answer; give lower limits")


def _behind(cursor: str, given: Given, words: Vocabulary, query: Query) -> Query:
    if any(order.column == RELEVANCE for order in query.shape.order):
        raise invalid("cursor", f"does not go with the order {RELEVANCE}; use page")
    shape = replace(query.shape, cursor=True, total=query.shape.total and "count" in given)
    return replace(query, shape=shape, offset=0, page=1, after=read_cursor(cursor, query, words))


def _place(given: Given, limit: int) -> tuple[int, int]:
    """(page, offset)"""
    advice = "; further down use cursor, which costs the same at any depth"
    for name in ("skip", "offset"):
        if name in given:
            offset = number(name, given[name][-1], 0, MAX_OFFSET, advice)
            return offset // limit + 1, offset
    if "page" not in given:
        return 1, 0
    page = number("page", given["page"][-1], 1, MAX_OFFSET // limit + 1, advice)
    return page, (page - 1) * limit


def _limit(given: Given, words: Vocabulary, prefix: str = "") -> int:
    text = _last(given, "limit")
    highest = min(words.max_limit, 100) if prefix else words.max_limit
    return words.default_limit if text is None else number(f"{prefix}limit", text, 1, highest)


def _count(given: Given) -> tuple[bool, bool]:
    text = _last(given, "count")
    found: tuple[bool, bool] = (True, False) if text is None else choose("count", text, COUNTS)
    return found


def _order(given: Given, words: Vocabulary, rows: Selection, prefix: str = "") -> tuple[Order, ...]:
    asked = [part for name in ("order_by", "sort") for text in given.get(name, ()) for part in text.split(",") if part]
    if not asked:
        return words.default_order
    sorts = words.sorts | ({RELEVANCE} if rows.match >= 0 else set())
    found: dict[str, Order] = {}
    for part in asked:
        name, _, direction = part.strip().lstrip("+-").partition(":")
        if name not in sorts or direction not in ("", "asc", "desc"):
            raise UnknownParameter(f"{part} cannot be sorted by.", allowed=sorted(sorts))
        found.setdefault(name, Order(name, part.strip().startswith("-") or direction == "desc"))
    if len(found) > MAX_ORDERS:
        raise invalid(f"{prefix}order_by", f"takes at most {MAX_ORDERS} columns")
    last = list(found.values())[-1]
    return (*found.values(), *(() if "id" in found else (Order("id", last.descending),)))


def _fields(given: Given, words: Vocabulary, prefix: str = "") -> tuple[str, ...]:
    names = dict.fromkeys(part for text in given.get("fields", ()) for part in text.split(",") if part)
    for name in names:
        if name not in words.fields:
            raise UnknownParameter(
                f"{prefix}fields: {name} is not a field of this resource.", allowed=sorted(words.fields)
            )
    return tuple(names)


def _last(given: Given, name: str) -> str | None:
    return given[name][-1] if name in given else None
