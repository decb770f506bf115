"""Chat tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_chat"
down_revision = "0002_wealth"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'assistant'"), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column(
            "context", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("message_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind = ANY ('{assistant,client_advisor,request_thread}'::text[])", name=op.f("ck_conversations_kind")
        ),
        sa.CheckConstraint("status = ANY ('{active,archived}'::text[])", name=op.f("ck_conversations_status")),
        sa.CheckConstraint("message_count >= 0", name=op.f("ck_conversations_message_count_range")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core.users.id"], name=op.f("fk_conversations_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        schema="core",
    )
    op.create_index(
        "ix_conversations_module_kind",
        "conversations",
        ["module", "kind", sa.literal_column("last_message_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_index(
        "ix_conversations_owner",
        "conversations",
        ["user_id", sa.literal_column("last_message_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_table(
        "conversation_summaries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("from_sequence", sa.Integer(), nullable=False),
        sa.Column("to_sequence", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column(
            "key_points", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("token_count", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "from_sequence > 0 AND to_sequence >= from_sequence", name=op.f("ck_conversation_summaries_span")
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["core.conversations.id"],
            name=op.f("fk_conversation_summaries_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_summaries")),
        sa.UniqueConstraint(
            "conversation_id", "to_sequence", name=op.f("uq_conversation_summaries_conversation_id_to_sequence")
        ),
        schema="core",
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sender_user_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'complete'"), nullable=False),
        sa.Column("tool_name", sa.Text(), nullable=True),
        sa.Column("tool_payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "citations", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("attachments", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'::uuid[]"), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role <> 'tool' OR tool_name IS NOT NULL", name=op.f("ck_messages_tool")),
        sa.CheckConstraint("role <> 'user' OR sender_user_id IS NOT NULL", name=op.f("ck_messages_sender")),
        sa.CheckConstraint("role = ANY ('{user,assistant,system,tool}'::text[])", name=op.f("ck_messages_role")),
        sa.CheckConstraint(
            "status = ANY ('{pending,streaming,complete,failed,cancelled}'::text[])", name=op.f("ck_messages_status")
        ),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_messages_sequence_range")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["core.conversations.id"], name=op.f("fk_messages_conversation_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sender_user_id"], ["core.users.id"], name=op.f("fk_messages_sender_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("conversation_id", "sequence", name=op.f("uq_messages_conversation_id_sequence")),
        schema="core",
    )
    op.create_index(
        "ix_messages_in_flight",
        "messages",
        ["status"],
        unique=False,
        schema="core",
        postgresql_where=sa.text("status IN ('pending', 'streaming')"),
    )
    op.create_index(op.f("ix_messages_sender_user_id"), "messages", ["sender_user_id"], unique=False, schema="core")
    op.create_table(
        "client_conversations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_client_conversations_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["core.conversations.id"],
            name=op.f("fk_client_conversations_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_conversations")),
        sa.UniqueConstraint("conversation_id", name=op.f("uq_client_conversations_conversation_id")),
        schema="wealth",
    )
    op.create_index(
        op.f("ix_client_conversations_client_id"), "client_conversations", ["client_id"], unique=False, schema="wealth"
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.keep_finished_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF old.status IN ('pending', 'streaming') THEN
            RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
        END IF;
        IF tg_op = 'DELETE' THEN
            IF pg_trigger_depth() > 1 THEN
                RETURN old;
            END IF;
            RAISE EXCEPTION 'a finished message is kept' USING ERRCODE = 'ATR02';
        END IF;
        IF old.read_at IS NOT NULL AND new.read_at IS DISTINCT FROM old.read_at
            OR to_jsonb(new) - 'read_at' - 'updated_at' IS DISTINCT FROM to_jsonb(old) - 'read_at' - 'updated_at'
        THEN
            RAISE EXCEPTION 'a finished message is not changed' USING ERRCODE = 'ATR02';
        END IF;
        RETURN new;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.require_conversation_client() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        chat uuid;
    BEGIN
        IF tg_table_name = 'conversations' THEN
            chat := new.id;
        ELSE
            chat := old.conversation_id;
        END IF;
        IF EXISTS (SELECT FROM core.conversations WHERE id = chat AND module = 'wealth' AND kind = 'client_advisor')
            AND NOT EXISTS (SELECT FROM wealth.client_conversations WHERE conversation_id = chat)
        THEN
            RAISE EXCEPTION 'a conversation of client and advisor names its client'
                USING ERRCODE = '23514', TABLE = 'conversations', CONSTRAINT = 'ck_conversations_client';
        END IF;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_conversations_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.conversations', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', jsonb_build_array(old.user_id, NULL), 'module', jsonb_build_array(old.module, NULL), 'kind', jsonb_build_array(old.kind, NULL), 'title', jsonb_build_array(old.title, NULL), 'status', jsonb_build_array(old.status, NULL), 'model', jsonb_build_array(old.model, NULL), 'context', jsonb_build_array(old.context, NULL), 'message_count', jsonb_build_array(old.message_count, NULL), 'total_tokens', jsonb_build_array(old.total_tokens, NULL), 'last_message_at', jsonb_build_array(old.last_message_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.module IS DISTINCT FROM old.module THEN
            _diff := _diff || jsonb_build_object('module', jsonb_build_array(old.module, new.module));
        END IF;

        IF new.kind IS DISTINCT FROM old.kind THEN
            _diff := _diff || jsonb_build_object('kind', jsonb_build_array(old.kind, new.kind));
        END IF;

        IF new.title IS DISTINCT FROM old.title THEN
            _diff := _diff || jsonb_build_object('title', jsonb_build_array(old.title, new.title));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.model IS DISTINCT FROM old.model THEN
            _diff := _diff || jsonb_build_object('model', jsonb_build_array(old.model, new.model));
        END IF;

        IF new.context IS DISTINCT FROM old.context THEN
            _diff := _diff || jsonb_build_object('context', jsonb_build_array(old.context, new.context));
        END IF;

        IF new.message_count IS DISTINCT FROM old.message_count THEN
            _diff := _diff || jsonb_build_object('message_count', jsonb_build_array(old.message_count, new.message_count));
        END IF;

        IF new.total_tokens IS DISTINCT FROM old.total_tokens THEN
            _diff := _diff || jsonb_build_object('total_tokens', jsonb_build_array(old.total_tokens, new.total_tokens));
        END IF;

        IF new.last_message_at IS DISTINCT FROM old.last_message_at THEN
            _diff := _diff || jsonb_build_object('last_message_at', jsonb_build_array(old.last_message_at, new.last_message_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.conversations', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_conversations_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.conversations', made.id, NULL, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'module', CASE WHEN made.module IS NOT NULL THEN jsonb_build_array(NULL, made.module) END, 'kind', CASE WHEN made.kind IS NOT NULL THEN jsonb_build_array(NULL, made.kind) END, 'title', CASE WHEN made.title IS NOT NULL THEN jsonb_build_array(NULL, made.title) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'model', CASE WHEN made.model IS NOT NULL THEN jsonb_build_array(NULL, made.model) END, 'context', CASE WHEN made.context IS NOT NULL THEN jsonb_build_array(NULL, made.context) END, 'message_count', CASE WHEN made.message_count IS NOT NULL THEN jsonb_build_array(NULL, made.message_count) END, 'total_tokens', CASE WHEN made.total_tokens IS NOT NULL THEN jsonb_build_array(NULL, made.total_tokens) END, 'last_message_at', CASE WHEN made.last_message_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_message_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_conversations_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.client_conversations', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('conversation_id', jsonb_build_array(old.conversation_id, NULL), 'client_id', jsonb_build_array(old.client_id, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.conversation_id IS DISTINCT FROM old.conversation_id THEN
            _diff := _diff || jsonb_build_object('conversation_id', jsonb_build_array(old.conversation_id, new.conversation_id));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.client_conversations', new.id, new.client_id, NULL, NULL, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_conversations_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.client_conversations', made.id, made.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('conversation_id', CASE WHEN made.conversation_id IS NOT NULL THEN jsonb_build_array(NULL, made.conversation_id) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER keep_finished_message BEFORE UPDATE OR DELETE ON core.messages
    FOR EACH ROW EXECUTE FUNCTION core.keep_finished_message()
        """
    )
    op.execute(
        r"""
    CREATE CONSTRAINT TRIGGER require_client AFTER INSERT OR UPDATE OF kind ON core.conversations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wealth.require_conversation_client()
        """
    )
    op.execute(
        r"""
    CREATE CONSTRAINT TRIGGER require_client AFTER UPDATE OR DELETE ON wealth.client_conversations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wealth.require_conversation_client()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.conversation_summaries FOR EACH ROW EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.conversation_summaries EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON core.conversations FOR EACH ROW EXECUTE FUNCTION core.log_core_conversations_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON core.conversations REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_core_conversations_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.conversations EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.client_conversations FOR EACH ROW EXECUTE FUNCTION core.log_wealth_client_conversations_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.client_conversations REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_client_conversations_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.client_conversations EXECUTE FUNCTION core.refuse_change()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.client_conversations")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.client_conversations")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.client_conversations")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.conversations")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON core.conversations")
    op.execute("DROP TRIGGER IF EXISTS log_change ON core.conversations")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON core.conversation_summaries")
    op.execute("DROP TRIGGER IF EXISTS refuse_change ON core.conversation_summaries")
    op.execute("DROP TRIGGER IF EXISTS require_client ON wealth.client_conversations")
    op.execute("DROP TRIGGER IF EXISTS require_client ON core.conversations")
    op.execute("DROP TRIGGER IF EXISTS keep_finished_message ON core.messages")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_client_conversations_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_client_conversations_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_conversations_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_core_conversations_change()")
    op.execute("DROP FUNCTION IF EXISTS wealth.require_conversation_client()")
    op.execute("DROP FUNCTION IF EXISTS core.keep_finished_message()")
    op.drop_index(op.f("ix_client_conversations_client_id"), table_name="client_conversations", schema="wealth")
    op.drop_table("client_conversations", schema="wealth")
    op.drop_index(op.f("ix_messages_sender_user_id"), table_name="messages", schema="core")
    op.drop_index(
        "ix_messages_in_flight",
        table_name="messages",
        schema="core",
        postgresql_where=sa.text("status IN ('pending', 'streaming')"),
    )
    op.drop_table("messages", schema="core")
    op.drop_table("conversation_summaries", schema="core")
    op.drop_index("ix_conversations_owner", table_name="conversations", schema="core")
    op.drop_index("ix_conversations_module_kind", table_name="conversations", schema="core")
    op.drop_table("conversations", schema="core")
