"""Which of many records somebody may read at this moment, judged by the resource's row policy in one statement.

A record that is gone is judged as it last was: its deletion's entry in the change log holds the whole row, and the
policy is asked about that. Where nothing is left to judge, nobody is told except those who see every row.
"""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import msgspec
import structlog
from asyncpg import PostgresError
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Table,
    TableValuedAlias,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import visitors

from atrium.core.access import Principal
from atrium.core.resources.resource import Resource
from atrium.core.webhooks.changed import ERASED, pairs

log = structlog.get_logger()
LAST = """
    SELECT DISTINCT ON (entity_id) entity_id, changes::text AS changes FROM core.changes
    WHERE entity_type = $1 AND entity_id = ANY ($2) ORDER BY entity_id, sequence DESC
"""
Connection = Any


async def readable(
    connection: Connection, resource: Resource, principal: Principal, ids: Collection[UUID]
) -> frozenset[UUID]:
    """Of these records those that the principal may read, or might have read when they were deleted."""
    if not principal.may(resource.read):
        return frozenset()
    kind, table = resource.policy.kind(principal), resource.table
    rows = resource.policy.rows(kind)
    if rows is None:
        return frozenset(ids)
    compiled = resource.statements.get(("sight", kind), lambda: _present(table, rows))
    seen = await connection.fetch(compiled.sql, *compiled.arguments({"ids": list(ids)}, principal))
    found = {row["id"] for row in seen}
    there = await connection.fetch(f"SELECT id FROM {table.fullname} WHERE id = ANY ($1)", list(ids))
    gone = set(ids) - {row["id"] for row in there}
    if gone and not _names(rows, table):
        found |= await _were_readable(connection, resource, principal, rows, gone)
    return frozenset(found)


def _present(table: Table, rows: ColumnElement[bool]) -> Select[Any]:
    wanted = bindparam("ids", type_=ARRAY(Uuid()))
    return select(table.c.id).where(table.c.id == any_(wanted), rows)


async def _were_readable(
    connection: Connection, resource: Resource, principal: Principal, rows: ColumnElement[bool], gone: Iterable[UUID]
) -> set[UUID]:
    last = await connection.fetch(LAST, resource.table.fullname, list(gone))
    kind, table = resource.policy.kind(principal), resource.table
    compiled = resource.statements.get(("sight of what was", kind), lambda: _past(table, rows))
    found: set[UUID] = set()
    for row in last:
        arguments = compiled.arguments({"old": _old(row["entity_id"], row["changes"])}, principal)
        try:
            async with connection.transaction():
                found.update(one["id"] for one in await connection.fetch(compiled.sql, *arguments))
        except PostgresError as error:
            # What the row's type cannot hold any more is not judged, and must not hold up what follows.
            log.warning("record_not_judged", table=table.fullname, row_id=str(row["entity_id"]), error=repr(error))
    return found


def _old(row_id: UUID, changes: str) -> str:
    kept = {name: msgspec.Raw(old) for name, (old, _) in pairs(changes).items() if old != ERASED}
    return msgspec.json.encode({**kept, "id": row_id}).decode()


def _past(table: Table, rows: ColumnElement[bool]) -> Select[Any]:
    """The policy asked about a row that is given as JSON instead of being in its table."""
    given = func.jsonb_populate_record(literal_column(f"NULL::{table.fullname}"), bindparam("old", type_=JSONB()))
    was = given.table_valued(*(column(one.name, one.type) for one in table.columns), name="was")
    return select(was.c.id).where(_moved(rows, table, was))


def _moved(rows: ColumnElement[bool], table: Table, was: TableValuedAlias) -> ColumnElement[bool]:
    def replaced(element: Any, **_more: Any) -> Any:
        of = getattr(element, "table", None)
        return was.c[element.name] if getattr(of, "fullname", None) == table.fullname else None

    moved: ColumnElement[bool] = visitors.replacement_traverse(rows, {}, replaced)
    return moved


def _names(rows: ColumnElement[bool], table: Table) -> bool:
    """Whether the policy looks into the table itself as well; then a row beside it cannot be judged."""
    return any(getattr(part, "fullname", None) == table.fullname for part in visitors.iterate(rows))
