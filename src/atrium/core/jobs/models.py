"""The record of every queued job: what is asked, how far it is, how it ended."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import SYSTEM, check, field
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
    run_after: Mapped[datetime] = field(default_sql="now()", mark=SYSTEM)
    started_at: Mapped[datetime | None] = field(mark=SYSTEM)
    finished_at: Mapped[datetime | None] = field(mark=SYSTEM)
    heartbeat_at: Mapped[datetime | None] = field(mark=SYSTEM)
    dedupe_key: Mapped[str | None] = field(mark=SYSTEM)
