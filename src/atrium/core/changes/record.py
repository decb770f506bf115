"""Changes that no table shows: a login, an export, a reveal. They stand in the same log."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert

from atrium.core.changes.models import Change
from atrium.core.changes.queue import QUEUE
from atrium.core.services import Work


async def record(
    work: Work,
    *,
    module: str,
    action: str,
    entity_type: str,
    entity_id: UUID,
    changes: dict[str, Any] | None = None,
    reason: str | None = None,
    actor_user_id: UUID | None = None,
) -> None:
    """One entry in the work's transaction; the actor is the caller, or `actor_user_id` where nobody is logged in
    yet.
    """
    caller = work.caller
    change = Change(
        actor_user_id=actor_user_id or (caller.principal.user_id if caller else None),
        actor_role=caller.principal.role if caller else None,
        module=module,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        changes=changes or {},
        reason=reason,
        request_id=(caller.request_id or None) if caller else None,
        ip=caller.ip if caller else None,
    )
    work.session.add(change)
    await work.session.flush()
    await work.session.execute(
        insert(QUEUE).values(sequence=change.sequence, change_id=change.id, occurred_at=change.occurred_at)
    )
