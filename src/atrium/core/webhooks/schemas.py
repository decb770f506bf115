"""What the verbs of webhooks take and answer."""

import functools
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from atrium.core.resources.openapi import page_struct, record_struct
from atrium.core.webhooks.resources import webhooks

Url = Annotated[str, Meta(max_length=2048)]
Event = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=500)]
OVERLAP_HOURS = 24


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True):
    url: Url
    events: list[Event]
    description: Text | None = None


class ChangeWebhook(msgspec.Struct, forbid_unknown_fields=True):
    url: Url | UnsetType = UNSET
    events: list[Event] | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET


class RotateSecret(msgspec.Struct, forbid_unknown_fields=True):
    """For how long the old secret signs beside the new one; 0 ends it at once."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = OVERLAP_HOURS


class RedeliverSince(msgspec.Struct, forbid_unknown_fields=True):
    """Of the events since then, those that failed or were skipped."""

    since: Annotated[datetime, Meta(tz=True)]


class WebhookHealth(msgspec.Struct):
    """How it goes: failed attempts since the last that was accepted, and what waits."""

    failure_count: int
    failing_since: str | None
    waiting: int
    oldest_waiting_at: str | None


class Rotated(msgspec.Struct):
    """The new secret, shown this once."""

    secret: str
    old_secret_until: str | None


class QueuedDeliveries(msgspec.Struct):
    queued: int


class QueuedTest(msgspec.Struct):
    delivery_id: UUID


@functools.cache
def webhook_struct() -> type[msgspec.Struct]:
    members: list[Any] = [(name, kind) for name, kind in record_struct(webhooks).__annotations__.items()]
    return msgspec.defstruct("Webhook", [*members, ("health", WebhookHealth)], kw_only=True)


@functools.cache
def new_webhook_struct() -> type[msgspec.Struct]:
    """With its secret, which is shown this once."""
    return msgspec.defstruct("CreatedWebhook", [("secret", str)], bases=(webhook_struct(),), kw_only=True)


def webhook_page() -> type[msgspec.Struct]:
    return page_struct(webhook_struct())
