"""The base of every table: identity, timestamps, names of constraints, and the rules that columns declare."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from advanced_alchemy.base import BasicAttributes
from sqlalchemy import Date, DateTime, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from atrium.core import clock
from atrium.core.db import domains
from atrium.core.db.columns import NUMERICS, SYSTEM, field

NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
Json = dict[str, Any]
JsonList = list[Any]


class Row(BasicAttributes, DeclarativeBase):
    """What every table has: a UUIDv7 and the moment of its birth."""

    __abstract__ = True
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        **NUMERICS,
        str: Text(),
        datetime: DateTime(timezone=True),
        date: Date(),
        UUID: Uuid(),
        Json: JSONB(),
        JsonList: JSONB(),
        Any: JSONB(),
    }
    audited: ClassVar[bool] = False
    appends_only: ClassVar[bool] = False

    id: Mapped[UUID] = mapped_column(
        Uuid(), primary_key=True, default=clock.new_id, sort_order=-3, info={"mark": SYSTEM}
    )
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("now()"), sort_order=90, info={"mark": SYSTEM}
    )

    def __init_subclass__(cls, *, table: str = "", **options: Any) -> None:
        if table:
            schema, _, name = table.rpartition(".")
            cls.__tablename__ = name
            args: list[Any] = [*cls.__dict__.get("__table_args__", ())]
            options_given = args.pop() if args and isinstance(args[-1], dict) else {}
            cls.__table_args__ = (*args, {"schema": schema, **options_given})
        super().__init_subclass__(**options)
        if table:
            domains.declare(cls.__table__)  # type: ignore[arg-type]


class Entity(Row):
    """A record with a life: `class Client(Versioned, Entity, table="wealth.clients")`.

    `audited` tables write the change log (core.changes) by triggers generated from their column marks; tables that
    `appends_only` refuse UPDATE and DELETE.
    """

    __abstract__ = True
    audited: ClassVar[bool] = True

    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=text("now()"),
        onupdate=text("now()"),
        sort_order=91,
        info={"mark": SYSTEM},
    )


class Fact(Row):
    """Something that happened: written once, never changed."""

    __abstract__ = True
    appends_only: ClassVar[bool] = True


class Versioned:
    """A row whose `version` grows with every change; it is the record's ETag."""

    version: Mapped[int] = field(default=1, mark=SYSTEM)
