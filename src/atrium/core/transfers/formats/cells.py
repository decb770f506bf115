"""Cells of CSV files: text to value and back.

A spreadsheet runs what looks like a formula, so text that begins with one of `FORMULA` is written with an apostrophe in
front, and so is text that already has apostrophes before such a character: reading takes exactly one away again.
An empty cell is null; a text that is empty and one that is null cannot be told apart in CSV.
"""

import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from sqlalchemy import Boolean, Integer, Numeric
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from atrium.core.db.wire import FALSE, TRUE, Field

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")
WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
BARE = (Numeric, Integer, Boolean, JSONB, ARRAY)
"""Types whose JSON is what stands in the cell; numbers among them are never taken for formulas."""
EXPECTED = re.compile(r"expected (?P<kind>int|bool|array|object)(?: \| null)?, got str")
WANTED = {
    "int": "must be a whole number",
    "bool": "must be true or false",
    "array": "must be a list written as JSON",
    "object": "must be an object written as JSON",
}

Read = Callable[[str], Any]


def reader_of(kind: Any) -> Read:
    """How the text of a cell becomes what the decoder of bodies takes; what cannot be read stays text for it."""
    base, literal = _plain(kind)
    if base is bool:
        return _flag
    if base is int:
        return _whole
    if base in (dict, list) or base is Any:
        return _json
    return _text if base is str and not literal else _word


def _plain(kind: Any) -> tuple[Any, bool]:
    """The class behind annotations and `| None`, and whether it is a choice of literals."""
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind = get_args(kind)[0]
        elif origin in (Union, UnionType):
            kind = next(one for one in get_args(kind) if one is not NoneType)
        elif origin in (dict, list):
            return origin, False
        elif origin is not None:
            return str, True
        else:
            return kind, False


def _text(cell: str) -> str:
    return cell[1:] if ESCAPED.match(cell) else cell


def _word(cell: str) -> str:
    return _text(cell.strip())


def _flag(cell: str) -> Any:
    word = cell.strip().lower()
    return word in TRUE if word in TRUE | FALSE else cell


def _whole(cell: str) -> Any:
    word = cell.strip()
    return msgspec.Raw(b"%d" % int(word)) if WHOLE.fullmatch(word) else cell


def _json(cell: str) -> Any:
    try:
        msgspec.json.decode(cell)
        return msgspec.Raw(cell.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return cell


def plainly(message: str) -> str:
    """What the decoder of bodies says of a text that is no number, as somebody with a spreadsheet understands it."""
    found = EXPECTED.fullmatch(message)
    return WANTED[found["kind"]] if found else message


def guard(text: str) -> str:
    return "'" + text if FORMULA.match(text) else text


class Written:
    """The records of a list, as PostgreSQL rendered them, as rows of cells."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.names = tuple(fields)
        kinds = [msgspec.Raw if isinstance(one.column.type, BARE) else str | None for one in fields.values()]
        places = [(f"f{place}", kind) for place, kind in enumerate(kinds)]
        struct = msgspec.defstruct("Row", places, rename=dict(zip((n for n, _ in places), self.names, strict=True)))
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct)

    def cells(self, record: bytes) -> list[str]:
        values = msgspec.structs.astuple(self._decoder.decode(record))
        return [_cell(value) for value in values]


def _cell(value: str | msgspec.Raw | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return guard(value)
    text = bytes(value).decode()
    return "" if text == "null" else text
