"""Core tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_core"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS citext")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE SEQUENCE core.changes_sequence AS bigint")
    op.create_table(
        "changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "sequence", sa.BigInteger(), server_default=sa.text("nextval('core.changes_sequence')"), nullable=False
        ),
        sa.Column("actor_user_id", sa.Uuid(), nullable=True),
        sa.Column("actor_role", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "changes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column(
            "occurred_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "from_status IS DISTINCT FROM to_status OR to_status IS NULL", name=op.f("ck_changes_transition")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
        schema="core",
    )
    op.create_index("ix_changes_actor", "changes", ["actor_user_id", "occurred_at"], unique=False, schema="core")
    op.create_index("ix_changes_client", "changes", ["client_id", "occurred_at"], unique=False, schema="core")
    op.create_index(
        "ix_changes_entity", "changes", ["entity_type", "entity_id", "occurred_at"], unique=False, schema="core"
    )
    op.create_index("ix_changes_module", "changes", ["module", "occurred_at"], unique=False, schema="core")
    op.create_index(
        "ix_changes_occurred_at", "changes", ["occurred_at"], unique=False, schema="core", postgresql_using="brin"
    )
    op.create_table(
        "permissions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permissions")),
        sa.UniqueConstraint("code", name=op.f("uq_permissions_code")),
        schema="core",
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("is_assignable", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("self_register", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "module = ANY ('{platform,wealth,marketplace,crm,insights,assessments}'::text[])",
            name=op.f("ck_roles_module"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("code", name=op.f("uq_roles_code")),
        schema="core",
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", postgresql.CITEXT(), nullable=False),
        sa.Column("username", postgresql.CITEXT(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("phone_e164", sa.Text(), nullable=True),
        sa.Column("hashed_password", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_system", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locale", sa.Text(), server_default=sa.text("'en'"), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("mfa_secret_enc", sa.LargeBinary(), nullable=True),
        sa.Column("mfa_enabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_login_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "preferences",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("username ~ '^[a-z0-9_.-]{2,50}$'", name=op.f("ck_users_username_pattern")),
        sa.CheckConstraint("failed_login_count >= 0", name=op.f("ck_users_failed_login_count_range")),
        sa.CheckConstraint(
            "is_system OR hashed_password IS NOT NULL OR NOT is_verified", name=op.f("ck_users_credentials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        schema="core",
    )
    op.create_index("ix_users_is_active", "users", ["is_active"], unique=False, schema="core")
    op.create_index(
        "ix_users_name",
        "users",
        ["name"],
        unique=False,
        schema="core",
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops"},
    )
    op.create_index("ix_users_updated_at", "users", ["updated_at"], unique=False, schema="core")
    op.create_table(
        "background_tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=True),
        sa.Column("advisor_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("entity_type", sa.Text(), nullable=True),
        sa.Column("entity_id", sa.Uuid(), nullable=True),
        sa.Column(
            "params", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("progress_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress_total", sa.Integer(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("run_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_background_tasks_finished"),
        ),
        sa.CheckConstraint(
            "kind = ANY ('{growth_scan,batch_email,report,rebalance,corporate_action,billing_run,valuation,simulation,import,export,price_refresh,surveillance,generate_matches,whatsapp_batch,finance_load,scan_upload,score_assessment,report_export,maintenance}'::text[])",
            name=op.f("ck_background_tasks_kind"),
        ),
        sa.CheckConstraint(
            "status = ANY ('{queued,running,succeeded,failed,cancelled}'::text[])",
            name=op.f("ck_background_tasks_status"),
        ),
        sa.CheckConstraint("attempts <= max_attempts", name=op.f("ck_background_tasks_bounded_attempts")),
        sa.CheckConstraint("progress_done >= 0", name=op.f("ck_background_tasks_progress_done_range")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["core.users.id"], name=op.f("fk_background_tasks_requested_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_background_tasks")),
        schema="core",
    )
    op.create_index(
        "ix_background_tasks_advisor", "background_tasks", ["advisor_id", "status"], unique=False, schema="core"
    )
    op.create_index("ix_background_tasks_due", "background_tasks", ["status", "run_after"], unique=False, schema="core")
    op.create_index(
        "ix_background_tasks_entity", "background_tasks", ["entity_type", "entity_id"], unique=False, schema="core"
    )
    op.create_index(
        "ix_background_tasks_requester",
        "background_tasks",
        ["requested_by", sa.literal_column("created_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_index(
        "uq_background_tasks_open_dedupe_key",
        "background_tasks",
        ["dedupe_key"],
        unique=True,
        schema="core",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), server_default=sa.text("'info'"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("entity_type", sa.Text(), nullable=True),
        sa.Column("entity_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), server_default=sa.text("'in_app'"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel = ANY ('{in_app,email,push}'::text[])", name=op.f("ck_notifications_channel")),
        sa.CheckConstraint(
            "kind = ANY ('{order,transfer,kyc,compliance,corporate_action,goal,task,campaign,lead,insight,chat,billing,request,quote,booking,review,dispute,match,message,assessment,system}'::text[])",
            name=op.f("ck_notifications_kind"),
        ),
        sa.CheckConstraint(
            "severity = ANY ('{info,success,warning,critical}'::text[])", name=op.f("ck_notifications_severity")
        ),
        sa.CheckConstraint("(entity_type IS NULL) = (entity_id IS NULL)", name=op.f("ck_notifications_entity")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core.users.id"], name=op.f("fk_notifications_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        schema="core",
    )
    op.create_index(
        "ix_notifications_recent",
        "notifications",
        ["user_id", sa.literal_column("created_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_index(
        "ix_notifications_unread",
        "notifications",
        ["user_id", sa.literal_column("created_at DESC")],
        unique=False,
        schema="core",
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_table(
        "one_time_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("email", postgresql.CITEXT(), nullable=True),
        sa.Column(
            "payload", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "expires_at IS NOT NULL OR purpose = 'mfa_recovery'", name=op.f("ck_one_time_tokens_expiry")
        ),
        sa.CheckConstraint(
            "purpose = ANY ('{verify_email,reset_password,change_email,invite,mfa_challenge,mfa_recovery}'::text[])",
            name=op.f("ck_one_time_tokens_purpose"),
        ),
        sa.CheckConstraint("user_id IS NOT NULL OR purpose = 'invite'", name=op.f("ck_one_time_tokens_owner")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core.users.id"], name=op.f("fk_one_time_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_tokens")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_one_time_tokens_token_sha256")),
        schema="core",
    )
    op.create_index("ix_one_time_tokens_expires_at", "one_time_tokens", ["expires_at"], unique=False, schema="core")
    op.create_index(
        "ix_one_time_tokens_user_id",
        "one_time_tokens",
        ["user_id", "purpose"],
        unique=False,
        schema="core",
        postgresql_where=sa.text("consumed_at IS NULL"),
    )
    op.create_table(
        "outbox_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), server_default=sa.text("'email'"), nullable=False),
        sa.Column("to_address", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column(
            "context", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("body_text", sa.Text(), nullable=True),
        sa.Column("body_html", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel = ANY ('{email}'::text[])", name=op.f("ck_outbox_messages_channel")),
        sa.CheckConstraint(
            "status = ANY ('{queued,sending,sent,failed}'::text[])", name=op.f("ck_outbox_messages_status")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core.users.id"], name=op.f("fk_outbox_messages_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_messages")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_outbox_messages_dedupe_key")),
        schema="core",
    )
    op.create_index(
        "ix_outbox_messages_due", "outbox_messages", ["status", "next_attempt_at"], unique=False, schema="core"
    )
    op.create_index(
        "ix_outbox_messages_recipient",
        "outbox_messages",
        ["to_address", sa.literal_column("created_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_index(op.f("ix_outbox_messages_user_id"), "outbox_messages", ["user_id"], unique=False, schema="core")
    op.create_table(
        "role_permissions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("permission_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["core.permissions.id"],
            name=op.f("fk_role_permissions_permission_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["core.roles.id"], name=op.f("fk_role_permissions_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_permissions")),
        sa.UniqueConstraint("role_id", "permission_id", name=op.f("uq_role_permissions_role_id_permission_id")),
        schema="core",
    )
    op.create_index(
        op.f("ix_role_permissions_permission_id"), "role_permissions", ["permission_id"], unique=False, schema="core"
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("replaced_by_id", sa.Uuid(), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoke_reason", sa.Text(), nullable=True),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("mfa_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("expires_at > issued_at", name=op.f("ck_sessions_lifetime")),
        sa.ForeignKeyConstraint(
            ["replaced_by_id"], ["core.sessions.id"], name=op.f("fk_sessions_replaced_by_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["core.users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
        schema="core",
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False, schema="core")
    op.create_index("ix_sessions_family_id", "sessions", ["family_id"], unique=False, schema="core")
    op.create_index(op.f("ix_sessions_replaced_by_id"), "sessions", ["replaced_by_id"], unique=False, schema="core")
    op.create_index(
        "ix_sessions_revoked_at",
        "sessions",
        ["revoked_at"],
        unique=False,
        schema="core",
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id", "revoked_at"], unique=False, schema="core")
    op.create_table(
        "user_roles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("granted_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["granted_by"], ["core.users.id"], name=op.f("fk_user_roles_granted_by"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["core.roles.id"], name=op.f("fk_user_roles_role_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["core.users.id"], name=op.f("fk_user_roles_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_roles")),
        sa.UniqueConstraint("user_id", "role_id", name=op.f("uq_user_roles_user_id_role_id")),
        schema="core",
    )
    op.create_index(op.f("ix_user_roles_role_id"), "user_roles", ["role_id"], unique=False, schema="core")
    op.create_index(
        "uq_user_roles_primary",
        "user_roles",
        ["user_id"],
        unique=True,
        schema="core",
        postgresql_where=sa.text("is_primary"),
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.refuse() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the row would leave what its writer may write' USING ERRCODE = 'ATR01';
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% only takes new rows', tg_table_name USING ERRCODE = 'ATR02';
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT encode(
            set_bit(set_bit(
                overlay(uuid_send(gen_random_uuid()) PLACING
                    substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
                52, 1), 53, 1), 'hex')::uuid
    $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_role_permissions_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.role_permissions', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('role_id', jsonb_build_array(old.role_id, NULL), 'permission_id', jsonb_build_array(old.permission_id, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.role_id IS DISTINCT FROM old.role_id THEN
            _diff := _diff || jsonb_build_object('role_id', jsonb_build_array(old.role_id, new.role_id));
        END IF;

        IF new.permission_id IS DISTINCT FROM old.permission_id THEN
            _diff := _diff || jsonb_build_object('permission_id', jsonb_build_array(old.permission_id, new.permission_id));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.role_permissions', new.id, NULL, NULL, NULL, _context->>'reason', jsonb_build_object('role_id', jsonb_build_array(old.role_id, new.role_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_role_permissions_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.role_permissions', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('role_id', CASE WHEN made.role_id IS NOT NULL THEN jsonb_build_array(NULL, made.role_id) END, 'permission_id', CASE WHEN made.permission_id IS NOT NULL THEN jsonb_build_array(NULL, made.permission_id) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_roles_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.roles', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', jsonb_build_array(old.code, NULL), 'module', jsonb_build_array(old.module, NULL), 'name', jsonb_build_array(old.name, NULL), 'rank', jsonb_build_array(old.rank, NULL), 'is_assignable', jsonb_build_array(old.is_assignable, NULL), 'self_register', jsonb_build_array(old.self_register, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.code IS DISTINCT FROM old.code THEN
            _diff := _diff || jsonb_build_object('code', jsonb_build_array(old.code, new.code));
        END IF;

        IF new.module IS DISTINCT FROM old.module THEN
            _diff := _diff || jsonb_build_object('module', jsonb_build_array(old.module, new.module));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.rank IS DISTINCT FROM old.rank THEN
            _diff := _diff || jsonb_build_object('rank', jsonb_build_array(old.rank, new.rank));
        END IF;

        IF new.is_assignable IS DISTINCT FROM old.is_assignable THEN
            _diff := _diff || jsonb_build_object('is_assignable', jsonb_build_array(old.is_assignable, new.is_assignable));
        END IF;

        IF new.self_register IS DISTINCT FROM old.self_register THEN
            _diff := _diff || jsonb_build_object('self_register', jsonb_build_array(old.self_register, new.self_register));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.roles', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_roles_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.roles', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', CASE WHEN made.code IS NOT NULL THEN jsonb_build_array(NULL, made.code) END, 'module', CASE WHEN made.module IS NOT NULL THEN jsonb_build_array(NULL, made.module) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'rank', CASE WHEN made.rank IS NOT NULL THEN jsonb_build_array(NULL, made.rank) END, 'is_assignable', CASE WHEN made.is_assignable IS NOT NULL THEN jsonb_build_array(NULL, made.is_assignable) END, 'self_register', CASE WHEN made.self_register IS NOT NULL THEN jsonb_build_array(NULL, made.self_register) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_user_roles_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.user_roles', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', jsonb_build_array(old.user_id, NULL), 'role_id', jsonb_build_array(old.role_id, NULL), 'is_primary', jsonb_build_array(old.is_primary, NULL), 'granted_by', jsonb_build_array(old.granted_by, NULL), 'expires_at', jsonb_build_array(old.expires_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.role_id IS DISTINCT FROM old.role_id THEN
            _diff := _diff || jsonb_build_object('role_id', jsonb_build_array(old.role_id, new.role_id));
        END IF;

        IF new.is_primary IS DISTINCT FROM old.is_primary THEN
            _diff := _diff || jsonb_build_object('is_primary', jsonb_build_array(old.is_primary, new.is_primary));
        END IF;

        IF new.granted_by IS DISTINCT FROM old.granted_by THEN
            _diff := _diff || jsonb_build_object('granted_by', jsonb_build_array(old.granted_by, new.granted_by));
        END IF;

        IF new.expires_at IS DISTINCT FROM old.expires_at THEN
            _diff := _diff || jsonb_build_object('expires_at', jsonb_build_array(old.expires_at, new.expires_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.user_roles', new.id, NULL, NULL, NULL, _context->>'reason', jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_user_roles_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.user_roles', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'role_id', CASE WHEN made.role_id IS NOT NULL THEN jsonb_build_array(NULL, made.role_id) END, 'is_primary', CASE WHEN made.is_primary IS NOT NULL THEN jsonb_build_array(NULL, made.is_primary) END, 'granted_by', CASE WHEN made.granted_by IS NOT NULL THEN jsonb_build_array(NULL, made.granted_by) END, 'expires_at', CASE WHEN made.expires_at IS NOT NULL THEN jsonb_build_array(NULL, made.expires_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_users_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.users', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('email', jsonb_build_array(old.email, NULL), 'username', jsonb_build_array(old.username, NULL), 'name', jsonb_build_array(old.name, NULL), 'first_name', jsonb_build_array(old.first_name, NULL), 'last_name', jsonb_build_array(old.last_name, NULL), 'phone_e164', jsonb_build_array(old.phone_e164, NULL), 'is_active', jsonb_build_array(old.is_active, NULL), 'is_superuser', jsonb_build_array(old.is_superuser, NULL), 'is_verified', jsonb_build_array(old.is_verified, NULL), 'is_system', jsonb_build_array(old.is_system, NULL), 'verified_at', jsonb_build_array(old.verified_at, NULL), 'locale', jsonb_build_array(old.locale, NULL), 'timezone', jsonb_build_array(old.timezone, NULL), 'mfa_enabled_at', jsonb_build_array(old.mfa_enabled_at, NULL), 'failed_login_count', jsonb_build_array(old.failed_login_count, NULL), 'locked_until', jsonb_build_array(old.locked_until, NULL), 'last_login_at', jsonb_build_array(old.last_login_at, NULL), 'password_changed_at', jsonb_build_array(old.password_changed_at, NULL), 'token_version', jsonb_build_array(old.token_version, NULL), 'preferences', jsonb_build_array(old.preferences, NULL), 'deleted_at', jsonb_build_array(old.deleted_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.email IS DISTINCT FROM old.email THEN
            _diff := _diff || jsonb_build_object('email', jsonb_build_array(old.email, new.email));
        END IF;

        IF new.username IS DISTINCT FROM old.username THEN
            _diff := _diff || jsonb_build_object('username', jsonb_build_array(old.username, new.username));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.first_name IS DISTINCT FROM old.first_name THEN
            _diff := _diff || jsonb_build_object('first_name', jsonb_build_array(old.first_name, new.first_name));
        END IF;

        IF new.last_name IS DISTINCT FROM old.last_name THEN
            _diff := _diff || jsonb_build_object('last_name', jsonb_build_array(old.last_name, new.last_name));
        END IF;

        IF new.phone_e164 IS DISTINCT FROM old.phone_e164 THEN
            _diff := _diff || jsonb_build_object('phone_e164', jsonb_build_array(old.phone_e164, new.phone_e164));
        END IF;

        IF new.is_active IS DISTINCT FROM old.is_active THEN
            _diff := _diff || jsonb_build_object('is_active', jsonb_build_array(old.is_active, new.is_active));
        END IF;

        IF new.is_superuser IS DISTINCT FROM old.is_superuser THEN
            _diff := _diff || jsonb_build_object('is_superuser', jsonb_build_array(old.is_superuser, new.is_superuser));
        END IF;

        IF new.is_verified IS DISTINCT FROM old.is_verified THEN
            _diff := _diff || jsonb_build_object('is_verified', jsonb_build_array(old.is_verified, new.is_verified));
        END IF;

        IF new.is_system IS DISTINCT FROM old.is_system THEN
            _diff := _diff || jsonb_build_object('is_system', jsonb_build_array(old.is_system, new.is_system));
        END IF;

        IF new.verified_at IS DISTINCT FROM old.verified_at THEN
            _diff := _diff || jsonb_build_object('verified_at', jsonb_build_array(old.verified_at, new.verified_at));
        END IF;

        IF new.locale IS DISTINCT FROM old.locale THEN
            _diff := _diff || jsonb_build_object('locale', jsonb_build_array(old.locale, new.locale));
        END IF;

        IF new.timezone IS DISTINCT FROM old.timezone THEN
            _diff := _diff || jsonb_build_object('timezone', jsonb_build_array(old.timezone, new.timezone));
        END IF;

        IF new.mfa_enabled_at IS DISTINCT FROM old.mfa_enabled_at THEN
            _diff := _diff || jsonb_build_object('mfa_enabled_at', jsonb_build_array(old.mfa_enabled_at, new.mfa_enabled_at));
        END IF;

        IF new.failed_login_count IS DISTINCT FROM old.failed_login_count THEN
            _diff := _diff || jsonb_build_object('failed_login_count', jsonb_build_array(old.failed_login_count, new.failed_login_count));
        END IF;

        IF new.locked_until IS DISTINCT FROM old.locked_until THEN
            _diff := _diff || jsonb_build_object('locked_until', jsonb_build_array(old.locked_until, new.locked_until));
        END IF;

        IF new.last_login_at IS DISTINCT FROM old.last_login_at THEN
            _diff := _diff || jsonb_build_object('last_login_at', jsonb_build_array(old.last_login_at, new.last_login_at));
        END IF;

        IF new.password_changed_at IS DISTINCT FROM old.password_changed_at THEN
            _diff := _diff || jsonb_build_object('password_changed_at', jsonb_build_array(old.password_changed_at, new.password_changed_at));
        END IF;

        IF new.token_version IS DISTINCT FROM old.token_version THEN
            _diff := _diff || jsonb_build_object('token_version', jsonb_build_array(old.token_version, new.token_version));
        END IF;

        IF new.preferences IS DISTINCT FROM old.preferences THEN
            _diff := _diff || jsonb_build_object('preferences', jsonb_build_array(old.preferences, new.preferences));
        END IF;

        IF new.deleted_at IS DISTINCT FROM old.deleted_at THEN
            _diff := _diff || jsonb_build_object('deleted_at', jsonb_build_array(old.deleted_at, new.deleted_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.users', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_users_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.users', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('email', CASE WHEN made.email IS NOT NULL THEN jsonb_build_array(NULL, made.email) END, 'username', CASE WHEN made.username IS NOT NULL THEN jsonb_build_array(NULL, made.username) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'first_name', CASE WHEN made.first_name IS NOT NULL THEN jsonb_build_array(NULL, made.first_name) END, 'last_name', CASE WHEN made.last_name IS NOT NULL THEN jsonb_build_array(NULL, made.last_name) END, 'phone_e164', CASE WHEN made.phone_e164 IS NOT NULL THEN jsonb_build_array(NULL, made.phone_e164) END, 'is_active', CASE WHEN made.is_active IS NOT NULL THEN jsonb_build_array(NULL, made.is_active) END, 'is_superuser', CASE WHEN made.is_superuser IS NOT NULL THEN jsonb_build_array(NULL, made.is_superuser) END, 'is_verified', CASE WHEN made.is_verified IS NOT NULL THEN jsonb_build_array(NULL, made.is_verified) END, 'is_system', CASE WHEN made.is_system IS NOT NULL THEN jsonb_build_array(NULL, made.is_system) END, 'verified_at', CASE WHEN made.verified_at IS NOT NULL THEN jsonb_build_array(NULL, made.verified_at) END, 'locale', CASE WHEN made.locale IS NOT NULL THEN jsonb_build_array(NULL, made.locale) END, 'timezone', CASE WHEN made.timezone IS NOT NULL THEN jsonb_build_array(NULL, made.timezone) END, 'mfa_enabled_at', CASE WHEN made.mfa_enabled_at IS NOT NULL THEN jsonb_build_array(NULL, made.mfa_enabled_at) END, 'failed_login_count', CASE WHEN made.failed_login_count IS NOT NULL THEN jsonb_build_array(NULL, made.failed_login_count) END, 'locked_until', CASE WHEN made.locked_until IS NOT NULL THEN jsonb_build_array(NULL, made.locked_until) END, 'last_login_at', CASE WHEN made.last_login_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_login_at) END, 'password_changed_at', CASE WHEN made.password_changed_at IS NOT NULL THEN jsonb_build_array(NULL, made.password_changed_at) END, 'token_version', CASE WHEN made.token_version IS NOT NULL THEN jsonb_build_array(NULL, made.token_version) END, 'preferences', CASE WHEN made.preferences IS NOT NULL THEN jsonb_build_array(NULL, made.preferences) END, 'deleted_at', CASE WHEN made.deleted_at IS NOT NULL THEN jsonb_build_array(NULL, made.deleted_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.changes FOR EACH ROW EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.changes EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.role_permissions FOR EACH ROW EXECUTE FUNCTION core.log_core_role_permissions_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON core.role_permissions REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_role_permissions_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.role_permissions EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.roles FOR EACH ROW EXECUTE FUNCTION core.log_core_roles_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON core.roles REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_roles_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.roles EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.user_roles FOR EACH ROW EXECUTE FUNCTION core.log_core_user_roles_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON core.user_roles REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_user_roles_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.user_roles EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.users FOR EACH ROW EXECUTE FUNCTION core.log_core_users_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON core.users REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_users_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.users EXECUTE FUNCTION core.refuse_change()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.users")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON core.users")
    op.execute("DROP TRIGGER IF EXISTS log_change ON core.users")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.user_roles")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON core.user_roles")
    op.execute("DROP TRIGGER IF EXISTS log_change ON core.user_roles")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.roles")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON core.roles")
    op.execute("DROP TRIGGER IF EXISTS log_change ON core.roles")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.role_permissions")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON core.role_permissions")
    op.execute("DROP TRIGGER IF EXISTS log_change ON core.role_permissions")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.changes")
    op.execute("DROP TRIGGER IF EXISTS refuse_change ON core.changes")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_users_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_users_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_user_roles_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_user_roles_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_roles_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_roles_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_role_permissions_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_role_permissions_change()")
    op.execute("DROP FUNCTION IF EXISTS core.uuid7()")
    op.execute("DROP FUNCTION IF EXISTS core.refuse_change()")
    op.execute("DROP FUNCTION IF EXISTS core.refuse()")
    op.drop_index(
        "uq_user_roles_primary", table_name="user_roles", schema="core", postgresql_where=sa.text("is_primary")
    )
    op.drop_index(op.f("ix_user_roles_role_id"), table_name="user_roles", schema="core")
    op.drop_table("user_roles", schema="core")
    op.drop_index("ix_sessions_user_id", table_name="sessions", schema="core")
    op.drop_index(
        "ix_sessions_revoked_at",
        table_name="sessions",
        schema="core",
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.drop_index(op.f("ix_sessions_replaced_by_id"), table_name="sessions", schema="core")
    op.drop_index("ix_sessions_family_id", table_name="sessions", schema="core")
    op.drop_index("ix_sessions_expires_at", table_name="sessions", schema="core")
    op.drop_table("sessions", schema="core")
    op.drop_index(op.f("ix_role_permissions_permission_id"), table_name="role_permissions", schema="core")
    op.drop_table("role_permissions", schema="core")
    op.drop_index(op.f("ix_outbox_messages_user_id"), table_name="outbox_messages", schema="core")
    op.drop_index("ix_outbox_messages_recipient", table_name="outbox_messages", schema="core")
    op.drop_index("ix_outbox_messages_due", table_name="outbox_messages", schema="core")
    op.drop_table("outbox_messages", schema="core")
    op.drop_index(
        "ix_one_time_tokens_user_id",
        table_name="one_time_tokens",
        schema="core",
        postgresql_where=sa.text("consumed_at IS NULL"),
    )
    op.drop_index("ix_one_time_tokens_expires_at", table_name="one_time_tokens", schema="core")
    op.drop_table("one_time_tokens", schema="core")
    op.drop_index(
        "ix_notifications_unread",
        table_name="notifications",
        schema="core",
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.drop_index("ix_notifications_recent", table_name="notifications", schema="core")
    op.drop_table("notifications", schema="core")
    op.drop_index(
        "uq_background_tasks_open_dedupe_key",
        table_name="background_tasks",
        schema="core",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.drop_index("ix_background_tasks_requester", table_name="background_tasks", schema="core")
    op.drop_index("ix_background_tasks_entity", table_name="background_tasks", schema="core")
    op.drop_index("ix_background_tasks_due", table_name="background_tasks", schema="core")
    op.drop_index("ix_background_tasks_advisor", table_name="background_tasks", schema="core")
    op.drop_table("background_tasks", schema="core")
    op.drop_index("ix_users_updated_at", table_name="users", schema="core")
    op.drop_index(
        "ix_users_name",
        table_name="users",
        schema="core",
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops"},
    )
    op.drop_index("ix_users_is_active", table_name="users", schema="core")
    op.drop_table("users", schema="core")
    op.drop_table("roles", schema="core")
    op.drop_table("permissions", schema="core")
    op.drop_index("ix_changes_occurred_at", table_name="changes", schema="core", postgresql_using="brin")
    op.drop_index("ix_changes_module", table_name="changes", schema="core")
    op.drop_index("ix_changes_entity", table_name="changes", schema="core")
    op.drop_index("ix_changes_client", table_name="changes", schema="core")
    op.drop_index("ix_changes_actor", table_name="changes", schema="core")
    op.drop_table("changes", schema="core")
    op.execute("DROP SEQUENCE core.changes_sequence")
