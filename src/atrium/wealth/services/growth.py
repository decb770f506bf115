"""Growth scans: asking for one, and the three parts of running it, each a transaction that may be repeated.

Everything a run stores carries the moment at which the scan began. A run that starts over after a crash uses the same
moment, so what is new, seen again or resolved can be counted from the rows and comes out the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, case, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from atrium.core import clock
from atrium.core.access import policy_of
from atrium.core.errors import Invalid
from atrium.core.jobs.models import FINISHED, BackgroundTask
from atrium.core.jobs.queue import enqueue
from atrium.core.notifications.services import notify
from atrium.core.services import Service, Work, caller_values
from atrium.wealth.errors import AdvisorMismatch, NoBook
from atrium.wealth.models.clients import Client
from atrium.wealth.models.insights import ACTIVE, GrowthScan, Opportunity
from atrium.wealth.models.organisation import Advisor
from atrium.wealth.rules import growth
from atrium.wealth.rules.clients import full_name
from atrium.wealth.rules.opportunities import wake
from atrium.wealth.schemas import GrowthScanRequest

log = structlog.get_logger()
RUNNING = ("queued", "running")
SHOWN_FIRST = 10
Failure = tuple[str, UUID]


class GrowthScanService(Service[GrowthScan], model=GrowthScan):
    """Asking for a scan. A book has one full scan at a time: asking again gives the one that is under way."""

    async def request(self, asked: GrowthScanRequest) -> GrowthScan:
        advisor_id = await self._book(asked)
        if asked.client_id is not None:
            await self._require_client(advisor_id, asked.client_id)
        await self._close_abandoned(advisor_id)
        scan_id = await self._queue(advisor_id, asked)
        if scan_id is None:
            return await self._get_running(advisor_id)
        scan = await self.work.session.get_one(GrowthScan, scan_id)
        task = await enqueue(
            self.work,
            "wealth.growth_scan",
            {"scan_id": str(scan_id)},
            advisor_id=advisor_id,
            client_id=asked.client_id,
            entity_type="wealth.growth_scans",
            entity_id=scan_id,
        )
        await self.work.session.flush()
        scan.background_task_id = task.id
        await self.work.session.flush()
        return scan

    async def _book(self, asked: GrowthScanRequest) -> UUID:
        """Whose clients are scanned: an advisor's own, for an administrator those of any advisor."""
        principal = self.work.principal
        own = principal.claims.get("advisor_id")
        wanted = asked.advisor_id or own
        if not principal.is_admin:
            if own is None:
                raise NoBook("Only an active advisor has a book to scan.")
            if wanted != own:
                raise AdvisorMismatch("advisor_id must be your own.")
            return own
        if wanted is None:
            raise Invalid.at("advisor_id", "is required: say whose book to scan", "missing")
        if await self.work.session.get(Advisor, wanted) is None:
            raise Invalid.at("advisor_id", "not found", "not_found")
        return wanted

    async def _require_client(self, advisor_id: UUID, client_id: UUID) -> None:
        policy = policy_of(Client)
        statement = select(Client.id).where(
            Client.id == client_id, Client.advisor_id == advisor_id, Client.deleted_at.is_(None)
        )
        rows = policy.rows(policy.kind(self.work.principal))
        statement = statement if rows is None else statement.where(rows)
        if await self.work.session.scalar(statement, caller_values(statement, self.work.principal)) is None:
            raise Invalid.at("client_id", "not found", "not_found")

    async def _close_abandoned(self, advisor_id: UUID) -> None:
        """A scan whose task was cancelled, or gave up, is over; its row must not keep the next one out."""
        ended = select(BackgroundTask.id).where(BackgroundTask.status.in_(FINISHED))
        was_cancelled = select(BackgroundTask.id).where(BackgroundTask.status == "cancelled")
        await self.work.session.execute(
            update(GrowthScan)
            .where(
                GrowthScan.advisor_id == advisor_id,
                GrowthScan.status.in_(RUNNING),
                GrowthScan.background_task_id.in_(ended),
            )
            .values(
                status=case((GrowthScan.background_task_id.in_(was_cancelled), "cancelled"), else_="failed"),
                finished_at=func.now(),
            )
            .execution_options(synchronize_session=False)
        )

    async def _queue(self, advisor_id: UUID, asked: GrowthScanRequest) -> UUID | None:
        """The new scan's id, or None when a full scan of the book is under way."""
        return await self.work.session.scalar(
            insert(GrowthScan)
            .values(
                advisor_id=advisor_id,
                client_id=asked.client_id,
                scope=asked.scope,
                rules=list(asked.rules or growth.CODES),
                ruleset_version=growth.RULESET_VERSION,
                as_of=clock.today(),
                requested_by=self.work.principal.user_id,
            )
            .on_conflict_do_nothing(
                index_elements=["advisor_id"],
                index_where=text("status IN ('queued', 'running') AND scope = 'full'"),
            )
            .returning(GrowthScan.id)
        )

    async def _get_running(self, advisor_id: UUID) -> GrowthScan:
        found = select(GrowthScan).where(
            GrowthScan.advisor_id == advisor_id, GrowthScan.status.in_(RUNNING), GrowthScan.scope == "full"
        )
        return (await self.work.session.scalars(found)).one()


