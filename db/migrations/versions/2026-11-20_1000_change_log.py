"""The change log's queue, chain and partitions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_change_log"
down_revision = "0003_chat"
branch_labels = None
depends_on = None

COLUMNS = (
    "id, sequence, actor_user_id, actor_role, api_key_id, module, action, entity_type, entity_id, client_id, "
    "from_status, to_status, reason, changes, version, request_id, ip, occurred_at, created_at"
)
INDEXES = {
    "ix_changes_actor": ["actor_user_id", "occurred_at"],
    "ix_changes_client": ["client_id", "occurred_at"],
    "ix_changes_entity": ["entity_type", "entity_id", "occurred_at"],
    "ix_changes_module": ["module", "occurred_at"],
    "ix_changes_occurred_at": ["occurred_at"],
}


def upgrade() -> None:
    _put_aside()
    _create_changes("id", "occurred_at", postgresql_partition_by="RANGE (occurred_at)")
    _create_tables()
    _create_functions()
    op.execute("SELECT core.make_default_change_partition()")
    op.execute(
        """
        SELECT core.make_change_partition(month::date) FROM (
            SELECT date_trunc('month', occurred_at AT TIME ZONE 'UTC') AS month FROM changes_aside.changes
            UNION
            SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * interval '1 month'
            FROM generate_series(0, 3) ahead
        ) months ORDER BY month
        """
    )
    op.execute(f"INSERT INTO core.changes ({COLUMNS}) SELECT {COLUMNS} FROM changes_aside.changes")
    op.execute(
        "INSERT INTO core.change_queue (sequence, change_id, occurred_at) "
        "SELECT sequence, id, occurred_at FROM changes_aside.changes ORDER BY sequence"
    )
    op.execute("DROP SCHEMA changes_aside CASCADE")
    _create_triggers()
    _replace_log_functions()


def downgrade() -> None:
    """The chain, its anchors and the signatures of erasures are given up; the changes themselves stay."""
    _put_aside()
    _create_changes("id")
    op.execute(f"INSERT INTO core.changes ({COLUMNS}) SELECT {COLUMNS} FROM changes_aside.changes")
    op.execute("DROP SCHEMA changes_aside CASCADE")
    _restore_functions()
    for table in ("change_erasures", "change_anchors", "change_relay", "change_chain", "change_queue"):
        op.drop_table(table, schema="core")
    _drop_functions()


def _put_aside() -> None:
    """Into a schema of its own, so that names of constraints and indexes do not get into each other's way."""
    op.execute("CREATE SCHEMA changes_aside")
    op.execute("ALTER TABLE core.changes SET SCHEMA changes_aside")


def _create_changes(*key: str, **options: str) -> None:
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
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_changes")),
        schema="core",
        **options,
    )
    for name, columns in INDEXES.items():
        using = {"postgresql_using": "brin"} if name == "ix_changes_occurred_at" else {}
        op.create_index(name, "changes", columns, unique=False, schema="core", **using)


