"""Why a write touched nothing: asked only after the one statement came back empty.

The statement itself decides; these looks only find the words for it, so a race can at worst make a refusal less
precise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, select

from atrium.core.access import Principal
from atrium.core.errors import AtriumError, Invalid, NotFound, PreconditionFailed
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.core.statements import reads
from atrium.core.statements.compiled import Cache, fetch
from atrium.core.statements.table import Guarded, parents_of
from atrium.core.statements.writes import Reference

if TYPE_CHECKING:
    from atrium.core.resources.reading import Reading

Condition = tuple[ColumnElement[bool], Callable[[dict[str, Any]], AtriumError]]
_looks = Cache(256)


async def explain_untouched(
    resource: "Reading",
    runtime: Runtime,
    caller: Caller,
    row_id: UUID,
    if_match: int | None,
    within: Mapping[str, UUID],
    condition: Condition | None,
) -> None:
    """Raises NotFound, PreconditionFailed or the refusal of the condition; returns when none of them is the reason."""
    found = await resource.find(runtime, caller.principal, row_id, within)
    if found is None:
        raise NotFound(f"There is no {resource.noun()} with this id, or it is outside what you may see.")
    if if_match is not None and found.version != if_match:
        changed = await changed_since(resource, runtime, caller.principal, row_id, if_match)
        raise PreconditionFailed(changed=changed)
    if condition is not None:
        await _explain_condition(resource, runtime, caller.principal, row_id, condition)


async def _explain_condition(
    resource: "Reading", runtime: Runtime, principal: Principal, row_id: UUID, condition: Condition
) -> None:
    holds, refusal = condition
    table = resource.table
    wanted = table.c.id == bindparam("id", type_=table.c.id.type)
    compiled = resource.statements.get(
        ("condition", id(condition)), lambda: select(table, holds.label("~holds")).where(wanted)
    )
    rows = await fetch(runtime, compiled, {"id": row_id}, principal, table)
    if rows and not rows[0]["~holds"]:
        raise refusal(dict(rows[0]))


async def changed_since(
    resource: "Reading", runtime: Runtime, principal: Principal, row_id: UUID, version: int
) -> list[str]:
    """The fields that others changed since the caller read the record, those hidden from the caller left out."""
    since = "version > $2" if resource.guarded.is_versioned else "extract(epoch from occurred_at) * 1000000 > $2"
    sql = (
        "SELECT DISTINCT key AS name FROM core.changes, jsonb_each(changes) "
        f"WHERE entity_id = $1 AND entity_type = $3 AND {since} AND value->0 <> value->1 ORDER BY 1"
    )
    rows = await runtime.database.pool.fetch(sql, row_id, version, resource.table.fullname)
    visible = {known.name for known in resource.guarded.visible(resource.policy.kind(principal))}
    return [row["name"] for row in rows if row["name"] in visible]


async def explain_missing_parents(
    runtime: Runtime,
    principal: Principal,
    references: Sequence[Reference],
    values: Mapping[str, Any],
    within: Mapping[str, UUID],
) -> None:
    """A parent that the caller may not see: 404 when the path named it, 422 on its field when the body did."""
    for reference in references:
        if not await _sees(runtime, principal, reference.parent, reference.kind, values[reference.column]):
            raise NotFound if reference.column in within else Invalid.at(reference.column, "not found", "not_found")


async def require_parents(
    resource: "Reading", runtime: Runtime, principal: Principal, within: Mapping[str, UUID]
) -> None:
    """A nested path whose parent the caller may not see is not there."""
    for name, value in within.items():
        for parent, kind in parents_of(resource.fields[name].column, principal):
            if not await _sees(runtime, principal, parent, kind, value):
                raise NotFound


async def _sees(runtime: Runtime, principal: Principal, parent: Guarded, kind: int, row_id: UUID) -> bool:
    compiled = _looks.get((parent.table.fullname, kind), lambda: reads.exists(parent, kind))
    return bool(await fetch(runtime, compiled, {"id": row_id}, principal, parent.table))
