"""Compiled writes: create, update and delete in one statement that is its own transaction.

Both halves of the policy are in the statement. The old row is found under the caller's writable rows, every foreign
key the
caller sets is found under the parent's policy, and the new row must again be one the caller may write; else
`core.refuse` aborts everything. The actor is set in the same statement, and the statement reads from it, so that the
change-log triggers see it (hard facts 1 and 14).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.visitors import replacement_traverse

from atrium.core.statements.table import Guarded, as_bytes, record, version_of

OUT_OF_SCOPE = "ATR01"
"""SQLSTATE of core.refuse: the row would leave what its writer may write."""


Keeping = Callable[[FromClause, ColumnElement[bytes]], CTE]
"""Makes the part of a create that keeps its answer out of the new row and its record."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key the caller sets, and the parent rows it may name."""

    column: str
    parent: Guarded
    kind: int


def create(
    guarded: Guarded,
    kind: int,
    columns: Iterable[str],
    references: Iterable[Reference],
    asked: Iterable[str],
    *,
    keeping: Keeping | None = None,
) -> Select[*tuple[Any, ...]]:
    """INSERT of the named columns (parameters of the same names); no row when a parent is not to be seen.

    `asked` are the fields that the caller chose, as against those that rules added. `keeping` writes the answer down
    in the same statement.
    """
    table, actor = guarded.table, actor_cte()
    given = {name: _value(table, name) for name in columns}
    source = select(*given.values()).select_from(actor).where(reads_actor(actor), *parents(references, given))
    made = insert(table).from_select(list(given), source, include_defaults=False).returning(*table.c).cte("made")
    found = answer(guarded, kind, made, refusal(guarded, kind, made, table.c.keys(), asked))
    return found if keeping is None else found.add_cte(keeping(made, as_bytes(record(made, guarded.visible(kind)))))


def change(
    guarded: Guarded,
    kind: int,
    columns: Iterable[str],
    references: Iterable[Reference],
    asked: Iterable[str],
    *,
    matching: bool = False,
    within: tuple[str, ...] = (),
    only_if: ColumnElement[bool] | None = None,
) -> Select[*tuple[Any, ...]]:
    """UPDATE of the named columns of the row `:id`; with `matching` only if its version is `:if_match`."""
    table, actor = guarded.table, actor_cte()
    given = {name: _value(table, name) for name in columns}
    statement = (
        update(table)
        .values(**given, **bookkeeping(guarded))
        .where(
            *_target(guarded, guarded.writable(kind, asked), actor, matching=matching),
            *guarded.within(within),
            *parents(references, given),
            true() if only_if is None else only_if,
        )
        .returning(*table.c)
    )
    changed = statement.cte("changed")
    return answer(guarded, kind, changed, refusal(guarded, kind, changed, list(given), asked))


def remove(
    guarded: Guarded,
    kind: int,
    *,
    matching: bool = False,
    within: tuple[str, ...] = (),
    only_if: ColumnElement[bool] | None = None,
) -> Select[*tuple[Any, ...]]:
    """DELETE of the row `:id`, or its mark where the table keeps what is deleted; one row says that it is gone."""
    table, actor = guarded.table, actor_cte()
    target = [*_target(guarded, guarded.removable(kind), actor, matching=matching), *guarded.within(within)]
    if only_if is not None:
        target.append(only_if)
    if guarded.is_soft_deleted:
        marked = update(table).values(deleted_at=func.now(), **bookkeeping(guarded))
        gone = marked.where(*target).returning(table.c.id).cte("gone")
    else:
        gone = delete(table).where(*target).returning(table.c.id).cte("gone")
    return select(gone.c.id)


def actor_cte() -> CTE:
    setting = func.set_config(literal_column("'atrium.actor'"), bindparam("actor", type_=Text()), true())
    return select(setting.label("setting")).cte("actor")


def reads_actor(actor: CTE) -> ColumnElement[bool]:
    return actor.c.setting.is_not(None)


def _value(table: Table, name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=table.c[name].type)


def bookkeeping(guarded: Guarded) -> Mapping[str, Any]:
    grown = {"version": guarded.table.c.version + literal_column("1")} if guarded.is_versioned else {}
    return {**grown, "updated_at": func.clock_timestamp()}


def _target(
    guarded: Guarded, allowed: list[ColumnElement[bool]], actor: CTE, *, matching: bool
) -> list[ColumnElement[bool]]:
    table = guarded.table
    found = [table.c.id == bindparam("id", type_=table.c.id.type), *allowed, reads_actor(actor)]
    return [*found, version_of(table) == bindparam("if_match")] if matching else found


def parents(
    references: Iterable[Reference], given: Mapping[str, ColumnElement[Any]], *, optional: bool = False
) -> list[ColumnElement[bool]]:
    """The parents are there for the caller; with `optional` a key that is null names none."""
    found: list[ColumnElement[bool]] = []
    for place, reference in enumerate(references):
        parent = reference.parent.table.alias(f"parent{place}")
        seen = [adapt(part, reference.parent.table, parent) for part in reference.parent.readable(reference.kind)]
        key = given[reference.column]
        there = select(literal_column("1")).where(parent.c.id == key, *seen).exists()
        found.append(or_(key.is_(None), there) if optional else there)
    return found


def adapt(expression: ColumnElement[bool], table: Table, source: FromClause) -> ColumnElement[bool]:
    """The same condition over another appearance of the table."""

    def replace(element: Any, **_: Any) -> Any:
        return source.c[element.name] if getattr(element, "table", None) is table else None

    return replacement_traverse(expression, {}, replace)


def refusal(
    guarded: Guarded,
    kind: int,
    row: FromClause,
    touched: Iterable[str],
    asked: Iterable[str],
    *,
    named: bool = False,
) -> list[ColumnElement[bool]]:
    """The new row's half of the policy: it was true of the old row, unless the write touches a column that it reads.

    A condition that reads no column, such as the one of who may write nothing, always stands. With `named` the failure
    says which of many rows it was.
    """
    touched = set(touched)
    policy = guarded.policy.written(kind, asked)
    if policy is None:
        return []
    read = {column.name for column in _columns(policy) if column.table is guarded.table}
    if read and not read & touched:
        return []
    refuse = func.core.refuse_row(row.c.id) if named else func.core.refuse()
    return [case((adapt(policy, guarded.table, row), true()), else_=refuse)]


def _columns(expression: ColumnElement[Any]) -> list[Any]:
    found: list[Any] = []

    def collect(element: Any, **_: Any) -> None:
        if element.__visit_name__ == "column" and getattr(element, "table", None) is not None:
            found.append(element)

    replacement_traverse(expression, {}, collect)
    return found


def answer(guarded: Guarded, kind: int, row: CTE, conditions: list[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    body = as_bytes(record(row, guarded.visible(kind)))
    return select(body, version_of(row), row.c.id).select_from(row).where(*conditions)
