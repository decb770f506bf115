"""The change log of one record, for those who may read the record."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from atrium.core import clock
from atrium.core.changes.models import Change
from atrium.core.db.wire import fields_of
from atrium.core.query.ast import Order
from atrium.core.query.cursors import signature, write_cursor
from atrium.core.query.parse import parse
from atrium.core.query.vocabulary import Vocabulary
from atrium.core.runtime import Runtime

WORDS = Vocabulary(
    fields={"sequence": fields_of(Change)["sequence"]},
    filters=frozenset(),
    sorts=frozenset(),
    default_order=(Order("sequence", False),),
)
ROWS = """
    SELECT c.id, c.sequence, c.occurred_at, c.actor_user_id, u.name, c.action, c.from_status, c.to_status, c.reason,
        c.changes::text, c.version, c.request_id
    FROM (
        SELECT * FROM core.changes
        WHERE entity_type = $1 AND entity_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4 OFFSET $5
    ) c LEFT JOIN core.users u ON u.id = c.actor_user_id
    ORDER BY c.sequence
"""
TOTAL = "SELECT count(*) FROM core.changes WHERE entity_type = $1 AND entity_id = $2"
ERASED = {"erased": True}


async def history_page(
    runtime: Runtime, entity_type: str, entity_id: UUID, visible: frozenset[str], query_string: str
) -> bytes:
    """A v1 list, oldest first; fields that the caller may not read do not exist in it.

    A page that ends the history knows the total by itself; pages behind a cursor count only when asked.
    """
    query = parse(query_string, WORDS)
    pool = runtime.database.pool
    after = query.after[0] if query.shape.cursor else 0
    rows = await pool.fetch(ROWS, entity_type, entity_id, after, query.limit, query.offset)
    is_last = len(rows) < query.limit
    total: int | None = None
    if query.shape.total:
        known = is_last and bool(rows or not query.offset) and not query.shape.cursor
        total = query.offset + len(rows) if known else await pool.fetchval(TOTAL, entity_type, entity_id)
    page = {
        "items": [_item(row, visible) for row in rows],
        "total": total,
        "page": query.page,
        "limit": query.limit,
        "pages": None if total is None else -(-total // query.limit),
        "next_cursor": None if is_last else write_cursor(signature(query), [rows[-1]["sequence"]]),
    }
    return msgspec.json.encode(page)


def _item(row: Mapping[str, Any], visible: frozenset[str]) -> dict[str, Any]:
    changes = msgspec.json.decode(row["changes"], type=dict[str, tuple[Any, Any]])
    sees_status = "status" in visible
    return {
        "id": row["id"],
        "at": clock.stamp(row["occurred_at"]),
        "actor": {"id": row["actor_user_id"], "name": row["name"]},
        "action": row["action"],
        "from_status": row["from_status"] if sees_status else None,
        "to_status": row["to_status"] if sees_status else None,
        "reason": row["reason"],
        "changes": {name: pair for name, pair in changes.items() if name in visible and _is_change(pair)},
        "version": row["version"],
        "request_id": row["request_id"],
    }


def _is_change(pair: tuple[Any, Any]) -> bool:
    """Scope columns stand in every entry, whether they changed or not; of what was erased nobody can tell."""
    return bool(pair[0] != pair[1] or pair[0] == ERASED)
