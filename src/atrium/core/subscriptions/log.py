"""The chain of changes, read in pages above a position."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Table

from atrium.core.changes.triggers import logged
from atrium.core.runtime import Runtime

PAGE = 200
SECONDS = 10.0
HEAD = """
    SELECT coalesce((SELECT position FROM core.change_relay WHERE name = 'chain'), 0) AS head,
        (SELECT min(position) FROM core.change_chain) AS oldest
"""
ABOVE = """
    SELECT k.position, k.sequence, k.occurred_at, c.entity_type, c.entity_id, c.changes::text
    FROM core.change_chain k LEFT JOIN core.changes c
        ON c.id = k.change_id AND c.occurred_at = k.occurred_at AND c.entity_type = ANY ($3)
    WHERE k.position > $1 ORDER BY k.position LIMIT $2
"""

NULL, ERASED = msgspec.Raw(b"null"), msgspec.Raw(b'{"erased": true}')
Step = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one record; `fields` are those whose values differ."""

    position: int
    sequence: int
    occurred_at: datetime
    table: str
    record_id: UUID
    step: Step
    is_start: bool
    is_end: bool
    fields: tuple[str, ...]
    old: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Page:
    """What was read up to `position`; changes of other tables are passed over."""

    position: int
    changes: tuple[Change, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """From where to where the chain can be read: above `floor`, up to `head`."""

    floor: int
    head: int


async def reach(runtime: Runtime) -> Reach:
    row = await runtime.database.pool.fetchrow(HEAD, timeout=SECONDS)
    head = int(row["head"]) if row else 0
    return Reach(int(row["oldest"]) - 1 if row and row["oldest"] else head, head)


async def page_above(runtime: Runtime, position: int, tables: Iterable[Table], limit: int = PAGE) -> Page:
    wanted = {one.fullname: one for one in tables}
    rows = await runtime.database.pool.fetch(ABOVE, position, limit, list(wanted), timeout=SECONDS)
    changes = (_change(row, wanted[row["entity_type"]]) for row in rows if row["entity_type"])
    last = int(rows[-1]["position"]) if rows else position
    return Page(last, tuple(one for one in changes if one is not None), len(rows) < limit)


def _change(row: Any, table: Table) -> Change | None:
    """None for an event that changed no field: a reveal, an export."""
    pairs = {name: pair for name, pair in _pairs(row["changes"]) if pair[0] != pair[1] or pair[0] == ERASED}
    if not pairs:
        return None
    required = _required(table)
    is_start = any(name in required and pair[0] == NULL for name, pair in pairs.items())
    is_end = not is_start and any(name in required and pair[1] == NULL for name, pair in pairs.items())
    return Change(
        position=row["position"],
        sequence=row["sequence"],
        occurred_at=row["occurred_at"],
        table=table.fullname,
        record_id=row["entity_id"],
        step=_step(is_start, is_end, pairs.get("deleted_at")),
        is_start=is_start,
        is_end=is_end,
        fields=tuple(name for name in pairs if name != "deleted_at"),
        old={name: pair[0] for name, pair in pairs.items() if pair[0] != ERASED},
    )


def _pairs(text: str) -> Iterator[tuple[str, list[msgspec.Raw]]]:
    """Old and new values as JSON, so that no number loses a digit."""
    for name, value in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items():
        if bytes(value).startswith(b"["):
            pair = msgspec.json.decode(value, type=list[msgspec.Raw])
            if len(pair) == 2:
                yield name, pair


def _step(is_start: bool, is_end: bool, deleted: list[msgspec.Raw] | None) -> Step:
    """A row that is only marked as deleted is deleted, one whose mark is taken away is made anew."""
    if is_start:
        return "create"
    if is_end or (deleted is not None and deleted[0] == NULL):
        return "delete"
    return "update" if deleted is None else "create"


@functools.cache
def _required(table: Table) -> frozenset[str]:
    """Fields that only a row which is not there can be without; the log names an act, not whether it made the row."""
    return frozenset(one.name for one in logged(table) if not one.nullable)
