"""The rows of a file in its order, each as the JSON body that makes a record."""

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import msgspec

from atrium.core.access import Principal
from atrium.core.resources.resource import Resource
from atrium.core.resources.schemas import SERVER_OWNED
from atrium.core.transfers.errors import UnreadableFile
from atrium.core.transfers.formats import ndjson, separated
from atrium.core.transfers.formats.columns import Columns, Writable
from atrium.core.transfers.models import NDJSON

BATCH_ROWS = 1000
BATCH_BYTES = 2_097_152


class Given(NamedTuple):
    """A row: its number from 1 (the first line of a CSV file is none), its body, or why it has none."""

    number: int
    body: bytes
    fault: str = ""


def writable(resource: Resource, principal: Principal, within: tuple[str, ...], *, by_key: bool) -> Writable:
    """What the caller may send; what else stands in an export of the same records is passed over."""
    kind = resource.policy.kind(principal)
    body = resource.body("upsert" if by_key else "create", kind, within)
    readable = resource.vocabulary(kind).fields.keys()
    clearable = frozenset(name for name, known in body.fields.items() if known.nullable and not known.has_default)
    ignored = frozenset((*readable, *SERVER_OWNED)) - body.kinds.keys()
    return Writable(body.kinds, tuple(body.required), clearable, ignored)


class Rows:
    """Feed it pieces of a file; it answers with the complete rows. Blank lines are counted, and are no rows."""

    def __init__(self, file_format: str, writable: Writable, delimiter: str | None = None) -> None:
        self.writable = writable
        self.columns: Columns | None = None
        self._lines = ndjson.Reader() if file_format == NDJSON else None
        self._table = separated.Reader(delimiter)
        self._number = 0

    def feed(self, piece: bytes, *, last: bool = False) -> Iterator[Given]:
        if self._lines is not None:
            for line in self._lines.feed(piece, last=last):
                self._number += 1
                if line:
                    yield Given(self._number, self._without_ignored(line))
        else:
            yield from self._rows(self._table.feed(piece, last=last))
            if last and self.columns is None:
                raise UnreadableFile("The file is empty.")

    def _rows(self, rows: list[list[str]]) -> Iterator[Given]:
        for cells in rows:
            if self.columns is None:
                if cells:
                    self.columns = Columns.judge(cells, self.writable)
                continue
            self._number += 1
            if not cells:
                continue
            fault = self.columns.misfit(cells)
            yield Given(self._number, b"", fault) if fault else Given(self._number, self.columns.body(cells))

    def _without_ignored(self, line: bytes) -> bytes:
        """The record without what only an export has; what is no object is left for the decoder of bodies to refuse."""
        try:
            given = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return line
        ignored = self.writable.ignored & given.keys()
        if not ignored:
            return line
        return msgspec.json.encode({name: value for name, value in given.items() if name not in ignored})


async def batches(pieces: AsyncIterator[bytes], rows: Rows, *, behind: int = 0) -> AsyncIterator[list[Given]]:
    """The rows after number `behind`, as many together as one transaction writes."""
    waiting: list[Given] = []
    size = 0
    async for piece in ended(pieces):
        for given in rows.feed(piece or b"", last=piece is None):
            if given.number <= behind:
                continue
            waiting.append(given)
            size += len(given.body)
            if len(waiting) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield waiting
                waiting, size = [], 0
    if waiting:
        yield waiting


async def ended(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """The pieces, and None behind the last of them."""
    async for piece in pieces:
        yield piece
    yield None


async def count(pieces: AsyncIterator[bytes], file_format: str, delimiter: str | None = None) -> int:
    """How many rows there are, once all of them could be told apart."""
    lines = ndjson.Reader() if file_format == NDJSON else separated.Reader(delimiter)
    found = 0
    async for piece in ended(pieces):
        found += sum(1 for row in lines.feed(piece or b"", last=piece is None) if row)
    return found if file_format == NDJSON else max(0, found - 1)
