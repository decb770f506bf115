"""The first line of a CSV file, and the names in NDJSON, against the fields that their sender may write."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from atrium.core.errors import FieldError, UnknownField
from atrium.core.transfers.errors import UnreadableFile
from atrium.core.transfers.formats.cells import Read, reader_of

NAMED = 50
"""As many unknown columns are named in one answer."""


@dataclass(frozen=True, slots=True)
class Writable:
    """What somebody may send for a record, and what only stands in its exports."""

    kinds: Mapping[str, Any]
    required: tuple[str, ...]
    clearable: frozenset[str]
    ignored: frozenset[str]

    def suggestions(self, name: str) -> list[str]:
        plain = "_".join(name.lower().split())
        return difflib.get_close_matches(plain, self.kinds, n=3, cutoff=0.6)


@dataclass(slots=True)
class Columns:
    """The columns of one file, each with how its cells are read; None for those that are passed over."""

    names: tuple[str, ...]
    recognised: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    _readers: list[tuple[str, Read, bool] | None] = field(default_factory=list)

    @classmethod
    def judge(cls, header: Sequence[str], writable: Writable) -> "Columns":
        names = tuple(name.strip() for name in header)
        _refuse_nonsense(names)
        found = cls(names)
        for name in names:
            kind = writable.kinds.get(name)
            if kind is not None:
                found.recognised.append(name)
                found._readers.append((name, reader_of(kind), name in writable.clearable))
                continue
            found._readers.append(None)
            if name in writable.ignored:
                found.ignored.append(name)
            else:
                found.unknown[name] = writable.suggestions(name)
        found.missing = [name for name in writable.required if name not in names]
        return found

    def require(self, allowed: Iterable[str]) -> None:
        """Refuse a file with columns that are none of ours: what is in them would be lost."""
        if self.unknown:
            raise unknown_columns(self.unknown, allowed)

    def body(self, cells: Sequence[str]) -> bytes:
        """A row as the JSON body that makes a record. An empty cell is null; the default where there is one."""
        values: dict[str, Any] = {}
        for cell, reader in zip(cells, self._readers, strict=True):
            if reader is None:
                continue
            name, read, is_clearable = reader
            if cell:
                values[name] = read(cell)
            elif is_clearable:
                values[name] = None
        return msgspec.json.encode(values)

    def misfit(self, cells: Sequence[str]) -> str | None:
        if len(cells) == len(self.names):
            return None
        return f"has {len(cells)} cells where the first line has {len(self.names)}"


def _refuse_nonsense(names: Sequence[str]) -> None:
    if not any(names):
        raise UnreadableFile("The file is empty, or its first line does not name the columns.")
    if any("\0" in name for name in names):
        raise UnreadableFile("The file is not UTF-8; it looks like UTF-16. Save it as “CSV UTF-8” and send it again.")
    if "" in names:
        raise UnreadableFile(f"Column {names.index('') + 1} has no name in the first line.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnreadableFile(f"The first line names {', '.join(twice[:NAMED])} twice.")


def unknown_columns(unknown: Mapping[str, Collection[str]], allowed: Iterable[str]) -> UnknownField:
    """422 that names the columns, and for each the fields that may have been meant."""
    named = list(unknown)[:NAMED]
    errors = [FieldError(("body", name), "unknown column", "unknown_field") for name in named]
    told = {name: list(unknown[name]) for name in named if unknown[name]}
    text = f"{', '.join(named)}: not a field you can set here."
    return UnknownField(text, errors=errors, allowed=sorted(allowed), suggestions=told)
