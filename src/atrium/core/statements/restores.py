"""What was deleted and kept: seen by those who may bring it back, and brought back in one statement."""

from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, null, update

from atrium.core.statements.table import Guarded
from atrium.core.statements.writes import actor_cte, answer, bookkeeping, reads_actor, refusal


class Deleted(Guarded):
    """A table's deleted rows, for those who may delete; what hangs on a deleted parent comes back with it only."""

    def present(self) -> ColumnElement[bool]:
        found: ColumnElement[bool] = self.table.c.deleted_at.is_not(None)
        return found

    def readable(self, kind: int) -> list[ColumnElement[bool]]:
        return self.removable(kind)


def restore(guarded: Guarded, kind: int, within: tuple[str, ...] = ()) -> Select[*tuple[Any, ...]]:
    """The row `:id` as it was before it was deleted."""
    table, actor = guarded.table, actor_cte()
    deleted = Deleted(table, guarded.fields, guarded.policy)
    restored = (
        update(table)
        .values(deleted_at=null(), **bookkeeping(guarded))
        .where(
            table.c.id == bindparam("id", type_=table.c.id.type),
            reads_actor(actor),
            *deleted.removable(kind),
            *guarded.within(within),
        )
        .returning(*table.c)
        .cte("restored")
    )
    return answer(guarded, kind, restored, refusal(guarded, kind, restored, ("deleted_at",), ()))
