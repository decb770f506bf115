"""The table of changes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Sequence, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from atrium.core.db.columns import check, field
from atrium.core.db.entity import Fact, Json

SEQUENCE = Sequence("changes_sequence", schema="core", metadata=Fact.metadata, data_type=BigInteger)


class Change(Fact, table="core.changes"):
    """One change of one record, whoever made it and however.

    `sequence` is drawn by the trigger under the row's lock, so that it orders the changes of a record; transaction ids
    would not. The actor is a plain id: a foreign key would lock the user's row at every write of that user. The table
    is partitioned by month, so its key has the moment in it; an id alone is just as unique.
    """

    __table_args__ = (
        check("from_status IS DISTINCT FROM to_status OR to_status IS NULL", "transition", "must change the status"),
        Index("ix_changes_entity", "entity_type", "entity_id", "occurred_at"),
        Index("ix_changes_module", "module", "occurred_at"),
        Index("ix_changes_client", "client_id", "occurred_at"),
        Index("ix_changes_actor", "actor_user_id", "occurred_at"),
        Index("ix_changes_occurred_at", "occurred_at", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )
    __mapper_args__ = {"primary_key": ["id"]}  # noqa: RUF012  SQLAlchemy's

    sequence: Mapped[int] = field(type_=BigInteger(), default_sql="nextval('core.changes_sequence')")
    actor_user_id: Mapped[UUID | None]
    actor_role: Mapped[str | None]
    api_key_id: Mapped[UUID | None]
    module: Mapped[str]
    action: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[UUID]
    client_id: Mapped[UUID | None]
    from_status: Mapped[str | None]
    to_status: Mapped[str | None]
    reason: Mapped[str | None]
    changes: Mapped[Json] = field(default={})
    version: Mapped[int | None]
    request_id: Mapped[str | None]
    ip: Mapped[str | None] = field(type_=INET())
    occurred_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, server_default=text("clock_timestamp()")
    )
