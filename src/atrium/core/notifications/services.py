"""Tell a user something, and what an owner does with an inbox."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, func, select, text, update

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import NotFound
from atrium.core.notifications.mail import send_mail
from atrium.core.notifications.mails import NOTIFICATION
from atrium.core.notifications.models import Notification
from atrium.core.notifications.policies import is_current
from atrium.core.notifications.preferences import quiet_hours
from atrium.core.notifications.resources import notifications
from atrium.core.notifications.rules import URGENT, quiet_until, wants_mail, zone_of
from atrium.core.notifications.unsubscribe import Subscription, link
from atrium.core.realtime.publish import publish
from atrium.core.runtime import Runtime
from atrium.core.services import Work, unit_of_work

# An address that nobody confirmed may be somebody else's, who asked for no mail.
READER = text("""
    SELECT u.email::text AS address, u.name, u.timezone, p.email, p.quiet_from, p.quiet_to
    FROM core.users u LEFT JOIN core.notification_preferences p ON p.user_id = u.id
    WHERE u.id = :user_id AND u.is_active AND u.is_verified AND NOT u.is_system AND u.deleted_at IS NULL
""")
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('core.notifications:' || :user_id, 0))")


async def notify(
    work: Work,
    user_id: UUID,
    *,
    module: str,
    kind: str,
    title: str,
    body: str | None = None,
    severity: str = "info",
    entity_type: str | None = None,
    entity_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> Notification:
    """A row in the user's inbox, on the open sockets once it is committed, and a mail if the user wants one."""
    told = Notification(
        user_id=user_id,
        module=module,
        kind=kind,
        severity=severity,
        title=title,
        body=body,
        entity_type=entity_type,
        entity_id=entity_id,
        expires_at=expires_at,
    )
    work.session.add(told)
    await work.session.flush()
    await _repeat(work, told)
    work.after_commit(lambda: push(work.runtime, user_id, told.id))
    return told


async def _repeat(work: Work, told: Notification) -> None:
    """By mail, if that is what its reader chose; in quiet hours the mail waits for their end unless it is urgent."""
    reader = (await work.session.execute(READER, {"user_id": told.user_id})).one_or_none()
    if reader is None or not wants_mail(reader.email or {}, told.kind, told.severity):
        return
    settings, now = work.runtime.settings, clock.now()
    hours = None if told.severity == URGENT else quiet_hours(reader.quiet_from, reader.quiet_to)
    off = link(settings, Subscription(told.user_id, told.kind), now)
    await send_mail(
        work,
        NOTIFICATION,
        to=reader.address,
        context={
            "name": reader.name,
            "title": told.title,
            "body": told.body,
            "kind": told.kind.replace("_", " "),
            "severity": told.severity,
            "inbox_url": f"{settings.public_url.rstrip('/')}/notifications",
            "unsubscribe_url": off,
        },
        user_id=told.user_id,
        not_before=quiet_until(hours, zone_of(reader.timezone), now),
        unsubscribe_url=off,
        dedupe_key=f"notification:{told.id}",
    )


async def push(runtime: Runtime, user_id: UUID, row_id: UUID) -> None:
    """The row as its owner reads it over REST, and how many are unread with it."""
    record = await notifications.find(runtime, Principal(user_id, "", frozenset()), row_id)
    if record is not None:
        await publish(runtime, user_id, {"type": "notification", "notification": msgspec.Raw(record.body)})
        await push_count(runtime, user_id, {"type": "notification.unread"})


async def push_count(runtime: Runtime, user_id: UUID, frame: dict[str, Any]) -> None:
    """What happened in an inbox, with the number of unread ones that is true when it leaves.

    Counted and sent by one process at a time: the last number that the sockets see is the right one, whichever of two
    changes was pushed first.
    """
    async with unit_of_work(runtime) as work:
        await work.session.execute(ONE_AT_A_TIME, {"user_id": str(user_id)})
        unread = await _count_unread(work, user_id)
        await publish(runtime, user_id, {**frame, "unread_count": unread})


async def count_unread(work: Work) -> int:
    return await _count_unread(work, work.principal.user_id)


async def _count_unread(work: Work, user_id: UUID) -> int:
    unread = select(func.count()).where(*_of(user_id), Notification.read_at.is_(None))
    return await work.session.scalar(unread) or 0


async def mark_read(work: Work, row_id: UUID) -> bytes:
    """The notification, read; once is enough, the first moment stays."""
    unread = update(Notification).where(*_own(work, row_id), Notification.read_at.is_(None))
    if await work.session.scalar(unread.values(read_at=func.now()).returning(Notification.id)) is not None:
        _push_after(work, {"type": "notification.read", "notification_id": row_id})
    return await notifications.render(work, row_id)


async def mark_all_read(work: Work) -> int:
    """How many were unread."""
    unread = update(Notification).where(*_own(work), Notification.read_at.is_(None))
    rows = (await work.session.scalars(unread.values(read_at=func.now()).returning(Notification.id))).all()
    if rows:
        _push_after(work, {"type": "notification.read", "all": True})
    return len(rows)


async def remove(work: Work, row_id: UUID) -> None:
    gone = delete(Notification).where(*_own(work, row_id)).returning(Notification.id)
    if await work.session.scalar(gone) is None:
        raise NotFound("There is no notification with this id in your inbox.")
    _push_after(work, {"type": "notification.deleted", "notification_id": row_id})


def _push_after(work: Work, frame: dict[str, Any]) -> None:
    user_id = work.principal.user_id
    work.after_commit(lambda: push_count(work.runtime, user_id, frame))


def _of(user_id: UUID) -> list[ColumnElement[bool]]:
    return [Notification.user_id == user_id, is_current()]


def _own(work: Work, row_id: UUID | None = None) -> list[ColumnElement[bool]]:
    mine = _of(work.principal.user_id)
    return mine if row_id is None else [*mine, Notification.id == row_id]
