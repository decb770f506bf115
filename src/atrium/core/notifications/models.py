"""The inbox of every user and the outbox of all mail."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, check, field
from atrium.core.db.entity import Entity, Json

KINDS = (
    "order", "transfer", "kyc", "compliance", "corporate_action", "goal", "task", "campaign", "lead", "insight", "chat",
    "billing", "request", "quote", "booking", "review", "dispute", "match", "message", "assessment", "system",
)  # fmt: skip
SEVERITIES = ("info", "success", "warning", "critical")
CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"


class Notification(Entity, table="core.notifications"):
    """Something a user should know, in the inbox and on the open sockets."""

    audited = False
    __table_args__ = (
        check(
            "(entity_type IS NULL) = (entity_id IS NULL)",
            "entity",
            "entity_type and entity_id go together",
            ("entity_type", "entity_id"),
        ),
        Index(
            "ix_notifications_unread",
            "user_id",
            text("created_at DESC"),
            postgresql_where=text("read_at IS NULL"),
        ),
        Index("ix_notifications_recent", "user_id", text("created_at DESC")),
        Index("ix_notifications_age", "created_at", postgresql_using="brin"),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    module: Mapped[str] = field(mark=SYSTEM)
    kind: Mapped[str] = field(choices=KINDS, mark=SYSTEM)
    severity: Mapped[str] = field(choices=SEVERITIES, default="info", mark=SYSTEM)
    title: Mapped[str] = field(mark=SYSTEM)
    body: Mapped[str | None] = field(mark=SYSTEM)
    entity_type: Mapped[str | None] = field(mark=SYSTEM)
    entity_id: Mapped[UUID | None] = field(mark=SYSTEM)
    channel: Mapped[str] = field(choices=("in_app", "email", "push"), default="in_app", mark=SYSTEM)
    delivered_at: Mapped[datetime | None] = field(mark=SYSTEM)
    read_at: Mapped[datetime | None] = field(mark=SYSTEM)
    expires_at: Mapped[datetime | None] = field(mark=SYSTEM)


class OutboxMessage(Entity, table="core.outbox_messages"):
    """A mail; without SMTP settings the rows are the mail box."""

    audited = False
    __table_args__ = (
        Index("ix_outbox_messages_due", "status", "next_attempt_at"),
        Index(
            "ix_outbox_messages_waiting",
            "next_attempt_at",
            postgresql_where=text("status = ANY ('{queued,sending}'::text[])"),
        ),
        Index("ix_outbox_messages_recipient", "to_address", text("created_at DESC")),
    )

    channel: Mapped[str] = field(choices=("email",), default="email", mark=SYSTEM)
    to_address: Mapped[str] = field(mark=SYSTEM)
    user_id: Mapped[UUID | None] = field(references="core.users.id", on_delete="SET NULL", mark=SYSTEM)
    template: Mapped[str] = field(mark=SYSTEM)
    subject: Mapped[str | None] = field(mark=SYSTEM)
    context: Mapped[Json] = field(default={}, mark=SYSTEM)
    body_text: Mapped[str | None] = field(mark=SYSTEM)
    body_html: Mapped[str | None] = field(mark=SYSTEM)
    status: Mapped[str] = field(choices=("queued", "sending", "sent", "failed"), default="queued", mark=SYSTEM)
    attempts: Mapped[int] = field(default=0, mark=SYSTEM)
    next_attempt_at: Mapped[datetime | None] = field(default_sql="now()", mark=SYSTEM)
    expires_at: Mapped[datetime | None] = field(mark=SYSTEM)
    last_error: Mapped[str | None] = field(mark=SYSTEM)
    sent_at: Mapped[datetime | None] = field(mark=SYSTEM)
    dedupe_key: Mapped[str | None] = field(unique=True, mark=SYSTEM)
    unsubscribe_url: Mapped[str | None] = field(mark=PRIVATE)


class NotificationPreferences(Entity, table="core.notification_preferences"):
    """What a user wants to be told by mail; without a row the defaults hold."""

    audited = False
    __table_args__ = (
        check(
            "(quiet_from IS NULL) = (quiet_to IS NULL)",
            "quiet_hours",
            "quiet hours have a beginning and an end",
            ("quiet_from", "quiet_to"),
        ),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", unique=True, mark=SYSTEM)
    email: Mapped[Json] = field(default={}, mark=SYSTEM)
    quiet_from: Mapped[str | None] = field(pattern=CLOCK, mark=SYSTEM)
    quiet_to: Mapped[str | None] = field(pattern=CLOCK, mark=SYSTEM)
    digest: Mapped[str] = field(choices=("none",), default="none", mark=SYSTEM)
