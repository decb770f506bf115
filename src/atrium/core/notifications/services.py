"""Tell a user something, and what an owner does with an inbox."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, func, select, update

from atrium.core.access import Principal
from atrium.core.errors import NotFound
from atrium.core.notifications.models import Notification
from atrium.core.notifications.resources import notifications
from atrium.core.realtime.publish import publish
from atrium.core.runtime import Runtime
from atrium.core.services import Work


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
) -> Notification:
    """A row in the user's inbox, on the open sockets once it is committed."""
    told = Notification(
        user_id=user_id,
        module=module,
        kind=kind,
        severity=severity,
        title=title,
        body=body,
        entity_type=entity_type,
        entity_id=entity_id,
    )
    work.session.add(told)
    await work.session.flush()
    work.after_commit(lambda: push(work.runtime, user_id, told.id))
    return told


async def push(runtime: Runtime, user_id: UUID, row_id: UUID) -> None:
    """The row as its owner reads it over REST."""
    record = await notifications.find(runtime, Principal(user_id, "", frozenset()), row_id)
    if record is not None:
        await publish(runtime, user_id, {"type": "notification", "notification": msgspec.Raw(record.body)})


async def count_unread(work: Work) -> int:
    return await work.session.scalar(select(func.count()).where(*_own(work), Notification.read_at.is_(None))) or 0


async def mark_read(work: Work, row_id: UUID) -> bytes:
    """The notification, read; once is enough, the first moment stays."""
    read = func.coalesce(Notification.read_at, func.now())
    await _change(work, update(Notification).where(*_own(work, row_id)).values(read_at=read))
    return await notifications.render(work, row_id)


async def mark_all_read(work: Work) -> int:
    """How many were unread."""
    unread = update(Notification).where(*_own(work), Notification.read_at.is_(None))
    rows = await work.session.scalars(unread.values(read_at=func.now()).returning(Notification.id))
    return len(rows.all())


async def remove(work: Work, row_id: UUID) -> None:
    await _change(work, delete(Notification).where(*_own(work, row_id)))


def _own(work: Work, row_id: UUID | None = None) -> list[ColumnElement[bool]]:
    mine = [Notification.user_id == work.principal.user_id]
    return mine if row_id is None else [*mine, Notification.id == row_id]


async def _change(work: Work, statement: Any) -> None:
    if await work.session.scalar(statement.returning(Notification.id)) is None:
        raise NotFound("There is no notification with this id in your inbox.")
