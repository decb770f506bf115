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
class Lookup:
    name: str
    description: str
    permission: str
    answer: Callable[[Asking, Any], Awaitable[Found]]
    parameters: type[msgspec.Struct] = Nothing
    phrases: tuple[re.Pattern[str], ...] = ()
    example: str = ""

    def match(self, text: str) -> Mapping[str, str] | None:
        """The parameters that one of the phrases finds in the text, or None."""
        for phrase in self.phrases:
            if found := phrase.search(text):
                return {name: value.strip() for name, value in found.groupdict().items() if value}
        return None


def phrases(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
