"""The record of every queued job: what is asked, how far it is, how it ended. And when what is periodic is due."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Index, SmallInteger, text
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, check, field
from atrium.core.db.entity import Entity, Json

KINDS = (
    "growth_scan", "batch_email", "report", "rebalance", "corporate_action", "billing_run", "valuation", "simulation",
    "import", "export", "price_refresh", "surveillance", "generate_matches", "whatsapp_batch", "finance_load",
    "scan_upload", "score_assessment", "report_export", "maintenance",
)  # fmt: skip
QUEUES = ("default", "wealth", "crm", "bi", "media")
QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "queued", "running", "succeeded", "failed", "cancelled"
OPEN = (QUEUED, RUNNING)
FINISHED = (SUCCEEDED, FAILED, CANCELLED)
IS_OPEN = "status IN ('queued', 'running')"
HIGH, NORMAL, LOW = 0, 1, 2
HANDICAP = timedelta(minutes=10)
"""What one step of priority is worth: a task overtakes those of the next lower step that wait for less than this."""
MISSED = ("once", "skip", "each")


class BackgroundTask(Entity, table="core.background_tasks"):
    """A queued job and the resource behind a 202 answer. `advisor_id` and `client_id` are plain ids of wealth rows."""

    audited = False
    __table_args__ = (
        check("attempts <= max_attempts", "bounded_attempts", "must not exceed max_attempts", ("attempts",)),
        check(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            "finished",
            "a finished task has finished_at, an open one has not",
            ("status", "finished_at"),
        ),
        Index("ix_background_tasks_due", "status", "run_after"),
        Index("ix_background_tasks_turn", "queue", "turn_at", postgresql_where=text("status = 'queued'")),
        Index("ix_background_tasks_newest", text("created_at DESC"), text("id DESC")),
        Index("ix_background_tasks_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("uq_background_tasks_open_dedupe_key", "dedupe_key", unique=True, postgresql_where=text(IS_OPEN)),
        Index("ix_background_tasks_requester", "requested_by", text("created_at DESC")),
        Index("ix_background_tasks_advisor", "advisor_id", "status"),
        Index("ix_background_tasks_entity", "entity_type", "entity_id"),
    )

    job: Mapped[str] = field(mark=SYSTEM, doc="the declared name, such as wealth.growth_scan: a kind has many jobs")
    module: Mapped[str] = field(mark=SYSTEM)
    kind: Mapped[str] = field(choices=KINDS, mark=SYSTEM)
    queue: Mapped[str] = field(default="default", mark=SYSTEM)
    status: Mapped[str] = field(choices=(*OPEN, *FINISHED), default=QUEUED, mark=SYSTEM)
    requested_by: Mapped[UUID | None] = field(
        references="core.users.id", on_delete="SET NULL", index=False, mark=SYSTEM
    )
    advisor_id: Mapped[UUID | None] = field(mark=SYSTEM)
    client_id: Mapped[UUID | None] = field(mark=SYSTEM)
    entity_type: Mapped[str | None] = field(mark=SYSTEM)
    entity_id: Mapped[UUID | None] = field(mark=SYSTEM)
    params: Mapped[Json] = field(default={}, mark=SYSTEM)
    progress_done: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    progress_total: Mapped[int | None] = field(mark=SYSTEM)
    stage: Mapped[str | None] = field(mark=SYSTEM)
    result: Mapped[Json | None] = field(mark=SYSTEM)
    error_code: Mapped[str | None] = field(mark=SYSTEM)
    error_detail: Mapped[str | None] = field(mark=SYSTEM)
    attempts: Mapped[int] = field(default=0, mark=SYSTEM)
    max_attempts: Mapped[int] = field(default=3, mark=SYSTEM)
    retries: Mapped[int] = field(default=0, mark=SYSTEM, doc="how often somebody had it done again after its end")
    priority: Mapped[int] = field(type_=SmallInteger(), default=NORMAL, ge=HIGH, le=LOW, mark=SYSTEM, doc="0 is first")
    run_after: Mapped[datetime] = field(default_sql="now()", mark=SYSTEM)
    turn_at: Mapped[datetime] = field(
        default_sql="now()", mark=SYSTEM, doc="run_after and the handicap of its priority: who is due is taken by this"
    )
    started_at: Mapped[datetime | None] = field(mark=SYSTEM)
    attempted_at: Mapped[datetime | None] = field(mark=SYSTEM, doc="when its last attempt began")
    finished_at: Mapped[datetime | None] = field(mark=SYSTEM)
    heartbeat_at: Mapped[datetime | None] = field(mark=SYSTEM)
    dedupe_key: Mapped[str | None] = field(mark=SYSTEM)
    traceparent: Mapped[str | None] = field(mark=PRIVATE, doc="the span of the request that asked for it")


class Schedule(Entity, table="core.schedules"):
    """When a declared schedule is due next; the code says what it is, this row makes one task per due moment of it."""

    audited = False
    __table_args__ = (Index("ix_schedules_due", "next_run_at", postgresql_where=text("NOT is_paused")),)

    name: Mapped[str] = field(unique=True, mark=SYSTEM)
    job: Mapped[str] = field(mark=SYSTEM)
    cron: Mapped[str] = field(mark=SYSTEM)
    timezone: Mapped[str] = field(mark=SYSTEM)
    missed: Mapped[str] = field(
        choices=MISSED, default="once", mark=SYSTEM, doc="what happens to moments that no worker was there for"
    )
    next_run_at: Mapped[datetime] = field(mark=SYSTEM)
    last_run_at: Mapped[datetime | None] = field(mark=SYSTEM, doc="the due moment that the last task was made for")
    last_task_id: Mapped[UUID | None] = field(references="core.background_tasks.id", on_delete="SET NULL", mark=SYSTEM)
    is_paused: Mapped[bool] = field(default=False, mark=SYSTEM)
    paused_by: Mapped[UUID | None] = field(references="core.users.id", on_delete="SET NULL", index=False, mark=SYSTEM)
