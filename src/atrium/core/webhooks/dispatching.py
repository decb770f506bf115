"""Changes become deliveries: the chain is read in its order, and a batch and the cursor behind it are one transaction.

Whoever dispatches holds the row `webhooks` of core.change_relay for the length of that transaction, so any number of
workers may run it and a killed one holds nothing. An event goes to the webhooks of those who may read the record when
it is dispatched, with the fields that they may see.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.errors import NotFound
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.webhooks.changed import DELETED_AT, Pair, differing, happened, pairs
from atrium.core.webhooks.events import Known, is_wanted, known_to, name_of
from atrium.core.webhooks.models import QUEUED, SKIPPED
from atrium.core.webhooks.policies import MANAGE
from atrium.core.webhooks.sight import readable

log = structlog.get_logger()
BATCH = 500
IDLE_SECONDS = 0.25
TROUBLE_SECONDS = 1.0
REMEMBERED = timedelta(days=30)
"""For so long after it was switched off a webhook is still noted what it missed."""

CURSOR = "webhooks"
BEGIN = """
    INSERT INTO core.change_relay (name, position)
    SELECT $1::text, coalesce((SELECT position FROM core.change_relay WHERE name = 'chain'), 0) ON CONFLICT DO NOTHING
"""
WAITING = """
    SELECT EXISTS (SELECT FROM core.change_chain k
        WHERE k.position > (SELECT r.position FROM core.change_relay r WHERE r.name = $1))
"""
HELD = "SELECT position FROM core.change_relay WHERE name = $1 FOR UPDATE SKIP LOCKED"
TAKE = """
    SELECT k.position, c.id, c.occurred_at, c.action, c.entity_type, c.entity_id, c.actor_user_id, c.from_status,
        c.to_status, c.reason, c.version, c.request_id, c.changes::text AS changes
    FROM core.change_chain k LEFT JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
    WHERE k.position > $1 ORDER BY k.position LIMIT $2
"""
HOOKS = """
    SELECT id, owner_id, events, is_active, created_at FROM core.webhooks
    WHERE is_active OR disabled_at > $1
"""
WRITE = """
    INSERT INTO core.webhook_deliveries (id, webhook_id, event_id, event, position, payload, status, next_attempt_at)
    SELECT made.id, made.webhook_id, made.event_id, made.event, made.position, made.payload, made.status,
        CASE WHEN made.status = 'queued' THEN now() END
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::jsonb[], $7::text[])
        AS made (id, webhook_id, event_id, event, position, payload, status)
    WHERE EXISTS (SELECT FROM core.webhooks w WHERE w.id = made.webhook_id)
    ON CONFLICT (webhook_id, event_id) DO NOTHING
