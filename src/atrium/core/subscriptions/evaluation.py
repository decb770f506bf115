"""Which change reaches whom, decided by PostgreSQL with the row policy and the filter that a REST list has.

One statement for all subscribers of one shape: their own ids and filter values are the rows of `asked`, each row of the
table stands in `state` as it was before a change, after it, and is now. Earlier states are rebuilt from the old values
of all changes since, in the same snapshot as the row itself, so they are what the row really was. A record is rendered
in that snapshot as well: what somebody may see is not read a moment later than it was decided.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import visitors
from sqlalchemy.types import TypeEngine

from atrium.core.access import CALLER
from atrium.core.query.ast import Selection
from atrium.core.statements.compiled import DIALECT
from atrium.core.statements.seen import Seen
from atrium.core.statements.table import record

BEFORE, AFTER, NOW = 0, 1, 2
VALUE = re.compile(r"v\d+")
SUBSCRIBER = "_subscriber"
_traverse: Any = visitors.replacement_traverse
KEYS = ("_position", "_when", "_id")

STATES = """
    WITH changed AS (
        SELECT *, lead(_old) OVER (PARTITION BY _id ORDER BY _sequence) AS _next
        FROM unnest(:positions, :ids, :sequences, :moments, :starts, :ends, :olds)
            AS given (_position, _id, _sequence, _moment, _is_start, _is_end, _old)
    ), later AS MATERIALIZED (
        SELECT last._id, found.old
        FROM (SELECT _id, max(_sequence) AS sequence, max(_moment) AS moment FROM changed GROUP BY _id) last
        CROSS JOIN LATERAL (
            SELECT jsonb_object_agg(one.key, one.value -> 0 ORDER BY h.sequence DESC) AS old
            FROM core.changes h CROSS JOIN LATERAL jsonb_each(h.changes) one
            WHERE h.entity_type = '{table}' AND h.entity_id = last._id AND h.sequence > last.sequence
            AND h.occurred_at >= last.moment - interval '1 minute'
            AND jsonb_typeof(one.value) = 'array' AND one.value -> 0 <> '{{"erased": true}}'
        ) found
    )
    SELECT c._position, c._id, 2 AS _when, t.*
    FROM changed c JOIN {table} t ON t.id = c._id
  UNION ALL
    SELECT c._position, c._id, 1, p.*
    FROM changed c JOIN later l ON l._id = c._id LEFT JOIN {table} t ON t.id = c._id
    CROSS JOIN LATERAL jsonb_populate_record(t, coalesce(l.old, '{{}}') || coalesce(c._next, '{{}}') || {lost}) p
    WHERE NOT c._is_end AND (t.id IS NOT NULL OR l.old IS NOT NULL OR c._next IS NOT NULL)
  UNION ALL
    SELECT c._position, c._id, 0, p.*
    FROM changed c JOIN later l ON l._id = c._id LEFT JOIN {table} t ON t.id = c._id
    CROSS JOIN LATERAL jsonb_populate_record(t, coalesce(l.old, '{{}}') || c._old || {lost}) p
    WHERE NOT c._is_start
"""
# Of later changes the first is aggregated last and stays; what was erased nobody can tell, and the row keeps its own.
# No change tells these of a row that is gone.
LOST = """CASE WHEN t.id IS NULL THEN jsonb_build_object(
    'id', c._id, 'created_at', c._moment, 'updated_at', c._moment, 'version', 1) ELSE '{}' END"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Compiled; `varying` are the values in which its subscribers may differ, `fixed` those that they share."""

    sql: str
    names: tuple[str, ...]
    constants: dict[str, Any]
    varying: tuple[str, ...]
    fixed: tuple[str, ...]

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        return [values[name] if name in values else self.constants[name] for name in self.names]


