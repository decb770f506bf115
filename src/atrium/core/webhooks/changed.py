"""What an entry of the change log says, read so that no number loses a digit and nothing odd stops the reader."""

import functools
from collections.abc import Iterator, Mapping

import msgspec
from sqlalchemy import Table

from atrium.core.changes.triggers import logged

Pair = tuple[bytes, bytes]
"""The old and the new value as JSON."""

NULL = b"null"
ERASED = b'{"erased": true}'
DELETED_AT = "deleted_at"


def pairs(text: str) -> dict[str, Pair]:
    """Acts that were logged without a row may hold anything; what is no pair is none."""
    return dict(_pairs(text))


def _pairs(text: str) -> Iterator[tuple[str, Pair]]:
    for name, value in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items():
        if bytes(value).startswith(b"["):
            found = msgspec.json.decode(value, type=list[msgspec.Raw])
            if len(found) == 2:
                yield name, (bytes(found[0]), bytes(found[1]))


def differing(changes: Mapping[str, Pair]) -> dict[str, Pair]:
    """Without the scope columns that stand in every entry; of what was erased nobody can tell."""
    return {name: pair for name, pair in changes.items() if pair[0] != pair[1] or pair[0] == ERASED}


def happened(table: Table, action: str, changes: Mapping[str, Pair]) -> str:
    """The action; but a row that was not there was made, and one that is not there any more is gone, whatever the verb.

    A row that is only marked as deleted is gone for every reader, so it is called so here as well.
    """
    required = [pair for name, pair in changes.items() if name in _required(table)]
    if any(old == NULL for old, _ in required):
        return "create"
    if any(new == NULL for _, new in required):
        return "delete"
    old, new = changes.get(DELETED_AT, (NULL, NULL))
    if old != new:
        return "restore" if new == NULL else "delete"
    return action


@functools.cache
def _required(table: Table) -> frozenset[str]:
    """Fields that only a row which is not there can be without."""
    return frozenset(one.name for one in logged(table) if not one.nullable)
