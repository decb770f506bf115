"""The change log of one record, for those who may read the record."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from atrium.core import clock
from atrium.core.query.ast import Order
from atrium.core.query.parse import Vocabulary, parse
from atrium.core.runtime import Runtime

WORDS = Vocabulary(fields={}, filters=frozenset(), sorts=frozenset(), default_order=(Order("sequence", False),))
ROWS = """
    SELECT c.id, c.occurred_at, c.actor_user_id, u.name, c.action, c.from_status, c.to_status, c.reason,
    c.changes::text,
        c.version, c.request_id
    FROM core.changes c LEFT JOIN core.users u ON u.id = c.actor_user_id
    WHERE c.entity_type = $1 AND c.entity_id = $2
    ORDER BY c.sequence LIMIT $3 OFFSET $4
"""
TOTAL = "SELECT count(*) FROM core.changes WHERE entity_type = $1 AND entity_id = $2"


async def history_page(
    runtime: Runtime, entity_type: str, entity_id: UUID, visible: frozenset[str], query_string: str
) -> bytes:
    """A v1 list, oldest first; fields that the caller may not read do not exist in it."""
    query = parse(query_string, WORDS)
    pool = runtime.database.pool
    rows = await pool.fetch(ROWS, entity_type, entity_id, query.limit, query.offset)
    total = await pool.fetchval(TOTAL, entity_type, entity_id)
    page = {"items": [_item(row, visible) for row in rows], "total": total, "page": query.page, "limit": query.limit}
    return msgspec.json.encode({**page, "pages": -(-total // query.limit), "next_cursor": None})


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
        "changes": {name: pair for name, pair in changes.items() if name in visible and pair[0] != pair[1]},
        "version": row["version"],
        "request_id": row["request_id"],
    }