"""
ADVANCE = "UPDATE core.change_relay SET position = $2, moved_at = now() WHERE name = $1"


class Event(NamedTuple):
    """A change under its public name."""

    name: str
    resource: Resource
    row: "asyncpg.Record"
    changes: Mapping[str, Pair]
    """Only the fields that differ."""


async def keep_dispatching(runtime: Runtime) -> None:
    """Until cancelled; one line for a trouble however long it lasts."""
    in_trouble, has_begun = False, False
    while True:
        wait = IDLE_SECONDS
        try:
            if not has_begun:
                await runtime.database.pool.execute(BEGIN, CURSOR)
                has_begun = True
            if await runtime.database.pool.fetchval(WAITING, CURSOR) and await dispatch_batch(runtime):
                wait = 0
            in_trouble = False
        except Exception as error:  # noqa: BLE001  the servers may be away; the chain keeps what is due
            if not in_trouble:
                log.warning("webhooks_not_dispatched", error=repr(error))
            wait, in_trouble = TROUBLE_SECONDS, True
        await asyncio.sleep(wait)


async def dispatch_batch(runtime: Runtime, limit: int = BATCH) -> int:
    """The next changes; returns how many, 0 also while another worker does it."""
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        position = await connection.fetchval(HELD, CURSOR)
        if position is None:
            return 0
        rows = await connection.fetch(TAKE, position, limit)
        if not rows:
            return 0
        hooks = await connection.fetch(HOOKS, clock.now() - REMEMBERED)
        if hooks:
            await _write(connection, [one async for one in _deliveries(runtime, connection, hooks, rows)])
        await connection.execute(ADVANCE, CURSOR, rows[-1]["position"])
        return len(rows)


def _events(known: Known, rows: "Iterable[asyncpg.Record]") -> list[Event]:
    """Of a change that retention has dropped meanwhile nothing can be told."""
    found = []
    for row in rows:
        resource = known.get(row["entity_type"] or "")
        if resource is not None:
            changes = pairs(row["changes"])
            name = name_of(row["entity_type"], happened(resource.table, row["action"], changes))
            found.append(Event(name, resource, row, differing(changes)))
    return found


async def _deliveries(
    runtime: Runtime, connection: Any, hooks: "Sequence[asyncpg.Record]", rows: "Iterable[asyncpg.Record]"
) -> Any:
    """In the order of the chain for each webhook."""
    events = _events(known_to(runtime), rows)
    owners: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for hook in hooks:
        owners[hook["owner_id"]].append(hook)
    for owner, owned in owners.items():
        wanted = [(hook, event) for hook in owned for event in events if _concerns(hook, event)]
        principal = await standing_of(runtime, owner) if wanted else None
        if principal is None:
            continue
        seen = await _seen(connection, principal, (event for _, event in wanted))
        for hook, event in wanted:
            if event.row["entity_id"] in seen[event.resource.table.fullname] and (
                payload := _payload(event, principal)
            ):
                yield hook, event, payload


async def standing_of(runtime: Runtime, owner: UUID) -> Principal | None:
    """The owner with the rights of this moment; None once there are none to have webhooks."""
    try:
        principal = await runtime.principal_for(owner)
    except NotFound:
        return None
    return principal if principal.may(MANAGE) else None


def _concerns(hook: "asyncpg.Record", event: Event) -> bool:
    return is_wanted(event.name, hook["events"]) and event.row["occurred_at"] >= hook["created_at"]


async def _seen(connection: Any, principal: Principal, events: Iterable[Event]) -> Mapping[str, frozenset[UUID]]:
    asked: dict[str, set[UUID]] = defaultdict(set)
    resources = {}
    for event in events:
        resources[event.resource.table.fullname] = event.resource
        asked[event.resource.table.fullname].add(event.row["entity_id"])
    return {name: await readable(connection, resources[name], principal, ids) for name, ids in asked.items()}


def _payload(event: Event, principal: Principal) -> str:
    """What is sent, the same at every attempt; empty where all that changed is hidden from the owner.

    Values are passed on as the change log wrote them, so that no number loses a digit.
    """
    resource, row = event.resource, event.row
    hidden = resource.policy.hidden(resource.policy.kind(principal))
    visible = resource.fields.keys() - hidden - {DELETED_AT}
    shown = {name: pair for name, pair in event.changes.items() if name in visible}
    if event.changes and not shown and DELETED_AT not in event.changes:
        return ""
    sees_status = "status" in visible
    data = {
        "entity_type": row["entity_type"],
        "entity_id": row["entity_id"],
        "action": row["action"],
        "version": row["version"],
        "actor_id": row["actor_user_id"],
        "reason": row["reason"],
        "request_id": row["request_id"],
        "from_status": row["from_status"] if sees_status else None,
        "to_status": row["to_status"] if sees_status else None,
        "changes": {name: [msgspec.Raw(old), msgspec.Raw(new)] for name, (old, new) in shown.items()},
    }
    return msgspec.json.encode(
        {"type": event.name, "timestamp": clock.stamp(row["occurred_at"]), "data": data}
    ).decode()


async def _write(connection: Any, made: Sequence[tuple[Any, Event, str]]) -> None:
    if not made:
        return
    rows = [
        (
            clock.new_id(),
            hook["id"],
            event.row["id"],
            event.name,
            event.row["position"],
            payload,
            QUEUED if hook["is_active"] else SKIPPED,
        )
        for hook, event, payload in made
    ]
    await connection.execute(WRITE, *map(list, zip(*rows, strict=True)))
