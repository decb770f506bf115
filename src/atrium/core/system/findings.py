"""One line of an examination: what was looked at, what is the matter and what to do."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str
    message: str
    advice: str = ""


Findings = AsyncIterator[Finding]
