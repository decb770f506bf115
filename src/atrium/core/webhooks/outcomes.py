"""What becomes of a delivery after an attempt: rules without I/O."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_SECONDS = 5.0
GROWTH = 4.0
LONGEST_SECONDS = 4 * 3600.0
JITTER = 0.2
MOST_ATTEMPTS = 12
"""They reach about 22 hours, a little less than it takes until a webhook that only fails is switched off."""
PATIENCE = timedelta(days=1)
GONE = 410


class Verdict(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    DISABLE = "disable"
    """This delivery failed, and nothing more is sent to its webhook."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status with the beginning of its body, or the reason why nothing did."""

    status: int | None = None
    excerpt: str | None = None
    error: str | None = None
    retry_after: int | None = None
    duration_ms: int | None = None
    is_final: bool = False
    """Whether the reason is one that another attempt would meet again."""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def judge(
    answer: Answer, attempts: int, failing_since: datetime | None, now: datetime, most: int = MOST_ATTEMPTS
) -> tuple[Verdict, str]:
    """And, for DISABLE, the sentence that the owner reads."""
    if answer.is_accepted:
        return Verdict.DELIVERED, ""
    if answer.status == GONE:
        return Verdict.DISABLE, "The receiver answered 410 Gone: it wants nothing more."
    if answer.is_final:
        return Verdict.DISABLE, answer.error or ""
    if failing_since is not None and now - failing_since >= PATIENCE:
        return Verdict.DISABLE, f"Every attempt failed since {failing_since:%Y-%m-%d %H:%M} UTC."
    return (Verdict.FAILED if attempts >= most else Verdict.RETRY), ""


def pause(attempts: int, retry_after: int | None = None) -> timedelta:
    """Until the next attempt, after so many: 5 s, 20 s, 80 s … 4 h, each a fifth more or less; longer when asked."""
    # S311: it spreads load and protects nothing.
    base = min(FIRST_SECONDS * GROWTH ** min(attempts - 1, 20), LONGEST_SECONDS)
    spread = base * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return timedelta(seconds=max(spread, min(retry_after or 0, LONGEST_SECONDS)))