@dataclass(frozen=True, slots=True)
class Run:
    """What a run needs to know, read once."""

    scan_id: UUID
    advisor_id: UUID
    client_id: UUID | None
    requested_by: UUID
    as_of: date
    moment: datetime
    rules: tuple[growth.Rule, ...]
    client_ids: Sequence[UUID]
    failures: list[Failure] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        return [rule.code for rule in self.rules]


async def begin(work: Work, scan_id: UUID) -> Run | None:
    """The run of a scan that is not over yet."""
    scan = await work.session.get_one(GrowthScan, scan_id, with_for_update=True)
    if scan.status not in RUNNING:
        return None
    scan.status = "running"
    scan.started_at = scan.started_at or clock.now()
    clients = select(Client.id).where(
        Client.advisor_id == scan.advisor_id, Client.deleted_at.is_(None), Client.status != "closed"
    )
    if scan.client_id is not None:
        clients = clients.where(Client.id == scan.client_id)
    return Run(
        scan_id=scan.id,
        advisor_id=scan.advisor_id,
        client_id=scan.client_id,
        requested_by=scan.requested_by,
        as_of=scan.as_of,
        moment=scan.started_at,
        rules=tuple(rule for rule in growth.RULES if rule.code in scan.rules),
        client_ids=(await work.session.scalars(clients.order_by(Client.id))).all(),
    )


async def examine(work: Work, run: Run, client_ids: Sequence[UUID]) -> None:
    """Apply the rules to some clients and store what they find."""
    findings = [
        finding
        for subject in await _subjects(work, client_ids)
        for rule in run.rules
        if (finding := _try(run, rule, subject)) is not None
    ]
    prints = [finding.fingerprint for finding in findings]
    statement = select(Opportunity).where(Opportunity.fingerprint.in_(prints))
    locked = statement.order_by(Opportunity.created_at, Opportunity.id).with_for_update()
    stored = {one.id: one for one in await work.session.scalars(locked)}
    latest = {one.fingerprint: growth.Known(one.id, one.status, one.score, one.closed_at) for one in stored.values()}
    verdict = growth.judge(findings, latest, run.moment)
    for row_id, finding in verdict.seen.items():
        _see_again(stored[row_id], finding, run)
    await work.session.flush()
    if verdict.new:
        await work.session.execute(_insert_new(), [_row(run, finding) for finding in verdict.new])


async def finish(work: Work, run: Run) -> dict[str, Any]:
    """Resolve what was not found again, sum up, and tell whoever asked."""
    resolved = await _resolve_gone(work, run)
    scan = await work.session.get_one(GrowthScan, run.scan_id, with_for_update=True)
    found = await _count(work, Opportunity.growth_scan_id == run.scan_id)
    updated = await _count(
        work,
        Opportunity.advisor_id == run.advisor_id,
        Opportunity.last_seen_at == run.moment,
        Opportunity.growth_scan_id.is_distinct_from(run.scan_id),
    )
    scan.status, scan.finished_at = "completed", clock.now()
    scan.clients_scanned = len(run.client_ids)
    scan.opportunities_new, scan.opportunities_updated, scan.opportunities_resolved = found, updated, resolved
    scan.summary = f"{len(run.client_ids)} clients scanned: {found} new, {updated} updated, {resolved} resolved."
    await notify(
        work,
        run.requested_by,
        module="wealth",
        kind="insight",
        title="Growth scan finished",
        body=scan.summary,
        severity="warning" if run.failures else "success",
        entity_type="wealth.growth_scans",
        entity_id=run.scan_id,
    )
    return {
        "scan_id": str(run.scan_id),
        "clients_scanned": len(run.client_ids),
        "opportunities_new": found,
        "opportunities_updated": updated,
        "opportunities_resolved": resolved,
        "priorities": await _priorities(work, run),
        "errors": [{"rule": code, "client_id": str(client_id)} for code, client_id in run.failures],
    }


