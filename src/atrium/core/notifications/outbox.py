"""What an administrator does with mails that did not get through."""

from uuid import UUID

from sqlalchemy import func, select

from atrium.core.changes.record import record
from atrium.core.errors import NotFound
from atrium.core.notifications.errors import MailNotFailed
from atrium.core.notifications.mail import USEFUL_FOR
from atrium.core.notifications.models import OutboxMessage
from atrium.core.notifications.resources import outbox_messages
from atrium.core.services import Work


async def retry(work: Work, row_id: UUID) -> bytes:
    """A failed mail is due again, with all its attempts and from now on as long as a new one."""
    mail = await work.session.scalar(select(OutboxMessage).where(OutboxMessage.id == row_id).with_for_update())
    if mail is None:
        raise NotFound("There is no mail with this id in the outbox.")
    if mail.status != "failed":
        raise MailNotFailed(
            f"Only a failed mail is sent again; this one is {mail.status}.",
            origin=mail.status,
            to="queued",
            allowed=(),
        )
    mail.status, mail.attempts, mail.last_error = "queued", 0, None
    mail.next_attempt_at = func.clock_timestamp()
    mail.expires_at = func.clock_timestamp() + USEFUL_FOR
    await work.session.flush()
    await record(work, module="core", action="retry", entity_type="core.outbox_messages", entity_id=row_id)
    return await outbox_messages.render(work, row_id)
