"""What answers a question: the phrases of the lookups, or a language model that calls the lookups as tools.

Both yield the same events. Figures come from lookups only; what a model writes passes `verified` sentence by sentence.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from atrium.core.errors import AtriumError
from atrium.core.lookups import Asking, Citation, Found, Lookup

log = structlog.get_logger()
LOOKUP_SECONDS = 30.0
EXAMPLES = 6
FOLLOW_UP = re.compile(r"^\s*(?:and|or|also|but|what about|how about|same for|now|only)\b[\s,:]*", re.IGNORECASE)
PIECE = re.compile(r"\S+\s*|\s+")
PIECE_LENGTH = 48
NO_LOOKUPS = "There is nothing that I can look up for your role, so I cannot answer questions here."
UNANSWERED = "I answer only from records that you may see, and this question fits none of the things I can look up."
FAILED = "This could not be looked up just now. Please try again in a moment."


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier message, as far as an answer may depend on it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    asking: Asking
    text: str
    lookups: tuple[Lookup, ...]
    history: Sequence[Past] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer; the answer is all of them, joined."""

    text: str


@dataclass(frozen=True, slots=True)
class Used:
    """A lookup was run."""

    lookup: Lookup
    parameters: Mapping[str, Any]
    found: Found


@dataclass(frozen=True, slots=True)
class Finished:
    reason: str
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    citations: tuple[Citation, ...] = field(default=())


Event = Delta | Used | Finished


class Engine(Protocol):
    def answer(self, question: Question) -> AsyncGenerator[Event, None]:
        """Events, the last of which is Finished."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A lookup and its parameters, as the phrases chose them."""

    lookup: Lookup
    parameters: msgspec.Struct


class PhraseEngine:
    """Answers by the lookup whose phrase fits best; the same question gets the same answer."""

    async def answer(self, question: Question) -> AsyncGenerator[Event, None]:
        choice = choose(question)
        if choice is None:
            for piece in pieces(what_can_be_asked(question.lookups)):
                yield Delta(piece)
            yield Finished("unanswered")
            return
        used = await run(question.asking, choice.lookup, choice.parameters)
        yield used
        for piece in pieces(used.found.text):
            yield Delta(piece)
        yield Finished("stop", citations=tuple(used.found.citations))


def choose(question: Question) -> Choice | None:
    """By the question's own words; a follow-up ("And Miller?") may fill the one blank of the question before."""
    if own := _best(question.text, question.lookups):
        return own
    opening = FOLLOW_UP.match(question.text)
    if opening is None:
        return None
    rest = question.text[opening.end() :].strip(" ?.!")
    asked = [past.content for past in question.history if past.role == "user"]
    before = _best(asked[-1], question.lookups) if asked and rest else None
    return _refilled(before, asked[-1], rest) if before else None


def _best(text: str, lookups: Sequence[Lookup]) -> Choice | None:
    hits = [(hit, lookup) for lookup in lookups if (hit := lookup.hit(text))]
    for hit, lookup in sorted(hits, key=lambda found: found[0].weight, reverse=True):
        if (parameters := _converted(lookup, hit.parameters)) is not None:
            return Choice(lookup, parameters)
    return None


def _converted(lookup: Lookup, given: Mapping[str, Any]) -> msgspec.Struct | None:
    try:
        found: msgspec.Struct = msgspec.convert(dict(given), lookup.parameters, strict=False)
    except msgspec.ValidationError:
        return None
    return found


def _refilled(before: Choice, text: str, rest: str) -> Choice | None:
    """The question before with its one parameter replaced."""
    hit = before.lookup.hit(text)
    if hit is None or len(hit.parameters) != 1:
        return None
    parameters = _converted(before.lookup, dict.fromkeys(hit.parameters, rest))
    return Choice(before.lookup, parameters) if parameters is not None else None


def what_can_be_asked(lookups: Sequence[Lookup]) -> str:
    examples = list(dict.fromkeys(lookup.example for lookup in lookups if lookup.example))[:EXAMPLES]
    if not lookups:
        return NO_LOOKUPS
    if not examples:
        return UNANSWERED
    return f"{UNANSWERED} You can ask, for example:\n" + "\n".join(f"- {example}" for example in examples)


def pieces(text: str) -> Iterator[str]:
    """The text in a few words at a time."""
    held = ""
    for found in PIECE.finditer(text):
        held += found[0]
        if len(held) >= PIECE_LENGTH:
            yield held
            held = ""
    if held:
        yield held


async def run(asking: Asking, lookup: Lookup, parameters: msgspec.Struct) -> Used:
    """The lookup's answer; what went wrong is an answer too, without figures."""
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await lookup.answer(asking, parameters)
    except AtriumError as error:
        found = Found(error.detail)
    except Exception:
        log.exception("lookup_failed", lookup=lookup.name)
        found = Found(FAILED)
    return Used(lookup, msgspec.to_builtins(parameters, builtin_types=(UUID,)), found)
