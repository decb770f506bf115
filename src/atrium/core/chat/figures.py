"""The rule by which the assistant never invents a figure, whatever a language model writes.

A figure is a number in digits of any script, an amount with its scale ("1.2 million", "12k"), a percentage, a date, a
time, an English number word ("twelve", "half of"), or a name with digits in it ("ORD-2026-17"). A sentence may be
said only if each of its figures occurs in the *evidence*: what lookups returned in this turn (text, rows, how many
rows), the user's own words, and today's date. Compared is the value: 1,234.50 = 1234.5; 1.2 million = 1200000; 5.25 %
= 0.0525; -500 = 500. Nothing is rounded, added up or carried over from earlier turns: a model that calculates is not
heard, the lookup's own sentence is said instead.

What this cannot see: a right figure under a wrong name, and number words of other languages (the prompt asks for
digits).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sept sep", "october oct", "november nov", "december dec"), 1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "(?P<month>" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\.?"
_ORDINAL = r"(?:st|nd|rd|th)?"
DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\d-])(?P<year>\d{4})-(?P<monthno>\d{2})-(?P<day>\d{2})(?![\d-])",
        rf"(?<!\d)(?P<day>\d{{1,2}}){_ORDINAL}\.?\s+(?:of\s+)?{_MONTH},?\s+(?P<year>\d{{4}})(?!\d)",
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}}){_ORDINAL},?\s+(?P<year>\d{{4}})(?!\d)",
        rf"\b{_MONTH},?\s+(?P<year>\d{{4}})(?!\d)",
        rf"(?<!\d)(?P<day>\d{{1,2}}){_ORDINAL}\s+(?:of\s+)?{_MONTH}\b",
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}}){_ORDINAL}(?!\d)",
        r"(?<![\d.])(?P<day>\d{1,2})\.(?P<monthno>\d{1,2})\.(?P<year>\d{4})(?!\d)",
        r"(?<![\d/])(?P<monthno>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?!\d)",
    )
)
CLOCK = re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?(?![\d:])")
NAMED = re.compile(r"[^\s,;!?()\[\]{}\"“”]+")
NUMBER = re.compile(
    r"(?P<digits>\d{1,3}(?:[,.'\u2019 ]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)*|[.,]\d+)"
    r"(?P<scales>(?:\s*(?:hundred|thousand|million|billion|trillion|dozen|mio|mn|mm|bn|tn)s?\b|[kmb]\b)*)"
    r"\s*(?P<share>%|percent\b|per\s?cent\b|pct\b|bps?\b|basis points?\b)?",
    re.IGNORECASE,
)
AMOUNT = re.compile(r"[a-z]{0,3}[$€£]?[\d.,]+(?:k|m|b|mn|mm|bn|tn|mio|st|nd|rd|th|x|%|bps?)?")
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "k": 1000,
    "m": 10**6, "b": 10**9, "mio": 10**6, "mn": 10**6, "mm": 10**6, "bn": 10**9, "tn": 10**12,
}  # fmt: skip
UNITS = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    word: number * 10
    for number, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
ALONE: dict[str, Decimal | int] = {
    "double": 2, "doubled": 2, "twice": 2, "triple": 3, "tripled": 3, "thrice": 3, "half": Decimal("0.5"),
    "halved": Decimal("0.5"), "halves": Decimal("0.5"),
}  # fmt: skip
NOT_A_COUNT = re.compile(
    r"\b(?:no one|one another|which one|this one|that one|the one|each one|any ?one|every ?one|some ?one|one by one|"
    r"one of|one or more|at one time|one can|one may|one should|one moment)\b",
    re.IGNORECASE,
)
A_QUARTER = re.compile(r"\b(?:a|one|three)[ -]quarters?\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z]+")

Day = tuple[int | None, int | None, int | None]


class Evidence:
    """The figures that may be said."""

    def __init__(self) -> None:
        self._numbers: set[Decimal] = set()
        self._days: set[Day] = set()
        self._clocks: set[tuple[int, int]] = set()
        self._names: set[str] = set()
        self._letters: set[str] = set()

    def add_text(self, text: str) -> None:
        """All figures of a sentence; where a number can be read in two ways, both."""
        self._letters |= set(_odd_digits(text))
        text = plain(text)
        self._names |= {name for name, _ in _named(text)}
        rest = _without_dates(text, self._add_day, self._add_clock)
        for name, raw in _named(rest):
            if not AMOUNT.fullmatch(name):
                rest = rest.replace(raw, " ; ", 1)  # the digits of an order number are not an amount
        for found in NUMBER.finditer(rest):
            for value in _readings(found["digits"]):
                self._add_number(value * _scale(found["scales"]))
        self._numbers |= set(_spelled(rest))

    def add_value(self, value: Any) -> None:
        """A row, a list of rows, or one value of them."""
        match value:
            case bool() | None | UUID():
                return
            case datetime():
                self._add_day((value.year, value.month, value.day))
                self._add_clock((value.hour, value.minute))
            case date():
                self._add_day((value.year, value.month, value.day))
            case time():
                self._add_clock((value.hour, value.minute))
            case int() | float() | Decimal():
                self._add_number(Decimal(str(value)))
            case str():
                self.add_text(value)
            case Mapping():
                for one in value.values():
                    self.add_value(one)
            case Iterable():
                for one in value:
                    self.add_value(one)

    def unsupported(self, sentence: str) -> list[str]:
        """The figures of a sentence that occur nowhere in the evidence."""
        text = plain(sentence)
        missing = [letter for letter in _odd_digits(sentence) if letter not in self._letters]
        for name, raw in _named(text):
            if name in self._names:
                text = text.replace(raw, " ", 1)
        days: list[Day] = []
        clocks: list[tuple[int, int]] = []
        rest = _without_dates(text, days.append, clocks.append)
        missing += [str(day) for day in days if not self._knows_day(day)]
        missing += [f"{hour}:{minute:02}" for hour, minute in clocks if (hour, minute) not in self._clocks]
        for found in NUMBER.finditer(rest):
            if not self._knows(found):
                missing.append(found[0].strip())
        return missing + [str(value) for value in _spelled(rest) if not self._knows_value(value)]

    def _add_number(self, value: Decimal) -> None:
        if value.is_finite():
            self._numbers.add(abs(value))

    def _add_day(self, day: Day) -> None:
        self._days.add(day)

    def _add_clock(self, clock: tuple[int, int]) -> None:
        self._clocks.add(clock)

    def _knows_day(self, day: Day) -> bool:
        return any(
            all(part is None or part == known for part, known in zip(day, given, strict=True)) for given in self._days
        )

    def _knows(self, found: "re.Match[str]") -> bool:
        readings = _readings(found["digits"])
        value = readings[0] * _scale(found["scales"])
        if not found["scales"] and re.fullmatch(r"(?:19|20)\d\d", found["digits"]) and self._knows_year(int(value)):
            return True
        if found["share"]:
            parts = 10_000 if found["share"].lower().startswith(("bp", "basis")) else 100
            return self._knows_value(value) or self._knows_value(value / parts)
        return self._knows_value(value)

    def _knows_value(self, value: Decimal) -> bool:
        return abs(value) in self._numbers

    def _knows_year(self, year: int) -> bool:
        return any(given[0] == year for given in self._days)


def plain(text: str) -> str:
    """One way of writing: compatibility forms resolved, digits of all scripts as 0 to 9."""
    text = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("\N{FRACTION SLASH}", "/")
    return "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)


def _odd_digits(text: str) -> Iterator[str]:
    """Letters that are numbers but do not become digits, such as CJK or Roman numerals."""
    for letter in text:
        if not letter.isascii() and unicodedata.numeric(letter, None) is not None:
            digits = unicodedata.normalize("NFKC", letter).replace("\N{FRACTION SLASH}", "")
            if not digits.isdecimal():
                yield letter


def _named(text: str) -> Iterator[tuple[str, str]]:
    """(key, as written) of the tokens that mix letters and digits."""
    for found in NAMED.finditer(text):
        raw = found[0].strip(".:'\u2019*_`")
        if any(letter.isdigit() for letter in raw) and any(letter.isalpha() for letter in raw):
            yield raw.casefold(), raw


def _without_dates(text: str, add_day: Any, add_clock: Any) -> str:
    for pattern in DATES:
        found = pattern.search(text)
        while found:
            parts = found.groupdict()
            month = int(parts["monthno"]) if parts.get("monthno") else MONTHS[parts["month"].lower()]
            add_day((_number(parts.get("year")), month, _number(parts.get("day"))))
            text = f"{text[: found.start()]} ; {text[found.end() :].removeprefix('T')}"
            found = pattern.search(text)
    for clock in CLOCK.finditer(text):
        add_clock((int(clock[1]), int(clock[2])))
    return CLOCK.sub(" ; ", text)


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None


def _readings(digits: str) -> list[Decimal]:
    """The values of a written number, the English one first."""
    text = re.sub(r"[ '\u2019]", "", digits)
    if "," in text and "." in text:
        last = max(text.rfind(","), text.rfind("."))
        whole, part = re.sub("[,.]", "", text[:last]), text[last + 1 :]
        return [Decimal(f"{whole}.{part}")]
    sign = "," if "," in text else "."
    whole, *parts = text.split(sign)
    grouped = [Decimal(whole + "".join(parts))] if whole and parts and all(len(part) == 3 for part in parts) else []
    pointed = [Decimal(f"{whole or 0}.{parts[0]}")] if len(parts) == 1 else []
    if not parts:
        return [Decimal(whole)]
    found = grouped + pointed if sign == "," else pointed + grouped
    return found or [Decimal(whole + "".join(parts))]


def _scale(words: str) -> int:
    factor = 1
    for word in WORD.findall(words.lower()):
        factor *= SCALES.get(word) or SCALES[word.removesuffix("s")]
    return factor


def _spelled(text: str) -> Iterator[Decimal]:
    """The values of English number words that stand without digits."""
    text = NUMBER.sub(" ; ", text)
    for found in A_QUARTER.finditer(text):
        yield Decimal("0.75") if found[0].lower().startswith("three") else Decimal("0.25")
    text = NOT_A_COUNT.sub(" ; ", A_QUARTER.sub(" ; ", text))
    total, current, is_open = 0, 0, False
    for token in re.findall(r"[A-Za-z]+|[^\sA-Za-z-]", text):
        word = token.lower()
        scale = SCALES.get(word.removesuffix("s")) if len(word) > 2 else None
        if word in UNITS:
            current, is_open = current + UNITS[word], True
        elif scale == 100:
            current, is_open = (current or 1) * 100, True
        elif scale:
            total, current, is_open = total + (current or 1) * scale, 0, True
        elif not (is_open and word == "and"):
            if is_open:
                yield Decimal(total + current)
            total, current, is_open = 0, 0, False
            if word in ALONE:
                yield Decimal(ALONE[word])
    if is_open:
        yield Decimal(total + current)
