"""What a user wants to be told by mail, and when not."""

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any
from uuid import UUID

from sqlalchemy import cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from atrium.core.errors import Invalid
from atrium.core.notifications.errors import UnsubscribeLinkExpired
from atrium.core.notifications.models import NotificationPreferences
from atrium.core.notifications.rules import BY_DEFAULT, QuietHours
from atrium.core.notifications.schemas import ChangedPreferences, Preferences, Quiet, QuietView
from atrium.core.services import Work

ZONE = text("SELECT timezone FROM core.users WHERE id = :user_id")


async def read(work: Work) -> Preferences:
    """The caller's own; what was never chosen is as by default."""
    user_id = work.principal.user_id
    found = await find(work, user_id)
    zone = await work.session.scalar(ZONE, {"user_id": user_id})
    return Preferences(
        email={**BY_DEFAULT, **(found.email if found else {})},
        quiet_hours=QuietView(found.quiet_from, found.quiet_to)
        if found and found.quiet_from and found.quiet_to
        else None,
        timezone=zone or "UTC",
        digest="none",
        updated_at=found.updated_at if found else None,
    )


async def find(work: Work, user_id: UUID) -> NotificationPreferences | None:
    statement = select(NotificationPreferences).where(NotificationPreferences.user_id == user_id)
    return await work.session.scalar(statement.execution_options(populate_existing=True))


async def change(work: Work, wanted: ChangedPreferences) -> Preferences:
    """What is named changes; null goes back to the default, for one kind of notification as for all of it."""
    values: dict[str, Any] = {}
    if isinstance(wanted.quiet_hours, Quiet) and wanted.quiet_hours.begin == wanted.quiet_hours.end:
        raise Invalid.at("quiet_hours", "must end at another time than they begin")
    if wanted.quiet_hours is None:
        values |= {"quiet_from": None, "quiet_to": None}
    elif isinstance(wanted.quiet_hours, Quiet):
        values |= {"quiet_from": wanted.quiet_hours.begin, "quiet_to": wanted.quiet_hours.end}
    if wanted.email is None:
        values["email"] = {}
    elif isinstance(wanted.email, dict):
        chosen: dict[str, Sequence[str] | None] = {
            kind: None if some is None else sorted(set(some)) for kind, some in wanted.email.items()
        }
        await _choose(work, work.principal.user_id, chosen)
    if values:
        await _write(work, work.principal.user_id, values)
    return await read(work)


async def turn_off(work: Work, user_id: UUID, kind: str) -> None:
    """No more mails of this kind; raises UnsubscribeLinkExpired when there is no such account any more."""
    if await work.session.scalar(ZONE, {"user_id": user_id}) is None:
        raise UnsubscribeLinkExpired
    await _choose(work, user_id, {kind: []})


async def _choose(work: Work, user_id: UUID, chosen: Mapping[str, Sequence[str] | None]) -> None:
    """Merged by the database, so that two who choose at once both get what they chose."""
    given = cast(dict(chosen), JSONB)
    statement = insert(NotificationPreferences).values(user_id=user_id, email=func.jsonb_strip_nulls(given))
    merged = func.jsonb_strip_nulls(NotificationPreferences.email.op("||")(given))
    await work.session.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id"], set_={"email": merged, "updated_at": func.clock_timestamp()}
        )
    )


async def _write(work: Work, user_id: UUID, values: Mapping[str, Any]) -> None:
    statement = insert(NotificationPreferences).values(user_id=user_id, **values)
    await work.session.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id"], set_={**values, "updated_at": func.clock_timestamp()}
        )
    )


def quiet_hours(begin: str | None, end: str | None) -> QuietHours | None:
    return QuietHours(time.fromisoformat(begin), time.fromisoformat(end)) if begin and end else None