async def close(work: Work, scan_id: UUID, status: str) -> None:
    """End a scan that does not complete."""
    scan = await work.session.get_one(GrowthScan, scan_id, with_for_update=True)
    if scan.status in RUNNING:
        scan.status, scan.finished_at = status, clock.now()


async def _subjects(work: Work, client_ids: Sequence[UUID]) -> list[growth.Subject]:
    rows = await work.session.execute(
        select(
            Client.id,
            Client.first_name,
            Client.last_name,
            Client.entity_name,
            Client.service_tier,
            Client.kyc_status,
            Client.kyc_review_due_on,
            Client.next_review_on,
            Client.last_contact_at,
            Client.date_of_birth,
        ).where(Client.id.in_(client_ids))
    )
    return [
        growth.Subject(
            id=row.id,
            name=full_name(row.first_name, row.last_name, row.entity_name),
            service_tier=row.service_tier,
            kyc_status=row.kyc_status,
            kyc_review_due_on=row.kyc_review_due_on,
            next_review_on=row.next_review_on,
            last_contact_at=row.last_contact_at,
            date_of_birth=row.date_of_birth,
        )
        for row in rows
    ]


def _try(run: Run, rule: growth.Rule, subject: growth.Subject) -> growth.Finding | None:
    try:
        return growth.examine(rule, subject, run.as_of)
    except Exception:
        # One rule that fails on one client must not cost the whole scan.
        log.exception("growth_rule_failed", rule=rule.code, client_id=str(subject.id))
        run.failures.append((rule.code, subject.id))
        return None


def _see_again(known: Opportunity, finding: growth.Finding, run: Run) -> None:
    wake(known, run.as_of)
    known.title, known.evidence, known.score = finding.title, finding.evidence, finding.score
    known.last_seen_at = run.moment
    known.version += 1


def _insert_new() -> Any:
    """Another scan of the same client may have stored the finding a moment ago; then it stands."""
    return insert(Opportunity).on_conflict_do_nothing(
        index_elements=["fingerprint"], index_where=text("status IN ('open', 'in_progress', 'snoozed')")
    )


def _row(run: Run, finding: growth.Finding) -> dict[str, Any]:
    return {
        "advisor_id": run.advisor_id,
        "client_id": finding.client_id,
        "growth_scan_id": run.scan_id,
        "rule_code": finding.rule_code,
        "category": finding.category,
        "title": finding.title,
        "evidence": finding.evidence,
        "score": finding.score,
        "fingerprint": finding.fingerprint,
        "first_seen_at": run.moment,
        "last_seen_at": run.moment,
        "due_on": finding.due_on,
    }


async def _resolve_gone(work: Work, run: Run) -> int:
    """Open opportunities that the run's rules no longer find; where a rule failed, nothing is known."""
    gone = [
        Opportunity.advisor_id == run.advisor_id,
        Opportunity.rule_code.in_(run.codes),
        Opportunity.status == "open",
        Opportunity.last_seen_at < run.moment,
    ]
    if run.client_id is not None:
        gone.append(Opportunity.client_id == run.client_id)
    if run.failures:
        gone.append(tuple_(Opportunity.rule_code, Opportunity.client_id).not_in(run.failures))
    await work.session.execute(
        update(Opportunity)
        .where(*gone)
        .values(status="resolved", closed_at=run.moment, version=Opportunity.version + 1)
        .execution_options(synchronize_session=False)
    )
    return await _count(
        work,
        Opportunity.advisor_id == run.advisor_id,
        Opportunity.status == "resolved",
        Opportunity.closed_at == run.moment,
    )


async def _count(work: Work, *which: ColumnElement[bool]) -> int:
    return await work.session.scalar(select(func.count()).select_from(Opportunity).where(*which)) or 0


async def _priorities(work: Work, run: Run) -> list[dict[str, Any]]:
    """The clients to call first."""
    rows = await work.session.execute(
        select(Opportunity.client_id, func.array_agg(Opportunity.score).label("scores"))
        .where(
            Opportunity.advisor_id == run.advisor_id,
            Opportunity.status.in_(ACTIVE),
            Opportunity.client_id.is_not(None),
        )
        .group_by(Opportunity.client_id)
    )
    ranked = sorted(((growth.priority(row.scores), str(row.client_id)) for row in rows), reverse=True)
    return [{"client_id": client_id, "priority": score} for score, client_id in ranked[:SHOWN_FIRST]]
