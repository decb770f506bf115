"""What a module lets the assistant ask: typed questions with their own phrases, answered under the caller's scope.

A lookup is found by its phrases (regular expressions whose named groups fill its parameters) or by a language model
that
calls it as a tool; either way the same function runs with the same row policies, and the figures in an answer come
from it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from atrium.core.access import Principal
from atrium.core.runtime import Runtime


class Citation(msgspec.Struct, frozen=True):
    """The record a sentence stands on."""

    entity_type: str
    entity_id: str
    label: str


class Found(msgspec.Struct, frozen=True):
    """An answer: the sentence(s) a person reads, the rows behind them, and where they stand."""

    text: str
    rows: list[dict[str, Any]] = []
    citations: list[Citation] = []


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, when, and about which client the conversation is, if it is about one."""

    runtime: Runtime
    principal: Principal
    context: Mapping[str, Any] = field(default_factory=dict)


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found in a text: what it filled in, and how much of the text it accounts for by itself."""

    parameters: Mapping[str, str]
    weight: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lookup:
    name: str
    description: str
    permission: str
    answer: Callable[[Asking, Any], Awaitable[Found]]
    parameters: type[msgspec.Struct] = Nothing
    phrases: tuple[re.Pattern[str], ...] = ()
    example: str = ""

    def match(self, text: str) -> Mapping[str, str] | None:
        """The parameters that the most specific phrase finds in the text, or None."""
        found = self.hit(text)
        return found.parameters if found else None

    def hit(self, text: str) -> Hit | None:
        """The most specific phrase: the one with the most text of its own, then the one that fills more parameters."""
        hits = [_hit(found) for phrase in self.phrases if (found := phrase.search(text))]
        return max(hits, key=lambda hit: hit.weight, default=None)


def _hit(found: "re.Match[str]") -> Hit:
    filled = {name: value.strip() for name, value in found.groupdict().items() if value and value.strip()}
    return Hit(filled, (len(found[0]) - sum(map(len, filled.values())), len(filled)))


def phrases(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
