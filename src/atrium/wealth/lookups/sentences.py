"""How figures and lists are put into words."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

from atrium.core import clock
from atrium.core.lookups import Asking
from atrium.wealth.lookups.rows import Row
from atrium.wealth.policies import ADVISOR, SELF

SHOWN = 10


def opening(asking: Asking, number: int) -> str:
    """An overseer or administrator counts what others have."""
    if {ADVISOR, SELF} & asking.principal.claims.keys():
        return "You have"
    return "There is" if number == 1 else "There are"


def by_status(rows: list[Row]) -> str:
    return ", ".join(f"{row['count']} {words(row['status'])}" for row in rows)


def code_of(words: str | None) -> str | None:
    return words.strip().lower().replace(" ", "_").replace("-", "_") if words else None


def words(code: str) -> str:
    return code.replace("_", " ")


def article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("ity") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def some(parts: Iterable[str], total: int) -> str:
    """The first few, and how many more there are."""
    shown = [part for part, _place in zip(parts, range(SHOWN), strict=False)]
    more = f" and {total - SHOWN} more" if total > SHOWN else ""
    return ", ".join(shown) + more


def due(day: date | None, words: str) -> str:
    return f"{words} {day}" if day else ""


def days_since(moment: datetime) -> int:
    return (clock.today() - moment.date()).days


def short(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def exact(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"
