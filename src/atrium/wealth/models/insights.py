"""Growth scans and the opportunities they find."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

import atrium.core.jobs.models  # noqa: F401  the tasks that scans refer to
from atrium.core.db.columns import SYSTEM, Money, check, field
from atrium.core.db.entity import Entity, Json, JsonList, Versioned
from atrium.wealth.models.organisation import currency

ACTIVE = ("open", "in_progress", "snoozed")


class GrowthScan(Entity, table="wealth.growth_scans"):
    """One run of the rules engine over a book, a client, or with some of the rules."""

    __table_args__ = (
        check(
            "(scope = 'client') = (client_id IS NOT NULL)",
            "client",
            "a scan of one client names it",
            ("client_id",),
        ),
        Index("ix_growth_scans_advisor", "advisor_id", text("created_at DESC")),
        Index(
            "uq_growth_scans_running",
            "advisor_id",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running') AND scope = 'full'"),
        ),
    )

    advisor_id: Mapped[UUID] = field(references="wealth.advisors.id", index=False, scope=True, mark=SYSTEM)
    background_task_id: Mapped[UUID | None] = field(
        references="core.background_tasks.id", on_delete="SET NULL", unique=True, mark=SYSTEM
    )
    scope: Mapped[str] = field(choices=("full", "client", "rule_subset"), default="full", mark=SYSTEM)
    client_id: Mapped[UUID | None] = field(references="wealth.clients.id", scope=True, mark=SYSTEM)
    rules: Mapped[JsonList] = field(default=[], mark=SYSTEM)
    ruleset_version: Mapped[str] = field(length=20, mark=SYSTEM)
    as_of: Mapped[date] = field(mark=SYSTEM)
    status: Mapped[str] = field(
        choices=("queued", "running", "completed", "failed", "cancelled"), default="queued", mark=SYSTEM
    )
    clients_scanned: Mapped[int] = field(ge=0, default=0, mark=SYSTEM)
    opportunities_new: Mapped[int] = field(default=0, mark=SYSTEM)
    opportunities_updated: Mapped[int] = field(default=0, mark=SYSTEM)
    opportunities_resolved: Mapped[int] = field(default=0, mark=SYSTEM)
    total_estimated_value: Mapped[Money] = field(default=0, mark=SYSTEM)
    currency: Mapped[str] = currency()
    summary: Mapped[str | None] = field(mark=SYSTEM)
    requested_by: Mapped[UUID] = field(references="core.users.id", index=False, mark=SYSTEM)
    started_at: Mapped[datetime | None] = field(mark=SYSTEM)
    finished_at: Mapped[datetime | None] = field(mark=SYSTEM)


class Opportunity(Versioned, Entity, table="wealth.opportunities"):
    """Something worth an advisor's time: a finding of a scan, kept once per fingerprint while it is active."""

    __table_args__ = (
        check(
            "num_nonnulls(client_id, lead_id) = 1",
            "one_subject",
            "must name one of client_id and lead_id",
            ("client_id", "lead_id"),
        ),
        check(
            "(status = 'snoozed') = (snoozed_until IS NOT NULL)",
            "snoozed",
            "a snoozed opportunity says until when",
            ("snoozed_until",),
        ),
        check(
            "status <> 'dismissed' OR dismissed_reason IS NOT NULL",
            "dismissed",
            "a dismissal needs a reason",
            ("dismissed_reason",),
        ),
        Index(
            "uq_opportunities_fingerprint",
            "fingerprint",
            unique=True,
            postgresql_where=text("status IN ('open', 'in_progress', 'snoozed')"),
        ),
        Index("ix_opportunities_advisor_status", "advisor_id", "status", text("score DESC")),
        Index("ix_opportunities_client_status", "client_id", "status"),
    )

    advisor_id: Mapped[UUID] = field(references="wealth.advisors.id", index=False, scope=True, mark=SYSTEM)
    client_id: Mapped[UUID | None] = field(references="wealth.clients.id", index=False, scope=True, mark=SYSTEM)
    lead_id: Mapped[UUID | None] = field(mark=SYSTEM)
    growth_scan_id: Mapped[UUID | None] = field(references="wealth.growth_scans.id", mark=SYSTEM)
    rule_code: Mapped[str] = field(length=40, mark=SYSTEM)
    category: Mapped[str] = field(choices=("growth", "risk", "tax", "service", "compliance", "planning"), mark=SYSTEM)
    title: Mapped[str] = field(length=200, mark=SYSTEM)
    narrative: Mapped[str | None] = field()
    evidence: Mapped[Json] = field(default={}, mark=SYSTEM)
    score: Mapped[int] = field(ge=0, le=100, mark=SYSTEM)
    estimated_value: Mapped[Money] = field(default=0, mark=SYSTEM)
    estimated_revenue: Mapped[Money] = field(default=0, mark=SYSTEM)
    currency: Mapped[str] = currency()
    status: Mapped[str] = field(
        choices=(*ACTIVE, "won", "dismissed", "resolved", "expired"), default="open", mark=SYSTEM
    )
    fingerprint: Mapped[str] = field(length=64, mark=SYSTEM)
    first_seen_at: Mapped[datetime] = field(mark=SYSTEM)
    last_seen_at: Mapped[datetime] = field(mark=SYSTEM)
    due_on: Mapped[date | None] = field()
    snoozed_until: Mapped[date | None] = field(mark=SYSTEM)
    dismissed_reason: Mapped[str | None] = field(mark=SYSTEM)
    assigned_to: Mapped[UUID | None] = field(references="core.users.id", on_delete="SET NULL")
    closed_at: Mapped[datetime | None] = field(mark=SYSTEM)
