"""`atrium audit …`: prove the change log, and erase from it. The group runs its work through `ctx.obj["run"]`."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from atrium.core.changes.erasure import erase
from atrium.core.changes.verify import Report, verify
from atrium.core.clock import stamp
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

CAVEATS = """\
What this cannot show:
- Who has the key (AUDIT_KEY, or SECRET_KEY in its place) and may write to the database can bind another history.
- Who owns the database, without the key, can cut off the newest changes together with the head that the relay
  remembers, or what is still queued: compare with an `audit_head` line of the worker's log (--head POSITION:HASH).
- Who may write to the database can make new changes in the name of others: they are bound like everybody's.\
"""


@click.group("audit")
def audit() -> None:
    """The change log: prove it, erase from it."""


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("write a day or a moment, such as 2026-11-01 or 2026-11-01T08:00:00+00:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _head(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, str] | None:
    if value is None:
        return None
    position, _, digest = value.partition(":")
    if not position.isdigit() or len(digest) != 64:
        raise click.BadParameter("write POSITION:HASH as the log line `audit_head` has them")
    return int(position), digest.lower()


@audit.command("verify")
@click.option("--since", callback=_moment, help="Prove only what was chained since then; what is before is trusted.")
@click.option("--head", callback=_head, help="POSITION:HASH of an `audit_head` line in the worker's log.")
@click.pass_context
def verify_log(context: click.Context, since: datetime | None, head: tuple[int, str] | None) -> None:
    """Judge every change against the chain. Exits with 1 when there is any fault."""

    async def work(runtime: Runtime) -> Report:
        return await verify(runtime, since=since, head=head)

    report = context.obj["run"](work)
    click.echo(render(report))
    sys.exit(0 if report.is_sound else 1)


@audit.command("erase")
@click.argument("entity_type")
@click.argument("entity_id", type=click.UUID)
@click.option("--reason", required=True, help="Why, for whoever proves the log; name no person here.")
@click.option("--field", "fields", multiple=True, help="Only this field; may be given several times.")
@click.pass_context
def erase_values(
    context: click.Context, entity_type: str, entity_id: UUID, reason: str, fields: tuple[str, ...]
) -> None:
    """Erase the values of a record from the log, such as: erase wealth.clients ID --reason "request of 1 November"

    The record itself stays as it is.
    """

    async def work(runtime: Runtime) -> int:
        async with unit_of_work(runtime, action="erase", reason=reason) as unit:
            return await erase(unit, entity_type, entity_id, fields or None, reason=reason)

    count: Any = context.obj["run"](work)
    if not count:
        raise click.ClickException(f"The log holds no values of {entity_type} {entity_id} that could be erased.")
    click.echo(f"Erased from {count} changes of {entity_type} {entity_id}.")


def render(report: Report) -> str:
    """The report as sentences."""
    return "\n".join([*_proof(report), *_findings(report), CAVEATS])


def _proof(report: Report) -> list[str]:
    if not report.last:
        lines = ["Nothing to prove: nothing was chained" + (" since then." if report.since else " yet.")]
    else:
        lines = [
            f"Judged positions {report.first} to {report.last}; the head is {report.last}:{report.head.hex()}",
            f"Proven: {report.proven} changes are what they were when they were chained, in this order, none between.",
        ]
    if report.since:
        lines.append(f"Taken on trust: whatever was chained before {stamp(report.since)}.")
    if report.erasures:
        lines.append(f"Erasures: {report.erasures} on record; {report.erased} of these changes differ only by them.")
    if report.months_dropped:
        lines.append(
            f"Dropped by retention: {report.months_dropped} months of {report.gone_with_them} changes, anchors signed."
        )
    lines.append(
        f"Not yet bound: {report.queued} changes in the queue"
        + (f", the oldest for {report.queue_age:.1f} seconds." if report.queued else ".")
    )
    return lines


def _findings(report: Report) -> list[str]:
    if report.is_sound:
        return ["Found no fault."]
    lines = [f"FAULTS: {sum(report.faults.values())}"]
    for kind, count in report.faults.items():
        lines.append(f"- {count} times {kind}")
        lines += [f"    {example}" for example in report.examples.get(kind, ())]
        if count > len(report.examples.get(kind, ())):
            lines.append("    …")
    return lines
