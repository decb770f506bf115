"""The tables of imports and exports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import PRIVATE, SYSTEM, check, field
from atrium.core.db.entity import Entity, Json, Row

IMPORT, EXPORT = "import", "export"
CSV, NDJSON = "csv", "ndjson"
FORMATS = (CSV, NDJSON)


class Transfer(Entity, table="core.transfers"):
    """An import or export of somebody: what was asked, how much of it is done, and until when its file is kept.

    How it runs is said by its background task. `done_rows` is the watermark of an import: it moves in the transaction
    that writes the rows, so that whoever goes on after a dead worker writes none of them twice.
    """

    audited = False
    __table_args__ = (
        check("(sha256 IS NULL) = (completed_at IS NULL)", "complete", "a complete file has a digest", ("sha256",)),
        Index("ix_transfers_requester", "requested_by", text("created_at DESC")),
        Index("ix_transfers_expires_at", "expires_at"),
    )

    requested_by: Mapped[UUID] = field(references="core.users.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    kind: Mapped[str] = field(choices=(IMPORT, EXPORT), mark=SYSTEM)
    resource: Mapped[str] = field(mark=SYSTEM, doc="the path of the resource: names of tables are not unique")
    format: Mapped[str] = field(choices=FORMATS, mark=SYSTEM)
    filename: Mapped[str] = field(mark=SYSTEM)
    options: Mapped[Json] = field(default={}, mark=SYSTEM)
    task_id: Mapped[UUID | None] = field(references="core.background_tasks.id", on_delete="SET NULL", mark=SYSTEM)
    attempt: Mapped[int] = field(default=0, mark=PRIVATE, doc="whose chunks count, when an export is tried again")
    size_bytes: Mapped[int] = field(type_=BigInteger(), default=0, ge=0, mark=SYSTEM)
    sha256: Mapped[bytes | None] = field(mark=SYSTEM)
    completed_at: Mapped[datetime | None] = field(mark=SYSTEM)
    expires_at: Mapped[datetime] = field(mark=SYSTEM)
    total_rows: Mapped[int | None] = field(mark=SYSTEM)
    done_rows: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    created: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    updated: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    unchanged: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    failed: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)


class TransferChunk(Row, table="core.transfer_chunks"):
    """A piece of the file of a transfer."""

    __table_args__ = (Index("uq_transfer_chunks_number", "transfer_id", "number", unique=True),)

    transfer_id: Mapped[UUID] = field(references="core.transfers.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    number: Mapped[int] = field(ge=0, mark=SYSTEM)
    data: Mapped[bytes] = field(type_=LargeBinary(), mark=PRIVATE)


class TransferError(Row, table="core.transfer_errors"):
    """What was wrong with one row of an import; only the first ones are kept."""

    __table_args__ = (Index("ix_transfer_errors_row", "transfer_id", "row_number"),)

    transfer_id: Mapped[UUID] = field(references="core.transfers.id", on_delete="CASCADE", index=False, mark=SYSTEM)
    row_number: Mapped[int] = field(ge=0, mark=SYSTEM)
    column_name: Mapped[str | None] = field(mark=SYSTEM)
    message: Mapped[str] = field(mark=SYSTEM)
