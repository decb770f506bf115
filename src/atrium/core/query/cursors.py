"""Positions in a list: the sort values of a row, tied to the filters and order they were made under."""

import base64
import hashlib
from datetime import datetime
from typing import Any

import msgspec

from atrium.core import clock
from atrium.core.db.wire import Field
from atrium.core.query.ast import Query
from atrium.core.query.vocabulary import Vocabulary, invalid


def signature(query: Query) -> str:
    """Ties a cursor to the filters and order it was made under; what is shown of each row may change on the way."""
    seen = msgspec.json.encode([query.shape.rows, query.shape.order, query.values])
    return hashlib.sha256(seen).hexdigest()[:12]


def write_cursor(mark: str, last: list[Any]) -> str:
    """The position behind a row, for the list whose `signature` is the mark."""
    values = [
        None if value is None else clock.stamp(value) if isinstance(value, datetime) else str(value) for value in last
    ]
    return base64.urlsafe_b64encode(msgspec.json.encode([mark, *values])).decode().rstrip("=")


def read_cursor(cursor: str, query: Query, words: Vocabulary) -> tuple[Any, ...]:
    """The values of the row after which the page begins."""
    try:
        made, *texts = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | None]
        )
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", "is not a cursor of this list") from None
    if made != signature(query) or len(texts) != len(query.shape.order):
        raise invalid("cursor", "belongs to another filter or order; start again without it")
    try:
        return tuple(
            _position(words.fields[order.column], text) for order, text in zip(query.shape.order, texts, strict=True)
        )
    except (KeyError, ValueError):  # an order that is not a field is not walked by cursor
        raise invalid("cursor", "is not a cursor of this list") from None


def _position(known: Field, text: str | None) -> Any:
    if text is None and not known.nullable:
        raise ValueError("must not be null")
    return None if text is None else known.parse(text)
