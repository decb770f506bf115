"""What an advisor makes of a finding."""

from datetime import date, datetime

from atrium.core.access import Principal
from atrium.core.errors import Invalid
from atrium.wealth.models.insights import ACTIVE, Opportunity
from atrium.wealth.rules.steps import StateTable, Step

UPDATE = "wealth.opportunities.update"
TABLE = StateTable(
    "An opportunity",
    (
        Step("start", ("open", "snoozed"), "in_progress", UPDATE),
        Step("win", ACTIVE, "won", UPDATE),
        Step("snooze", ACTIVE, "snoozed", UPDATE),
        Step("dismiss", ACTIVE, "dismissed", UPDATE),
    ),
)


def take(
    opportunity: Opportunity,
    action: str,
    principal: Principal,
    now: datetime,
    *,
    until: date | None = None,
    reason: str | None = None,
) -> bool:
    """Take the step; False when it was taken already. A snooze says until when, a dismissal why."""
    step = TABLE.next(opportunity.status, action, principal)
    if step is None:
        return False
    if action == "snooze" and (until is None or until <= now.date()):
        raise Invalid.at("until", "must be a day in the future")
    opportunity.status = step.to
    opportunity.snoozed_until = until if action == "snooze" else None
    if action == "dismiss":
        opportunity.dismissed_reason = reason
    if step.to not in ACTIVE:
        opportunity.closed_at = now
    return True


def wake(opportunity: Opportunity, today: date) -> None:
    """A snooze that is over ends when the finding is seen again."""
    if opportunity.snoozed_until is not None and opportunity.snoozed_until <= today:
        opportunity.status, opportunity.snoozed_until = "open", None
