"""Schedules, the priority of tasks, and what is known of those that failed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_schedules"
down_revision = "0009_domains"
branch_labels = None
depends_on = None

DOMAINS = (
    ("background_tasks_priority", "SMALLINT", "ck_background_tasks_priority_range", "VALUE >= 0 AND VALUE <= 2"),
    ("schedules_missed", "TEXT", "ck_schedules_missed", "VALUE = ANY ('{once,skip,each}'::text[])"),
)
TASKS = "background_tasks"
SCAN_TASK = "fk_growth_scans_background_task_id"


def upgrade() -> None:
    for name, base, check, rule in DOMAINS:
        op.execute(f"CREATE DOMAIN core.{name} AS {base} CONSTRAINT {check} CHECK ({rule})")
    _give_tasks_a_turn()
    _make_schedules()
    _let_tasks_be_pruned("SET NULL")


def _give_tasks_a_turn() -> None:
    priority = postgresql.DOMAIN("background_tasks_priority", sa.SmallInteger(), schema="core", create_type=False)
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("retries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("priority", priority, server_default=sa.text("1"), nullable=False),
        sa.Column("turn_at", moment, server_default=sa.text("now()"), nullable=False),
        sa.Column("attempted_at", moment, nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
    ):
        op.add_column(TASKS, column, schema="core")
    op.execute("UPDATE core.background_tasks SET turn_at = run_after + interval '10 minutes' WHERE status = 'queued'")
    waiting, ended = sa.text("status = 'queued'"), sa.text("finished_at IS NOT NULL")
    newest = [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")]
    op.create_index("ix_background_tasks_turn", TASKS, ["queue", "turn_at"], schema="core", postgresql_where=waiting)
    op.create_index("ix_background_tasks_newest", TASKS, newest, schema="core")
    op.create_index("ix_background_tasks_finished", TASKS, ["finished_at"], schema="core", postgresql_where=ended)


def _make_schedules() -> None:
    missed = postgresql.DOMAIN("schedules_missed", sa.Text(), schema="core", create_type=False)
    now = sa.text("now()")
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("missed", missed, server_default=sa.text("'once'"), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_task_id", sa.Uuid(), nullable=True),
        sa.Column("is_paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("paused_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["last_task_id"], ["core.background_tasks.id"], name="fk_schedules_last_task_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["paused_by"], ["core.users.id"], name="fk_schedules_paused_by", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("name", name="uq_schedules_name"),
        schema="core",
    )
    op.create_index("ix_schedules_last_task_id", "schedules", ["last_task_id"], schema="core")
    running = sa.text("NOT is_paused")
    op.create_index("ix_schedules_due", "schedules", ["next_run_at"], schema="core", postgresql_where=running)


def _let_tasks_be_pruned(on_delete: str) -> None:
    """A scan outlives the task that made it."""
    op.drop_constraint(SCAN_TASK, "growth_scans", schema="wealth", type_="foreignkey")
    op.create_foreign_key(
        SCAN_TASK,
        "growth_scans",
        TASKS,
        ["background_task_id"],
        ["id"],
        source_schema="wealth",
        referent_schema="core",
        ondelete=on_delete,
    )


def downgrade() -> None:
    _let_tasks_be_pruned("RESTRICT")
    op.drop_table("schedules", schema="core")
    for index in ("finished", "newest", "turn"):
        op.drop_index(f"ix_background_tasks_{index}", table_name=TASKS, schema="core")
    for column in ("traceparent", "attempted_at", "turn_at", "priority", "retries"):
        op.drop_column(TASKS, column, schema="core")
    for name, *_ in DOMAINS:
        op.execute(f"DROP DOMAIN core.{name}")
