"""Parameters of an aggregate → AST: groups, metrics, conditions on them, and units of time."""

import re
from decimal import Decimal

from sqlalchemy import Boolean, Date, DateTime, Integer, Numeric, Uuid

from atrium.core.db.wire import Field
from atrium.core.errors import UnknownParameter
from atrium.core.query.ast import AggregateQuery, Aggregation, Condition, Group, Key, Metric, Order
from atrium.core.query.conditions import Budget, parse_value, split, unquote
from atrium.core.query.parse import Given, parameters, selection
from atrium.core.query.vocabulary import MAX_DEPTH, MAX_GROUPS, MAX_HOPS, Vocabulary, invalid, number

UNITS = ("hour", "day", "week", "month", "quarter", "year")
FUNCTIONS = ("count", "sum", "avg", "min", "max")
COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "between")
KNOWN = (
    "group_by",
    "metrics",
    "having",
    "bucket",
    "tz",
    "order_by",
    "sort",
    "limit",
    "search",
    "q",
    "match",
    "or",
    "and",
)
CALL = re.compile(r"(\w+)(?:\(\s*(distinct\s+)?(\w*)\s*\))?", re.IGNORECASE)
MEMBER = re.compile(r"(\w+(?:\([^()]*\))?)\.(\w+)\.(.*)", re.DOTALL)
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
MAX_KEYS = 5
MAX_METRICS = 20
DEFAULT_GROUPS = 100
COUNT = Metric("count")


def parse_aggregate(query_string: str, words: Vocabulary) -> AggregateQuery:
    """Raises Invalid or UnknownParameter; a field that the caller may not read is neither key nor metric."""
    given = parameters(query_string)
    if included := next((name for name in given if name.startswith("include.")), None):
        raise UnknownParameter(f"{included} is not a parameter here.", allowed=words.parameters(KNOWN))
    budget = Budget()
    rows = selection(given, words, budget, KNOWN)
    keys = (*_keys(given, words), *_buckets(given, words))
    if len(keys) > MAX_KEYS:
        raise invalid("group_by", f"takes at most {MAX_KEYS} keys, the bucket counted")
    metrics = tuple(dict.fromkeys(_metric(text, words, "metrics") for text in _listed(given, "metrics"))) or (COUNT,)
    if len(metrics) > MAX_METRICS:
        raise invalid("metrics", f"takes at most {MAX_METRICS} metrics")
    measured: dict[Metric, None] = {}
    having = _Having(words, budget, measured).read(given)
    order = _order(given, words, keys, metrics, measured)
    limit = number("limit", given["limit"][-1], 1, MAX_GROUPS) if "limit" in given else DEFAULT_GROUPS
    zone = budget.keep(_zone(given)) if any(key.unit for key in keys) else -1
    shape = Aggregation(rows, keys, metrics, having, order, tuple(measured), zone)
    return AggregateQuery(shape, tuple(budget.values), limit)


def _listed(given: Given, *names: str) -> list[str]:
    return [
        part.strip() for name in names for text in given.get(name, ()) for part in split(text, name) if part.strip()
    ]


def _keys(given: Given, words: Vocabulary) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(_key(text, words) for text in _listed(given, "group_by")))


def _key(text: str, words: Vocabulary) -> Key:
    *path, column = text.split(".")
    if len(path) > MAX_HOPS:
        raise invalid("group_by", f"goes through more than {MAX_HOPS} relations")
    for name in path:
        related = words.related(name, "group_by")
        if related.many:
            raise invalid("group_by", f"cannot go through {name}: a row has many of them and would count in each")
        words = related.words()
    allowed = _groupable(words)
    if column not in allowed:
        raise UnknownParameter(f"{text} cannot be grouped by.", allowed=sorted(allowed))
    return Key(column, tuple(path))


def _groupable(words: Vocabulary) -> frozenset[str]:
    return words.filters | words.sorts


def _buckets(given: Given, words: Vocabulary) -> tuple[Key, ...]:
    return tuple(_bucket(text, words) for text in _listed(given, "bucket"))


def _bucket(text: str, words: Vocabulary) -> Key:
    call = CALL.fullmatch(text)
    unit, column = (call[1].lower(), call[3] or "") if call else ("", "")
    if unit not in UNITS:
        raise UnknownParameter(f"bucket: {text} must be a unit and a column, such as month(created_at).", allowed=UNITS)
    times = sorted(name for name in _groupable(words) if _is_time(words.fields[name]))
    if column not in times:
        raise UnknownParameter(f"bucket: {column or text} is no time that can be grouped by.", allowed=times)
    if unit == "hour" and isinstance(words.fields[column].column.type, Date):
        raise invalid("bucket", f"cannot cut {column} into hours: it is a date")
    return Key(column, unit=unit)


def _is_time(known: Field) -> bool:
    return isinstance(known.column.type, Date | DateTime)


def _zone(given: Given) -> str:
    text = given["tz"][-1] if "tz" in given else "UTC"
    if not ZONE.fullmatch(text):
        raise invalid("tz", "must be a time zone such as Europe/Berlin")
    return text


