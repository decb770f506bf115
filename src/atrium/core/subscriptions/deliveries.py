"""A page of changes judged for the subscribers of one group: one statement, and what it means for each of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from atrium.core.runtime import Runtime
from atrium.core.subscriptions.evaluation import AFTER, BEFORE, NOW, SUBSCRIBER, asked_name
from atrium.core.subscriptions.frames import change_tail
from atrium.core.subscriptions.log import SECONDS, Change
from atrium.core.subscriptions.views import View


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame without its beginning, for all whose values are among `values`."""

    position: int
    action: str
    tail: str
    values: frozenset[tuple[Any, ...]]


async def deliveries(
    runtime: Runtime, view: View, asking: Iterable[tuple[Any, ...]], changes: Sequence[Change]
) -> list[Delivery]:
    """In order of position; `asking` are the values of the subscribers, `view` is that of any of them."""
    about = [one for one in changes if one.table == view.resource.table.fullname]
    distinct = list(dict.fromkeys(asking))
    if not about or not distinct:
        return []
    arguments = view.evaluation.arguments(_values(view, distinct, about))
    rows = await runtime.database.pool.fetch(view.evaluation.sql, *arguments, timeout=SECONDS)
    seen: dict[int, dict[int, Any]] = defaultdict(dict)
    for position, when, subscribers, body in rows:
        seen[position][when] = (frozenset(subscribers), body)
    return [made for one in about for made in _of(view, one, seen[one.position], distinct)]


def _values(view: View, distinct: list[tuple[Any, ...]], about: list[Change]) -> dict[str, Any]:
    asked = {
        asked_name(name): [values[place] for values in distinct] for place, name in enumerate(view.evaluation.varying)
    }
    return {
        **view.shared,
        **asked,
        asked_name(SUBSCRIBER): list(range(len(distinct))),
        "positions": [one.position for one in about],
        "ids": [one.record_id for one in about],
        "sequences": [one.sequence for one in about],
        "moments": [one.occurred_at for one in about],
        "starts": [one.is_start for one in about],
        "ends": [one.is_end for one in about],
        "olds": _olds(about),
    }


def _olds(about: list[Change]) -> list[str]:
    """What each record was before each change, as far as these changes tell: of several the first knows."""
    known: dict[UUID, dict[str, msgspec.Raw]] = defaultdict(dict)
    found = []
    for one in reversed(about):
        known[one.record_id] |= one.old
        found.append(msgspec.json.encode(known[one.record_id]).decode())
    return found[::-1]


def _of(view: View, change: Change, seen: dict[int, Any], distinct: list[tuple[Any, ...]]) -> Iterable[Delivery]:
    """Whom the change concerns: those who saw the row before or see it after; the record goes to who sees it now."""
    nobody: tuple[frozenset[int], str | None] = (frozenset(), None)
    before, _ = seen.get(BEFORE, nobody)
    after, _ = seen.get(AFTER, nobody)
    now, body = seen.get(NOW, nobody)
    arrives: str = change.step if change.step != "delete" else "update"
    leaves = "delete" if change.step == "delete" else "leave"
    for action, record, numbers in (
        (arrives, body, after & now),
        (arrives, None, after - now),
        (leaves, None, before - after),
    ):
        if numbers:
            tail = change_tail(view, change, action, record)
            yield Delivery(change.position, action, tail, frozenset(distinct[number] for number in numbers))
