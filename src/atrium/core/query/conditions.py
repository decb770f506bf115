"""Filters and groups of conditions → AST, through relations as well."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import DateTime, String

from atrium.core.db.wire import Field
from atrium.core.errors import Invalid, UnknownParameter
from atrium.core.query.ast import EVERYTHING_MATCHES, Condition, Group, Through
from atrium.core.query.vocabulary import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_HOPS,
    MAX_INCLUDES,
    MAX_LIST,
    OPERATORS,
    TEXT_OPERATORS,
    Vocabulary,
    choose,
    invalid,
)

SUFFIX_ALIASES = {"_from": "gte", "_to": "lte", "_gte": "gte", "_lte": "lte", "_gt": "gt", "_lt": "lt", "_before": "lt"}
Part = Condition | Group | Through


@dataclass(slots=True)
class Budget:
    """The values of one request and what it has cost so far, included rows and all."""

    values: list[Any] = field(default_factory=list)
    conditions: int = 0
    includes: int = 0

    def keep(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def spend(self) -> None:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise Invalid(
                f"A query takes at most {MAX_CONDITIONS} conditions.", allowed=[f"up to {MAX_CONDITIONS} conditions"]
            )

    def include(self) -> None:
        self.includes += 1
        if self.includes > MAX_INCLUDES:
            raise invalid("include", f"takes at most {MAX_INCLUDES} relations, those inside others counted")


class Reader:
    """Collects the conditions on one resource; `prefix` stands before the names of its parameters."""

    def __init__(self, words: Vocabulary, budget: Budget, prefix: str = "") -> None:
        self.words, self.budget, self.prefix = words, budget, prefix
        self.conditions: list[Part] = []

    def whole(self) -> Group:
        return Group("and", _joined(self.conditions))

    def filter(self, name: str, texts: list[str]) -> None:
        self.conditions.append(self._filter(self.words, name, texts, self.prefix + name))

    def _filter(self, words: Vocabulary, name: str, texts: list[str], said: str, hops: int = 0) -> Part:
        relation, dot, rest = name.partition(".")
        if dot:
            return Through(
                relation, _alone(self._filter(_behind(words, relation, said, hops), rest, texts, said, hops + 1))
            )
        if (found := self._whether_any(words, name, texts[-1], said)) is not None:
            return found
        column, operator, whole_day = resolve(words, name, said)
        if operator == "eq" and len(texts) > 1:
            operator = "in"
        elif operator in ("in", "nin", "between"):
            texts = [part for text in texts for part in text.split(",")]
        if whole_day:
            texts = [f"{text}T23:59:59.999999Z" if len(text) == 10 else text for text in texts]
        return self.condition(words, said, column, operator, texts)

    def _whether_any(self, words: Vocabulary, name: str, text: str, said: str) -> Part | None:
        """`orders__isnull=true`: no row behind the relation that the caller may see."""
        relation = name.removesuffix("__isnull")
        if relation == name or relation not in words.relations or relation in words.filters:
            return None
        return self._any(words, relation, text, said)

    def _any(self, words: Vocabulary, relation: str, text: str, said: str) -> Part:
        self.budget.spend()
        words.relations[relation].words()
        found = Through(relation, EVERYTHING_MATCHES)
        empty = choose(said, text, {"true": True, "1": True, "false": False, "0": False})
        return Group("not", (found,)) if empty else found

    def condition(self, words: Vocabulary, said: str, column: str, operator: str, texts: list[str]) -> Condition:
        known = words.fields[column]
        self.budget.spend()
        if len(texts) > MAX_LIST:
            raise invalid(said, f"takes at most {MAX_LIST} values")
        if operator in TEXT_OPERATORS and not isinstance(known.column.type, String):
            allowed = [op for op in OPERATORS if op not in TEXT_OPERATORS]
            raise UnknownParameter(f"{said}: {column} is not text, so {operator} does not apply.", allowed=allowed)
        if operator == "isnull":
            empty = choose(said, texts[-1], {"true": True, "1": True, "false": False, "0": False})
            return Condition(column, "isnull" if empty else "notnull", -1)
        # A part of a word is no value of the column: a pattern of an enumeration need not be one of its choices.
        parsed = [text if operator in TEXT_OPERATORS else parse_value(said, known, text) for text in texts]
        if operator in ("in", "nin"):
            return Condition(column, operator, self.budget.keep(parsed))
        if operator == "between":
            if len(parsed) != 2:
                raise invalid(said, "needs two values, separated by a comma")
            low = self.budget.keep(parsed[0])
            self.budget.keep(parsed[1])
            return Condition(column, operator, low)
        return Condition(column, operator, self.budget.keep(parsed[-1]))

    def group(self, joiner: str, text: str, depth: int = 1) -> Group:
        """`(a.eq.1,or(b.gt.2,c.isnull.true))`, values quoted with " where they hold a comma or bracket."""
        said = self.prefix + joiner
        if depth > MAX_DEPTH:
            raise invalid(said, f"is nested more than {MAX_DEPTH} deep")
        if not (text.startswith("(") and text.endswith(")")):
            raise invalid(said, "must look like (column.operator.value,column.operator.value)")
        children: list[Part] = []
        for part in split(text[1:-1], said):
            head = part.partition("(")[0]
            inner = head in ("or", "and", "not")
            children.append(
                self.group(head, part[len(head) :], depth + 1) if inner else self._member(self.words, part, part, said)
            )
        if not children:
            raise invalid(said, "needs at least one condition")
        if joiner == "or":
            return Group("or", tuple(children))
        return Group("and" if joiner == "and" else "not", _joined(children))

    def _member(self, words: Vocabulary, rest: str, part: str, said: str, hops: int = 0) -> Part:
        """One `column.operator.value` of a group; relations stand before the column."""
        column, dot, behind = rest.partition(".")
        operator, separated, value = behind.partition(".")
        if column not in words.filters and column in words.relations:
            if operator == "isnull" and separated:
                return self._any(words, column, value, f"{said}.{column}")
            target = _behind(words, column, said, hops)
            return Through(column, _alone(self._member(target, behind, part, said, hops + 1)))
        if column not in words.filters:
            allowed = sorted({*words.filters, *words.relations})
            raise UnknownParameter(f"{column} in {said} is not a filter.", allowed=allowed)
        if not (dot and separated) or operator not in ("eq", *OPERATORS):
            raise UnknownParameter(f"{part} in {said} has no known operator.", allowed=["eq", *OPERATORS])
        listed = operator in ("in", "nin", "between")
        inside = value.removeprefix("(").removesuffix(")")
        texts = [unquote(one) for one in split(inside, said)] if listed else [unquote(value)]
        return self.condition(words, f"{said}.{column}", column, operator, texts)


