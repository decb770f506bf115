"""The growth scan: which clients need an advisor's time, why, and how urgently.

Each rule measures one thing (m). It fires when m reaches its threshold, and scores
round_half_up(base + span * clamp((m - threshold) / (cap - threshold), 0, 1)).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from atrium.core.money import half_up

RULESET_VERSION = "2026.1"
SLA_DAYS = {"platinum": 30, "gold": 60, "silver": 90, "bronze": 180}
"""How long a client of each service tier may go without a contact."""

MILESTONES = frozenset({50, 62, 65, 67, 70, 73})
MILESTONE_BASE = 45
HALF_YEAR_MILESTONE = 59
"""At 59½ retirement accounts open without a penalty; the half birthday counts as one."""

AHEAD = 30
"""Days before a due date from which it is worth a call."""

SUPPRESSED = timedelta(days=90)
RISE_THAT_RETURNS = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules know of a client."""

    id: UUID
    name: str
    service_tier: str
    kyc_status: str
    kyc_review_due_on: date | None = None
    next_review_on: date | None = None
    last_contact_at: datetime | None = None
    date_of_birth: date | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """What a rule measured at a client, before it is weighed."""

    measure: Decimal
    title: str
    inputs: Mapping[str, Any]
    due_on: date | None = None
    base: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    code: str
    category: str
    threshold: Decimal
    cap: Decimal
    base: int
    span: int
    measure: Callable[[Subject, date], Signal | None]


@dataclass(frozen=True, slots=True)
class Finding:
    client_id: UUID
    rule_code: str
    category: str
    title: str
    evidence: dict[str, Any]
    score: int
    due_on: date | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Known:
    """The latest opportunity with a fingerprint."""

    id: UUID
    status: str
    score: int
    closed_at: datetime | None


@dataclass(slots=True)
class Verdict:
    """What a scan does with its findings: some are new, some are seen again, some were dismissed not long ago."""

    new: list[Finding] = field(default_factory=list)
    seen: dict[UUID, Finding] = field(default_factory=dict)


def lapsed_contact(client: Subject, today: date) -> Signal | None:
    if client.last_contact_at is None:
        return None
    last, allowed = client.last_contact_at.date(), SLA_DAYS[client.service_tier]
    days = (today - last).days
    return Signal(
        Decimal(days) / allowed,
        f"{client.name}: no contact for {days} days",
        {
            "last_contact_on": last.isoformat(),
            "days": days,
            "sla_days": allowed,
            "service_tier": client.service_tier,
        },
        last + timedelta(days=allowed),
    )


def review_due(client: Subject, today: date) -> Signal | None:
    if client.next_review_on is None:
        return None
    left = (client.next_review_on - today).days
    title = f"{client.name}: review {_when(left)}"
    return Signal(
        Decimal(AHEAD - left),
        title,
        {"next_review_on": client.next_review_on.isoformat()},
        client.next_review_on,
    )


def kyc_gap(client: Subject, today: date) -> Signal | None:
    inputs = {"kyc_status": client.kyc_status}
    if client.kyc_status in ("not_started", "rejected", "expired"):
        missing = client.kyc_status.replace("_", " ")
        return Signal(KYC_CAP, f"{client.name}: KYC is {missing}", inputs, client.kyc_review_due_on)
    if client.kyc_review_due_on is None:
        return None
    left = (client.kyc_review_due_on - today).days
    inputs["kyc_review_due_on"] = client.kyc_review_due_on.isoformat()
    return Signal(Decimal(AHEAD - left), f"{client.name}: KYC review {_when(left)}", inputs, client.kyc_review_due_on)


def birthday(client: Subject, today: date) -> Signal | None:
    """The nearest birthday, or half birthday at 59; the base is higher for ages that change what one may do."""
    if client.date_of_birth is None:
        return None
    born = client.date_of_birth
    day = next_birthday(born, today)
    age = day.year - born.year
    turning, is_milestone = str(age), age in MILESTONES
    half = _half_birthday(born)
    if today <= half < day:
        day, turning, is_milestone = half, "59½", True
    left = (day - today).days
    return Signal(
        Decimal(CAP_OF_BIRTHDAY - left),
        f"{client.name} turns {turning} {_when(left)}",
        {"date_of_birth": born.isoformat(), "birthday_on": day.isoformat(), "turning": turning},
        day,
        MILESTONE_BASE if is_milestone else None,
    )


