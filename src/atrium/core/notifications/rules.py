"""What decides about mail without asking anybody: who wants it, when, and how long a server is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=4)
MOST_ATTEMPTS = 30
DEFAULT = "default"
URGENT = "critical"
BY_DEFAULT: Mapping[str, Sequence[str]] = {DEFAULT: (URGENT,)}


@dataclass(frozen=True, slots=True)
class QuietHours:
    begin: time
    end: time


def wants_mail(chosen: Mapping[str, Sequence[str]], kind: str, severity: str) -> bool:
    """Whether a notification is repeated by mail: what was chosen for its kind, else for all, else by default."""
    severities = chosen.get(kind, chosen.get(DEFAULT, BY_DEFAULT[DEFAULT]))
    return severity in severities


def zone_of(name: str) -> ZoneInfo:
    """A zone that is not known is UTC: people may write anything into their profile."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def quiet_until(hours: QuietHours | None, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` falls into, in UTC; None outside of them.

    Wall clocks decide. Where a clock is set back within them, they last until it shows their end for the last time.
    """
    if hours is None:
        return None
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        last = day if hours.begin < hours.end else day + timedelta(days=1)
        begin = min(_moments(datetime.combine(day, hours.begin, zone)))
        end = max(_moments(datetime.combine(last, hours.end, zone)))
        if begin <= now < end:
            return end
    return None


def _moments(local: datetime) -> tuple[datetime, datetime]:
    """When a clock shows this time; the two differ only around the hour at which it is set forward or back."""
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def delay_after(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: doubled each time, a fifth more or less so that mails spread out."""
    delay: timedelta = min(FIRST_DELAY * 2 ** (min(attempts, MOST_ATTEMPTS) - 1), LONGEST_DELAY)
    return delay * (0.8 + 0.4 * chance)
