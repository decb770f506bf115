"""Compiled writes of many rows: what `writes` does for one, in one statement for a batch.

The rows come as one array per column (`many_<column>`), so the statement depends on the columns alone. Each row is
judged by itself: its parents are bound through their policies, its old half by the writer's rows, its new half by
`core.refuse_row`, which names it. Rows that are not made (a parent that is not to be seen, a value that is taken) are
missing from the answer; whoever runs the statement asks for each of them why.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.types import TypeEngine

from atrium.core.statements.table import Guarded, as_bytes, record, version_of
from atrium.core.statements.writes import (
    Reference,
    actor_cte,
    bookkeeping,
    parents,
    reads_actor,
    refusal,
)

MANY = "many_"
PLACE, VERSION = "place~", "version~"


def create(
    guarded: Guarded,
    kind: int,
    columns: Sequence[str],
    references: Iterable[Reference],
    asked: Iterable[str],
    *,
    rendered: bool = True,
) -> Select[*tuple[Any, ...]]:
    """INSERT of all rows that may be; a null in a NOT NULL column stands for its default."""
    table, actor = guarded.table, actor_cte()
    source = _source(guarded, columns)
    given = {name: _value(guarded, source, name) for name in columns}
    chosen = (
        select(*given.values())
        .select_from(source, actor)
        .where(reads_actor(actor), *parents(references, given, optional=True))
    )
    statement = insert(table).from_select(list(given), chosen, include_defaults=False).on_conflict_do_nothing()
    made = statement.returning(*table.c).cte("made")
    return _answer(guarded, kind, made, refusal(guarded, kind, made, table.c.keys(), asked, named=True), rendered)


def change(
    guarded: Guarded,
    kind: int,
    columns: Sequence[str],
    references: Iterable[Reference],
    asked: Iterable[str],
    *,
    within: tuple[str, ...] = (),
    only_if: ColumnElement[bool] | None = None,
    rendered: bool = True,
) -> Select[*tuple[Any, ...]]:
    """UPDATE of the same columns of all rows that may be changed; a version that is not null must be the row's."""
    table, actor = guarded.table, actor_cte()
    source = _source(guarded, ("id", *columns), versions=True)
    given = {name: _cast(guarded, source, name) for name in columns}
    asked_version = source.c[VERSION]
    statement = (
        update(table)
        .values(**given, **bookkeeping(guarded))
        .where(
            table.c.id == source.c.id,
            or_(asked_version.is_(None), asked_version == version_of(table)),
            reads_actor(actor),
            *guarded.writable(kind, asked),
            *guarded.within(within),
            *parents(references, given, optional=True),
            true() if only_if is None else only_if,
        )
        .returning(*table.c)
    )
    changed = statement.cte("changed")
    return _answer(guarded, kind, changed, refusal(guarded, kind, changed, columns, asked, named=True), rendered)


def remove(
    guarded: Guarded, kind: int, *, within: tuple[str, ...] = (), only_if: ColumnElement[bool] | None = None
) -> Select[*tuple[Any, ...]]:
    """DELETE of the rows, or their mark where the table keeps what is deleted; answers which are gone."""
    table, actor = guarded.table, actor_cte()
    target = [
        table.c.id == any_(bindparam(MANY + "id", type_=ARRAY(table.c.id.type))),
        reads_actor(actor),
        *guarded.removable(kind),
        *guarded.within(within),
        true() if only_if is None else only_if,
    ]
    if guarded.is_soft_deleted:
        marked = update(table).values(deleted_at=func.now(), **bookkeeping(guarded))
        gone = marked.where(*target).returning(table.c.id).cte("gone")
    else:
        gone = delete(table).where(*target).returning(table.c.id).cte("gone")
    return select(gone.c.id)


