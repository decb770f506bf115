"""Columns as the specifications write them: type, CHECK, default and who may write, said in one place.

`field(choices=("a", "b"), default="a")` emits the text column, its named CHECK (core.db.domains), the server default,
the Literal of the wire schema and its OpenAPI enum. Marks decide what a client may do with a column:

- private: never leaves the server and is never logged
- system: readable, written only by the server
- create_only: set once when the row is made

What a column is not marked as, it is not: an unmarked column is readable and writable within the row policy.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, String, Uuid, text
from sqlalchemy.orm import MappedColumn, mapped_column


class Mark(StrEnum):
    PRIVATE = "private"
    SYSTEM = "system"
    CREATE_ONLY = "create_only"


PRIVATE, SYSTEM, CREATE_ONLY = Mark.PRIVATE, Mark.SYSTEM, Mark.CREATE_ONLY

Money = Annotated[Decimal, "money"]
Quantity = Annotated[Decimal, "quantity"]
Price = Annotated[Decimal, "price"]
Rate = Annotated[Decimal, "rate"]
Bps = Annotated[Decimal, "bps"]
NUMERICS: dict[Any, Any] = {
    Money: Numeric(20, 4),
    Quantity: Numeric(28, 10),
    Price: Numeric(24, 10),
    Rate: Numeric(14, 10),
    Bps: Numeric(9, 4),
}


def literal(value: Any) -> str:
    """A constant as SQL text, for CHECKs and server defaults; values come from declarations only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def field(
    *args: Any,
    length: int | None = None,
    choices: Sequence[str] = (),
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    pattern: str | None = None,
    default: Any = None,
    default_sql: str | None = None,
    references: str | None = None,
    on_delete: str = "RESTRICT",
    index: bool | None = None,
    unique: bool = False,
    mark: Mark | None = None,
    scope: bool = False,
    type_: Any = None,
    doc: str | None = None,
) -> MappedColumn[Any]:
    """A mapped column; nullability and the plain type come from the annotation.

    Every foreign key is indexed unless `index=False` (actor columns) or it is unique. `scope` columns appear in each
    change-log entry, so that a reader can tell whose record it was. `type_` overrides the type of the annotation.
    """
    parts: list[Any] = list(args)
    if length is not None:
        parts.insert(0, String(length))
    elif type_ is not None or references:
        parts.insert(0, type_ or Uuid())
    if references:
        parts.append(ForeignKey(references, ondelete=on_delete))
    info: dict[str, Any] = {"mark": mark, "scope": scope, "choices": tuple(choices)}
    info |= {"ge": ge, "gt": gt, "le": le, "pattern": pattern}
    options: dict[str, Any] = {"info": info, "unique": unique or None, "doc": doc}
    if default_sql is not None:
        options["server_default"] = text(default_sql)
    elif default is not None:
        options["server_default"] = text(_default_sql(default))
        options["default"] = default if not isinstance(default, dict | list) else type(default)
    if index if index is not None else bool(references) and not unique:
        options["index"] = True
    return mapped_column(*parts, **options)


def _default_sql(default: Any) -> str:
    if isinstance(default, dict):
        return "'{}'::jsonb"
    if isinstance(default, list):
        return "'[]'::jsonb"
    return literal(default)


def check(sql: str, name: str, message: str = "", fields: Sequence[str] = ()) -> CheckConstraint:
    """A CHECK over several columns, with the sentence a caller reads when it fails and the fields it is about."""
    return CheckConstraint(sql, name=name, info={"message": message, "fields": tuple(fields)})


class Rule(NamedTuple):
    """A CHECK of one column: the end of its name, its SQL over VALUE, and the sentence a caller reads when it fails."""

    suffix: str
    sql: str
    message: str


def rules(info: dict[str, Any]) -> list[Rule]:
    """What one column's declaration asks of its values; it becomes the column's domain (core.db.domains)."""
    found = []
    if info.get("choices"):
        values = literal("{" + ",".join(info["choices"]) + "}")
        found.append(Rule("", f"VALUE = ANY ({values}::text[])", f"must be one of {', '.join(info['choices'])}"))
    bounds = [f"VALUE {sign} {literal(info[key])}" for key, sign in BOUNDS if info.get(key) is not None]
    if bounds:
        words = " and ".join(f"{WORDS[sign]} {info[key]}" for key, sign in BOUNDS if info.get(key) is not None)
        found.append(Rule("_range", " AND ".join(bounds), f"must be {words}"))
    if info.get("pattern"):
        found.append(Rule("_pattern", f"VALUE ~ {literal(info['pattern'])}", f"must match {info['pattern']}"))
    return found


BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="))
WORDS = {">=": "at least", ">": "more than", "<=": "at most"}