def _create_tables() -> None:
    op.create_table(
        "change_queue",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        schema="core",
        postgresql_with={
            "autovacuum_vacuum_threshold": 2000,
            "autovacuum_vacuum_scale_factor": 0,
            "autovacuum_vacuum_cost_delay": 0,
        },
    )
    op.create_table(
        "change_chain",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("relayed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_change_chain")),
        sa.UniqueConstraint("change_id", name=op.f("uq_change_chain_change_id")),
        schema="core",
    )
    op.create_table(
        "change_relay",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_change_relay")),
        schema="core",
    )
    op.execute("INSERT INTO core.change_relay (name) VALUES ('chain'), ('stream')")
    op.create_table(
        "change_anchors",
        sa.Column("month", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("first_position", sa.BigInteger(), nullable=True),
        sa.Column("last_position", sa.BigInteger(), nullable=True),
        sa.Column("cut_position", sa.BigInteger(), nullable=False),
        sa.Column("cut_hash", sa.LargeBinary(), nullable=False),
        sa.Column("dropped_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_change_anchors")),
        schema="core",
    )
    op.create_table(
        "change_erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fields", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("with_reason", sa.Boolean(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("after", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("erased_by", sa.Uuid(), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_erasures")),
        schema="core",
    )
    op.create_index(op.f("ix_change_erasures_change_id"), "change_erasures", ["change_id"], unique=False, schema="core")


def _create_functions() -> None:
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_op = 'UPDATE' AND tg_argv[0] = 'erasure' THEN
            IF core.only_erases(to_jsonb(old), to_jsonb(new)) THEN
                RETURN new;
            END IF;
        ELSIF tg_op = 'DELETE' AND tg_argv[0] = 'retention' THEN
            IF EXISTS (SELECT FROM core.change_anchors WHERE cut_position >= old.position) THEN
                RETURN old;
            END IF;
        END IF;
        RAISE EXCEPTION '% only takes new rows', tg_table_name USING ERRCODE = 'ATR02';
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.change_id(_sequence bigint, _now timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT (
            lpad(to_hex((date_part('epoch', _now) * 1000)::bigint), 12, '0') || to_hex(28672 + (random() * 4095)::integer)
            || to_hex(32768 + (random() * 16383)::integer)
            || lpad(to_hex(_sequence & 281474976710655), 12, '0'))::uuid
    $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.tombstones(_changes jsonb, _fields text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
        SELECT coalesce(jsonb_object_agg(one.key, CASE
            WHEN NOT one.key = ANY (_fields) THEN one.value
            WHEN jsonb_typeof(one.value) <> 'array' THEN '{"erased": true}'
            ELSE (
                SELECT jsonb_agg(CASE jsonb_typeof(side.value) WHEN 'null' THEN side.value ELSE '{"erased": true}' END
                    ORDER BY side.place)
                FROM jsonb_array_elements(one.value) WITH ORDINALITY AS side (value, place)
            ) END), '{}')
        FROM jsonb_each(_changes) one
    $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.only_erases(_old jsonb, _new jsonb) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
        SELECT _old - 'changes' - 'reason' = _new - 'changes' - 'reason' AND EXISTS (
            SELECT FROM core.change_erasures e
            WHERE e.change_id = (_old->>'id')::uuid AND e.erased_at = now()
            AND _new->'changes' = core.tombstones(_old->'changes', e.fields)
            AND (_new->'reason' = _old->'reason' OR e.with_reason AND _new->>'reason' = '(erased)'))
    $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.erase_change(
        _id uuid, _change uuid, _occurred_at timestamptz, _fields text[], _with_reason boolean, _before bytea, _after bytea,
        _reason text, _by uuid, _key text, _signature bytea
    ) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    BEGIN
        INSERT INTO core.change_erasures
            (id, change_id, occurred_at, fields, with_reason, before, after, reason, erased_by, key_id, signature)
        VALUES (_id, _change, _occurred_at, _fields, _with_reason, _before, _after, _reason, _by, _key, _signature);
        UPDATE core.changes SET changes = core.tombstones(changes, _fields),
            reason = CASE WHEN _with_reason AND reason IS NOT NULL THEN '(erased)' ELSE reason END
        WHERE id = _change AND occurred_at = _occurred_at;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.make_change_partition(_month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    DECLARE
        _name text := 'changes_' || to_char(_month, 'YYYY_MM');
        _from timestamptz := date_trunc('month', _month::timestamp) AT TIME ZONE 'UTC';
        _until timestamptz := (date_trunc('month', _month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
        _strays boolean;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('core.changes'));
        IF to_regclass('core.' || _name) IS NOT NULL THEN
            RETURN false;
        END IF;
        EXECUTE format('CREATE TABLE core.%I (LIKE core.changes INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', _name);
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.%I EXECUTE FUNCTION core.refuse_change()',
            _name);
        SELECT EXISTS (SELECT FROM core.changes_default WHERE occurred_at >= _from AND occurred_at < _until) INTO _strays;
        IF _strays THEN
            LOCK TABLE core.changes IN ACCESS EXCLUSIVE MODE;
            ALTER TABLE core.changes DETACH PARTITION core.changes_default;
            ALTER TABLE core.changes_default RENAME TO changes_strays;
            PERFORM core.make_default_change_partition();
        END IF;
        EXECUTE format('ALTER TABLE core.changes ATTACH PARTITION core.%I FOR VALUES FROM (%L) TO (%L)',
            _name, _from, _until);
        IF _strays THEN
            INSERT INTO core.changes SELECT * FROM core.changes_strays;
            DROP TABLE core.changes_strays;
        END IF;
        RETURN true;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.make_default_change_partition() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        CREATE TABLE core.changes_default PARTITION OF core.changes DEFAULT;
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.changes_default EXECUTE FUNCTION core.refuse_change();
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.drop_change_partition(
        _month date, _changes bigint, _first bigint, _last bigint, _cut bigint, _hash bytea, _key text, _signature bytea
    ) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    DECLARE
        _name text := 'changes_' || to_char(_month, 'YYYY_MM');
        _from timestamptz := date_trunc('month', _month::timestamp) AT TIME ZONE 'UTC';
        _until timestamptz := (date_trunc('month', _month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
        _held bigint;
        _loose bigint;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('core.changes'));
        IF _until > date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' THEN
            RAISE EXCEPTION 'the month % is not over', _name USING ERRCODE = 'ATR02';
        END IF;
        EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.change_id IS NULL) FROM core.%I c '
            'LEFT JOIN core.change_chain k ON k.change_id = c.id', _name) INTO _held, _loose;
        IF _loose > 0 OR EXISTS (
            SELECT FROM core.change_queue WHERE occurred_at >= _from AND occurred_at < _until
        ) THEN
            RAISE EXCEPTION '% holds changes that are not chained', _name USING ERRCODE = 'ATR02';
        END IF;
        IF _held <> _changes THEN
            RAISE EXCEPTION '% holds % changes, not %', _name, _held, _changes USING ERRCODE = 'ATR02';
        END IF;
        IF EXISTS (
            SELECT FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
            WHERE k.position <= _cut AND (k.occurred_at < _from OR k.occurred_at >= _until)
        ) THEN
            RAISE EXCEPTION 'changes that are kept stand before position %', _cut USING ERRCODE = 'ATR02';
        END IF;
        INSERT INTO core.change_anchors
            (month, until, changes, first_position, last_position, cut_position, cut_hash, key_id, signature)
        VALUES (_from, _until, _changes, _first, _last, _cut, _hash, _key, _signature);
        EXECUTE format('DROP TABLE core.%I', _name);
        DELETE FROM core.change_chain WHERE position <= _cut;
    END $$
        """
    )


def _create_triggers() -> None:
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.changes FOR EACH ROW EXECUTE FUNCTION core.refuse_change('erasure')"
    )
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.changes EXECUTE FUNCTION core.refuse_change()")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_chain FOR EACH ROW EXECUTE FUNCTION core.refuse_change('retention')"
    )
    op.execute(
        "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_chain EXECUTE FUNCTION core.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_anchors FOR EACH ROW EXECUTE FUNCTION core.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_anchors EXECUTE FUNCTION core.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_erasures FOR EACH ROW EXECUTE FUNCTION core.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_erasures EXECUTE FUNCTION core.refuse_change()"
    )


def _drop_functions() -> None:
    op.execute(
        "DROP FUNCTION IF EXISTS core.drop_change_partition(_month date, _changes bigint, _first bigint, _last bigint, _cut bigint, _hash bytea, _key text, _signature bytea)"
    )
    op.execute("DROP FUNCTION IF EXISTS core.make_default_change_partition()")
    op.execute("DROP FUNCTION IF EXISTS core.make_change_partition(_month date)")
    op.execute(
        "DROP FUNCTION IF EXISTS core.erase_change(_id uuid, _change uuid, _occurred_at timestamptz, _fields text[], _with_reason boolean, _before bytea, _after bytea, _reason text, _by uuid, _key text, _signature bytea)"
    )
    op.execute("DROP FUNCTION IF EXISTS core.only_erases(_old jsonb, _new jsonb)")
    op.execute("DROP FUNCTION IF EXISTS core.tombstones(_changes jsonb, _fields text[])")
    op.execute("DROP FUNCTION IF EXISTS core.change_id(_sequence bigint, _now timestamptz)")


def _replace_log_functions() -> None:
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_conversations_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"user_id":' || json_build_array(old.user_id, NULL)::text, '"module":' || json_build_array(old.module, NULL)::text, '"kind":' || json_build_array(old.kind, NULL)::text, '"title":' || json_build_array(old.title, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"model":' || json_build_array(old.model, NULL)::text, '"context":' || json_build_array(old.context, NULL)::text, '"message_count":' || json_build_array(old.message_count, NULL)::text, '"total_tokens":' || json_build_array(old.total_tokens, NULL)::text, '"last_message_at":' || json_build_array(old.last_message_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.conversations', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.user_id IS DISTINCT FROM old.user_id THEN '"user_id":' || json_build_array(old.user_id, new.user_id)::text END, CASE WHEN new.module IS DISTINCT FROM old.module THEN '"module":' || json_build_array(old.module, new.module)::text END, CASE WHEN new.kind IS DISTINCT FROM old.kind THEN '"kind":' || json_build_array(old.kind, new.kind)::text END, CASE WHEN new.title IS DISTINCT FROM old.title THEN '"title":' || json_build_array(old.title, new.title)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.model IS DISTINCT FROM old.model THEN '"model":' || json_build_array(old.model, new.model)::text END, CASE WHEN new.context IS DISTINCT FROM old.context THEN '"context":' || json_build_array(old.context, new.context)::text END, CASE WHEN new.message_count IS DISTINCT FROM old.message_count THEN '"message_count":' || json_build_array(old.message_count, new.message_count)::text END, CASE WHEN new.total_tokens IS DISTINCT FROM old.total_tokens THEN '"total_tokens":' || json_build_array(old.total_tokens, new.total_tokens)::text END, CASE WHEN new.last_message_at IS DISTINCT FROM old.last_message_at THEN '"last_message_at":' || json_build_array(old.last_message_at, new.last_message_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.conversations', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"user_id":' || json_build_array(old.user_id, new.user_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.conversations', made.id, NULL, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"user_id":[null,' || to_json(made.user_id)::text || ']', '"module":[null,' || to_json(made.module)::text || ']', '"kind":[null,' || to_json(made.kind)::text || ']', '"title":[null,' || to_json(made.title)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"model":[null,' || to_json(made.model)::text || ']', '"context":[null,' || to_json(made.context)::text || ']', '"message_count":[null,' || to_json(made.message_count)::text || ']', '"total_tokens":[null,' || to_json(made.total_tokens)::text || ']', '"last_message_at":[null,' || to_json(made.last_message_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_role_permissions_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"role_id":' || json_build_array(old.role_id, NULL)::text, '"permission_id":' || json_build_array(old.permission_id, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.role_permissions', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.role_id IS DISTINCT FROM old.role_id THEN '"role_id":' || json_build_array(old.role_id, new.role_id)::text END, CASE WHEN new.permission_id IS DISTINCT FROM old.permission_id THEN '"permission_id":' || json_build_array(old.permission_id, new.permission_id)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.role_permissions', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"role_id":' || json_build_array(old.role_id, new.role_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.role_permissions', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"role_id":[null,' || to_json(made.role_id)::text || ']', '"permission_id":[null,' || to_json(made.permission_id)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_roles_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"code":' || json_build_array(old.code, NULL)::text, '"module":' || json_build_array(old.module, NULL)::text, '"name":' || json_build_array(old.name, NULL)::text, '"rank":' || json_build_array(old.rank, NULL)::text, '"is_assignable":' || json_build_array(old.is_assignable, NULL)::text, '"self_register":' || json_build_array(old.self_register, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.roles', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.code IS DISTINCT FROM old.code THEN '"code":' || json_build_array(old.code, new.code)::text END, CASE WHEN new.module IS DISTINCT FROM old.module THEN '"module":' || json_build_array(old.module, new.module)::text END, CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.rank IS DISTINCT FROM old.rank THEN '"rank":' || json_build_array(old.rank, new.rank)::text END, CASE WHEN new.is_assignable IS DISTINCT FROM old.is_assignable THEN '"is_assignable":' || json_build_array(old.is_assignable, new.is_assignable)::text END, CASE WHEN new.self_register IS DISTINCT FROM old.self_register THEN '"self_register":' || json_build_array(old.self_register, new.self_register)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.roles', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.roles', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"code":[null,' || to_json(made.code)::text || ']', '"module":[null,' || to_json(made.module)::text || ']', '"name":[null,' || to_json(made.name)::text || ']', '"rank":[null,' || to_json(made.rank)::text || ']', '"is_assignable":[null,' || to_json(made.is_assignable)::text || ']', '"self_register":[null,' || to_json(made.self_register)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_user_roles_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"user_id":' || json_build_array(old.user_id, NULL)::text, '"role_id":' || json_build_array(old.role_id, NULL)::text, '"is_primary":' || json_build_array(old.is_primary, NULL)::text, '"granted_by":' || json_build_array(old.granted_by, NULL)::text, '"expires_at":' || json_build_array(old.expires_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.user_roles', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.user_id IS DISTINCT FROM old.user_id THEN '"user_id":' || json_build_array(old.user_id, new.user_id)::text END, CASE WHEN new.role_id IS DISTINCT FROM old.role_id THEN '"role_id":' || json_build_array(old.role_id, new.role_id)::text END, CASE WHEN new.is_primary IS DISTINCT FROM old.is_primary THEN '"is_primary":' || json_build_array(old.is_primary, new.is_primary)::text END, CASE WHEN new.granted_by IS DISTINCT FROM old.granted_by THEN '"granted_by":' || json_build_array(old.granted_by, new.granted_by)::text END, CASE WHEN new.expires_at IS DISTINCT FROM old.expires_at THEN '"expires_at":' || json_build_array(old.expires_at, new.expires_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.user_roles', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"user_id":' || json_build_array(old.user_id, new.user_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.user_roles', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"user_id":[null,' || to_json(made.user_id)::text || ']', '"role_id":[null,' || to_json(made.role_id)::text || ']', '"is_primary":[null,' || to_json(made.is_primary)::text || ']', '"granted_by":[null,' || to_json(made.granted_by)::text || ']', '"expires_at":[null,' || to_json(made.expires_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_core_users_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"email":' || json_build_array(old.email, NULL)::text, '"username":' || json_build_array(old.username, NULL)::text, '"name":' || json_build_array(old.name, NULL)::text, '"first_name":' || json_build_array(old.first_name, NULL)::text, '"last_name":' || json_build_array(old.last_name, NULL)::text, '"phone_e164":' || json_build_array(old.phone_e164, NULL)::text, '"is_active":' || json_build_array(old.is_active, NULL)::text, '"is_superuser":' || json_build_array(old.is_superuser, NULL)::text, '"is_verified":' || json_build_array(old.is_verified, NULL)::text, '"is_system":' || json_build_array(old.is_system, NULL)::text, '"verified_at":' || json_build_array(old.verified_at, NULL)::text, '"locale":' || json_build_array(old.locale, NULL)::text, '"timezone":' || json_build_array(old.timezone, NULL)::text, '"mfa_enabled_at":' || json_build_array(old.mfa_enabled_at, NULL)::text, '"failed_login_count":' || json_build_array(old.failed_login_count, NULL)::text, '"locked_until":' || json_build_array(old.locked_until, NULL)::text, '"last_login_at":' || json_build_array(old.last_login_at, NULL)::text, '"password_changed_at":' || json_build_array(old.password_changed_at, NULL)::text, '"token_version":' || json_build_array(old.token_version, NULL)::text, '"preferences":' || json_build_array(old.preferences, NULL)::text, '"deleted_at":' || json_build_array(old.deleted_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'delete'), 'core.users', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.email IS DISTINCT FROM old.email THEN '"email":' || json_build_array(old.email, new.email)::text END, CASE WHEN new.username IS DISTINCT FROM old.username THEN '"username":' || json_build_array(old.username, new.username)::text END, CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.first_name IS DISTINCT FROM old.first_name THEN '"first_name":' || json_build_array(old.first_name, new.first_name)::text END, CASE WHEN new.last_name IS DISTINCT FROM old.last_name THEN '"last_name":' || json_build_array(old.last_name, new.last_name)::text END, CASE WHEN new.phone_e164 IS DISTINCT FROM old.phone_e164 THEN '"phone_e164":' || json_build_array(old.phone_e164, new.phone_e164)::text END, CASE WHEN new.is_active IS DISTINCT FROM old.is_active THEN '"is_active":' || json_build_array(old.is_active, new.is_active)::text END, CASE WHEN new.is_superuser IS DISTINCT FROM old.is_superuser THEN '"is_superuser":' || json_build_array(old.is_superuser, new.is_superuser)::text END, CASE WHEN new.is_verified IS DISTINCT FROM old.is_verified THEN '"is_verified":' || json_build_array(old.is_verified, new.is_verified)::text END, CASE WHEN new.is_system IS DISTINCT FROM old.is_system THEN '"is_system":' || json_build_array(old.is_system, new.is_system)::text END, CASE WHEN new.verified_at IS DISTINCT FROM old.verified_at THEN '"verified_at":' || json_build_array(old.verified_at, new.verified_at)::text END, CASE WHEN new.locale IS DISTINCT FROM old.locale THEN '"locale":' || json_build_array(old.locale, new.locale)::text END, CASE WHEN new.timezone IS DISTINCT FROM old.timezone THEN '"timezone":' || json_build_array(old.timezone, new.timezone)::text END, CASE WHEN new.mfa_enabled_at IS DISTINCT FROM old.mfa_enabled_at THEN '"mfa_enabled_at":' || json_build_array(old.mfa_enabled_at, new.mfa_enabled_at)::text END, CASE WHEN new.failed_login_count IS DISTINCT FROM old.failed_login_count THEN '"failed_login_count":' || json_build_array(old.failed_login_count, new.failed_login_count)::text END, CASE WHEN new.locked_until IS DISTINCT FROM old.locked_until THEN '"locked_until":' || json_build_array(old.locked_until, new.locked_until)::text END, CASE WHEN new.last_login_at IS DISTINCT FROM old.last_login_at THEN '"last_login_at":' || json_build_array(old.last_login_at, new.last_login_at)::text END, CASE WHEN new.password_changed_at IS DISTINCT FROM old.password_changed_at THEN '"password_changed_at":' || json_build_array(old.password_changed_at, new.password_changed_at)::text END, CASE WHEN new.token_version IS DISTINCT FROM old.token_version THEN '"token_version":' || json_build_array(old.token_version, new.token_version)::text END, CASE WHEN new.preferences IS DISTINCT FROM old.preferences THEN '"preferences":' || json_build_array(old.preferences, new.preferences)::text END, CASE WHEN new.deleted_at IS DISTINCT FROM old.deleted_at THEN '"deleted_at":' || json_build_array(old.deleted_at, new.deleted_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'update'), 'core.users', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'core', coalesce(_context->>'action', 'create'), 'core.users', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"email":[null,' || to_json(made.email)::text || ']', '"username":[null,' || to_json(made.username)::text || ']', '"name":[null,' || to_json(made.name)::text || ']', '"first_name":[null,' || to_json(made.first_name)::text || ']', '"last_name":[null,' || to_json(made.last_name)::text || ']', '"phone_e164":[null,' || to_json(made.phone_e164)::text || ']', '"is_active":[null,' || to_json(made.is_active)::text || ']', '"is_superuser":[null,' || to_json(made.is_superuser)::text || ']', '"is_verified":[null,' || to_json(made.is_verified)::text || ']', '"is_system":[null,' || to_json(made.is_system)::text || ']', '"verified_at":[null,' || to_json(made.verified_at)::text || ']', '"locale":[null,' || to_json(made.locale)::text || ']', '"timezone":[null,' || to_json(made.timezone)::text || ']', '"mfa_enabled_at":[null,' || to_json(made.mfa_enabled_at)::text || ']', '"failed_login_count":[null,' || to_json(made.failed_login_count)::text || ']', '"locked_until":[null,' || to_json(made.locked_until)::text || ']', '"last_login_at":[null,' || to_json(made.last_login_at)::text || ']', '"password_changed_at":[null,' || to_json(made.password_changed_at)::text || ']', '"token_version":[null,' || to_json(made.token_version)::text || ']', '"preferences":[null,' || to_json(made.preferences)::text || ']', '"deleted_at":[null,' || to_json(made.deleted_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"user_id":' || json_build_array(old.user_id, NULL)::text, '"branch_id":' || json_build_array(old.branch_id, NULL)::text, '"team_id":' || json_build_array(old.team_id, NULL)::text, '"advisor_code":' || json_build_array(old.advisor_code, NULL)::text, '"title":' || json_build_array(old.title, NULL)::text, '"crd_number":' || json_build_array(old.crd_number, NULL)::text, '"licenses":' || json_build_array(old.licenses, NULL)::text, '"licensed_regions":' || json_build_array(old.licensed_regions, NULL)::text, '"is_team_lead":' || json_build_array(old.is_team_lead, NULL)::text, '"discretionary_authority":' || json_build_array(old.discretionary_authority, NULL)::text, '"order_limit":' || json_build_array(old.order_limit, NULL)::text, '"currency":' || json_build_array(old.currency, NULL)::text, '"client_capacity":' || json_build_array(old.client_capacity, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"hired_on":' || json_build_array(old.hired_on, NULL)::text, '"terminated_on":' || json_build_array(old.terminated_on, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.advisors', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.user_id IS DISTINCT FROM old.user_id THEN '"user_id":' || json_build_array(old.user_id, new.user_id)::text END, CASE WHEN new.branch_id IS DISTINCT FROM old.branch_id THEN '"branch_id":' || json_build_array(old.branch_id, new.branch_id)::text END, CASE WHEN new.team_id IS DISTINCT FROM old.team_id THEN '"team_id":' || json_build_array(old.team_id, new.team_id)::text END, CASE WHEN new.advisor_code IS DISTINCT FROM old.advisor_code THEN '"advisor_code":' || json_build_array(old.advisor_code, new.advisor_code)::text END, CASE WHEN new.title IS DISTINCT FROM old.title THEN '"title":' || json_build_array(old.title, new.title)::text END, CASE WHEN new.crd_number IS DISTINCT FROM old.crd_number THEN '"crd_number":' || json_build_array(old.crd_number, new.crd_number)::text END, CASE WHEN new.licenses IS DISTINCT FROM old.licenses THEN '"licenses":' || json_build_array(old.licenses, new.licenses)::text END, CASE WHEN new.licensed_regions IS DISTINCT FROM old.licensed_regions THEN '"licensed_regions":' || json_build_array(old.licensed_regions, new.licensed_regions)::text END, CASE WHEN new.is_team_lead IS DISTINCT FROM old.is_team_lead THEN '"is_team_lead":' || json_build_array(old.is_team_lead, new.is_team_lead)::text END, CASE WHEN new.discretionary_authority IS DISTINCT FROM old.discretionary_authority THEN '"discretionary_authority":' || json_build_array(old.discretionary_authority, new.discretionary_authority)::text END, CASE WHEN new.order_limit IS DISTINCT FROM old.order_limit THEN '"order_limit":' || json_build_array(old.order_limit, new.order_limit)::text END, CASE WHEN new.currency IS DISTINCT FROM old.currency THEN '"currency":' || json_build_array(old.currency, new.currency)::text END, CASE WHEN new.client_capacity IS DISTINCT FROM old.client_capacity THEN '"client_capacity":' || json_build_array(old.client_capacity, new.client_capacity)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.hired_on IS DISTINCT FROM old.hired_on THEN '"hired_on":' || json_build_array(old.hired_on, new.hired_on)::text END, CASE WHEN new.terminated_on IS DISTINCT FROM old.terminated_on THEN '"terminated_on":' || json_build_array(old.terminated_on, new.terminated_on)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.advisors', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.advisors', made.id, NULL, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"user_id":[null,' || to_json(made.user_id)::text || ']', '"branch_id":[null,' || to_json(made.branch_id)::text || ']', '"team_id":[null,' || to_json(made.team_id)::text || ']', '"advisor_code":[null,' || to_json(made.advisor_code)::text || ']', '"title":[null,' || to_json(made.title)::text || ']', '"crd_number":[null,' || to_json(made.crd_number)::text || ']', '"licenses":[null,' || to_json(made.licenses)::text || ']', '"licensed_regions":[null,' || to_json(made.licensed_regions)::text || ']', '"is_team_lead":[null,' || to_json(made.is_team_lead)::text || ']', '"discretionary_authority":[null,' || to_json(made.discretionary_authority)::text || ']', '"order_limit":[null,' || to_json(made.order_limit)::text || ']', '"currency":[null,' || to_json(made.currency)::text || ']', '"client_capacity":[null,' || to_json(made.client_capacity)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"hired_on":[null,' || to_json(made.hired_on)::text || ']', '"terminated_on":[null,' || to_json(made.terminated_on)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"code":' || json_build_array(old.code, NULL)::text, '"name":' || json_build_array(old.name, NULL)::text, '"legal_entity":' || json_build_array(old.legal_entity, NULL)::text, '"address_line1":' || json_build_array(old.address_line1, NULL)::text, '"city":' || json_build_array(old.city, NULL)::text, '"region":' || json_build_array(old.region, NULL)::text, '"postal_code":' || json_build_array(old.postal_code, NULL)::text, '"country":' || json_build_array(old.country, NULL)::text, '"timezone":' || json_build_array(old.timezone, NULL)::text, '"base_currency":' || json_build_array(old.base_currency, NULL)::text, '"is_active":' || json_build_array(old.is_active, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.branches', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.code IS DISTINCT FROM old.code THEN '"code":' || json_build_array(old.code, new.code)::text END, CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.legal_entity IS DISTINCT FROM old.legal_entity THEN '"legal_entity":' || json_build_array(old.legal_entity, new.legal_entity)::text END, CASE WHEN new.address_line1 IS DISTINCT FROM old.address_line1 THEN '"address_line1":' || json_build_array(old.address_line1, new.address_line1)::text END, CASE WHEN new.city IS DISTINCT FROM old.city THEN '"city":' || json_build_array(old.city, new.city)::text END, CASE WHEN new.region IS DISTINCT FROM old.region THEN '"region":' || json_build_array(old.region, new.region)::text END, CASE WHEN new.postal_code IS DISTINCT FROM old.postal_code THEN '"postal_code":' || json_build_array(old.postal_code, new.postal_code)::text END, CASE WHEN new.country IS DISTINCT FROM old.country THEN '"country":' || json_build_array(old.country, new.country)::text END, CASE WHEN new.timezone IS DISTINCT FROM old.timezone THEN '"timezone":' || json_build_array(old.timezone, new.timezone)::text END, CASE WHEN new.base_currency IS DISTINCT FROM old.base_currency THEN '"base_currency":' || json_build_array(old.base_currency, new.base_currency)::text END, CASE WHEN new.is_active IS DISTINCT FROM old.is_active THEN '"is_active":' || json_build_array(old.is_active, new.is_active)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.branches', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.branches', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"code":[null,' || to_json(made.code)::text || ']', '"name":[null,' || to_json(made.name)::text || ']', '"legal_entity":[null,' || to_json(made.legal_entity)::text || ']', '"address_line1":[null,' || to_json(made.address_line1)::text || ']', '"city":[null,' || to_json(made.city)::text || ']', '"region":[null,' || to_json(made.region)::text || ']', '"postal_code":[null,' || to_json(made.postal_code)::text || ']', '"country":[null,' || to_json(made.country)::text || ']', '"timezone":[null,' || to_json(made.timezone)::text || ']', '"base_currency":[null,' || to_json(made.base_currency)::text || ']', '"is_active":[null,' || to_json(made.is_active)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_conversations_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"conversation_id":' || json_build_array(old.conversation_id, NULL)::text, '"client_id":' || json_build_array(old.client_id, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.client_conversations', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.conversation_id IS DISTINCT FROM old.conversation_id THEN '"conversation_id":' || json_build_array(old.conversation_id, new.conversation_id)::text END, CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.client_conversations', new.id, new.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"client_id":' || json_build_array(old.client_id, new.client_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
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
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.client_conversations', made.id, made.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"conversation_id":[null,' || to_json(made.conversation_id)::text || ']', '"client_id":[null,' || to_json(made.client_id)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"client_id":' || json_build_array(old.client_id, NULL)::text, '"related_client_id":' || json_build_array(old.related_client_id, NULL)::text, '"account_id":' || json_build_array(old.account_id, NULL)::text, '"kind":' || json_build_array(old.kind, NULL)::text, '"name":' || json_build_array(old.name, NULL)::text, '"email":' || json_build_array(old.email, NULL)::text, '"phone":' || json_build_array(old.phone, NULL)::text, '"date_of_birth":' || json_build_array(old.date_of_birth, NULL)::text, '"country":' || json_build_array(old.country, NULL)::text, '"share_pct":' || json_build_array(old.share_pct, NULL)::text, '"effective_from":' || json_build_array(old.effective_from, NULL)::text, '"effective_to":' || json_build_array(old.effective_to, NULL)::text, '"verified_at":' || json_build_array(old.verified_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.client_relationships', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END, CASE WHEN new.related_client_id IS DISTINCT FROM old.related_client_id THEN '"related_client_id":' || json_build_array(old.related_client_id, new.related_client_id)::text END, CASE WHEN new.account_id IS DISTINCT FROM old.account_id THEN '"account_id":' || json_build_array(old.account_id, new.account_id)::text END, CASE WHEN new.kind IS DISTINCT FROM old.kind THEN '"kind":' || json_build_array(old.kind, new.kind)::text END, CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.email IS DISTINCT FROM old.email THEN '"email":' || json_build_array(old.email, new.email)::text END, CASE WHEN new.phone IS DISTINCT FROM old.phone THEN '"phone":' || json_build_array(old.phone, new.phone)::text END, CASE WHEN new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN '"date_of_birth":' || json_build_array(old.date_of_birth, new.date_of_birth)::text END, CASE WHEN new.country IS DISTINCT FROM old.country THEN '"country":' || json_build_array(old.country, new.country)::text END, CASE WHEN new.share_pct IS DISTINCT FROM old.share_pct THEN '"share_pct":' || json_build_array(old.share_pct, new.share_pct)::text END, CASE WHEN new.effective_from IS DISTINCT FROM old.effective_from THEN '"effective_from":' || json_build_array(old.effective_from, new.effective_from)::text END, CASE WHEN new.effective_to IS DISTINCT FROM old.effective_to THEN '"effective_to":' || json_build_array(old.effective_to, new.effective_to)::text END, CASE WHEN new.verified_at IS DISTINCT FROM old.verified_at THEN '"verified_at":' || json_build_array(old.verified_at, new.verified_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.client_relationships', new.id, new.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"client_id":' || json_build_array(old.client_id, new.client_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.client_relationships', made.id, made.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"client_id":[null,' || to_json(made.client_id)::text || ']', '"related_client_id":[null,' || to_json(made.related_client_id)::text || ']', '"account_id":[null,' || to_json(made.account_id)::text || ']', '"kind":[null,' || to_json(made.kind)::text || ']', '"name":[null,' || to_json(made.name)::text || ']', '"email":[null,' || to_json(made.email)::text || ']', '"phone":[null,' || to_json(made.phone)::text || ']', '"date_of_birth":[null,' || to_json(made.date_of_birth)::text || ']', '"country":[null,' || to_json(made.country)::text || ']', '"share_pct":[null,' || to_json(made.share_pct)::text || ']', '"effective_from":[null,' || to_json(made.effective_from)::text || ']', '"effective_to":[null,' || to_json(made.effective_to)::text || ']', '"verified_at":[null,' || to_json(made.verified_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, NULL)::text, '"household_id":' || json_build_array(old.household_id, NULL)::text, '"user_id":' || json_build_array(old.user_id, NULL)::text, '"client_number":' || json_build_array(old.client_number, NULL)::text, '"type":' || json_build_array(old.type, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"is_household_head":' || json_build_array(old.is_household_head, NULL)::text, '"segment":' || json_build_array(old.segment, NULL)::text, '"service_tier":' || json_build_array(old.service_tier, NULL)::text, '"first_name":' || json_build_array(old.first_name, NULL)::text, '"last_name":' || json_build_array(old.last_name, NULL)::text, '"entity_name":' || json_build_array(old.entity_name, NULL)::text, '"preferred_name":' || json_build_array(old.preferred_name, NULL)::text, '"email":' || json_build_array(old.email, NULL)::text, '"phone":' || json_build_array(old.phone, NULL)::text, '"preferred_channel":' || json_build_array(old.preferred_channel, NULL)::text, '"date_of_birth":' || json_build_array(old.date_of_birth, NULL)::text, '"tax_id_last4":' || json_build_array(old.tax_id_last4, NULL)::text, '"nationality":' || json_build_array(old.nationality, NULL)::text, '"country_of_residence":' || json_build_array(old.country_of_residence, NULL)::text, '"address_line1":' || json_build_array(old.address_line1, NULL)::text, '"address_line2":' || json_build_array(old.address_line2, NULL)::text, '"city":' || json_build_array(old.city, NULL)::text, '"region":' || json_build_array(old.region, NULL)::text, '"postal_code":' || json_build_array(old.postal_code, NULL)::text, '"marital_status":' || json_build_array(old.marital_status, NULL)::text, '"dependents":' || json_build_array(old.dependents, NULL)::text, '"employment_status":' || json_build_array(old.employment_status, NULL)::text, '"employer":' || json_build_array(old.employer, NULL)::text, '"occupation":' || json_build_array(old.occupation, NULL)::text, '"retirement_year":' || json_build_array(old.retirement_year, NULL)::text, '"annual_income":' || json_build_array(old.annual_income, NULL)::text, '"net_worth":' || json_build_array(old.net_worth, NULL)::text, '"liquid_net_worth":' || json_build_array(old.liquid_net_worth, NULL)::text, '"held_away_assets":' || json_build_array(old.held_away_assets, NULL)::text, '"currency":' || json_build_array(old.currency, NULL)::text, '"tax_rate_st":' || json_build_array(old.tax_rate_st, NULL)::text, '"tax_rate_lt":' || json_build_array(old.tax_rate_lt, NULL)::text, '"risk_profile":' || json_build_array(old.risk_profile, NULL)::text, '"risk_score":' || json_build_array(old.risk_score, NULL)::text, '"risk_profile_source":' || json_build_array(old.risk_profile_source, NULL)::text, '"investment_objective":' || json_build_array(old.investment_objective, NULL)::text, '"investment_experience":' || json_build_array(old.investment_experience, NULL)::text, '"time_horizon_years":' || json_build_array(old.time_horizon_years, NULL)::text, '"liquidity_need":' || json_build_array(old.liquidity_need, NULL)::text, '"kyc_status":' || json_build_array(old.kyc_status, NULL)::text, '"kyc_risk_rating":' || json_build_array(old.kyc_risk_rating, NULL)::text, '"kyc_review_due_on":' || json_build_array(old.kyc_review_due_on, NULL)::text, '"is_pep":' || json_build_array(old.is_pep, NULL)::text, '"next_review_on":' || json_build_array(old.next_review_on, NULL)::text, '"last_contact_at":' || json_build_array(old.last_contact_at, NULL)::text, '"marketing_opt_in":' || json_build_array(old.marketing_opt_in, NULL)::text, '"do_not_contact":' || json_build_array(old.do_not_contact, NULL)::text, '"source":' || json_build_array(old.source, NULL)::text, '"onboarded_on":' || json_build_array(old.onboarded_on, NULL)::text, '"closed_on":' || json_build_array(old.closed_on, NULL)::text, '"deleted_at":' || json_build_array(old.deleted_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.clients', old.id, old.id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, old.version, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.advisor_id IS DISTINCT FROM old.advisor_id THEN '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text END, CASE WHEN new.household_id IS DISTINCT FROM old.household_id THEN '"household_id":' || json_build_array(old.household_id, new.household_id)::text END, CASE WHEN new.user_id IS DISTINCT FROM old.user_id THEN '"user_id":' || json_build_array(old.user_id, new.user_id)::text END, CASE WHEN new.client_number IS DISTINCT FROM old.client_number THEN '"client_number":' || json_build_array(old.client_number, new.client_number)::text END, CASE WHEN new.type IS DISTINCT FROM old.type THEN '"type":' || json_build_array(old.type, new.type)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.is_household_head IS DISTINCT FROM old.is_household_head THEN '"is_household_head":' || json_build_array(old.is_household_head, new.is_household_head)::text END, CASE WHEN new.segment IS DISTINCT FROM old.segment THEN '"segment":' || json_build_array(old.segment, new.segment)::text END, CASE WHEN new.service_tier IS DISTINCT FROM old.service_tier THEN '"service_tier":' || json_build_array(old.service_tier, new.service_tier)::text END, CASE WHEN new.first_name IS DISTINCT FROM old.first_name THEN '"first_name":' || json_build_array(old.first_name, new.first_name)::text END, CASE WHEN new.last_name IS DISTINCT FROM old.last_name THEN '"last_name":' || json_build_array(old.last_name, new.last_name)::text END, CASE WHEN new.entity_name IS DISTINCT FROM old.entity_name THEN '"entity_name":' || json_build_array(old.entity_name, new.entity_name)::text END, CASE WHEN new.preferred_name IS DISTINCT FROM old.preferred_name THEN '"preferred_name":' || json_build_array(old.preferred_name, new.preferred_name)::text END, CASE WHEN new.email IS DISTINCT FROM old.email THEN '"email":' || json_build_array(old.email, new.email)::text END, CASE WHEN new.phone IS DISTINCT FROM old.phone THEN '"phone":' || json_build_array(old.phone, new.phone)::text END, CASE WHEN new.preferred_channel IS DISTINCT FROM old.preferred_channel THEN '"preferred_channel":' || json_build_array(old.preferred_channel, new.preferred_channel)::text END, CASE WHEN new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN '"date_of_birth":' || json_build_array(old.date_of_birth, new.date_of_birth)::text END, CASE WHEN new.tax_id_last4 IS DISTINCT FROM old.tax_id_last4 THEN '"tax_id_last4":' || json_build_array(old.tax_id_last4, new.tax_id_last4)::text END, CASE WHEN new.nationality IS DISTINCT FROM old.nationality THEN '"nationality":' || json_build_array(old.nationality, new.nationality)::text END, CASE WHEN new.country_of_residence IS DISTINCT FROM old.country_of_residence THEN '"country_of_residence":' || json_build_array(old.country_of_residence, new.country_of_residence)::text END, CASE WHEN new.address_line1 IS DISTINCT FROM old.address_line1 THEN '"address_line1":' || json_build_array(old.address_line1, new.address_line1)::text END, CASE WHEN new.address_line2 IS DISTINCT FROM old.address_line2 THEN '"address_line2":' || json_build_array(old.address_line2, new.address_line2)::text END, CASE WHEN new.city IS DISTINCT FROM old.city THEN '"city":' || json_build_array(old.city, new.city)::text END, CASE WHEN new.region IS DISTINCT FROM old.region THEN '"region":' || json_build_array(old.region, new.region)::text END, CASE WHEN new.postal_code IS DISTINCT FROM old.postal_code THEN '"postal_code":' || json_build_array(old.postal_code, new.postal_code)::text END, CASE WHEN new.marital_status IS DISTINCT FROM old.marital_status THEN '"marital_status":' || json_build_array(old.marital_status, new.marital_status)::text END, CASE WHEN new.dependents IS DISTINCT FROM old.dependents THEN '"dependents":' || json_build_array(old.dependents, new.dependents)::text END, CASE WHEN new.employment_status IS DISTINCT FROM old.employment_status THEN '"employment_status":' || json_build_array(old.employment_status, new.employment_status)::text END, CASE WHEN new.employer IS DISTINCT FROM old.employer THEN '"employer":' || json_build_array(old.employer, new.employer)::text END, CASE WHEN new.occupation IS DISTINCT FROM old.occupation THEN '"occupation":' || json_build_array(old.occupation, new.occupation)::text END, CASE WHEN new.retirement_year IS DISTINCT FROM old.retirement_year THEN '"retirement_year":' || json_build_array(old.retirement_year, new.retirement_year)::text END, CASE WHEN new.annual_income IS DISTINCT FROM old.annual_income THEN '"annual_income":' || json_build_array(old.annual_income, new.annual_income)::text END, CASE WHEN new.net_worth IS DISTINCT FROM old.net_worth THEN '"net_worth":' || json_build_array(old.net_worth, new.net_worth)::text END, CASE WHEN new.liquid_net_worth IS DISTINCT FROM old.liquid_net_worth THEN '"liquid_net_worth":' || json_build_array(old.liquid_net_worth, new.liquid_net_worth)::text END, CASE WHEN new.held_away_assets IS DISTINCT FROM old.held_away_assets THEN '"held_away_assets":' || json_build_array(old.held_away_assets, new.held_away_assets)::text END, CASE WHEN new.currency IS DISTINCT FROM old.currency THEN '"currency":' || json_build_array(old.currency, new.currency)::text END, CASE WHEN new.tax_rate_st IS DISTINCT FROM old.tax_rate_st THEN '"tax_rate_st":' || json_build_array(old.tax_rate_st, new.tax_rate_st)::text END, CASE WHEN new.tax_rate_lt IS DISTINCT FROM old.tax_rate_lt THEN '"tax_rate_lt":' || json_build_array(old.tax_rate_lt, new.tax_rate_lt)::text END, CASE WHEN new.risk_profile IS DISTINCT FROM old.risk_profile THEN '"risk_profile":' || json_build_array(old.risk_profile, new.risk_profile)::text END, CASE WHEN new.risk_score IS DISTINCT FROM old.risk_score THEN '"risk_score":' || json_build_array(old.risk_score, new.risk_score)::text END, CASE WHEN new.risk_profile_source IS DISTINCT FROM old.risk_profile_source THEN '"risk_profile_source":' || json_build_array(old.risk_profile_source, new.risk_profile_source)::text END, CASE WHEN new.investment_objective IS DISTINCT FROM old.investment_objective THEN '"investment_objective":' || json_build_array(old.investment_objective, new.investment_objective)::text END, CASE WHEN new.investment_experience IS DISTINCT FROM old.investment_experience THEN '"investment_experience":' || json_build_array(old.investment_experience, new.investment_experience)::text END, CASE WHEN new.time_horizon_years IS DISTINCT FROM old.time_horizon_years THEN '"time_horizon_years":' || json_build_array(old.time_horizon_years, new.time_horizon_years)::text END, CASE WHEN new.liquidity_need IS DISTINCT FROM old.liquidity_need THEN '"liquidity_need":' || json_build_array(old.liquidity_need, new.liquidity_need)::text END, CASE WHEN new.kyc_status IS DISTINCT FROM old.kyc_status THEN '"kyc_status":' || json_build_array(old.kyc_status, new.kyc_status)::text END, CASE WHEN new.kyc_risk_rating IS DISTINCT FROM old.kyc_risk_rating THEN '"kyc_risk_rating":' || json_build_array(old.kyc_risk_rating, new.kyc_risk_rating)::text END, CASE WHEN new.kyc_review_due_on IS DISTINCT FROM old.kyc_review_due_on THEN '"kyc_review_due_on":' || json_build_array(old.kyc_review_due_on, new.kyc_review_due_on)::text END, CASE WHEN new.is_pep IS DISTINCT FROM old.is_pep THEN '"is_pep":' || json_build_array(old.is_pep, new.is_pep)::text END, CASE WHEN new.next_review_on IS DISTINCT FROM old.next_review_on THEN '"next_review_on":' || json_build_array(old.next_review_on, new.next_review_on)::text END, CASE WHEN new.last_contact_at IS DISTINCT FROM old.last_contact_at THEN '"last_contact_at":' || json_build_array(old.last_contact_at, new.last_contact_at)::text END, CASE WHEN new.marketing_opt_in IS DISTINCT FROM old.marketing_opt_in THEN '"marketing_opt_in":' || json_build_array(old.marketing_opt_in, new.marketing_opt_in)::text END, CASE WHEN new.do_not_contact IS DISTINCT FROM old.do_not_contact THEN '"do_not_contact":' || json_build_array(old.do_not_contact, new.do_not_contact)::text END, CASE WHEN new.source IS DISTINCT FROM old.source THEN '"source":' || json_build_array(old.source, new.source)::text END, CASE WHEN new.onboarded_on IS DISTINCT FROM old.onboarded_on THEN '"onboarded_on":' || json_build_array(old.onboarded_on, new.onboarded_on)::text END, CASE WHEN new.closed_on IS DISTINCT FROM old.closed_on THEN '"closed_on":' || json_build_array(old.closed_on, new.closed_on)::text END, CASE WHEN new.deleted_at IS DISTINCT FROM old.deleted_at THEN '"deleted_at":' || json_build_array(old.deleted_at, new.deleted_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.clients', new.id, new.id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text, _changes) || '}')::jsonb, new.version, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.clients', made.id, made.id, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":[null,' || to_json(made.advisor_id)::text || ']', '"household_id":[null,' || to_json(made.household_id)::text || ']', '"user_id":[null,' || to_json(made.user_id)::text || ']', '"client_number":[null,' || to_json(made.client_number)::text || ']', '"type":[null,' || to_json(made.type)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"is_household_head":[null,' || to_json(made.is_household_head)::text || ']', '"segment":[null,' || to_json(made.segment)::text || ']', '"service_tier":[null,' || to_json(made.service_tier)::text || ']', '"first_name":[null,' || to_json(made.first_name)::text || ']', '"last_name":[null,' || to_json(made.last_name)::text || ']', '"entity_name":[null,' || to_json(made.entity_name)::text || ']', '"preferred_name":[null,' || to_json(made.preferred_name)::text || ']', '"email":[null,' || to_json(made.email)::text || ']', '"phone":[null,' || to_json(made.phone)::text || ']', '"preferred_channel":[null,' || to_json(made.preferred_channel)::text || ']', '"date_of_birth":[null,' || to_json(made.date_of_birth)::text || ']', '"tax_id_last4":[null,' || to_json(made.tax_id_last4)::text || ']', '"nationality":[null,' || to_json(made.nationality)::text || ']', '"country_of_residence":[null,' || to_json(made.country_of_residence)::text || ']', '"address_line1":[null,' || to_json(made.address_line1)::text || ']', '"address_line2":[null,' || to_json(made.address_line2)::text || ']', '"city":[null,' || to_json(made.city)::text || ']', '"region":[null,' || to_json(made.region)::text || ']', '"postal_code":[null,' || to_json(made.postal_code)::text || ']', '"marital_status":[null,' || to_json(made.marital_status)::text || ']', '"dependents":[null,' || to_json(made.dependents)::text || ']', '"employment_status":[null,' || to_json(made.employment_status)::text || ']', '"employer":[null,' || to_json(made.employer)::text || ']', '"occupation":[null,' || to_json(made.occupation)::text || ']', '"retirement_year":[null,' || to_json(made.retirement_year)::text || ']', '"annual_income":[null,' || to_json(made.annual_income)::text || ']', '"net_worth":[null,' || to_json(made.net_worth)::text || ']', '"liquid_net_worth":[null,' || to_json(made.liquid_net_worth)::text || ']', '"held_away_assets":[null,' || to_json(made.held_away_assets)::text || ']', '"currency":[null,' || to_json(made.currency)::text || ']', '"tax_rate_st":[null,' || to_json(made.tax_rate_st)::text || ']', '"tax_rate_lt":[null,' || to_json(made.tax_rate_lt)::text || ']', '"risk_profile":[null,' || to_json(made.risk_profile)::text || ']', '"risk_score":[null,' || to_json(made.risk_score)::text || ']', '"risk_profile_source":[null,' || to_json(made.risk_profile_source)::text || ']', '"investment_objective":[null,' || to_json(made.investment_objective)::text || ']', '"investment_experience":[null,' || to_json(made.investment_experience)::text || ']', '"time_horizon_years":[null,' || to_json(made.time_horizon_years)::text || ']', '"liquidity_need":[null,' || to_json(made.liquidity_need)::text || ']', '"kyc_status":[null,' || to_json(made.kyc_status)::text || ']', '"kyc_risk_rating":[null,' || to_json(made.kyc_risk_rating)::text || ']', '"kyc_review_due_on":[null,' || to_json(made.kyc_review_due_on)::text || ']', '"is_pep":[null,' || to_json(made.is_pep)::text || ']', '"next_review_on":[null,' || to_json(made.next_review_on)::text || ']', '"last_contact_at":[null,' || to_json(made.last_contact_at)::text || ']', '"marketing_opt_in":[null,' || to_json(made.marketing_opt_in)::text || ']', '"do_not_contact":[null,' || to_json(made.do_not_contact)::text || ']', '"source":[null,' || to_json(made.source)::text || ']', '"onboarded_on":[null,' || to_json(made.onboarded_on)::text || ']', '"closed_on":[null,' || to_json(made.closed_on)::text || ']', '"deleted_at":[null,' || to_json(made.deleted_at)::text || ']') || '}')::jsonb, made.version, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, NULL)::text, '"background_task_id":' || json_build_array(old.background_task_id, NULL)::text, '"scope":' || json_build_array(old.scope, NULL)::text, '"client_id":' || json_build_array(old.client_id, NULL)::text, '"rules":' || json_build_array(old.rules, NULL)::text, '"ruleset_version":' || json_build_array(old.ruleset_version, NULL)::text, '"as_of":' || json_build_array(old.as_of, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"clients_scanned":' || json_build_array(old.clients_scanned, NULL)::text, '"opportunities_new":' || json_build_array(old.opportunities_new, NULL)::text, '"opportunities_updated":' || json_build_array(old.opportunities_updated, NULL)::text, '"opportunities_resolved":' || json_build_array(old.opportunities_resolved, NULL)::text, '"total_estimated_value":' || json_build_array(old.total_estimated_value, NULL)::text, '"currency":' || json_build_array(old.currency, NULL)::text, '"summary":' || json_build_array(old.summary, NULL)::text, '"requested_by":' || json_build_array(old.requested_by, NULL)::text, '"started_at":' || json_build_array(old.started_at, NULL)::text, '"finished_at":' || json_build_array(old.finished_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.growth_scans', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.advisor_id IS DISTINCT FROM old.advisor_id THEN '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text END, CASE WHEN new.background_task_id IS DISTINCT FROM old.background_task_id THEN '"background_task_id":' || json_build_array(old.background_task_id, new.background_task_id)::text END, CASE WHEN new.scope IS DISTINCT FROM old.scope THEN '"scope":' || json_build_array(old.scope, new.scope)::text END, CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END, CASE WHEN new.rules IS DISTINCT FROM old.rules THEN '"rules":' || json_build_array(old.rules, new.rules)::text END, CASE WHEN new.ruleset_version IS DISTINCT FROM old.ruleset_version THEN '"ruleset_version":' || json_build_array(old.ruleset_version, new.ruleset_version)::text END, CASE WHEN new.as_of IS DISTINCT FROM old.as_of THEN '"as_of":' || json_build_array(old.as_of, new.as_of)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.clients_scanned IS DISTINCT FROM old.clients_scanned THEN '"clients_scanned":' || json_build_array(old.clients_scanned, new.clients_scanned)::text END, CASE WHEN new.opportunities_new IS DISTINCT FROM old.opportunities_new THEN '"opportunities_new":' || json_build_array(old.opportunities_new, new.opportunities_new)::text END, CASE WHEN new.opportunities_updated IS DISTINCT FROM old.opportunities_updated THEN '"opportunities_updated":' || json_build_array(old.opportunities_updated, new.opportunities_updated)::text END, CASE WHEN new.opportunities_resolved IS DISTINCT FROM old.opportunities_resolved THEN '"opportunities_resolved":' || json_build_array(old.opportunities_resolved, new.opportunities_resolved)::text END, CASE WHEN new.total_estimated_value IS DISTINCT FROM old.total_estimated_value THEN '"total_estimated_value":' || json_build_array(old.total_estimated_value, new.total_estimated_value)::text END, CASE WHEN new.currency IS DISTINCT FROM old.currency THEN '"currency":' || json_build_array(old.currency, new.currency)::text END, CASE WHEN new.summary IS DISTINCT FROM old.summary THEN '"summary":' || json_build_array(old.summary, new.summary)::text END, CASE WHEN new.requested_by IS DISTINCT FROM old.requested_by THEN '"requested_by":' || json_build_array(old.requested_by, new.requested_by)::text END, CASE WHEN new.started_at IS DISTINCT FROM old.started_at THEN '"started_at":' || json_build_array(old.started_at, new.started_at)::text END, CASE WHEN new.finished_at IS DISTINCT FROM old.finished_at THEN '"finished_at":' || json_build_array(old.finished_at, new.finished_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.growth_scans', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text, '"client_id":' || json_build_array(old.client_id, new.client_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.growth_scans', made.id, made.client_id, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":[null,' || to_json(made.advisor_id)::text || ']', '"background_task_id":[null,' || to_json(made.background_task_id)::text || ']', '"scope":[null,' || to_json(made.scope)::text || ']', '"client_id":[null,' || to_json(made.client_id)::text || ']', '"rules":[null,' || to_json(made.rules)::text || ']', '"ruleset_version":[null,' || to_json(made.ruleset_version)::text || ']', '"as_of":[null,' || to_json(made.as_of)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"clients_scanned":[null,' || to_json(made.clients_scanned)::text || ']', '"opportunities_new":[null,' || to_json(made.opportunities_new)::text || ']', '"opportunities_updated":[null,' || to_json(made.opportunities_updated)::text || ']', '"opportunities_resolved":[null,' || to_json(made.opportunities_resolved)::text || ']', '"total_estimated_value":[null,' || to_json(made.total_estimated_value)::text || ']', '"currency":[null,' || to_json(made.currency)::text || ']', '"summary":[null,' || to_json(made.summary)::text || ']', '"requested_by":[null,' || to_json(made.requested_by)::text || ']', '"started_at":[null,' || to_json(made.started_at)::text || ']', '"finished_at":[null,' || to_json(made.finished_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"name":' || json_build_array(old.name, NULL)::text, '"advisor_id":' || json_build_array(old.advisor_id, NULL)::text, '"service_tier":' || json_build_array(old.service_tier, NULL)::text, '"aggregate_billing":' || json_build_array(old.aggregate_billing, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"notes":' || json_build_array(old.notes, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.households', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.advisor_id IS DISTINCT FROM old.advisor_id THEN '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text END, CASE WHEN new.service_tier IS DISTINCT FROM old.service_tier THEN '"service_tier":' || json_build_array(old.service_tier, new.service_tier)::text END, CASE WHEN new.aggregate_billing IS DISTINCT FROM old.aggregate_billing THEN '"aggregate_billing":' || json_build_array(old.aggregate_billing, new.aggregate_billing)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.notes IS DISTINCT FROM old.notes THEN '"notes":' || json_build_array(old.notes, new.notes)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.households', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.households', made.id, NULL, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"name":[null,' || to_json(made.name)::text || ']', '"advisor_id":[null,' || to_json(made.advisor_id)::text || ']', '"service_tier":[null,' || to_json(made.service_tier)::text || ']', '"aggregate_billing":[null,' || to_json(made.aggregate_billing)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"notes":[null,' || to_json(made.notes)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"client_id":' || json_build_array(old.client_id, NULL)::text, '"lead_id":' || json_build_array(old.lead_id, NULL)::text, '"meeting_id":' || json_build_array(old.meeting_id, NULL)::text, '"author_id":' || json_build_array(old.author_id, NULL)::text, '"category":' || json_build_array(old.category, NULL)::text, '"body":' || json_build_array(old.body, NULL)::text, '"visibility":' || json_build_array(old.visibility, NULL)::text, '"is_pinned":' || json_build_array(old.is_pinned, NULL)::text, '"deleted_at":' || json_build_array(old.deleted_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.notes', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END, CASE WHEN new.lead_id IS DISTINCT FROM old.lead_id THEN '"lead_id":' || json_build_array(old.lead_id, new.lead_id)::text END, CASE WHEN new.meeting_id IS DISTINCT FROM old.meeting_id THEN '"meeting_id":' || json_build_array(old.meeting_id, new.meeting_id)::text END, CASE WHEN new.author_id IS DISTINCT FROM old.author_id THEN '"author_id":' || json_build_array(old.author_id, new.author_id)::text END, CASE WHEN new.category IS DISTINCT FROM old.category THEN '"category":' || json_build_array(old.category, new.category)::text END, CASE WHEN new.body IS DISTINCT FROM old.body THEN '"body":' || json_build_array(old.body, new.body)::text END, CASE WHEN new.visibility IS DISTINCT FROM old.visibility THEN '"visibility":' || json_build_array(old.visibility, new.visibility)::text END, CASE WHEN new.is_pinned IS DISTINCT FROM old.is_pinned THEN '"is_pinned":' || json_build_array(old.is_pinned, new.is_pinned)::text END, CASE WHEN new.deleted_at IS DISTINCT FROM old.deleted_at THEN '"deleted_at":' || json_build_array(old.deleted_at, new.deleted_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.notes', new.id, new.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"client_id":' || json_build_array(old.client_id, new.client_id)::text, _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.notes', made.id, made.client_id, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"client_id":[null,' || to_json(made.client_id)::text || ']', '"lead_id":[null,' || to_json(made.lead_id)::text || ']', '"meeting_id":[null,' || to_json(made.meeting_id)::text || ']', '"author_id":[null,' || to_json(made.author_id)::text || ']', '"category":[null,' || to_json(made.category)::text || ']', '"body":[null,' || to_json(made.body)::text || ']', '"visibility":[null,' || to_json(made.visibility)::text || ']', '"is_pinned":[null,' || to_json(made.is_pinned)::text || ']', '"deleted_at":[null,' || to_json(made.deleted_at)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, NULL)::text, '"client_id":' || json_build_array(old.client_id, NULL)::text, '"lead_id":' || json_build_array(old.lead_id, NULL)::text, '"growth_scan_id":' || json_build_array(old.growth_scan_id, NULL)::text, '"rule_code":' || json_build_array(old.rule_code, NULL)::text, '"category":' || json_build_array(old.category, NULL)::text, '"title":' || json_build_array(old.title, NULL)::text, '"narrative":' || json_build_array(old.narrative, NULL)::text, '"evidence":' || json_build_array(old.evidence, NULL)::text, '"score":' || json_build_array(old.score, NULL)::text, '"estimated_value":' || json_build_array(old.estimated_value, NULL)::text, '"estimated_revenue":' || json_build_array(old.estimated_revenue, NULL)::text, '"currency":' || json_build_array(old.currency, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"fingerprint":' || json_build_array(old.fingerprint, NULL)::text, '"first_seen_at":' || json_build_array(old.first_seen_at, NULL)::text, '"last_seen_at":' || json_build_array(old.last_seen_at, NULL)::text, '"due_on":' || json_build_array(old.due_on, NULL)::text, '"snoozed_until":' || json_build_array(old.snoozed_until, NULL)::text, '"dismissed_reason":' || json_build_array(old.dismissed_reason, NULL)::text, '"assigned_to":' || json_build_array(old.assigned_to, NULL)::text, '"closed_at":' || json_build_array(old.closed_at, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.opportunities', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, old.version, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.advisor_id IS DISTINCT FROM old.advisor_id THEN '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text END, CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END, CASE WHEN new.lead_id IS DISTINCT FROM old.lead_id THEN '"lead_id":' || json_build_array(old.lead_id, new.lead_id)::text END, CASE WHEN new.growth_scan_id IS DISTINCT FROM old.growth_scan_id THEN '"growth_scan_id":' || json_build_array(old.growth_scan_id, new.growth_scan_id)::text END, CASE WHEN new.rule_code IS DISTINCT FROM old.rule_code THEN '"rule_code":' || json_build_array(old.rule_code, new.rule_code)::text END, CASE WHEN new.category IS DISTINCT FROM old.category THEN '"category":' || json_build_array(old.category, new.category)::text END, CASE WHEN new.title IS DISTINCT FROM old.title THEN '"title":' || json_build_array(old.title, new.title)::text END, CASE WHEN new.narrative IS DISTINCT FROM old.narrative THEN '"narrative":' || json_build_array(old.narrative, new.narrative)::text END, CASE WHEN new.evidence IS DISTINCT FROM old.evidence THEN '"evidence":' || json_build_array(old.evidence, new.evidence)::text END, CASE WHEN new.score IS DISTINCT FROM old.score THEN '"score":' || json_build_array(old.score, new.score)::text END, CASE WHEN new.estimated_value IS DISTINCT FROM old.estimated_value THEN '"estimated_value":' || json_build_array(old.estimated_value, new.estimated_value)::text END, CASE WHEN new.estimated_revenue IS DISTINCT FROM old.estimated_revenue THEN '"estimated_revenue":' || json_build_array(old.estimated_revenue, new.estimated_revenue)::text END, CASE WHEN new.currency IS DISTINCT FROM old.currency THEN '"currency":' || json_build_array(old.currency, new.currency)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.fingerprint IS DISTINCT FROM old.fingerprint THEN '"fingerprint":' || json_build_array(old.fingerprint, new.fingerprint)::text END, CASE WHEN new.first_seen_at IS DISTINCT FROM old.first_seen_at THEN '"first_seen_at":' || json_build_array(old.first_seen_at, new.first_seen_at)::text END, CASE WHEN new.last_seen_at IS DISTINCT FROM old.last_seen_at THEN '"last_seen_at":' || json_build_array(old.last_seen_at, new.last_seen_at)::text END, CASE WHEN new.due_on IS DISTINCT FROM old.due_on THEN '"due_on":' || json_build_array(old.due_on, new.due_on)::text END, CASE WHEN new.snoozed_until IS DISTINCT FROM old.snoozed_until THEN '"snoozed_until":' || json_build_array(old.snoozed_until, new.snoozed_until)::text END, CASE WHEN new.dismissed_reason IS DISTINCT FROM old.dismissed_reason THEN '"dismissed_reason":' || json_build_array(old.dismissed_reason, new.dismissed_reason)::text END, CASE WHEN new.assigned_to IS DISTINCT FROM old.assigned_to THEN '"assigned_to":' || json_build_array(old.assigned_to, new.assigned_to)::text END, CASE WHEN new.closed_at IS DISTINCT FROM old.closed_at THEN '"closed_at":' || json_build_array(old.closed_at, new.closed_at)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.opportunities', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text, '"client_id":' || json_build_array(old.client_id, new.client_id)::text, _changes) || '}')::jsonb, new.version, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.opportunities', made.id, made.client_id, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"advisor_id":[null,' || to_json(made.advisor_id)::text || ']', '"client_id":[null,' || to_json(made.client_id)::text || ']', '"lead_id":[null,' || to_json(made.lead_id)::text || ']', '"growth_scan_id":[null,' || to_json(made.growth_scan_id)::text || ']', '"rule_code":[null,' || to_json(made.rule_code)::text || ']', '"category":[null,' || to_json(made.category)::text || ']', '"title":[null,' || to_json(made.title)::text || ']', '"narrative":[null,' || to_json(made.narrative)::text || ']', '"evidence":[null,' || to_json(made.evidence)::text || ']', '"score":[null,' || to_json(made.score)::text || ']', '"estimated_value":[null,' || to_json(made.estimated_value)::text || ']', '"estimated_revenue":[null,' || to_json(made.estimated_revenue)::text || ']', '"currency":[null,' || to_json(made.currency)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"fingerprint":[null,' || to_json(made.fingerprint)::text || ']', '"first_seen_at":[null,' || to_json(made.first_seen_at)::text || ']', '"last_seen_at":[null,' || to_json(made.last_seen_at)::text || ']', '"due_on":[null,' || to_json(made.due_on)::text || ']', '"snoozed_until":[null,' || to_json(made.snoozed_until)::text || ']', '"dismissed_reason":[null,' || to_json(made.dismissed_reason)::text || ']', '"assigned_to":[null,' || to_json(made.assigned_to)::text || ']', '"closed_at":[null,' || to_json(made.closed_at)::text || ']') || '}')::jsonb, made.version, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"order_number":' || json_build_array(old.order_number, NULL)::text, '"client_order_id":' || json_build_array(old.client_order_id, NULL)::text, '"client_id":' || json_build_array(old.client_id, NULL)::text, '"portfolio_id":' || json_build_array(old.portfolio_id, NULL)::text, '"account_id":' || json_build_array(old.account_id, NULL)::text, '"advisor_id":' || json_build_array(old.advisor_id, NULL)::text, '"security_id":' || json_build_array(old.security_id, NULL)::text, '"symbol":' || json_build_array(old.symbol, NULL)::text, '"side":' || json_build_array(old.side, NULL)::text, '"order_type":' || json_build_array(old.order_type, NULL)::text, '"time_in_force":' || json_build_array(old.time_in_force, NULL)::text, '"expire_on":' || json_build_array(old.expire_on, NULL)::text, '"quantity":' || json_build_array(old.quantity, NULL)::text, '"notional":' || json_build_array(old.notional, NULL)::text, '"limit_price":' || json_build_array(old.limit_price, NULL)::text, '"stop_price":' || json_build_array(old.stop_price, NULL)::text, '"currency":' || json_build_array(old.currency, NULL)::text, '"status":' || json_build_array(old.status, NULL)::text, '"prior_status":' || json_build_array(old.prior_status, NULL)::text, '"filled_quantity":' || json_build_array(old.filled_quantity, NULL)::text, '"avg_fill_price":' || json_build_array(old.avg_fill_price, NULL)::text, '"reserved_cash":' || json_build_array(old.reserved_cash, NULL)::text, '"commission":' || json_build_array(old.commission, NULL)::text, '"basis":' || json_build_array(old.basis, NULL)::text, '"capacity":' || json_build_array(old.capacity, NULL)::text, '"lot_method":' || json_build_array(old.lot_method, NULL)::text, '"lot_ids":' || json_build_array(old.lot_ids, NULL)::text, '"check_outcome":' || json_build_array(old.check_outcome, NULL)::text, '"is_block":' || json_build_array(old.is_block, NULL)::text, '"parent_order_id":' || json_build_array(old.parent_order_id, NULL)::text, '"replaces_id":' || json_build_array(old.replaces_id, NULL)::text, '"recommendation_id":' || json_build_array(old.recommendation_id, NULL)::text, '"rebalance_run_id":' || json_build_array(old.rebalance_run_id, NULL)::text, '"broker_order_id":' || json_build_array(old.broker_order_id, NULL)::text, '"reject_reason":' || json_build_array(old.reject_reason, NULL)::text, '"cancel_reason":' || json_build_array(old.cancel_reason, NULL)::text, '"placed_by":' || json_build_array(old.placed_by, NULL)::text, '"approved_by":' || json_build_array(old.approved_by, NULL)::text, '"submitted_at":' || json_build_array(old.submitted_at, NULL)::text, '"acknowledged_at":' || json_build_array(old.acknowledged_at, NULL)::text, '"filled_at":' || json_build_array(old.filled_at, NULL)::text, '"closed_at":' || json_build_array(old.closed_at, NULL)::text, '"notes":' || json_build_array(old.notes, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.orders', old.id, old.client_id, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, old.version, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.order_number IS DISTINCT FROM old.order_number THEN '"order_number":' || json_build_array(old.order_number, new.order_number)::text END, CASE WHEN new.client_order_id IS DISTINCT FROM old.client_order_id THEN '"client_order_id":' || json_build_array(old.client_order_id, new.client_order_id)::text END, CASE WHEN new.client_id IS DISTINCT FROM old.client_id THEN '"client_id":' || json_build_array(old.client_id, new.client_id)::text END, CASE WHEN new.portfolio_id IS DISTINCT FROM old.portfolio_id THEN '"portfolio_id":' || json_build_array(old.portfolio_id, new.portfolio_id)::text END, CASE WHEN new.account_id IS DISTINCT FROM old.account_id THEN '"account_id":' || json_build_array(old.account_id, new.account_id)::text END, CASE WHEN new.advisor_id IS DISTINCT FROM old.advisor_id THEN '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text END, CASE WHEN new.security_id IS DISTINCT FROM old.security_id THEN '"security_id":' || json_build_array(old.security_id, new.security_id)::text END, CASE WHEN new.symbol IS DISTINCT FROM old.symbol THEN '"symbol":' || json_build_array(old.symbol, new.symbol)::text END, CASE WHEN new.side IS DISTINCT FROM old.side THEN '"side":' || json_build_array(old.side, new.side)::text END, CASE WHEN new.order_type IS DISTINCT FROM old.order_type THEN '"order_type":' || json_build_array(old.order_type, new.order_type)::text END, CASE WHEN new.time_in_force IS DISTINCT FROM old.time_in_force THEN '"time_in_force":' || json_build_array(old.time_in_force, new.time_in_force)::text END, CASE WHEN new.expire_on IS DISTINCT FROM old.expire_on THEN '"expire_on":' || json_build_array(old.expire_on, new.expire_on)::text END, CASE WHEN new.quantity IS DISTINCT FROM old.quantity THEN '"quantity":' || json_build_array(old.quantity, new.quantity)::text END, CASE WHEN new.notional IS DISTINCT FROM old.notional THEN '"notional":' || json_build_array(old.notional, new.notional)::text END, CASE WHEN new.limit_price IS DISTINCT FROM old.limit_price THEN '"limit_price":' || json_build_array(old.limit_price, new.limit_price)::text END, CASE WHEN new.stop_price IS DISTINCT FROM old.stop_price THEN '"stop_price":' || json_build_array(old.stop_price, new.stop_price)::text END, CASE WHEN new.currency IS DISTINCT FROM old.currency THEN '"currency":' || json_build_array(old.currency, new.currency)::text END, CASE WHEN new.status IS DISTINCT FROM old.status THEN '"status":' || json_build_array(old.status, new.status)::text END, CASE WHEN new.prior_status IS DISTINCT FROM old.prior_status THEN '"prior_status":' || json_build_array(old.prior_status, new.prior_status)::text END, CASE WHEN new.filled_quantity IS DISTINCT FROM old.filled_quantity THEN '"filled_quantity":' || json_build_array(old.filled_quantity, new.filled_quantity)::text END, CASE WHEN new.avg_fill_price IS DISTINCT FROM old.avg_fill_price THEN '"avg_fill_price":' || json_build_array(old.avg_fill_price, new.avg_fill_price)::text END, CASE WHEN new.reserved_cash IS DISTINCT FROM old.reserved_cash THEN '"reserved_cash":' || json_build_array(old.reserved_cash, new.reserved_cash)::text END, CASE WHEN new.commission IS DISTINCT FROM old.commission THEN '"commission":' || json_build_array(old.commission, new.commission)::text END, CASE WHEN new.basis IS DISTINCT FROM old.basis THEN '"basis":' || json_build_array(old.basis, new.basis)::text END, CASE WHEN new.capacity IS DISTINCT FROM old.capacity THEN '"capacity":' || json_build_array(old.capacity, new.capacity)::text END, CASE WHEN new.lot_method IS DISTINCT FROM old.lot_method THEN '"lot_method":' || json_build_array(old.lot_method, new.lot_method)::text END, CASE WHEN new.lot_ids IS DISTINCT FROM old.lot_ids THEN '"lot_ids":' || json_build_array(old.lot_ids, new.lot_ids)::text END, CASE WHEN new.check_outcome IS DISTINCT FROM old.check_outcome THEN '"check_outcome":' || json_build_array(old.check_outcome, new.check_outcome)::text END, CASE WHEN new.is_block IS DISTINCT FROM old.is_block THEN '"is_block":' || json_build_array(old.is_block, new.is_block)::text END, CASE WHEN new.parent_order_id IS DISTINCT FROM old.parent_order_id THEN '"parent_order_id":' || json_build_array(old.parent_order_id, new.parent_order_id)::text END, CASE WHEN new.replaces_id IS DISTINCT FROM old.replaces_id THEN '"replaces_id":' || json_build_array(old.replaces_id, new.replaces_id)::text END, CASE WHEN new.recommendation_id IS DISTINCT FROM old.recommendation_id THEN '"recommendation_id":' || json_build_array(old.recommendation_id, new.recommendation_id)::text END, CASE WHEN new.rebalance_run_id IS DISTINCT FROM old.rebalance_run_id THEN '"rebalance_run_id":' || json_build_array(old.rebalance_run_id, new.rebalance_run_id)::text END, CASE WHEN new.broker_order_id IS DISTINCT FROM old.broker_order_id THEN '"broker_order_id":' || json_build_array(old.broker_order_id, new.broker_order_id)::text END, CASE WHEN new.reject_reason IS DISTINCT FROM old.reject_reason THEN '"reject_reason":' || json_build_array(old.reject_reason, new.reject_reason)::text END, CASE WHEN new.cancel_reason IS DISTINCT FROM old.cancel_reason THEN '"cancel_reason":' || json_build_array(old.cancel_reason, new.cancel_reason)::text END, CASE WHEN new.placed_by IS DISTINCT FROM old.placed_by THEN '"placed_by":' || json_build_array(old.placed_by, new.placed_by)::text END, CASE WHEN new.approved_by IS DISTINCT FROM old.approved_by THEN '"approved_by":' || json_build_array(old.approved_by, new.approved_by)::text END, CASE WHEN new.submitted_at IS DISTINCT FROM old.submitted_at THEN '"submitted_at":' || json_build_array(old.submitted_at, new.submitted_at)::text END, CASE WHEN new.acknowledged_at IS DISTINCT FROM old.acknowledged_at THEN '"acknowledged_at":' || json_build_array(old.acknowledged_at, new.acknowledged_at)::text END, CASE WHEN new.filled_at IS DISTINCT FROM old.filled_at THEN '"filled_at":' || json_build_array(old.filled_at, new.filled_at)::text END, CASE WHEN new.closed_at IS DISTINCT FROM old.closed_at THEN '"closed_at":' || json_build_array(old.closed_at, new.closed_at)::text END, CASE WHEN new.notes IS DISTINCT FROM old.notes THEN '"notes":' || json_build_array(old.notes, new.notes)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.orders', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', ('{' || concat_ws(',', '"client_id":' || json_build_array(old.client_id, new.client_id)::text, '"advisor_id":' || json_build_array(old.advisor_id, new.advisor_id)::text, _changes) || '}')::jsonb, new.version, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.orders', made.id, made.client_id, NULL, made.status, _context->>'reason', ('{' || concat_ws(',', '"order_number":[null,' || to_json(made.order_number)::text || ']', '"client_order_id":[null,' || to_json(made.client_order_id)::text || ']', '"client_id":[null,' || to_json(made.client_id)::text || ']', '"portfolio_id":[null,' || to_json(made.portfolio_id)::text || ']', '"account_id":[null,' || to_json(made.account_id)::text || ']', '"advisor_id":[null,' || to_json(made.advisor_id)::text || ']', '"security_id":[null,' || to_json(made.security_id)::text || ']', '"symbol":[null,' || to_json(made.symbol)::text || ']', '"side":[null,' || to_json(made.side)::text || ']', '"order_type":[null,' || to_json(made.order_type)::text || ']', '"time_in_force":[null,' || to_json(made.time_in_force)::text || ']', '"expire_on":[null,' || to_json(made.expire_on)::text || ']', '"quantity":[null,' || to_json(made.quantity)::text || ']', '"notional":[null,' || to_json(made.notional)::text || ']', '"limit_price":[null,' || to_json(made.limit_price)::text || ']', '"stop_price":[null,' || to_json(made.stop_price)::text || ']', '"currency":[null,' || to_json(made.currency)::text || ']', '"status":[null,' || to_json(made.status)::text || ']', '"prior_status":[null,' || to_json(made.prior_status)::text || ']', '"filled_quantity":[null,' || to_json(made.filled_quantity)::text || ']', '"avg_fill_price":[null,' || to_json(made.avg_fill_price)::text || ']', '"reserved_cash":[null,' || to_json(made.reserved_cash)::text || ']', '"commission":[null,' || to_json(made.commission)::text || ']', '"basis":[null,' || to_json(made.basis)::text || ']', '"capacity":[null,' || to_json(made.capacity)::text || ']', '"lot_method":[null,' || to_json(made.lot_method)::text || ']', '"lot_ids":[null,' || to_json(made.lot_ids)::text || ']', '"check_outcome":[null,' || to_json(made.check_outcome)::text || ']', '"is_block":[null,' || to_json(made.is_block)::text || ']', '"parent_order_id":[null,' || to_json(made.parent_order_id)::text || ']', '"replaces_id":[null,' || to_json(made.replaces_id)::text || ']', '"recommendation_id":[null,' || to_json(made.recommendation_id)::text || ']', '"rebalance_run_id":[null,' || to_json(made.rebalance_run_id)::text || ']', '"broker_order_id":[null,' || to_json(made.broker_order_id)::text || ']', '"reject_reason":[null,' || to_json(made.reject_reason)::text || ']', '"cancel_reason":[null,' || to_json(made.cancel_reason)::text || ']', '"placed_by":[null,' || to_json(made.placed_by)::text || ']', '"approved_by":[null,' || to_json(made.approved_by)::text || ']', '"submitted_at":[null,' || to_json(made.submitted_at)::text || ']', '"acknowledged_at":[null,' || to_json(made.acknowledged_at)::text || ']', '"filled_at":[null,' || to_json(made.filled_at)::text || ']', '"closed_at":[null,' || to_json(made.closed_at)::text || ']', '"notes":[null,' || to_json(made.notes)::text || ']') || '}')::jsonb, made.version, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _changes text;
        _sequence bigint;
        _id uuid;
        _now timestamptz;
    BEGIN
        IF tg_op = 'DELETE' THEN
            _changes := concat_ws(',', '"branch_id":' || json_build_array(old.branch_id, NULL)::text, '"name":' || json_build_array(old.name, NULL)::text, '"share_book":' || json_build_array(old.share_book, NULL)::text, '"is_active":' || json_build_array(old.is_active, NULL)::text);
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.teams', old.id, NULL, NULL, NULL, _context->>'reason', ('{' || _changes || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        ELSE
            _changes := concat_ws(',', CASE WHEN new.branch_id IS DISTINCT FROM old.branch_id THEN '"branch_id":' || json_build_array(old.branch_id, new.branch_id)::text END, CASE WHEN new.name IS DISTINCT FROM old.name THEN '"name":' || json_build_array(old.name, new.name)::text END, CASE WHEN new.share_book IS DISTINCT FROM old.share_book THEN '"share_book":' || json_build_array(old.share_book, new.share_book)::text END, CASE WHEN new.is_active IS DISTINCT FROM old.is_active THEN '"is_active":' || json_build_array(old.is_active, new.is_active)::text END);
            IF _changes = '' THEN
                RETURN NULL;
            END IF;
            _sequence := nextval('core.changes_sequence'); _now := clock_timestamp();
            _id := core.change_id(_sequence, _now);
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) VALUES (_id, _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.teams', new.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', _changes) || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now);
        END IF;
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        WITH logged AS (
            INSERT INTO core.changes (id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip, occurred_at) SELECT core.change_id(_sequence, _now), _sequence, (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.teams', made.id, NULL, NULL, NULL, _context->>'reason', ('{' || concat_ws(',', '"branch_id":[null,' || to_json(made.branch_id)::text || ']', '"name":[null,' || to_json(made.name)::text || ']', '"share_book":[null,' || to_json(made.share_book)::text || ']', '"is_active":[null,' || to_json(made.is_active)::text || ']') || '}')::jsonb, NULL, _context->>'request', (_context->>'ip')::inet, _now
            FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
            RETURNING sequence, id, occurred_at
        )
        INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
        RETURN NULL;
    END $$
        """
    )


def _restore_functions() -> None:
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% only takes new rows', tg_table_name USING ERRCODE = 'ATR02';
    END $$
        """
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.changes "
        "FOR EACH ROW EXECUTE FUNCTION core.refuse_change()"
    )
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.changes EXECUTE FUNCTION core.refuse_change()")
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
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.advisors', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', jsonb_build_array(old.user_id, NULL), 'branch_id', jsonb_build_array(old.branch_id, NULL), 'team_id', jsonb_build_array(old.team_id, NULL), 'advisor_code', jsonb_build_array(old.advisor_code, NULL), 'title', jsonb_build_array(old.title, NULL), 'crd_number', jsonb_build_array(old.crd_number, NULL), 'licenses', jsonb_build_array(old.licenses, NULL), 'licensed_regions', jsonb_build_array(old.licensed_regions, NULL), 'is_team_lead', jsonb_build_array(old.is_team_lead, NULL), 'discretionary_authority', jsonb_build_array(old.discretionary_authority, NULL), 'order_limit', jsonb_build_array(old.order_limit, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'client_capacity', jsonb_build_array(old.client_capacity, NULL), 'status', jsonb_build_array(old.status, NULL), 'hired_on', jsonb_build_array(old.hired_on, NULL), 'terminated_on', jsonb_build_array(old.terminated_on, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.branch_id IS DISTINCT FROM old.branch_id THEN
            _diff := _diff || jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, new.branch_id));
        END IF;

        IF new.team_id IS DISTINCT FROM old.team_id THEN
            _diff := _diff || jsonb_build_object('team_id', jsonb_build_array(old.team_id, new.team_id));
        END IF;

        IF new.advisor_code IS DISTINCT FROM old.advisor_code THEN
            _diff := _diff || jsonb_build_object('advisor_code', jsonb_build_array(old.advisor_code, new.advisor_code));
        END IF;

        IF new.title IS DISTINCT FROM old.title THEN
            _diff := _diff || jsonb_build_object('title', jsonb_build_array(old.title, new.title));
        END IF;

        IF new.crd_number IS DISTINCT FROM old.crd_number THEN
            _diff := _diff || jsonb_build_object('crd_number', jsonb_build_array(old.crd_number, new.crd_number));
        END IF;

        IF new.licenses IS DISTINCT FROM old.licenses THEN
            _diff := _diff || jsonb_build_object('licenses', jsonb_build_array(old.licenses, new.licenses));
        END IF;

        IF new.licensed_regions IS DISTINCT FROM old.licensed_regions THEN
            _diff := _diff || jsonb_build_object('licensed_regions', jsonb_build_array(old.licensed_regions, new.licensed_regions));
        END IF;

        IF new.is_team_lead IS DISTINCT FROM old.is_team_lead THEN
            _diff := _diff || jsonb_build_object('is_team_lead', jsonb_build_array(old.is_team_lead, new.is_team_lead));
        END IF;

        IF new.discretionary_authority IS DISTINCT FROM old.discretionary_authority THEN
            _diff := _diff || jsonb_build_object('discretionary_authority', jsonb_build_array(old.discretionary_authority, new.discretionary_authority));
        END IF;

        IF new.order_limit IS DISTINCT FROM old.order_limit THEN
            _diff := _diff || jsonb_build_object('order_limit', jsonb_build_array(old.order_limit, new.order_limit));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.client_capacity IS DISTINCT FROM old.client_capacity THEN
            _diff := _diff || jsonb_build_object('client_capacity', jsonb_build_array(old.client_capacity, new.client_capacity));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.hired_on IS DISTINCT FROM old.hired_on THEN
            _diff := _diff || jsonb_build_object('hired_on', jsonb_build_array(old.hired_on, new.hired_on));
        END IF;

        IF new.terminated_on IS DISTINCT FROM old.terminated_on THEN
            _diff := _diff || jsonb_build_object('terminated_on', jsonb_build_array(old.terminated_on, new.terminated_on));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.advisors', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.advisors', made.id, NULL, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'branch_id', CASE WHEN made.branch_id IS NOT NULL THEN jsonb_build_array(NULL, made.branch_id) END, 'team_id', CASE WHEN made.team_id IS NOT NULL THEN jsonb_build_array(NULL, made.team_id) END, 'advisor_code', CASE WHEN made.advisor_code IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_code) END, 'title', CASE WHEN made.title IS NOT NULL THEN jsonb_build_array(NULL, made.title) END, 'crd_number', CASE WHEN made.crd_number IS NOT NULL THEN jsonb_build_array(NULL, made.crd_number) END, 'licenses', CASE WHEN made.licenses IS NOT NULL THEN jsonb_build_array(NULL, made.licenses) END, 'licensed_regions', CASE WHEN made.licensed_regions IS NOT NULL THEN jsonb_build_array(NULL, made.licensed_regions) END, 'is_team_lead', CASE WHEN made.is_team_lead IS NOT NULL THEN jsonb_build_array(NULL, made.is_team_lead) END, 'discretionary_authority', CASE WHEN made.discretionary_authority IS NOT NULL THEN jsonb_build_array(NULL, made.discretionary_authority) END, 'order_limit', CASE WHEN made.order_limit IS NOT NULL THEN jsonb_build_array(NULL, made.order_limit) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'client_capacity', CASE WHEN made.client_capacity IS NOT NULL THEN jsonb_build_array(NULL, made.client_capacity) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'hired_on', CASE WHEN made.hired_on IS NOT NULL THEN jsonb_build_array(NULL, made.hired_on) END, 'terminated_on', CASE WHEN made.terminated_on IS NOT NULL THEN jsonb_build_array(NULL, made.terminated_on) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.branches', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', jsonb_build_array(old.code, NULL), 'name', jsonb_build_array(old.name, NULL), 'legal_entity', jsonb_build_array(old.legal_entity, NULL), 'address_line1', jsonb_build_array(old.address_line1, NULL), 'city', jsonb_build_array(old.city, NULL), 'region', jsonb_build_array(old.region, NULL), 'postal_code', jsonb_build_array(old.postal_code, NULL), 'country', jsonb_build_array(old.country, NULL), 'timezone', jsonb_build_array(old.timezone, NULL), 'base_currency', jsonb_build_array(old.base_currency, NULL), 'is_active', jsonb_build_array(old.is_active, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.code IS DISTINCT FROM old.code THEN
            _diff := _diff || jsonb_build_object('code', jsonb_build_array(old.code, new.code));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.legal_entity IS DISTINCT FROM old.legal_entity THEN
            _diff := _diff || jsonb_build_object('legal_entity', jsonb_build_array(old.legal_entity, new.legal_entity));
        END IF;

        IF new.address_line1 IS DISTINCT FROM old.address_line1 THEN
            _diff := _diff || jsonb_build_object('address_line1', jsonb_build_array(old.address_line1, new.address_line1));
        END IF;

        IF new.city IS DISTINCT FROM old.city THEN
            _diff := _diff || jsonb_build_object('city', jsonb_build_array(old.city, new.city));
        END IF;

        IF new.region IS DISTINCT FROM old.region THEN
            _diff := _diff || jsonb_build_object('region', jsonb_build_array(old.region, new.region));
        END IF;

        IF new.postal_code IS DISTINCT FROM old.postal_code THEN
            _diff := _diff || jsonb_build_object('postal_code', jsonb_build_array(old.postal_code, new.postal_code));
        END IF;

        IF new.country IS DISTINCT FROM old.country THEN
            _diff := _diff || jsonb_build_object('country', jsonb_build_array(old.country, new.country));
        END IF;

        IF new.timezone IS DISTINCT FROM old.timezone THEN
            _diff := _diff || jsonb_build_object('timezone', jsonb_build_array(old.timezone, new.timezone));
        END IF;

        IF new.base_currency IS DISTINCT FROM old.base_currency THEN
            _diff := _diff || jsonb_build_object('base_currency', jsonb_build_array(old.base_currency, new.base_currency));
        END IF;

        IF new.is_active IS DISTINCT FROM old.is_active THEN
            _diff := _diff || jsonb_build_object('is_active', jsonb_build_array(old.is_active, new.is_active));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.branches', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.branches', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', CASE WHEN made.code IS NOT NULL THEN jsonb_build_array(NULL, made.code) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'legal_entity', CASE WHEN made.legal_entity IS NOT NULL THEN jsonb_build_array(NULL, made.legal_entity) END, 'address_line1', CASE WHEN made.address_line1 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line1) END, 'city', CASE WHEN made.city IS NOT NULL THEN jsonb_build_array(NULL, made.city) END, 'region', CASE WHEN made.region IS NOT NULL THEN jsonb_build_array(NULL, made.region) END, 'postal_code', CASE WHEN made.postal_code IS NOT NULL THEN jsonb_build_array(NULL, made.postal_code) END, 'country', CASE WHEN made.country IS NOT NULL THEN jsonb_build_array(NULL, made.country) END, 'timezone', CASE WHEN made.timezone IS NOT NULL THEN jsonb_build_array(NULL, made.timezone) END, 'base_currency', CASE WHEN made.base_currency IS NOT NULL THEN jsonb_build_array(NULL, made.base_currency) END, 'is_active', CASE WHEN made.is_active IS NOT NULL THEN jsonb_build_array(NULL, made.is_active) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
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
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.client_relationships', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', jsonb_build_array(old.client_id, NULL), 'related_client_id', jsonb_build_array(old.related_client_id, NULL), 'account_id', jsonb_build_array(old.account_id, NULL), 'kind', jsonb_build_array(old.kind, NULL), 'name', jsonb_build_array(old.name, NULL), 'email', jsonb_build_array(old.email, NULL), 'phone', jsonb_build_array(old.phone, NULL), 'date_of_birth', jsonb_build_array(old.date_of_birth, NULL), 'country', jsonb_build_array(old.country, NULL), 'share_pct', jsonb_build_array(old.share_pct, NULL), 'effective_from', jsonb_build_array(old.effective_from, NULL), 'effective_to', jsonb_build_array(old.effective_to, NULL), 'verified_at', jsonb_build_array(old.verified_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.related_client_id IS DISTINCT FROM old.related_client_id THEN
            _diff := _diff || jsonb_build_object('related_client_id', jsonb_build_array(old.related_client_id, new.related_client_id));
        END IF;

        IF new.account_id IS DISTINCT FROM old.account_id THEN
            _diff := _diff || jsonb_build_object('account_id', jsonb_build_array(old.account_id, new.account_id));
        END IF;

        IF new.kind IS DISTINCT FROM old.kind THEN
            _diff := _diff || jsonb_build_object('kind', jsonb_build_array(old.kind, new.kind));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.email IS DISTINCT FROM old.email THEN
            _diff := _diff || jsonb_build_object('email', jsonb_build_array(old.email, new.email));
        END IF;

        IF new.phone IS DISTINCT FROM old.phone THEN
            _diff := _diff || jsonb_build_object('phone', jsonb_build_array(old.phone, new.phone));
        END IF;

        IF new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN
            _diff := _diff || jsonb_build_object('date_of_birth', jsonb_build_array(old.date_of_birth, new.date_of_birth));
        END IF;

        IF new.country IS DISTINCT FROM old.country THEN
            _diff := _diff || jsonb_build_object('country', jsonb_build_array(old.country, new.country));
        END IF;

        IF new.share_pct IS DISTINCT FROM old.share_pct THEN
            _diff := _diff || jsonb_build_object('share_pct', jsonb_build_array(old.share_pct, new.share_pct));
        END IF;

        IF new.effective_from IS DISTINCT FROM old.effective_from THEN
            _diff := _diff || jsonb_build_object('effective_from', jsonb_build_array(old.effective_from, new.effective_from));
        END IF;

        IF new.effective_to IS DISTINCT FROM old.effective_to THEN
            _diff := _diff || jsonb_build_object('effective_to', jsonb_build_array(old.effective_to, new.effective_to));
        END IF;

        IF new.verified_at IS DISTINCT FROM old.verified_at THEN
            _diff := _diff || jsonb_build_object('verified_at', jsonb_build_array(old.verified_at, new.verified_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.client_relationships', new.id, new.client_id, NULL, NULL, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.client_relationships', made.id, made.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'related_client_id', CASE WHEN made.related_client_id IS NOT NULL THEN jsonb_build_array(NULL, made.related_client_id) END, 'account_id', CASE WHEN made.account_id IS NOT NULL THEN jsonb_build_array(NULL, made.account_id) END, 'kind', CASE WHEN made.kind IS NOT NULL THEN jsonb_build_array(NULL, made.kind) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'email', CASE WHEN made.email IS NOT NULL THEN jsonb_build_array(NULL, made.email) END, 'phone', CASE WHEN made.phone IS NOT NULL THEN jsonb_build_array(NULL, made.phone) END, 'date_of_birth', CASE WHEN made.date_of_birth IS NOT NULL THEN jsonb_build_array(NULL, made.date_of_birth) END, 'country', CASE WHEN made.country IS NOT NULL THEN jsonb_build_array(NULL, made.country) END, 'share_pct', CASE WHEN made.share_pct IS NOT NULL THEN jsonb_build_array(NULL, made.share_pct) END, 'effective_from', CASE WHEN made.effective_from IS NOT NULL THEN jsonb_build_array(NULL, made.effective_from) END, 'effective_to', CASE WHEN made.effective_to IS NOT NULL THEN jsonb_build_array(NULL, made.effective_to) END, 'verified_at', CASE WHEN made.verified_at IS NOT NULL THEN jsonb_build_array(NULL, made.verified_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.clients', old.id, old.id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'household_id', jsonb_build_array(old.household_id, NULL), 'user_id', jsonb_build_array(old.user_id, NULL), 'client_number', jsonb_build_array(old.client_number, NULL), 'type', jsonb_build_array(old.type, NULL), 'status', jsonb_build_array(old.status, NULL), 'is_household_head', jsonb_build_array(old.is_household_head, NULL), 'segment', jsonb_build_array(old.segment, NULL), 'service_tier', jsonb_build_array(old.service_tier, NULL), 'first_name', jsonb_build_array(old.first_name, NULL), 'last_name', jsonb_build_array(old.last_name, NULL), 'entity_name', jsonb_build_array(old.entity_name, NULL), 'preferred_name', jsonb_build_array(old.preferred_name, NULL), 'email', jsonb_build_array(old.email, NULL), 'phone', jsonb_build_array(old.phone, NULL), 'preferred_channel', jsonb_build_array(old.preferred_channel, NULL), 'date_of_birth', jsonb_build_array(old.date_of_birth, NULL), 'tax_id_last4', jsonb_build_array(old.tax_id_last4, NULL), 'nationality', jsonb_build_array(old.nationality, NULL), 'country_of_residence', jsonb_build_array(old.country_of_residence, NULL), 'address_line1', jsonb_build_array(old.address_line1, NULL), 'address_line2', jsonb_build_array(old.address_line2, NULL), 'city', jsonb_build_array(old.city, NULL), 'region', jsonb_build_array(old.region, NULL), 'postal_code', jsonb_build_array(old.postal_code, NULL), 'marital_status', jsonb_build_array(old.marital_status, NULL), 'dependents', jsonb_build_array(old.dependents, NULL), 'employment_status', jsonb_build_array(old.employment_status, NULL), 'employer', jsonb_build_array(old.employer, NULL), 'occupation', jsonb_build_array(old.occupation, NULL), 'retirement_year', jsonb_build_array(old.retirement_year, NULL), 'annual_income', jsonb_build_array(old.annual_income, NULL), 'net_worth', jsonb_build_array(old.net_worth, NULL), 'liquid_net_worth', jsonb_build_array(old.liquid_net_worth, NULL), 'held_away_assets', jsonb_build_array(old.held_away_assets, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'tax_rate_st', jsonb_build_array(old.tax_rate_st, NULL), 'tax_rate_lt', jsonb_build_array(old.tax_rate_lt, NULL), 'risk_profile', jsonb_build_array(old.risk_profile, NULL), 'risk_score', jsonb_build_array(old.risk_score, NULL)) || jsonb_build_object('risk_profile_source', jsonb_build_array(old.risk_profile_source, NULL), 'investment_objective', jsonb_build_array(old.investment_objective, NULL), 'investment_experience', jsonb_build_array(old.investment_experience, NULL), 'time_horizon_years', jsonb_build_array(old.time_horizon_years, NULL), 'liquidity_need', jsonb_build_array(old.liquidity_need, NULL), 'kyc_status', jsonb_build_array(old.kyc_status, NULL), 'kyc_risk_rating', jsonb_build_array(old.kyc_risk_rating, NULL), 'kyc_review_due_on', jsonb_build_array(old.kyc_review_due_on, NULL), 'is_pep', jsonb_build_array(old.is_pep, NULL), 'next_review_on', jsonb_build_array(old.next_review_on, NULL), 'last_contact_at', jsonb_build_array(old.last_contact_at, NULL), 'marketing_opt_in', jsonb_build_array(old.marketing_opt_in, NULL), 'do_not_contact', jsonb_build_array(old.do_not_contact, NULL), 'source', jsonb_build_array(old.source, NULL), 'onboarded_on', jsonb_build_array(old.onboarded_on, NULL), 'closed_on', jsonb_build_array(old.closed_on, NULL), 'deleted_at', jsonb_build_array(old.deleted_at, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.household_id IS DISTINCT FROM old.household_id THEN
            _diff := _diff || jsonb_build_object('household_id', jsonb_build_array(old.household_id, new.household_id));
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.client_number IS DISTINCT FROM old.client_number THEN
            _diff := _diff || jsonb_build_object('client_number', jsonb_build_array(old.client_number, new.client_number));
        END IF;

        IF new.type IS DISTINCT FROM old.type THEN
            _diff := _diff || jsonb_build_object('type', jsonb_build_array(old.type, new.type));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.is_household_head IS DISTINCT FROM old.is_household_head THEN
            _diff := _diff || jsonb_build_object('is_household_head', jsonb_build_array(old.is_household_head, new.is_household_head));
        END IF;

        IF new.segment IS DISTINCT FROM old.segment THEN
            _diff := _diff || jsonb_build_object('segment', jsonb_build_array(old.segment, new.segment));
        END IF;

        IF new.service_tier IS DISTINCT FROM old.service_tier THEN
            _diff := _diff || jsonb_build_object('service_tier', jsonb_build_array(old.service_tier, new.service_tier));
        END IF;

        IF new.first_name IS DISTINCT FROM old.first_name THEN
            _diff := _diff || jsonb_build_object('first_name', jsonb_build_array(old.first_name, new.first_name));
        END IF;

        IF new.last_name IS DISTINCT FROM old.last_name THEN
            _diff := _diff || jsonb_build_object('last_name', jsonb_build_array(old.last_name, new.last_name));
        END IF;

        IF new.entity_name IS DISTINCT FROM old.entity_name THEN
            _diff := _diff || jsonb_build_object('entity_name', jsonb_build_array(old.entity_name, new.entity_name));
        END IF;

        IF new.preferred_name IS DISTINCT FROM old.preferred_name THEN
            _diff := _diff || jsonb_build_object('preferred_name', jsonb_build_array(old.preferred_name, new.preferred_name));
        END IF;

        IF new.email IS DISTINCT FROM old.email THEN
            _diff := _diff || jsonb_build_object('email', jsonb_build_array(old.email, new.email));
        END IF;

        IF new.phone IS DISTINCT FROM old.phone THEN
            _diff := _diff || jsonb_build_object('phone', jsonb_build_array(old.phone, new.phone));
        END IF;

        IF new.preferred_channel IS DISTINCT FROM old.preferred_channel THEN
            _diff := _diff || jsonb_build_object('preferred_channel', jsonb_build_array(old.preferred_channel, new.preferred_channel));
        END IF;

        IF new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN
            _diff := _diff || jsonb_build_object('date_of_birth', jsonb_build_array(old.date_of_birth, new.date_of_birth));
        END IF;

        IF new.tax_id_last4 IS DISTINCT FROM old.tax_id_last4 THEN
            _diff := _diff || jsonb_build_object('tax_id_last4', jsonb_build_array(old.tax_id_last4, new.tax_id_last4));
        END IF;

        IF new.nationality IS DISTINCT FROM old.nationality THEN
            _diff := _diff || jsonb_build_object('nationality', jsonb_build_array(old.nationality, new.nationality));
        END IF;

        IF new.country_of_residence IS DISTINCT FROM old.country_of_residence THEN
            _diff := _diff || jsonb_build_object('country_of_residence', jsonb_build_array(old.country_of_residence, new.country_of_residence));
        END IF;

        IF new.address_line1 IS DISTINCT FROM old.address_line1 THEN
            _diff := _diff || jsonb_build_object('address_line1', jsonb_build_array(old.address_line1, new.address_line1));
        END IF;

        IF new.address_line2 IS DISTINCT FROM old.address_line2 THEN
            _diff := _diff || jsonb_build_object('address_line2', jsonb_build_array(old.address_line2, new.address_line2));
        END IF;

        IF new.city IS DISTINCT FROM old.city THEN
            _diff := _diff || jsonb_build_object('city', jsonb_build_array(old.city, new.city));
        END IF;

        IF new.region IS DISTINCT FROM old.region THEN
            _diff := _diff || jsonb_build_object('region', jsonb_build_array(old.region, new.region));
        END IF;

        IF new.postal_code IS DISTINCT FROM old.postal_code THEN
            _diff := _diff || jsonb_build_object('postal_code', jsonb_build_array(old.postal_code, new.postal_code));
        END IF;

        IF new.marital_status IS DISTINCT FROM old.marital_status THEN
            _diff := _diff || jsonb_build_object('marital_status', jsonb_build_array(old.marital_status, new.marital_status));
        END IF;

        IF new.dependents IS DISTINCT FROM old.dependents THEN
            _diff := _diff || jsonb_build_object('dependents', jsonb_build_array(old.dependents, new.dependents));
        END IF;

        IF new.employment_status IS DISTINCT FROM old.employment_status THEN
            _diff := _diff || jsonb_build_object('employment_status', jsonb_build_array(old.employment_status, new.employment_status));
        END IF;

        IF new.employer IS DISTINCT FROM old.employer THEN
            _diff := _diff || jsonb_build_object('employer', jsonb_build_array(old.employer, new.employer));
        END IF;

        IF new.occupation IS DISTINCT FROM old.occupation THEN
            _diff := _diff || jsonb_build_object('occupation', jsonb_build_array(old.occupation, new.occupation));
        END IF;

        IF new.retirement_year IS DISTINCT FROM old.retirement_year THEN
            _diff := _diff || jsonb_build_object('retirement_year', jsonb_build_array(old.retirement_year, new.retirement_year));
        END IF;

        IF new.annual_income IS DISTINCT FROM old.annual_income THEN
            _diff := _diff || jsonb_build_object('annual_income', jsonb_build_array(old.annual_income, new.annual_income));
        END IF;

        IF new.net_worth IS DISTINCT FROM old.net_worth THEN
            _diff := _diff || jsonb_build_object('net_worth', jsonb_build_array(old.net_worth, new.net_worth));
        END IF;

        IF new.liquid_net_worth IS DISTINCT FROM old.liquid_net_worth THEN
            _diff := _diff || jsonb_build_object('liquid_net_worth', jsonb_build_array(old.liquid_net_worth, new.liquid_net_worth));
        END IF;

        IF new.held_away_assets IS DISTINCT FROM old.held_away_assets THEN
            _diff := _diff || jsonb_build_object('held_away_assets', jsonb_build_array(old.held_away_assets, new.held_away_assets));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.tax_rate_st IS DISTINCT FROM old.tax_rate_st THEN
            _diff := _diff || jsonb_build_object('tax_rate_st', jsonb_build_array(old.tax_rate_st, new.tax_rate_st));
        END IF;

        IF new.tax_rate_lt IS DISTINCT FROM old.tax_rate_lt THEN
            _diff := _diff || jsonb_build_object('tax_rate_lt', jsonb_build_array(old.tax_rate_lt, new.tax_rate_lt));
        END IF;

        IF new.risk_profile IS DISTINCT FROM old.risk_profile THEN
            _diff := _diff || jsonb_build_object('risk_profile', jsonb_build_array(old.risk_profile, new.risk_profile));
        END IF;

        IF new.risk_score IS DISTINCT FROM old.risk_score THEN
            _diff := _diff || jsonb_build_object('risk_score', jsonb_build_array(old.risk_score, new.risk_score));
        END IF;

        IF new.risk_profile_source IS DISTINCT FROM old.risk_profile_source THEN
            _diff := _diff || jsonb_build_object('risk_profile_source', jsonb_build_array(old.risk_profile_source, new.risk_profile_source));
        END IF;

        IF new.investment_objective IS DISTINCT FROM old.investment_objective THEN
            _diff := _diff || jsonb_build_object('investment_objective', jsonb_build_array(old.investment_objective, new.investment_objective));
        END IF;

        IF new.investment_experience IS DISTINCT FROM old.investment_experience THEN
            _diff := _diff || jsonb_build_object('investment_experience', jsonb_build_array(old.investment_experience, new.investment_experience));
        END IF;

        IF new.time_horizon_years IS DISTINCT FROM old.time_horizon_years THEN
            _diff := _diff || jsonb_build_object('time_horizon_years', jsonb_build_array(old.time_horizon_years, new.time_horizon_years));
        END IF;

        IF new.liquidity_need IS DISTINCT FROM old.liquidity_need THEN
            _diff := _diff || jsonb_build_object('liquidity_need', jsonb_build_array(old.liquidity_need, new.liquidity_need));
        END IF;

        IF new.kyc_status IS DISTINCT FROM old.kyc_status THEN
            _diff := _diff || jsonb_build_object('kyc_status', jsonb_build_array(old.kyc_status, new.kyc_status));
        END IF;

        IF new.kyc_risk_rating IS DISTINCT FROM old.kyc_risk_rating THEN
            _diff := _diff || jsonb_build_object('kyc_risk_rating', jsonb_build_array(old.kyc_risk_rating, new.kyc_risk_rating));
        END IF;

        IF new.kyc_review_due_on IS DISTINCT FROM old.kyc_review_due_on THEN
            _diff := _diff || jsonb_build_object('kyc_review_due_on', jsonb_build_array(old.kyc_review_due_on, new.kyc_review_due_on));
        END IF;

        IF new.is_pep IS DISTINCT FROM old.is_pep THEN
            _diff := _diff || jsonb_build_object('is_pep', jsonb_build_array(old.is_pep, new.is_pep));
        END IF;

        IF new.next_review_on IS DISTINCT FROM old.next_review_on THEN
            _diff := _diff || jsonb_build_object('next_review_on', jsonb_build_array(old.next_review_on, new.next_review_on));
        END IF;

        IF new.last_contact_at IS DISTINCT FROM old.last_contact_at THEN
            _diff := _diff || jsonb_build_object('last_contact_at', jsonb_build_array(old.last_contact_at, new.last_contact_at));
        END IF;

        IF new.marketing_opt_in IS DISTINCT FROM old.marketing_opt_in THEN
            _diff := _diff || jsonb_build_object('marketing_opt_in', jsonb_build_array(old.marketing_opt_in, new.marketing_opt_in));
        END IF;

        IF new.do_not_contact IS DISTINCT FROM old.do_not_contact THEN
            _diff := _diff || jsonb_build_object('do_not_contact', jsonb_build_array(old.do_not_contact, new.do_not_contact));
        END IF;

        IF new.source IS DISTINCT FROM old.source THEN
            _diff := _diff || jsonb_build_object('source', jsonb_build_array(old.source, new.source));
        END IF;

        IF new.onboarded_on IS DISTINCT FROM old.onboarded_on THEN
            _diff := _diff || jsonb_build_object('onboarded_on', jsonb_build_array(old.onboarded_on, new.onboarded_on));
        END IF;

        IF new.closed_on IS DISTINCT FROM old.closed_on THEN
            _diff := _diff || jsonb_build_object('closed_on', jsonb_build_array(old.closed_on, new.closed_on));
        END IF;

        IF new.deleted_at IS DISTINCT FROM old.deleted_at THEN
            _diff := _diff || jsonb_build_object('deleted_at', jsonb_build_array(old.deleted_at, new.deleted_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.clients', new.id, new.id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.clients', made.id, made.id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'household_id', CASE WHEN made.household_id IS NOT NULL THEN jsonb_build_array(NULL, made.household_id) END, 'user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'client_number', CASE WHEN made.client_number IS NOT NULL THEN jsonb_build_array(NULL, made.client_number) END, 'type', CASE WHEN made.type IS NOT NULL THEN jsonb_build_array(NULL, made.type) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'is_household_head', CASE WHEN made.is_household_head IS NOT NULL THEN jsonb_build_array(NULL, made.is_household_head) END, 'segment', CASE WHEN made.segment IS NOT NULL THEN jsonb_build_array(NULL, made.segment) END, 'service_tier', CASE WHEN made.service_tier IS NOT NULL THEN jsonb_build_array(NULL, made.service_tier) END, 'first_name', CASE WHEN made.first_name IS NOT NULL THEN jsonb_build_array(NULL, made.first_name) END, 'last_name', CASE WHEN made.last_name IS NOT NULL THEN jsonb_build_array(NULL, made.last_name) END, 'entity_name', CASE WHEN made.entity_name IS NOT NULL THEN jsonb_build_array(NULL, made.entity_name) END, 'preferred_name', CASE WHEN made.preferred_name IS NOT NULL THEN jsonb_build_array(NULL, made.preferred_name) END, 'email', CASE WHEN made.email IS NOT NULL THEN jsonb_build_array(NULL, made.email) END, 'phone', CASE WHEN made.phone IS NOT NULL THEN jsonb_build_array(NULL, made.phone) END, 'preferred_channel', CASE WHEN made.preferred_channel IS NOT NULL THEN jsonb_build_array(NULL, made.preferred_channel) END, 'date_of_birth', CASE WHEN made.date_of_birth IS NOT NULL THEN jsonb_build_array(NULL, made.date_of_birth) END, 'tax_id_last4', CASE WHEN made.tax_id_last4 IS NOT NULL THEN jsonb_build_array(NULL, made.tax_id_last4) END, 'nationality', CASE WHEN made.nationality IS NOT NULL THEN jsonb_build_array(NULL, made.nationality) END, 'country_of_residence', CASE WHEN made.country_of_residence IS NOT NULL THEN jsonb_build_array(NULL, made.country_of_residence) END, 'address_line1', CASE WHEN made.address_line1 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line1) END, 'address_line2', CASE WHEN made.address_line2 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line2) END, 'city', CASE WHEN made.city IS NOT NULL THEN jsonb_build_array(NULL, made.city) END, 'region', CASE WHEN made.region IS NOT NULL THEN jsonb_build_array(NULL, made.region) END, 'postal_code', CASE WHEN made.postal_code IS NOT NULL THEN jsonb_build_array(NULL, made.postal_code) END, 'marital_status', CASE WHEN made.marital_status IS NOT NULL THEN jsonb_build_array(NULL, made.marital_status) END, 'dependents', CASE WHEN made.dependents IS NOT NULL THEN jsonb_build_array(NULL, made.dependents) END, 'employment_status', CASE WHEN made.employment_status IS NOT NULL THEN jsonb_build_array(NULL, made.employment_status) END, 'employer', CASE WHEN made.employer IS NOT NULL THEN jsonb_build_array(NULL, made.employer) END, 'occupation', CASE WHEN made.occupation IS NOT NULL THEN jsonb_build_array(NULL, made.occupation) END, 'retirement_year', CASE WHEN made.retirement_year IS NOT NULL THEN jsonb_build_array(NULL, made.retirement_year) END, 'annual_income', CASE WHEN made.annual_income IS NOT NULL THEN jsonb_build_array(NULL, made.annual_income) END, 'net_worth', CASE WHEN made.net_worth IS NOT NULL THEN jsonb_build_array(NULL, made.net_worth) END, 'liquid_net_worth', CASE WHEN made.liquid_net_worth IS NOT NULL THEN jsonb_build_array(NULL, made.liquid_net_worth) END, 'held_away_assets', CASE WHEN made.held_away_assets IS NOT NULL THEN jsonb_build_array(NULL, made.held_away_assets) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'tax_rate_st', CASE WHEN made.tax_rate_st IS NOT NULL THEN jsonb_build_array(NULL, made.tax_rate_st) END, 'tax_rate_lt', CASE WHEN made.tax_rate_lt IS NOT NULL THEN jsonb_build_array(NULL, made.tax_rate_lt) END, 'risk_profile', CASE WHEN made.risk_profile IS NOT NULL THEN jsonb_build_array(NULL, made.risk_profile) END, 'risk_score', CASE WHEN made.risk_score IS NOT NULL THEN jsonb_build_array(NULL, made.risk_score) END) || jsonb_build_object('risk_profile_source', CASE WHEN made.risk_profile_source IS NOT NULL THEN jsonb_build_array(NULL, made.risk_profile_source) END, 'investment_objective', CASE WHEN made.investment_objective IS NOT NULL THEN jsonb_build_array(NULL, made.investment_objective) END, 'investment_experience', CASE WHEN made.investment_experience IS NOT NULL THEN jsonb_build_array(NULL, made.investment_experience) END, 'time_horizon_years', CASE WHEN made.time_horizon_years IS NOT NULL THEN jsonb_build_array(NULL, made.time_horizon_years) END, 'liquidity_need', CASE WHEN made.liquidity_need IS NOT NULL THEN jsonb_build_array(NULL, made.liquidity_need) END, 'kyc_status', CASE WHEN made.kyc_status IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_status) END, 'kyc_risk_rating', CASE WHEN made.kyc_risk_rating IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_risk_rating) END, 'kyc_review_due_on', CASE WHEN made.kyc_review_due_on IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_review_due_on) END, 'is_pep', CASE WHEN made.is_pep IS NOT NULL THEN jsonb_build_array(NULL, made.is_pep) END, 'next_review_on', CASE WHEN made.next_review_on IS NOT NULL THEN jsonb_build_array(NULL, made.next_review_on) END, 'last_contact_at', CASE WHEN made.last_contact_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_contact_at) END, 'marketing_opt_in', CASE WHEN made.marketing_opt_in IS NOT NULL THEN jsonb_build_array(NULL, made.marketing_opt_in) END, 'do_not_contact', CASE WHEN made.do_not_contact IS NOT NULL THEN jsonb_build_array(NULL, made.do_not_contact) END, 'source', CASE WHEN made.source IS NOT NULL THEN jsonb_build_array(NULL, made.source) END, 'onboarded_on', CASE WHEN made.onboarded_on IS NOT NULL THEN jsonb_build_array(NULL, made.onboarded_on) END, 'closed_on', CASE WHEN made.closed_on IS NOT NULL THEN jsonb_build_array(NULL, made.closed_on) END, 'deleted_at', CASE WHEN made.deleted_at IS NOT NULL THEN jsonb_build_array(NULL, made.deleted_at) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.growth_scans', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'background_task_id', jsonb_build_array(old.background_task_id, NULL), 'scope', jsonb_build_array(old.scope, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'rules', jsonb_build_array(old.rules, NULL), 'ruleset_version', jsonb_build_array(old.ruleset_version, NULL), 'as_of', jsonb_build_array(old.as_of, NULL), 'status', jsonb_build_array(old.status, NULL), 'clients_scanned', jsonb_build_array(old.clients_scanned, NULL), 'opportunities_new', jsonb_build_array(old.opportunities_new, NULL), 'opportunities_updated', jsonb_build_array(old.opportunities_updated, NULL), 'opportunities_resolved', jsonb_build_array(old.opportunities_resolved, NULL), 'total_estimated_value', jsonb_build_array(old.total_estimated_value, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'summary', jsonb_build_array(old.summary, NULL), 'requested_by', jsonb_build_array(old.requested_by, NULL), 'started_at', jsonb_build_array(old.started_at, NULL), 'finished_at', jsonb_build_array(old.finished_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.background_task_id IS DISTINCT FROM old.background_task_id THEN
            _diff := _diff || jsonb_build_object('background_task_id', jsonb_build_array(old.background_task_id, new.background_task_id));
        END IF;

        IF new.scope IS DISTINCT FROM old.scope THEN
            _diff := _diff || jsonb_build_object('scope', jsonb_build_array(old.scope, new.scope));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.rules IS DISTINCT FROM old.rules THEN
            _diff := _diff || jsonb_build_object('rules', jsonb_build_array(old.rules, new.rules));
        END IF;

        IF new.ruleset_version IS DISTINCT FROM old.ruleset_version THEN
            _diff := _diff || jsonb_build_object('ruleset_version', jsonb_build_array(old.ruleset_version, new.ruleset_version));
        END IF;

        IF new.as_of IS DISTINCT FROM old.as_of THEN
            _diff := _diff || jsonb_build_object('as_of', jsonb_build_array(old.as_of, new.as_of));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.clients_scanned IS DISTINCT FROM old.clients_scanned THEN
            _diff := _diff || jsonb_build_object('clients_scanned', jsonb_build_array(old.clients_scanned, new.clients_scanned));
        END IF;

        IF new.opportunities_new IS DISTINCT FROM old.opportunities_new THEN
            _diff := _diff || jsonb_build_object('opportunities_new', jsonb_build_array(old.opportunities_new, new.opportunities_new));
        END IF;

        IF new.opportunities_updated IS DISTINCT FROM old.opportunities_updated THEN
            _diff := _diff || jsonb_build_object('opportunities_updated', jsonb_build_array(old.opportunities_updated, new.opportunities_updated));
        END IF;

        IF new.opportunities_resolved IS DISTINCT FROM old.opportunities_resolved THEN
            _diff := _diff || jsonb_build_object('opportunities_resolved', jsonb_build_array(old.opportunities_resolved, new.opportunities_resolved));
        END IF;

        IF new.total_estimated_value IS DISTINCT FROM old.total_estimated_value THEN
            _diff := _diff || jsonb_build_object('total_estimated_value', jsonb_build_array(old.total_estimated_value, new.total_estimated_value));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.summary IS DISTINCT FROM old.summary THEN
            _diff := _diff || jsonb_build_object('summary', jsonb_build_array(old.summary, new.summary));
        END IF;

        IF new.requested_by IS DISTINCT FROM old.requested_by THEN
            _diff := _diff || jsonb_build_object('requested_by', jsonb_build_array(old.requested_by, new.requested_by));
        END IF;

        IF new.started_at IS DISTINCT FROM old.started_at THEN
            _diff := _diff || jsonb_build_object('started_at', jsonb_build_array(old.started_at, new.started_at));
        END IF;

        IF new.finished_at IS DISTINCT FROM old.finished_at THEN
            _diff := _diff || jsonb_build_object('finished_at', jsonb_build_array(old.finished_at, new.finished_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.growth_scans', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id), 'client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.growth_scans', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'background_task_id', CASE WHEN made.background_task_id IS NOT NULL THEN jsonb_build_array(NULL, made.background_task_id) END, 'scope', CASE WHEN made.scope IS NOT NULL THEN jsonb_build_array(NULL, made.scope) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'rules', CASE WHEN made.rules IS NOT NULL THEN jsonb_build_array(NULL, made.rules) END, 'ruleset_version', CASE WHEN made.ruleset_version IS NOT NULL THEN jsonb_build_array(NULL, made.ruleset_version) END, 'as_of', CASE WHEN made.as_of IS NOT NULL THEN jsonb_build_array(NULL, made.as_of) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'clients_scanned', CASE WHEN made.clients_scanned IS NOT NULL THEN jsonb_build_array(NULL, made.clients_scanned) END, 'opportunities_new', CASE WHEN made.opportunities_new IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_new) END, 'opportunities_updated', CASE WHEN made.opportunities_updated IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_updated) END, 'opportunities_resolved', CASE WHEN made.opportunities_resolved IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_resolved) END, 'total_estimated_value', CASE WHEN made.total_estimated_value IS NOT NULL THEN jsonb_build_array(NULL, made.total_estimated_value) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'summary', CASE WHEN made.summary IS NOT NULL THEN jsonb_build_array(NULL, made.summary) END, 'requested_by', CASE WHEN made.requested_by IS NOT NULL THEN jsonb_build_array(NULL, made.requested_by) END, 'started_at', CASE WHEN made.started_at IS NOT NULL THEN jsonb_build_array(NULL, made.started_at) END, 'finished_at', CASE WHEN made.finished_at IS NOT NULL THEN jsonb_build_array(NULL, made.finished_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.households', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('name', jsonb_build_array(old.name, NULL), 'advisor_id', jsonb_build_array(old.advisor_id, NULL), 'service_tier', jsonb_build_array(old.service_tier, NULL), 'aggregate_billing', jsonb_build_array(old.aggregate_billing, NULL), 'status', jsonb_build_array(old.status, NULL), 'notes', jsonb_build_array(old.notes, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.service_tier IS DISTINCT FROM old.service_tier THEN
            _diff := _diff || jsonb_build_object('service_tier', jsonb_build_array(old.service_tier, new.service_tier));
        END IF;

        IF new.aggregate_billing IS DISTINCT FROM old.aggregate_billing THEN
            _diff := _diff || jsonb_build_object('aggregate_billing', jsonb_build_array(old.aggregate_billing, new.aggregate_billing));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.notes IS DISTINCT FROM old.notes THEN
            _diff := _diff || jsonb_build_object('notes', jsonb_build_array(old.notes, new.notes));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.households', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.households', made.id, NULL, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'service_tier', CASE WHEN made.service_tier IS NOT NULL THEN jsonb_build_array(NULL, made.service_tier) END, 'aggregate_billing', CASE WHEN made.aggregate_billing IS NOT NULL THEN jsonb_build_array(NULL, made.aggregate_billing) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'notes', CASE WHEN made.notes IS NOT NULL THEN jsonb_build_array(NULL, made.notes) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.notes', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', jsonb_build_array(old.client_id, NULL), 'lead_id', jsonb_build_array(old.lead_id, NULL), 'meeting_id', jsonb_build_array(old.meeting_id, NULL), 'author_id', jsonb_build_array(old.author_id, NULL), 'category', jsonb_build_array(old.category, NULL), 'body', jsonb_build_array(old.body, NULL), 'visibility', jsonb_build_array(old.visibility, NULL), 'is_pinned', jsonb_build_array(old.is_pinned, NULL), 'deleted_at', jsonb_build_array(old.deleted_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.lead_id IS DISTINCT FROM old.lead_id THEN
            _diff := _diff || jsonb_build_object('lead_id', jsonb_build_array(old.lead_id, new.lead_id));
        END IF;

        IF new.meeting_id IS DISTINCT FROM old.meeting_id THEN
            _diff := _diff || jsonb_build_object('meeting_id', jsonb_build_array(old.meeting_id, new.meeting_id));
        END IF;

        IF new.author_id IS DISTINCT FROM old.author_id THEN
            _diff := _diff || jsonb_build_object('author_id', jsonb_build_array(old.author_id, new.author_id));
        END IF;

        IF new.category IS DISTINCT FROM old.category THEN
            _diff := _diff || jsonb_build_object('category', jsonb_build_array(old.category, new.category));
        END IF;

        IF new.body IS DISTINCT FROM old.body THEN
            _diff := _diff || jsonb_build_object('body', jsonb_build_array(old.body, new.body));
        END IF;

        IF new.visibility IS DISTINCT FROM old.visibility THEN
            _diff := _diff || jsonb_build_object('visibility', jsonb_build_array(old.visibility, new.visibility));
        END IF;

        IF new.is_pinned IS DISTINCT FROM old.is_pinned THEN
            _diff := _diff || jsonb_build_object('is_pinned', jsonb_build_array(old.is_pinned, new.is_pinned));
        END IF;

        IF new.deleted_at IS DISTINCT FROM old.deleted_at THEN
            _diff := _diff || jsonb_build_object('deleted_at', jsonb_build_array(old.deleted_at, new.deleted_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.notes', new.id, new.client_id, NULL, NULL, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.notes', made.id, made.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'lead_id', CASE WHEN made.lead_id IS NOT NULL THEN jsonb_build_array(NULL, made.lead_id) END, 'meeting_id', CASE WHEN made.meeting_id IS NOT NULL THEN jsonb_build_array(NULL, made.meeting_id) END, 'author_id', CASE WHEN made.author_id IS NOT NULL THEN jsonb_build_array(NULL, made.author_id) END, 'category', CASE WHEN made.category IS NOT NULL THEN jsonb_build_array(NULL, made.category) END, 'body', CASE WHEN made.body IS NOT NULL THEN jsonb_build_array(NULL, made.body) END, 'visibility', CASE WHEN made.visibility IS NOT NULL THEN jsonb_build_array(NULL, made.visibility) END, 'is_pinned', CASE WHEN made.is_pinned IS NOT NULL THEN jsonb_build_array(NULL, made.is_pinned) END, 'deleted_at', CASE WHEN made.deleted_at IS NOT NULL THEN jsonb_build_array(NULL, made.deleted_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.opportunities', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'lead_id', jsonb_build_array(old.lead_id, NULL), 'growth_scan_id', jsonb_build_array(old.growth_scan_id, NULL), 'rule_code', jsonb_build_array(old.rule_code, NULL), 'category', jsonb_build_array(old.category, NULL), 'title', jsonb_build_array(old.title, NULL), 'narrative', jsonb_build_array(old.narrative, NULL), 'evidence', jsonb_build_array(old.evidence, NULL), 'score', jsonb_build_array(old.score, NULL), 'estimated_value', jsonb_build_array(old.estimated_value, NULL), 'estimated_revenue', jsonb_build_array(old.estimated_revenue, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'status', jsonb_build_array(old.status, NULL), 'fingerprint', jsonb_build_array(old.fingerprint, NULL), 'first_seen_at', jsonb_build_array(old.first_seen_at, NULL), 'last_seen_at', jsonb_build_array(old.last_seen_at, NULL), 'due_on', jsonb_build_array(old.due_on, NULL), 'snoozed_until', jsonb_build_array(old.snoozed_until, NULL), 'dismissed_reason', jsonb_build_array(old.dismissed_reason, NULL), 'assigned_to', jsonb_build_array(old.assigned_to, NULL), 'closed_at', jsonb_build_array(old.closed_at, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.lead_id IS DISTINCT FROM old.lead_id THEN
            _diff := _diff || jsonb_build_object('lead_id', jsonb_build_array(old.lead_id, new.lead_id));
        END IF;

        IF new.growth_scan_id IS DISTINCT FROM old.growth_scan_id THEN
            _diff := _diff || jsonb_build_object('growth_scan_id', jsonb_build_array(old.growth_scan_id, new.growth_scan_id));
        END IF;

        IF new.rule_code IS DISTINCT FROM old.rule_code THEN
            _diff := _diff || jsonb_build_object('rule_code', jsonb_build_array(old.rule_code, new.rule_code));
        END IF;

        IF new.category IS DISTINCT FROM old.category THEN
            _diff := _diff || jsonb_build_object('category', jsonb_build_array(old.category, new.category));
        END IF;

        IF new.title IS DISTINCT FROM old.title THEN
            _diff := _diff || jsonb_build_object('title', jsonb_build_array(old.title, new.title));
        END IF;

        IF new.narrative IS DISTINCT FROM old.narrative THEN
            _diff := _diff || jsonb_build_object('narrative', jsonb_build_array(old.narrative, new.narrative));
        END IF;

        IF new.evidence IS DISTINCT FROM old.evidence THEN
            _diff := _diff || jsonb_build_object('evidence', jsonb_build_array(old.evidence, new.evidence));
        END IF;

        IF new.score IS DISTINCT FROM old.score THEN
            _diff := _diff || jsonb_build_object('score', jsonb_build_array(old.score, new.score));
        END IF;

        IF new.estimated_value IS DISTINCT FROM old.estimated_value THEN
            _diff := _diff || jsonb_build_object('estimated_value', jsonb_build_array(old.estimated_value, new.estimated_value));
        END IF;

        IF new.estimated_revenue IS DISTINCT FROM old.estimated_revenue THEN
            _diff := _diff || jsonb_build_object('estimated_revenue', jsonb_build_array(old.estimated_revenue, new.estimated_revenue));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.fingerprint IS DISTINCT FROM old.fingerprint THEN
            _diff := _diff || jsonb_build_object('fingerprint', jsonb_build_array(old.fingerprint, new.fingerprint));
        END IF;

        IF new.first_seen_at IS DISTINCT FROM old.first_seen_at THEN
            _diff := _diff || jsonb_build_object('first_seen_at', jsonb_build_array(old.first_seen_at, new.first_seen_at));
        END IF;

        IF new.last_seen_at IS DISTINCT FROM old.last_seen_at THEN
            _diff := _diff || jsonb_build_object('last_seen_at', jsonb_build_array(old.last_seen_at, new.last_seen_at));
        END IF;

        IF new.due_on IS DISTINCT FROM old.due_on THEN
            _diff := _diff || jsonb_build_object('due_on', jsonb_build_array(old.due_on, new.due_on));
        END IF;

        IF new.snoozed_until IS DISTINCT FROM old.snoozed_until THEN
            _diff := _diff || jsonb_build_object('snoozed_until', jsonb_build_array(old.snoozed_until, new.snoozed_until));
        END IF;

        IF new.dismissed_reason IS DISTINCT FROM old.dismissed_reason THEN
            _diff := _diff || jsonb_build_object('dismissed_reason', jsonb_build_array(old.dismissed_reason, new.dismissed_reason));
        END IF;

        IF new.assigned_to IS DISTINCT FROM old.assigned_to THEN
            _diff := _diff || jsonb_build_object('assigned_to', jsonb_build_array(old.assigned_to, new.assigned_to));
        END IF;

        IF new.closed_at IS DISTINCT FROM old.closed_at THEN
            _diff := _diff || jsonb_build_object('closed_at', jsonb_build_array(old.closed_at, new.closed_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.opportunities', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id), 'client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.opportunities', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'lead_id', CASE WHEN made.lead_id IS NOT NULL THEN jsonb_build_array(NULL, made.lead_id) END, 'growth_scan_id', CASE WHEN made.growth_scan_id IS NOT NULL THEN jsonb_build_array(NULL, made.growth_scan_id) END, 'rule_code', CASE WHEN made.rule_code IS NOT NULL THEN jsonb_build_array(NULL, made.rule_code) END, 'category', CASE WHEN made.category IS NOT NULL THEN jsonb_build_array(NULL, made.category) END, 'title', CASE WHEN made.title IS NOT NULL THEN jsonb_build_array(NULL, made.title) END, 'narrative', CASE WHEN made.narrative IS NOT NULL THEN jsonb_build_array(NULL, made.narrative) END, 'evidence', CASE WHEN made.evidence IS NOT NULL THEN jsonb_build_array(NULL, made.evidence) END, 'score', CASE WHEN made.score IS NOT NULL THEN jsonb_build_array(NULL, made.score) END, 'estimated_value', CASE WHEN made.estimated_value IS NOT NULL THEN jsonb_build_array(NULL, made.estimated_value) END, 'estimated_revenue', CASE WHEN made.estimated_revenue IS NOT NULL THEN jsonb_build_array(NULL, made.estimated_revenue) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'fingerprint', CASE WHEN made.fingerprint IS NOT NULL THEN jsonb_build_array(NULL, made.fingerprint) END, 'first_seen_at', CASE WHEN made.first_seen_at IS NOT NULL THEN jsonb_build_array(NULL, made.first_seen_at) END, 'last_seen_at', CASE WHEN made.last_seen_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_seen_at) END, 'due_on', CASE WHEN made.due_on IS NOT NULL THEN jsonb_build_array(NULL, made.due_on) END, 'snoozed_until', CASE WHEN made.snoozed_until IS NOT NULL THEN jsonb_build_array(NULL, made.snoozed_until) END, 'dismissed_reason', CASE WHEN made.dismissed_reason IS NOT NULL THEN jsonb_build_array(NULL, made.dismissed_reason) END, 'assigned_to', CASE WHEN made.assigned_to IS NOT NULL THEN jsonb_build_array(NULL, made.assigned_to) END, 'closed_at', CASE WHEN made.closed_at IS NOT NULL THEN jsonb_build_array(NULL, made.closed_at) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.orders', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('order_number', jsonb_build_array(old.order_number, NULL), 'client_order_id', jsonb_build_array(old.client_order_id, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'portfolio_id', jsonb_build_array(old.portfolio_id, NULL), 'account_id', jsonb_build_array(old.account_id, NULL), 'advisor_id', jsonb_build_array(old.advisor_id, NULL), 'security_id', jsonb_build_array(old.security_id, NULL), 'symbol', jsonb_build_array(old.symbol, NULL), 'side', jsonb_build_array(old.side, NULL), 'order_type', jsonb_build_array(old.order_type, NULL), 'time_in_force', jsonb_build_array(old.time_in_force, NULL), 'expire_on', jsonb_build_array(old.expire_on, NULL), 'quantity', jsonb_build_array(old.quantity, NULL), 'notional', jsonb_build_array(old.notional, NULL), 'limit_price', jsonb_build_array(old.limit_price, NULL), 'stop_price', jsonb_build_array(old.stop_price, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'status', jsonb_build_array(old.status, NULL), 'prior_status', jsonb_build_array(old.prior_status, NULL), 'filled_quantity', jsonb_build_array(old.filled_quantity, NULL), 'avg_fill_price', jsonb_build_array(old.avg_fill_price, NULL), 'reserved_cash', jsonb_build_array(old.reserved_cash, NULL), 'commission', jsonb_build_array(old.commission, NULL), 'basis', jsonb_build_array(old.basis, NULL), 'capacity', jsonb_build_array(old.capacity, NULL), 'lot_method', jsonb_build_array(old.lot_method, NULL), 'lot_ids', jsonb_build_array(old.lot_ids, NULL), 'check_outcome', jsonb_build_array(old.check_outcome, NULL), 'is_block', jsonb_build_array(old.is_block, NULL), 'parent_order_id', jsonb_build_array(old.parent_order_id, NULL), 'replaces_id', jsonb_build_array(old.replaces_id, NULL), 'recommendation_id', jsonb_build_array(old.recommendation_id, NULL), 'rebalance_run_id', jsonb_build_array(old.rebalance_run_id, NULL), 'broker_order_id', jsonb_build_array(old.broker_order_id, NULL), 'reject_reason', jsonb_build_array(old.reject_reason, NULL), 'cancel_reason', jsonb_build_array(old.cancel_reason, NULL), 'placed_by', jsonb_build_array(old.placed_by, NULL), 'approved_by', jsonb_build_array(old.approved_by, NULL), 'submitted_at', jsonb_build_array(old.submitted_at, NULL), 'acknowledged_at', jsonb_build_array(old.acknowledged_at, NULL)) || jsonb_build_object('filled_at', jsonb_build_array(old.filled_at, NULL), 'closed_at', jsonb_build_array(old.closed_at, NULL), 'notes', jsonb_build_array(old.notes, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.order_number IS DISTINCT FROM old.order_number THEN
            _diff := _diff || jsonb_build_object('order_number', jsonb_build_array(old.order_number, new.order_number));
        END IF;

        IF new.client_order_id IS DISTINCT FROM old.client_order_id THEN
            _diff := _diff || jsonb_build_object('client_order_id', jsonb_build_array(old.client_order_id, new.client_order_id));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.portfolio_id IS DISTINCT FROM old.portfolio_id THEN
            _diff := _diff || jsonb_build_object('portfolio_id', jsonb_build_array(old.portfolio_id, new.portfolio_id));
        END IF;

        IF new.account_id IS DISTINCT FROM old.account_id THEN
            _diff := _diff || jsonb_build_object('account_id', jsonb_build_array(old.account_id, new.account_id));
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.security_id IS DISTINCT FROM old.security_id THEN
            _diff := _diff || jsonb_build_object('security_id', jsonb_build_array(old.security_id, new.security_id));
        END IF;

        IF new.symbol IS DISTINCT FROM old.symbol THEN
            _diff := _diff || jsonb_build_object('symbol', jsonb_build_array(old.symbol, new.symbol));
        END IF;

        IF new.side IS DISTINCT FROM old.side THEN
            _diff := _diff || jsonb_build_object('side', jsonb_build_array(old.side, new.side));
        END IF;

        IF new.order_type IS DISTINCT FROM old.order_type THEN
            _diff := _diff || jsonb_build_object('order_type', jsonb_build_array(old.order_type, new.order_type));
        END IF;

        IF new.time_in_force IS DISTINCT FROM old.time_in_force THEN
            _diff := _diff || jsonb_build_object('time_in_force', jsonb_build_array(old.time_in_force, new.time_in_force));
        END IF;

        IF new.expire_on IS DISTINCT FROM old.expire_on THEN
            _diff := _diff || jsonb_build_object('expire_on', jsonb_build_array(old.expire_on, new.expire_on));
        END IF;

        IF new.quantity IS DISTINCT FROM old.quantity THEN
            _diff := _diff || jsonb_build_object('quantity', jsonb_build_array(old.quantity, new.quantity));
        END IF;

        IF new.notional IS DISTINCT FROM old.notional THEN
            _diff := _diff || jsonb_build_object('notional', jsonb_build_array(old.notional, new.notional));
        END IF;

        IF new.limit_price IS DISTINCT FROM old.limit_price THEN
            _diff := _diff || jsonb_build_object('limit_price', jsonb_build_array(old.limit_price, new.limit_price));
        END IF;

        IF new.stop_price IS DISTINCT FROM old.stop_price THEN
            _diff := _diff || jsonb_build_object('stop_price', jsonb_build_array(old.stop_price, new.stop_price));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.prior_status IS DISTINCT FROM old.prior_status THEN
            _diff := _diff || jsonb_build_object('prior_status', jsonb_build_array(old.prior_status, new.prior_status));
        END IF;

        IF new.filled_quantity IS DISTINCT FROM old.filled_quantity THEN
            _diff := _diff || jsonb_build_object('filled_quantity', jsonb_build_array(old.filled_quantity, new.filled_quantity));
        END IF;

        IF new.avg_fill_price IS DISTINCT FROM old.avg_fill_price THEN
            _diff := _diff || jsonb_build_object('avg_fill_price', jsonb_build_array(old.avg_fill_price, new.avg_fill_price));
        END IF;

        IF new.reserved_cash IS DISTINCT FROM old.reserved_cash THEN
            _diff := _diff || jsonb_build_object('reserved_cash', jsonb_build_array(old.reserved_cash, new.reserved_cash));
        END IF;

        IF new.commission IS DISTINCT FROM old.commission THEN
            _diff := _diff || jsonb_build_object('commission', jsonb_build_array(old.commission, new.commission));
        END IF;

        IF new.basis IS DISTINCT FROM old.basis THEN
            _diff := _diff || jsonb_build_object('basis', jsonb_build_array(old.basis, new.basis));
        END IF;

        IF new.capacity IS DISTINCT FROM old.capacity THEN
            _diff := _diff || jsonb_build_object('capacity', jsonb_build_array(old.capacity, new.capacity));
        END IF;

        IF new.lot_method IS DISTINCT FROM old.lot_method THEN
            _diff := _diff || jsonb_build_object('lot_method', jsonb_build_array(old.lot_method, new.lot_method));
        END IF;

        IF new.lot_ids IS DISTINCT FROM old.lot_ids THEN
            _diff := _diff || jsonb_build_object('lot_ids', jsonb_build_array(old.lot_ids, new.lot_ids));
        END IF;

        IF new.check_outcome IS DISTINCT FROM old.check_outcome THEN
            _diff := _diff || jsonb_build_object('check_outcome', jsonb_build_array(old.check_outcome, new.check_outcome));
        END IF;

        IF new.is_block IS DISTINCT FROM old.is_block THEN
            _diff := _diff || jsonb_build_object('is_block', jsonb_build_array(old.is_block, new.is_block));
        END IF;

        IF new.parent_order_id IS DISTINCT FROM old.parent_order_id THEN
            _diff := _diff || jsonb_build_object('parent_order_id', jsonb_build_array(old.parent_order_id, new.parent_order_id));
        END IF;

        IF new.replaces_id IS DISTINCT FROM old.replaces_id THEN
            _diff := _diff || jsonb_build_object('replaces_id', jsonb_build_array(old.replaces_id, new.replaces_id));
        END IF;

        IF new.recommendation_id IS DISTINCT FROM old.recommendation_id THEN
            _diff := _diff || jsonb_build_object('recommendation_id', jsonb_build_array(old.recommendation_id, new.recommendation_id));
        END IF;

        IF new.rebalance_run_id IS DISTINCT FROM old.rebalance_run_id THEN
            _diff := _diff || jsonb_build_object('rebalance_run_id', jsonb_build_array(old.rebalance_run_id, new.rebalance_run_id));
        END IF;

        IF new.broker_order_id IS DISTINCT FROM old.broker_order_id THEN
            _diff := _diff || jsonb_build_object('broker_order_id', jsonb_build_array(old.broker_order_id, new.broker_order_id));
        END IF;

        IF new.reject_reason IS DISTINCT FROM old.reject_reason THEN
            _diff := _diff || jsonb_build_object('reject_reason', jsonb_build_array(old.reject_reason, new.reject_reason));
        END IF;

        IF new.cancel_reason IS DISTINCT FROM old.cancel_reason THEN
            _diff := _diff || jsonb_build_object('cancel_reason', jsonb_build_array(old.cancel_reason, new.cancel_reason));
        END IF;

        IF new.placed_by IS DISTINCT FROM old.placed_by THEN
            _diff := _diff || jsonb_build_object('placed_by', jsonb_build_array(old.placed_by, new.placed_by));
        END IF;

        IF new.approved_by IS DISTINCT FROM old.approved_by THEN
            _diff := _diff || jsonb_build_object('approved_by', jsonb_build_array(old.approved_by, new.approved_by));
        END IF;

        IF new.submitted_at IS DISTINCT FROM old.submitted_at THEN
            _diff := _diff || jsonb_build_object('submitted_at', jsonb_build_array(old.submitted_at, new.submitted_at));
        END IF;

        IF new.acknowledged_at IS DISTINCT FROM old.acknowledged_at THEN
            _diff := _diff || jsonb_build_object('acknowledged_at', jsonb_build_array(old.acknowledged_at, new.acknowledged_at));
        END IF;

        IF new.filled_at IS DISTINCT FROM old.filled_at THEN
            _diff := _diff || jsonb_build_object('filled_at', jsonb_build_array(old.filled_at, new.filled_at));
        END IF;

        IF new.closed_at IS DISTINCT FROM old.closed_at THEN
            _diff := _diff || jsonb_build_object('closed_at', jsonb_build_array(old.closed_at, new.closed_at));
        END IF;

        IF new.notes IS DISTINCT FROM old.notes THEN
            _diff := _diff || jsonb_build_object('notes', jsonb_build_array(old.notes, new.notes));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.orders', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id), 'advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.orders', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('order_number', CASE WHEN made.order_number IS NOT NULL THEN jsonb_build_array(NULL, made.order_number) END, 'client_order_id', CASE WHEN made.client_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_order_id) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'portfolio_id', CASE WHEN made.portfolio_id IS NOT NULL THEN jsonb_build_array(NULL, made.portfolio_id) END, 'account_id', CASE WHEN made.account_id IS NOT NULL THEN jsonb_build_array(NULL, made.account_id) END, 'advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'security_id', CASE WHEN made.security_id IS NOT NULL THEN jsonb_build_array(NULL, made.security_id) END, 'symbol', CASE WHEN made.symbol IS NOT NULL THEN jsonb_build_array(NULL, made.symbol) END, 'side', CASE WHEN made.side IS NOT NULL THEN jsonb_build_array(NULL, made.side) END, 'order_type', CASE WHEN made.order_type IS NOT NULL THEN jsonb_build_array(NULL, made.order_type) END, 'time_in_force', CASE WHEN made.time_in_force IS NOT NULL THEN jsonb_build_array(NULL, made.time_in_force) END, 'expire_on', CASE WHEN made.expire_on IS NOT NULL THEN jsonb_build_array(NULL, made.expire_on) END, 'quantity', CASE WHEN made.quantity IS NOT NULL THEN jsonb_build_array(NULL, made.quantity) END, 'notional', CASE WHEN made.notional IS NOT NULL THEN jsonb_build_array(NULL, made.notional) END, 'limit_price', CASE WHEN made.limit_price IS NOT NULL THEN jsonb_build_array(NULL, made.limit_price) END, 'stop_price', CASE WHEN made.stop_price IS NOT NULL THEN jsonb_build_array(NULL, made.stop_price) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'prior_status', CASE WHEN made.prior_status IS NOT NULL THEN jsonb_build_array(NULL, made.prior_status) END, 'filled_quantity', CASE WHEN made.filled_quantity IS NOT NULL THEN jsonb_build_array(NULL, made.filled_quantity) END, 'avg_fill_price', CASE WHEN made.avg_fill_price IS NOT NULL THEN jsonb_build_array(NULL, made.avg_fill_price) END, 'reserved_cash', CASE WHEN made.reserved_cash IS NOT NULL THEN jsonb_build_array(NULL, made.reserved_cash) END, 'commission', CASE WHEN made.commission IS NOT NULL THEN jsonb_build_array(NULL, made.commission) END, 'basis', CASE WHEN made.basis IS NOT NULL THEN jsonb_build_array(NULL, made.basis) END, 'capacity', CASE WHEN made.capacity IS NOT NULL THEN jsonb_build_array(NULL, made.capacity) END, 'lot_method', CASE WHEN made.lot_method IS NOT NULL THEN jsonb_build_array(NULL, made.lot_method) END, 'lot_ids', CASE WHEN made.lot_ids IS NOT NULL THEN jsonb_build_array(NULL, made.lot_ids) END, 'check_outcome', CASE WHEN made.check_outcome IS NOT NULL THEN jsonb_build_array(NULL, made.check_outcome) END, 'is_block', CASE WHEN made.is_block IS NOT NULL THEN jsonb_build_array(NULL, made.is_block) END, 'parent_order_id', CASE WHEN made.parent_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.parent_order_id) END, 'replaces_id', CASE WHEN made.replaces_id IS NOT NULL THEN jsonb_build_array(NULL, made.replaces_id) END, 'recommendation_id', CASE WHEN made.recommendation_id IS NOT NULL THEN jsonb_build_array(NULL, made.recommendation_id) END, 'rebalance_run_id', CASE WHEN made.rebalance_run_id IS NOT NULL THEN jsonb_build_array(NULL, made.rebalance_run_id) END, 'broker_order_id', CASE WHEN made.broker_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.broker_order_id) END, 'reject_reason', CASE WHEN made.reject_reason IS NOT NULL THEN jsonb_build_array(NULL, made.reject_reason) END, 'cancel_reason', CASE WHEN made.cancel_reason IS NOT NULL THEN jsonb_build_array(NULL, made.cancel_reason) END, 'placed_by', CASE WHEN made.placed_by IS NOT NULL THEN jsonb_build_array(NULL, made.placed_by) END, 'approved_by', CASE WHEN made.approved_by IS NOT NULL THEN jsonb_build_array(NULL, made.approved_by) END, 'submitted_at', CASE WHEN made.submitted_at IS NOT NULL THEN jsonb_build_array(NULL, made.submitted_at) END, 'acknowledged_at', CASE WHEN made.acknowledged_at IS NOT NULL THEN jsonb_build_array(NULL, made.acknowledged_at) END) || jsonb_build_object('filled_at', CASE WHEN made.filled_at IS NOT NULL THEN jsonb_build_array(NULL, made.filled_at) END, 'closed_at', CASE WHEN made.closed_at IS NOT NULL THEN jsonb_build_array(NULL, made.closed_at) END, 'notes', CASE WHEN made.notes IS NOT NULL THEN jsonb_build_array(NULL, made.notes) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.teams', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, NULL), 'name', jsonb_build_array(old.name, NULL), 'share_book', jsonb_build_array(old.share_book, NULL), 'is_active', jsonb_build_array(old.is_active, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.branch_id IS DISTINCT FROM old.branch_id THEN
            _diff := _diff || jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, new.branch_id));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.share_book IS DISTINCT FROM old.share_book THEN
            _diff := _diff || jsonb_build_object('share_book', jsonb_build_array(old.share_book, new.share_book));
        END IF;

        IF new.is_active IS DISTINCT FROM old.is_active THEN
            _diff := _diff || jsonb_build_object('is_active', jsonb_build_array(old.is_active, new.is_active));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.teams', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.teams', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('branch_id', CASE WHEN made.branch_id IS NOT NULL THEN jsonb_build_array(NULL, made.branch_id) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'share_book', CASE WHEN made.share_book IS NOT NULL THEN jsonb_build_array(NULL, made.share_book) END, 'is_active', CASE WHEN made.is_active IS NOT NULL THEN jsonb_build_array(NULL, made.is_active) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
