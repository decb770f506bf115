"""How notifications and mails are listed and rendered; `controllers` opens them."""

from typing import Any

from atrium.core.errors import FieldError, Invalid
from atrium.core.notifications import policies
from atrium.core.notifications.models import Notification, OutboxMessage
from atrium.core.resources.resource import Resource

__all__ = ("notifications", "outbox_messages", "policies")

FLAGS = {"true": "isnull", "1": "isnull", "false": "notnull", "0": "notnull"}


def is_unread(text: str) -> tuple[tuple[str, str, Any], ...]:
    if text.lower() not in FLAGS:
        raise Invalid(
            "unread must be true or false.", errors=[FieldError(("query", "unread"), "must be true or false")]
        )
    return (("read_at", FLAGS[text.lower()], None),)


notifications = Resource(
    Notification,
    path="/api/v1/notifications",
    tag="notifications",
    read="",  # everybody's own rows; the policy is the whole rule
    write=None,
    filters=("kind", "severity", "module", "entity_type", "entity_id", "read_at", "created_at"),
    sorts=("created_at", "read_at"),
    presets={"unread": is_unread},
    history=False,
)
outbox_messages = Resource(
    OutboxMessage,
    path="/api/v1/admin/outbox",
    tag="admin",
    read="core.outbox.read",
    write=None,
    filters=("to_address", "template", "status", "user_id", "attempts", "next_attempt_at", "sent_at", "created_at"),
    sorts=("created_at", "next_attempt_at", "sent_at", "attempts"),
    search=("to_address", "subject"),
    presets={"to": lambda text: (("to_address", "eq", text),)},
    history=False,
)
