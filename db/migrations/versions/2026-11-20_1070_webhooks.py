"""Webhooks and their deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_webhooks"
down_revision = "0010_schedules"
branch_labels = None
depends_on = None

STATUSES = "VALUE = ANY ('{queued,sending,delivered,failed,skipped}'::text[])"
DOMAINS = {
    "webhooks_url": ("ck_webhooks_url_pattern", "VALUE ~ '^https?://'"),
    "webhook_deliveries_status": ("ck_webhook_deliveries_status", STATUSES),
}
MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def _domain(name: str) -> postgresql.DOMAIN:
    return postgresql.DOMAIN(name, sa.Text(), schema="core", create_type=False)


def upgrade() -> None:
    for name, (constraint, rule) in DOMAINS.items():
        op.execute(f"CREATE DOMAIN core.{name} AS TEXT CONSTRAINT {constraint} CHECK ({rule})")
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("url", _domain("webhooks_url"), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("secret_enc", sa.LargeBinary(), nullable=False),
        sa.Column("old_secret_enc", sa.LargeBinary(), nullable=True),
        sa.Column("old_secret_until", MOMENT, nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failure_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("cardinality(events) > 0", name=op.f("ck_webhooks_events")),
        sa.ForeignKeyConstraint(["owner_id"], ["core.users.id"], name="fk_webhooks_owner_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        schema="core",
    )
    op.create_index("ix_webhooks_owner_id", "webhooks", ["owner_id"], schema="core")
    _make_deliveries()
    for sql in ROUTINES:
        op.execute(sql)


def _make_deliveries() -> None:
    table = "webhook_deliveries"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", _domain("webhook_deliveries_status"), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_excerpt", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["core.webhooks.id"], name="fk_webhook_deliveries_webhook_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("webhook_id", "event_id", name="uq_webhook_deliveries_webhook_id_event_id"),
        schema="core",
    )
    recent = ["webhook_id", sa.literal_column("created_at DESC")]
    waiting = sa.text("status IN ('queued', 'sending')")
    op.create_index("ix_webhook_deliveries_due", table, ["status", "next_attempt_at"], schema="core")
    op.create_index("ix_webhook_deliveries_recent", table, recent, schema="core")
    op.create_index(
        "ix_webhook_deliveries_open", table, ["webhook_id", "position", "id"], schema="core", postgresql_where=waiting
    )


def downgrade() -> None:
    op.execute("DELETE FROM core.change_relay WHERE name = 'webhooks'")
    op.drop_table("webhook_deliveries", schema="core")
    op.drop_table("webhooks", schema="core")
    op.execute("DROP FUNCTION core.log_core_webhooks_change()")
    op.execute("DROP FUNCTION core.log_core_webhooks_insert()")
    for name in DOMAINS:
        op.execute(f"DROP DOMAIN core.{name}")


ROUTINES = (
    r"""
CREATE OR REPLACE FUNCTION core.log_core_webhooks_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    _changes text;
    _sequence bigint;
    _id uuid;
    _now timestamptz;
BEGIN
    IF tg_op = 'DELETE' THEN
        _changes := concat_ws(',', '"owner_id":' || json_build_array(old.owner_id, NULL)::text, '"module":' || json_build_array(old.module, NULL)::text, '"url":' || json_build_array(old.url, NULL)::text, '"events":' || json_build_array(old.events, NULL)::text, '"description":' || json_build_array(old.description, NULL)::text, '"old_secret_until":' || json_build_array(old.old_secret_until, NULL)::text, '"is_active":' || json_build_array(old.is_active, NULL)::text, '"disabled_at":' || json_build_array(old.disabled_at, NULL)::text, '"disabled_reason":' || json_build_array(old.disabled_reason, NULL)::text);
        _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
        _id := core.change_id(_sequence, _now);
        INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.webhooks', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
    ELSE
        _changes := concat_ws(',', CASE WHEN new.owner_id IS DISTINCT FROM old.owner_id THEN '"owner_id":' || json_build_array(old.owner_id, new.owner_id)::text END, CASE WHEN new.module IS DISTINCT FROM old.module THEN '"module":' || json_build_array(old.module, new.module)::text END, CASE WHEN new.url IS DISTINCT FROM old.url THEN '"url":' || json_build_array(old.url, new.url)::text END, CASE WHEN new.events IS DISTINCT FROM old.events THEN '"events":' || json_build_array(old.events, new.events)::text END, CASE WHEN new.description IS DISTINCT FROM old.description THEN '"description":' || json_build_array(old.description, new.description)::text END, CASE WHEN new.old_secret_until IS DISTINCT FROM old.old_secret_until THEN '"old_secret_until":' || json_build_array(old.old_secret_until, new.old_secret_until)::text END, CASE WHEN new.is_active IS DISTINCT FROM old.is_active THEN '"is_active":' || json_build_array(old.is_active, new.is_active)::text END, CASE WHEN new.disabled_at IS DISTINCT FROM old.disabled_at THEN '"disabled_at":' || json_build_array(old.disabled_at, new.disabled_at)::text END, CASE WHEN new.disabled_reason IS DISTINCT FROM old.disabled_reason THEN '"disabled_reason":' || json_build_array(old.disabled_reason, new.disabled_reason)::text END);
        IF _changes = '' THEN
            RETURN NULL;
        END IF;
        _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
        _id := core.change_id(_sequence, _now);
        INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.webhooks', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
    END IF;
    INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
    RETURN NULL;
END $$
    """,
    r"""
CREATE OR REPLACE FUNCTION core.log_core_webhooks_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
BEGIN
    WITH logged AS (
        INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.webhooks', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"owner_id":[null,' || to_json(made.owner_id)::text || ']', '"module":[null,' || to_json(made.module)::text || ']', '"url":[null,' || to_json(made.url)::text || ']', '"events":[null,' || to_json(made.events)::text || ']', '"description":[null,' || to_json(made.description)::text || ']', '"old_secret_until":[null,' || to_json(made.old_secret_until)::text || ']', '"is_active":[null,' || to_json(made.is_active)::text || ']', '"disabled_at":[null,' || to_json(made.disabled_at)::text || ']', '"disabled_reason":[null,' || to_json(made.disabled_reason)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
        FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
        RETURNING sequence, id, occurred_at
    )
    INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
    RETURN NULL;
END $$
    """,
    r"""
CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.webhooks FOR EACH ROW EXECUTE FUNCTION core.log_core_webhooks_change()
    """,
    r"""
CREATE TRIGGER log_insert AFTER INSERT ON core.webhooks REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_webhooks_insert()
    """,
    r"""
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.webhooks EXECUTE FUNCTION core.refuse_change()
    """,
)
