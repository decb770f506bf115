"""The chain: every relayed change in its place, bound to all before it by a key that the database does not have.

A link is an HMAC over the link before it and over what it says of its change; what the change itself says enters as a
digest, also under the key, so that neither can be made up, and an erased value cannot be guessed from its digest.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Table, Text, UniqueConstraint, Uuid, text

from atrium.core.config import Settings
from atrium.core.db.entity import Row
from atrium.core.db.routines import declare

CHAIN = Table(
    "change_chain",
    Row.metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("change_id", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("relayed_at", DateTime(timezone=True), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("change_id"),
    schema="core",
)

RELAY = Table(
    "change_relay",
    Row.metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
    Column("hash", LargeBinary),
    Column("moved_at", DateTime(timezone=True)),
    schema="core",
)
"""How far each consumer of the log is: `chain` (with its head) and `stream`. Who works on one holds its row."""

declare(
    "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_chain "
    "FOR EACH ROW EXECUTE FUNCTION core.refuse_change('retention')",
    "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_chain EXECUTE FUNCTION core.refuse_change()",
)

START = bytes(32)
"""What the first link follows."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LINK = struct.Struct(">q16sqqq")

VALUES = (
    "id", "sequence", "actor_user_id", "actor_role", "api_key_id", "module", "action", "entity_type", "entity_id",
    "client_id", "from_status", "to_status", "reason", "changes", "version", "request_id", "ip",
    "occurred_at AT TIME ZONE 'UTC'", "created_at AT TIME ZONE 'UTC'",
)  # fmt: skip
"""What a digest covers, in this order for ever: what has once been chained could not be proven otherwise."""


def values_of(row: str, replaced: Mapping[str, str] | None = None) -> str:
    """SQL for the one text of a change that its digest is made of, whatever the session's settings."""
    replaced = replaced or {}
    return f"jsonb_build_array({', '.join(replaced.get(one, f'{row}.{one}') for one in VALUES)})::text"


@dataclass(frozen=True, slots=True)
class Link:
    """One place in the chain."""

    position: int
    change_id: UUID
    sequence: int
    occurred_at: datetime
    relayed_at: datetime
    digest: bytes

    def content(self) -> bytes:
        moments = (microseconds(self.occurred_at), microseconds(self.relayed_at))
        return LINK.pack(self.position, self.change_id.bytes, self.sequence, *moments) + self.digest


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


class Key:
    """One key of the log. Its id says which one it was without saying what it is."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"atrium audit log", "sha256")
        self.id = self.sign(b"id", b"")[:4].hex()

    def sign(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + content, "sha256")

    def digest(self, values: str | None) -> bytes:
        """Of a change; of nothing where it was gone before anybody could look at it."""
        return self.sign(b"digest", (values or "").encode())

    def link(self, before: bytes, link: Link) -> bytes:
        return self.sign(b"link", before + link.content())


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that signs, and those that once did, by their ids."""

    key: Key
    known: Mapping[str, Key]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        key = Key(settings.audit_key or settings.secret_key)
        retired = [Key(secret) for secret in settings.audit_keys_retired]
        return cls(key, {one.id: one for one in (*retired, key)})

    def is_signed(self, key_id: str, signature: bytes, purpose: bytes, content: bytes) -> bool:
        key = self.known.get(key_id)
        return key is not None and hmac.compare_digest(key.sign(purpose, content), signature)