def _alone(part: Part) -> Group:
    return Group("and", (part,))


def _behind(words: Vocabulary, relation: str, said: str, hops: int) -> Vocabulary:
    if relation not in words.relations:
        raise UnknownParameter(
            f"{said} is not a parameter here: {relation} is not a relation.", allowed=words.parameters()
        )
    if hops >= MAX_HOPS:
        raise invalid(said, f"goes through more than {MAX_HOPS} relations")
    return words.relations[relation].words()


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Conditions through one relation that must all hold are about the same related row."""
    merged: dict[str, list[Part]] = {}
    found: list[Part] = []
    for part in parts:
        if isinstance(part, Through):
            if part.relation not in merged:
                found.append(part)
            merged.setdefault(part.relation, []).extend(part.where.children)
        else:
            found.append(part)
    return tuple(
        Through(part.relation, Group("and", _joined(merged[part.relation]))) if isinstance(part, Through) else part
        for part in found
    )


def resolve(words: Vocabulary, name: str, said: str) -> tuple[str, str, bool]:
    """(column, operator, whether a bare date means its whole day) of a parameter name, documented aliases included."""
    filters = words.filters
    if name in filters:
        return name, "eq", False
    column, separator, operator = name.rpartition("__")
    if separator and column in filters:
        if operator not in ("eq", *OPERATORS):
            raise UnknownParameter(f"{said} is not an operator of {column}.", allowed=list(OPERATORS))
        return column, operator, False
    for suffix, alias in SUFFIX_ALIASES.items():
        stem = name.removesuffix(suffix)
        for column in (stem, stem + "_at", stem + "_on"):
            if stem != name and column in filters:
                moment = isinstance(words.fields[column].column.type, DateTime)
                return column, alias, moment and suffix == "_to"
    raise UnknownParameter(f"{said} is not a parameter of this list.", allowed=words.parameters())


def parse_value(said: str, known: Field, text: str) -> Any:
    try:
        return known.parse(text)
    except ValueError as error:
        raise invalid(said, str(error)) from None


def split(text: str, said: str) -> Iterator[str]:
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
        raise invalid(said, "has a bracket or quote that is not closed")
    if text:
        yield text[start:]


def unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
