"""PostgreSQL type → wire, one table: how a column is decoded, checked, read from text and rendered.

Records are rendered by PostgreSQL (`render`), bodies are decoded by msgspec (`Field.kind`), and what neither can judge
(NaN, a scale that would be rounded, NUL characters) is judged by `Field.misfit`. A type that is not in the table
cannot be a
column of a resource; the failure names it at start-up.
"""

import functools
import ipaddress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Uuid,
    cast,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, INET, JSONB

from atrium.core.db.columns import Mark
from atrium.core.money import misfit

UTC_STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
WIDTHS: dict[type, int] = {SmallInteger: 15, Integer: 31, BigInteger: 63}
JSON_DEPTH = 20
UNORDERED = (JSONB, ARRAY, LargeBinary)
"""Types that a list can neither filter nor sort by."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column as the outside sees it."""

    name: str
    column: Column[Any]
    kind: Any
    nullable: bool
    has_default: bool
    mark: Mark | None
    precision: int = 0
    scale: int = 0
    is_address: bool = False

    @property
    def required(self) -> bool:
        return not (self.nullable or self.has_default)

    @property
    def type(self) -> Any:
        """The kind, or null where the column may be empty."""
        return self.kind | None if self.nullable else self.kind

    def misfit(self, value: Any) -> str | None:
        """What the database would refuse without naming the column, or silently change."""
        if isinstance(value, Decimal):
            return misfit(value, self.precision, self.scale)
        if isinstance(value, str):
            if "\0" in value:
                return "must not contain NUL characters"
            return _address_misfit(value) if self.is_address else None
        if isinstance(value, list | dict):
            return _json_misfit(value, JSON_DEPTH)
        return _moment_misfit(value) if isinstance(value, date) else None

    @property
    def is_ordered(self) -> bool:
        """Whether a list can filter and sort by it."""
        return not isinstance(self.column.type, UNORDERED)

    def parse(self, text: str) -> Any:
        """The value that a query parameter spells; ValueError says what was expected."""
        value = _parse(self.column.type, self.column.info, text)
        if wrong := self.misfit(value):
            raise ValueError(wrong)
        return value

    def bind(self, value: Any) -> Any:
        """The value as asyncpg takes it: JSON columns travel as text."""
        if value is not None and isinstance(self.column.type, JSONB):
            return msgspec.json.encode(value).decode()
        return value


def field_of(column: Column[Any]) -> Field:
    info = column.info
    kind: Any
    precision = scale = 0
    match column.type:
        case Numeric(precision=int(digits), scale=int(places)):
            precision, scale, kind = digits, places, Decimal
        case _ if info.get("choices"):
            kind = Literal[tuple(info["choices"])]
        case _:
            kind = _plain_kind(column)
    return Field(
        name=column.name,
        column=column,
        kind=kind,
        nullable=bool(column.nullable),
        has_default=column.server_default is not None or column.default is not None,
        mark=info.get("mark"),
        precision=precision,
        scale=scale,
        is_address=isinstance(column.type, INET),
    )


def _plain_kind(column: Column[Any]) -> Any:
    info = column.info
    match column.type:
        case Uuid():
            return UUID
        case Boolean():
            return bool
        case Integer():
            width = next(bits for kind, bits in WIDTHS.items() if type(column.type) is kind)
            low = (
                info["ge"]
                if info.get("ge") is not None
                else (info["gt"] + 1 if info.get("gt") is not None else -(2**width))
            )
            high = info["le"] if info.get("le") is not None else 2**width - 1
            return Annotated[int, Meta(ge=low, le=high)]
        case Date():
            return date
        case DateTime(timezone=True):
            return Annotated[datetime, Meta(tz=True)]
        case String():
            return Annotated[str, Meta(max_length=column.type.length or 100_000, pattern=info.get("pattern"))]
        case JSONB():
            return _container(column)
        case ARRAY():
            inner = UUID if isinstance(column.type.item_type, Uuid) else str
            return Annotated[list[inner], Meta(max_length=1000)]  # type: ignore[valid-type]
        case INET():
            return str
        case LargeBinary():
            return bytes
    raise TypeError(f"{column}: core.db.wire has no row for {column.type!r}")


def _container(column: Column[Any]) -> Any:
    """Whether a JSON column holds an object or a list, told by its empty default."""
    default = str(getattr(column.server_default, "arg", ""))
    return {"'{}'::jsonb": dict[str, Any], "'[]'::jsonb": list[Any]}.get(default, Any)


def _json_misfit(value: Any, depth: int) -> str | None:
    if depth == 0:
        return f"is nested more than {JSON_DEPTH} deep"
    if isinstance(value, str):
        return "must not contain NUL characters" if "\0" in value else None
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if wrong := (isinstance(key, str) and "\0" in key and "has a NUL character in a name") or _json_misfit(
            child, depth - 1
        ):
            return str(wrong)
    return None


def _moment_misfit(value: date) -> str | None:
    """The first and last that Python knows are how asyncpg spells -infinity and infinity."""
    if isinstance(value, datetime):
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            return "is out of range"
    return "is out of range" if value in (type(value).min, type(value).max) else None


def _address_misfit(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "must be an IP address"
    return "must be an IP address without a zone" if "%" in text else None


TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


def _parse(kind: Any, info: dict[str, Any], text: str) -> Any:
    if info.get("choices"):
        if text not in info["choices"]:
            raise ValueError(f"must be one of {', '.join(info['choices'])}")
        return text
    match kind:
        case Uuid():
            return _convert(UUID, text, "an id")
        case Boolean():
            if text.lower() in TRUE | FALSE:
                return text.lower() in TRUE
            raise ValueError("must be true or false")
        case Numeric():
            try:
                return Decimal(text)
            except InvalidOperation:
                raise ValueError("must be a number") from None
        case Integer():
            width = next(bits for base, bits in WIDTHS.items() if type(kind) is base)
            value = _convert(int, text, "a whole number")
            if not -(2**width) <= value < 2**width:
                raise ValueError("is too large")
            return value
        case Date():
            return _convert(date, text, "a date such as 2026-01-31")
        case DateTime():
            return parse_moment(text)
        case _:
            return text


def parse_moment(text: str) -> datetime:
    """A point in time; a bare date is its first moment, no offset means UTC, and a `+` lost to a blank is forgiven."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise ValueError("must be a time such as 2026-01-31T09:30:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _convert(kind: type, text: str, what: str) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"must be {what}") from None


def render(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The SQL whose JSON is the wire form of this column."""
    match column.type:
        case DateTime():
            return func.to_char(func.timezone(literal_column("'UTC'"), column), literal_column(f"'{UTC_STAMP}'"))
        case INET():
            return func.host(column)
        case CITEXT():
            return cast(column, String)
        case LargeBinary():
            return func.translate(
                func.encode(column, literal_column("'base64'")), literal_column("E'\\n'"), literal_column("''")
            )
        case _:
            return column


@functools.cache
def fields_of(model: type) -> dict[str, Field]:
    """All columns of a mapped class by name, private ones left out."""
    found = (field_of(column) for column in model.__table__.columns)  # type: ignore[attr-defined]
    return {field.name: field for field in found if field.mark is not Mark.PRIVATE}
