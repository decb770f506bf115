"""Webhooks and their deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, check, field
from atrium.core.db.entity import Entity, Json

QUEUED, SENDING, DELIVERED, FAILED, SKIPPED = STATUSES = ("queued", "sending", "delivered", "failed", "skipped")


class Webhook(Entity, table="core.webhooks"):
    """An address that is told what happens.

    The columns of the sender (`failure_count` to `claimed_until`) change with every attempt and are therefore kept out
    of the change log; who reads a webhook is told what they mean as its health.
    """

    __table_args__ = (check("cardinality(events) > 0", "events", "must name at least one event", ("events",)),)

    owner_id: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", mark=SYSTEM)
    module: Mapped[str] = field(mark=SYSTEM)
    url: Mapped[str] = field(pattern="^https?://")
    events: Mapped[list[str]] = field(type_=ARRAY(Text()))
    description: Mapped[str | None]
    secret_enc: Mapped[bytes] = field(mark=PRIVATE)
    old_secret_enc: Mapped[bytes | None] = field(mark=PRIVATE)
    old_secret_until: Mapped[datetime | None] = field(mark=SYSTEM)
    is_active: Mapped[bool] = field(default=True, mark=SYSTEM)
    disabled_at: Mapped[datetime | None] = field(mark=SYSTEM)
    disabled_reason: Mapped[str | None] = field(mark=SYSTEM)
    failure_count: Mapped[int] = field(default=0, mark=PRIVATE)
    failing_since: Mapped[datetime | None] = field(mark=PRIVATE)
    claim: Mapped[UUID | None] = field(mark=PRIVATE)
    claimed_until: Mapped[datetime | None] = field(mark=PRIVATE)


class WebhookDelivery(Entity, table="core.webhook_deliveries"):
    """One event for one webhook; `position` is its place among the others of that webhook."""

    audited = False
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_webhook_deliveries_due", "status", "next_attempt_at"),
        Index(
            "ix_webhook_deliveries_open",
            "webhook_id",
            "position",
            "id",
            postgresql_where=text("status IN ('queued', 'sending')"),
        ),
        Index("ix_webhook_deliveries_recent", "webhook_id", text("created_at DESC")),
    )

    webhook_id: Mapped[UUID] = field(
        references="core.webhooks.id", on_delete="CASCADE", index=False, mark=SYSTEM, scope=True
    )
    event_id: Mapped[UUID] = field(mark=SYSTEM)
    event: Mapped[str] = field(mark=SYSTEM)
    position: Mapped[int] = field(type_=BigInteger(), mark=SYSTEM)
    payload: Mapped[Json] = field(mark=SYSTEM)
    status: Mapped[str] = field(choices=STATUSES, default=QUEUED, mark=SYSTEM)
    attempts: Mapped[int] = field(default=0, mark=SYSTEM)
    next_attempt_at: Mapped[datetime | None] = field(mark=SYSTEM)
    response_status: Mapped[int | None] = field(mark=SYSTEM)
    response_excerpt: Mapped[str | None] = field(mark=SYSTEM)
    error: Mapped[str | None] = field(mark=SYSTEM)
    duration_ms: Mapped[int | None] = field(mark=SYSTEM)
    delivered_at: Mapped[datetime | None] = field(mark=SYSTEM)