def _metric(text: str, words: Vocabulary, said: str) -> Metric:
    call = CALL.fullmatch(text.strip())
    function = call[1].lower() if call else ""
    if call is None or function not in FUNCTIONS:
        raise UnknownParameter(f"{text} in {said} is no metric.", allowed=_metrics(words))
    column, distinct = call[3] or "", bool(call[2])
    if column and column not in words.fields:
        raise UnknownParameter(f"{column} in {said} is not a field.", allowed=_metrics(words))
    if not _applies(function, column, words, distinct=distinct):
        raise UnknownParameter(f"{text} in {said} does not apply.", allowed=_metrics(words))
    return Metric(function, column, distinct)


def _applies(function: str, column: str, words: Vocabulary, *, distinct: bool) -> bool:
    if not column:
        return function == "count" and not distinct
    known = words.fields[column]
    if not known.is_ordered or (distinct and function != "count"):
        return False
    if function in ("sum", "avg"):
        return isinstance(known.column.type, Numeric | Integer)
    return function == "count" or not isinstance(known.column.type, Boolean | Uuid)


def _metrics(words: Vocabulary) -> list[str]:
    numbers = [name for name, known in words.fields.items() if isinstance(known.column.type, Numeric | Integer)]
    return ["count", "count(<field>)", "count(distinct <field>)", "min(<field>)", "max(<field>)"] + [
        f"{function}({name})" for function in ("sum", "avg") for name in numbers
    ]


class _Having:
    """Conditions on metrics, in the groups that filters are written in."""

    def __init__(self, words: Vocabulary, budget: Budget, measured: dict[Metric, None]) -> None:
        self._words, self._budget, self._measured = words, budget, measured

    def read(self, given: Given) -> Group:
        return Group("and", tuple(self._group("and", text) for text in given.get("having", ())))

    def _group(self, joiner: str, text: str, depth: int = 1) -> Group:
        if depth > MAX_DEPTH:
            raise invalid("having", f"is nested more than {MAX_DEPTH} deep")
        if not (text.startswith("(") and text.endswith(")")):
            raise invalid("having", "must look like (count.gte.2,sum(amount).gt.100)")
        children: list[Condition | Group] = []
        for part in split(text[1:-1], "having"):
            head = part.partition("(")[0]
            inner = head in ("or", "and", "not")
            children.append(self._group(head, part[len(head) :], depth + 1) if inner else self._condition(part))
        if not children:
            raise invalid("having", "needs at least one condition")
        return Group("or" if joiner == "or" else "not" if joiner == "not" else "and", tuple(children))

    def _condition(self, part: str) -> Condition:
        member = MEMBER.fullmatch(part.strip())
        if member is None or member[2] not in COMPARISONS:
            raise UnknownParameter(f"{part} in having has no known operator.", allowed=list(COMPARISONS))
        self._budget.spend()
        metric = _metric(member[1], self._words, "having")
        self._measured[metric] = None
        operator, text = member[2], member[3]
        inside = text.removeprefix("(").removesuffix(")")
        texts = [unquote(one) for one in split(inside, "having")] if operator in ("in", "nin", "between") else [text]
        values = [_value(metric, one, self._words) for one in texts]
        if operator == "between":
            if len(values) != 2:
                raise invalid("having", "needs two values for between")
            place = self._budget.keep(values[0])
            self._budget.keep(values[1])
            return Condition(metric.name, operator, place)
        return Condition(metric.name, operator, self._budget.keep(values if operator in ("in", "nin") else values[0]))


def _value(metric: Metric, text: str, words: Vocabulary) -> object:
    if metric.function in ("min", "max"):
        return parse_value("having", words.fields[metric.column], text)
    return _figure(text)


def _figure(text: str) -> object:
    """Sums and averages have no column's scale; the number is read exactly, as long as it is one of usual size."""
    if not re.fullmatch(r"-?\d{1,40}(\.\d{1,20})?", text.strip()):
        raise invalid("having", "must compare with a number")
    return Decimal(text)


def _order(
    given: Given,
    words: Vocabulary,
    keys: tuple[Key, ...],
    metrics: tuple[Metric, ...],
    measured: dict[Metric, None],
) -> tuple[Order, ...]:
    """As asked, then by the keys, so that the same groups always come in the same order."""
    names = {key.name for key in keys} | {metric.name for metric in metrics}
    found: dict[str, Order] = {}
    for part in _listed(given, "order_by", "sort"):
        name, _, direction = part.lstrip("+-").partition(":")
        if direction not in ("", "asc", "desc"):
            raise UnknownParameter(f"{part} cannot be sorted by.", allowed=sorted(names))
        if name not in names:
            if name.partition("(")[0].lower() not in FUNCTIONS:
                raise UnknownParameter(f"{part} cannot be sorted by.", allowed=sorted(names))
            metric = _metric(name, words, "order_by")
            measured[metric] = None
            name = metric.name
        found.setdefault(name, Order(name, part.startswith("-") or direction == "desc"))
    return (*found.values(), *(Order(key.name, False) for key in keys if key.name not in found))