KYC_CAP = Decimal(120)
CAP_OF_BIRTHDAY = 14

RULES = (
    #    code, category, threshold, cap, base, span
    Rule("KYC_GAP", "compliance", Decimal(0), KYC_CAP, 60, 40, kyc_gap),
    Rule("LAPSED_CONTACT", "service", Decimal(1), Decimal(3), 35, 45, lapsed_contact),
    Rule("REVIEW_DUE", "service", Decimal(0), Decimal(120), 35, 45, review_due),
    Rule("BIRTHDAY", "service", Decimal(0), Decimal(CAP_OF_BIRTHDAY), 15, 15, birthday),
)
CODES = tuple(rule.code for rule in RULES)


def examine(rule: Rule, client: Subject, today: date) -> Finding | None:
    """The rule's finding about the client, if it fires."""
    signal = rule.measure(client, today)
    if signal is None or signal.measure < rule.threshold:
        return None
    shown = half_up(signal.measure, 4)
    return Finding(
        client_id=client.id,
        rule_code=rule.code,
        category=rule.category,
        title=signal.title[:200],
        evidence={"inputs": dict(signal.inputs), "m": _plain(shown), "thr": _plain(rule.threshold)},
        score=score(rule, signal.measure, signal.base),
        due_on=signal.due_on,
        fingerprint=fingerprint(rule.code, client.id, client.id),
    )


def score(rule: Rule, measure: Decimal, base: int | None = None) -> int:
    reach = rule.cap - rule.threshold
    share = min(max((measure - rule.threshold) / reach, Decimal(0)), Decimal(1)) if reach else Decimal(0)
    return int(half_up((rule.base if base is None else base) + rule.span * share))


def priority(scores: Sequence[int]) -> int:
    """How urgent a client is: the highest score and a tenth of the others, at most 100."""
    highest = max(scores)
    return min(100, int(half_up(highest + Decimal(sum(scores) - highest) / 10)))


def fingerprint(rule_code: str, client_id: UUID, subject_id: UUID) -> str:
    """One finding of one rule about one thing, however often it is found."""
    return hashlib.sha256(f"{rule_code}|{client_id}|{subject_id}".encode()).hexdigest()


def judge(findings: Iterable[Finding], known: Mapping[str, Known], now: datetime) -> Verdict:
    """An active opportunity is seen again; a dismissed one stays away for 90 days unless it became more urgent."""
    verdict = Verdict()
    for finding in findings:
        before = known.get(finding.fingerprint)
        if before is not None and before.status in ("open", "in_progress", "snoozed"):
            verdict.seen[before.id] = finding
        elif before is None or not _is_suppressed(before, finding, now):
            verdict.new.append(finding)
    return verdict


def _is_suppressed(before: Known, finding: Finding, now: datetime) -> bool:
    recent = before.closed_at is not None and now - before.closed_at < SUPPRESSED
    return before.status == "dismissed" and recent and finding.score < before.score + RISE_THAT_RETURNS


def next_birthday(born: date, today: date) -> date:
    day = _in_year(born, today.year)
    return day if day >= today else _in_year(born, today.year + 1)


def _in_year(born: date, year: int) -> date:
    """The birthday in a year; 29 February counts as the 28th where there is none."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _half_birthday(born: date) -> date:
    """The day six months after the 59th birthday, the last day of a shorter month."""
    months = born.month + 5
    year, month = born.year + HALF_YEAR_MILESTONE + months // 12, months % 12 + 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month, min(born.day, last))


def _when(days: int) -> str:
    if days == 0:
        return "today"
    unit = "day" if abs(days) == 1 else "days"
    return f"in {days} {unit}" if days > 0 else f"overdue by {-days} {unit}"


def _plain(value: Decimal) -> int | float:
    """A number of few places for JSON evidence, where a float keeps its decimal text."""
    return int(value) if value == value.to_integral_value() else float(value)
