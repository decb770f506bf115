"""Mail is a row, written in the transaction that causes it; `sending` gives it to a server, if there is one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from atrium.core import clock
from atrium.core.notifications.messages import check_address, wire_address
from atrium.core.notifications.models import OutboxMessage
from atrium.core.notifications.templates import MailTemplate
from atrium.core.services import Work

USEFUL_FOR = timedelta(days=3)


async def send_mail(
    work: Work,
    template: MailTemplate,
    *,
    to: str,
    context: Mapping[str, Any],
    user_id: UUID | None = None,
    not_before: datetime | None = None,
    useful_for: timedelta = USEFUL_FOR,
    unsubscribe_url: str | None = None,
    dedupe_key: str | None = None,
) -> None:
    """Put a mail to one recipient into the outbox, as it will be read; `context` fills the template.

    What could not be sent within `useful_for` is not sent any more, so that no link arrives that has expired.
    """
    to = check_address(to)
    wire_address(to)
    filled = template.render(context)
    due = not_before or clock.now()
    work.session.add(
        OutboxMessage(
            to_address=to,
            template=template.name,
            subject=filled.subject,
            body_text=filled.text,
            body_html=filled.html,
            user_id=user_id,
            context=dict(context),
            next_attempt_at=due,
            expires_at=due + useful_for,
            unsubscribe_url=unsubscribe_url,
            dedupe_key=dedupe_key,
        )
    )
    await work.session.flush()