def match(
    guarded: Guarded,
    kind: int,
    key: Sequence[str],
    fixed: Sequence[str],
    columns: Sequence[str],
    within: tuple[str, ...] = (),
) -> Select[*tuple[Any, ...]]:
    """Which of the rows exist where the caller may write: place, id, whether `fixed` is equal, whether `columns` are.

    They stay locked until the transaction ends, so that what is decided on them still holds when they are written.
    """
    table = guarded.table
    source = _source(guarded, tuple(dict.fromkeys((*key, *fixed, *columns))), places=True)

    def equal(names: Sequence[str]) -> ColumnElement[bool]:
        return and_(true(), *(table.c[name].is_not_distinct_from(_cast(guarded, source, name)) for name in names))

    return (
        select(source.c[PLACE], table.c.id, equal(fixed).label("fixed"), equal(columns).label("same"))
        .select_from(source, table)
        .where(
            *(table.c[name] == _cast(guarded, source, name) for name in key),
            *guarded.writable(kind),
            *guarded.within(within),
        )
        .with_for_update(of=table)
    )


def some(guarded: Guarded, kind: int) -> Select[*tuple[Any, ...]]:
    """The records with these ids that the caller may read."""
    table = guarded.table
    wanted = table.c.id == any_(bindparam(MANY + "id", type_=ARRAY(table.c.id.type)))
    rows = select(table).where(wanted, *guarded.readable(kind)).subquery("found")
    return select(rows.c.id, version_of(rows), as_bytes(record(rows, guarded.visible(kind)))).select_from(rows)


def arrays(
    guarded: Guarded,
    columns: Iterable[str],
    rows: Sequence[Mapping[str, Any]],
    versions: Sequence[int | None] | None = None,
) -> dict[str, Any]:
    """The parameters of these rows: one array per column, absent values as null."""
    found: dict[str, Any] = {}
    for name in columns:
        known = guarded.fields.get(name)
        values: list[Any] = [row.get(name) for row in rows]
        if isinstance(guarded.table.c[name].type, ARRAY):
            values = [None if value is None else _array_text(value) for value in values]
        elif known is not None and isinstance(known.column.type, JSONB):
            values = [known.bind(value) for value in values]
        found[MANY + name] = values
    if versions is not None:
        found[MANY + VERSION] = list(versions)
    return found


def _source(guarded: Guarded, columns: Sequence[str], *, versions: bool = False, places: bool = False) -> FromClause:
    """The rows of the batch as a table."""
    types: dict[str, TypeEngine[Any]] = {name: _carrier(guarded.table.c[name]) for name in columns}
    if versions:
        types[VERSION] = BigInteger()
    given = [bindparam(MANY + name, type_=ARRAY(kind)) for name, kind in types.items()]
    shown = [column(name, kind) for name, kind in types.items()]
    if places:
        found = func.unnest(*given).table_valued(*shown, with_ordinality=PLACE, name="given")
        found.c[PLACE].type = Integer()
        return found.render_derived()
    return func.unnest(*given).table_valued(*shown, name="given").render_derived()


def _carrier(known: Column[Any]) -> TypeEngine[Any]:
    """What a value travels as: arrays would be flattened by unnest, and asyncpg takes JSON as text."""
    return Text() if isinstance(known.type, ARRAY | JSONB) else known.type


def _cast(guarded: Guarded, source: FromClause, name: str) -> ColumnElement[Any]:
    kind = guarded.table.c[name].type
    return cast(source.c[name], kind) if isinstance(kind, ARRAY | JSONB) else source.c[name]


def _value(guarded: Guarded, source: FromClause, name: str) -> ColumnElement[Any]:
    known, value = guarded.table.c[name], _cast(guarded, source, name)
    default = getattr(known.server_default, "arg", None)
    if known.nullable or default is None:
        return value
    return func.coalesce(value, literal_column(str(default)))


def needs_presence(known: Column[Any]) -> bool:
    """Whether null and absent differ: a batch then holds only rows that have the column, or only rows without it."""
    return bool(known.nullable) and known.server_default is not None


def _array_text(values: Iterable[Any]) -> str:
    """A list as PostgreSQL writes arrays."""
    return "{" + ",".join("NULL" if one is None else _quoted(str(one)) for one in values) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _answer(
    guarded: Guarded, kind: int, row: FromClause, conditions: list[ColumnElement[bool]], rendered: bool
) -> Select[*tuple[Any, ...]]:
    shown = [as_bytes(record(row, guarded.visible(kind)))] if rendered else []
    return select(row.c.id, version_of(row), *shown).select_from(row).where(*conditions)
