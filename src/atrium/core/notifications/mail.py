"""Mail is a row, written in the transaction that causes it; sending is somebody else's business."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from atrium.core.notifications.models import OutboxMessage
from atrium.core.services import Work


async def send_mail(
    work: Work,
    *,
    to: str,
    template: str,
    subject: str,
    body_text: str,
    user_id: UUID | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Put a mail into the outbox; `context` is what the template was filled with, links stand in the text."""
    work.session.add(
        OutboxMessage(
            to_address=to,
            template=template,
            subject=subject,
            body_text=body_text,
            user_id=user_id,
            context=dict(context or {}),
        )
    )
    await work.session.flush()
