"""How notifications and mails are listed and rendered; `controllers` opens them."""

from dataclasses import replace
from typing import Any

from atrium.core.errors import FieldError, Invalid
from atrium.core.notifications import policies
from atrium.core.notifications.models import Notification, OutboxMessage
from atrium.core.resources.resource import Resource
from atrium.core.services import Caller

__all__ = ("as_owner", "notifications", "outbox_messages", "policies")

OWN_ROWS = "core.own"
FLAGS = {"true": "isnull", "1": "isnull", "false": "notnull", "0": "notnull"}


def as_owner(caller: Caller) -> Caller:
    """What every account may do with its own rows needs no role; the row policy is the whole rule."""
    principal = caller.principal
    return replace(caller, principal=replace(principal, permissions=principal.permissions | {OWN_ROWS}))


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
    read=OWN_ROWS,
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
    filters=("to_address", "template", "status", "user_id", "created_at"),
    sorts=("created_at", "next_attempt_at"),
    presets={"to": lambda text: (("to_address", "eq", text),)},
    history=False,
)