def evaluation(seen: Seen, rows: Selection) -> Evaluation:
    """Rows of the answer: position, when, subscribers (numbers), record (text, of the row as it is now)."""
    table = seen.table
    conditions = and_(true(), *seen.matching(rows))
    asked = _parameters(conditions)
    lists = tuple(name for name, kind in asked.items() if _is_list(kind))
    varying = tuple(name for name in asked if name not in lists)
    matched = _matched(table, conditions, {name: asked[name] for name in varying})
    position, when, row_id = (matched.c[name] for name in KEYS)
    current = table.alias("current")
    body = case((when == NOW, record(current, seen.guarded.visible(seen.kind))))
    joined = matched.outerjoin(current, and_(when == NOW, current.c.id == row_id))
    statement = select(position, when, matched.c.subscribers, body).select_from(joined).order_by(position, when)
    compiled: Any = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    return Evaluation(str(compiled), tuple(compiled.positiontup), dict(compiled.params), varying, lists)


def asked_name(name: str) -> str:
    return f"asked_{name}"


def _matched(table: Table, conditions: ColumnElement[bool], varying: dict[str, TypeEngine[Any]]) -> Any:
    """Which subscribers see which states."""
    state, asked = _states(table), _asked(varying)
    where = _moved(conditions, table, frozenset(varying))
    keys = [state.c[name] for name in KEYS]
    found = select(*keys, func.array_agg(literal_column(f"asked.{SUBSCRIBER}")).label("subscribers"))
    return found.select_from(state.join(asked, true())).where(where).group_by(*keys).cte("matched")


def _states(table: Table) -> Any:
    arrays: dict[str, TypeEngine[Any]] = {
        "positions": BigInteger(),
        "ids": Uuid(),
        "sequences": BigInteger(),
        "moments": DateTime(timezone=True),
        "starts": Boolean(),
        "ends": Boolean(),
        "olds": JSONB(),
    }
    binds: list[BindParameter[Any]] = [bindparam(name, type_=ARRAY(kind)) for name, kind in arrays.items()]
    sql = STATES.format(table=table.fullname, lost=LOST)
    columns: list[Any] = [column("_position", BigInteger()), column("_id", Uuid()), column("_when", Integer())]
    return text(sql).bindparams(*binds).columns(*columns).cte("state")


def _asked(varying: dict[str, TypeEngine[Any]]) -> FromClause:
    names = {SUBSCRIBER: Integer(), **varying}
    arrays = [bindparam(asked_name(name), type_=ARRAY(kind)) for name, kind in names.items()]
    columns: list[Any] = [column(name, kind) for name, kind in names.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="asked")


def _parameters(conditions: ColumnElement[bool]) -> dict[str, TypeEngine[Any]]:
    """The subscriber's own, by name; other parameters are literals of the statement."""
    return {
        one.key: one.type
        for one in visitors.iterate(conditions)
        if isinstance(one, BindParameter) and (one.key.startswith(CALLER) or VALUE.fullmatch(one.key))
    }


def _is_list(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, ARRAY)


def _moved(conditions: ColumnElement[bool], table: Table, varying: frozenset[str]) -> ColumnElement[bool]:
    """The same conditions about a row of `state` and the values of a row of `asked`.

    They are named as text, so that sub-selects see them as what surrounds them. A sub-select that reads the table
    itself means its rows of today, not the row in question.
    """
    quote = DIALECT.identifier_preparer.quote

    def value(element: Any, **_: Any) -> Any:
        if isinstance(element, BindParameter) and element.key in varying:
            return literal_column(f"asked.{quote(element.key)}", element.type)
        return None

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, Select) and any(_is(one, table) for one in _read_by(element)):
            return _traverse(element, {}, value)
        if isinstance(element, Column) and _is(element.table, table):
            return literal_column(f"state.{quote(element.name)}", element.type)
        return value(element)

    found: ColumnElement[bool] = _traverse(conditions, {}, replace)
    return found


def _read_by(element: "Select[Any]") -> Iterator[Any]:
    yield from element.columns_clause_froms
    for one in element._from_obj:  # noqa: SLF001  else told only together with what is correlated
        yield from visitors.iterate(one) if not isinstance(one, Table) else (one,)


def _is(source: Any, table: Table) -> bool:
    return isinstance(source, Table) and source.fullname == table.fullname
