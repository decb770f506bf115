"""Time and identity of new things. Code that decides takes `now` as an argument; only edges read a clock."""

from datetime import UTC, date, datetime
from uuid import UUID

import uuid_utils.compat


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    return now().date()


def new_id() -> UUID:
    """A UUIDv7: known before INSERT and ordered by time, so primary keys stay close together on disk."""
    return uuid_utils.compat.uuid7()


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z` and microseconds, exactly as PostgreSQL renders records (core.db.wire)."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
