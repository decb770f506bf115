"""Mails that are sent while they are of use, and what users want to be told by mail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012_mail"
down_revision = "0011_webhooks"
branch_labels = None
depends_on = None

CLOCK = "VALUE ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'"
DOMAINS = {
    "notification_preferences_quiet_from": ("ck_notification_preferences_quiet_from_pattern", CLOCK),
    "notification_preferences_quiet_to": ("ck_notification_preferences_quiet_to_pattern", CLOCK),
    "notification_preferences_digest": ("ck_notification_preferences_digest", "VALUE = ANY ('{none}'::text[])"),
}


def _domain(name: str) -> postgresql.DOMAIN:
    return postgresql.DOMAIN(name, sa.Text(), schema="core", create_type=False)


def upgrade() -> None:
    for name, (constraint, rule) in DOMAINS.items():
        op.execute(f"CREATE DOMAIN core.{name} AS TEXT CONSTRAINT {constraint} CHECK ({rule})")
    op.create_table(
        "notification_preferences",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "email", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("quiet_from", _domain("notification_preferences_quiet_from"), nullable=True),
        sa.Column("quiet_to", _domain("notification_preferences_quiet_to"), nullable=True),
        sa.Column(
            "digest",
            _domain("notification_preferences_digest"),
            server_default=sa.text("'none'"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(quiet_from IS NULL) = (quiet_to IS NULL)", name=op.f("ck_notification_preferences_quiet_hours")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core.users.id"], name=op.f("fk_notification_preferences_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_preferences")),
        sa.UniqueConstraint("user_id", name=op.f("uq_notification_preferences_user_id")),
        schema="core",
    )
    op.add_column("outbox_messages", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True), schema="core")
    op.add_column("outbox_messages", sa.Column("unsubscribe_url", sa.Text(), nullable=True), schema="core")
    op.alter_column("outbox_messages", "next_attempt_at", server_default=sa.text("now()"), schema="core")
    # What waits since before there was a server is not news to anybody.
    op.execute(
        "UPDATE core.outbox_messages SET next_attempt_at = coalesce(next_attempt_at, created_at), "
        "expires_at = created_at + interval '3 days' WHERE status IN ('queued', 'sending')"
    )
    op.create_index(
        "ix_outbox_messages_waiting",
        "outbox_messages",
        ["next_attempt_at"],
        unique=False,
        schema="core",
        postgresql_where=sa.text("status = ANY ('{queued,sending}'::text[])"),
    )
    op.create_index(
        "ix_notifications_age", "notifications", ["created_at"], unique=False, schema="core", postgresql_using="brin"
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_age", table_name="notifications", schema="core", postgresql_using="brin")
    op.drop_index("ix_outbox_messages_waiting", table_name="outbox_messages", schema="core")
    op.alter_column("outbox_messages", "next_attempt_at", server_default=None, schema="core")
    op.drop_column("outbox_messages", "unsubscribe_url", schema="core")
    op.drop_column("outbox_messages", "expires_at", schema="core")
    op.drop_table("notification_preferences", schema="core")
    for name in DOMAINS:
        op.execute(f"DROP DOMAIN core.{name}")
