"""The table of kept answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, field
from atrium.core.db.entity import Row

ONCE = "uq_idempotency_keys_user_id_method_path_key"


class IdempotencyKey(Row, table="core.idempotency_keys"):
    """A key that a caller used, and what the request was answered; without a status it still runs.

    Nothing of it leaves the server but the answer itself. A row that lapsed is taken over, so it is no append-only
    table to PostgreSQL.
    """

    __table_args__ = (
        UniqueConstraint("user_id", "method", "path", "key", name=ONCE, postgresql_nulls_not_distinct=True),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
    )

    user_id: Mapped[UUID | None] = field(references="core.users.id", index=False, on_delete="CASCADE", mark=SYSTEM)
    key: Mapped[str] = field(length=255, mark=SYSTEM)
    method: Mapped[str] = field(length=10, mark=SYSTEM)
    path: Mapped[str] = field(length=512, mark=SYSTEM)
    request_sha256: Mapped[bytes] = field(mark=PRIVATE)
    response_status: Mapped[int | None] = field(mark=SYSTEM)
    response_headers: Mapped[Any | None] = field(mark=PRIVATE)
    response_body: Mapped[bytes | None] = field(mark=PRIVATE)
    locked_until: Mapped[datetime | None] = field(mark=SYSTEM)
    expires_at: Mapped[datetime] = field(mark=SYSTEM)
