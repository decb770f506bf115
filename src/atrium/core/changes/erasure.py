"""Erasure: personal values leave the log, that something was there stays.

Each erased change keeps its place in the chain. A signed row says which digest it had and which it has now, so that
`verify` tells an erasure from a forgery. PostgreSQL lets values be replaced by tombstones and by nothing else, and
only where such a row was written in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Boolean, Column, DateTime, LargeBinary, Table, Text, Uuid, text

from atrium.core import clock
from atrium.core.changes.chain import Keyring, microseconds, values_of
from atrium.core.changes.record import record
from atrium.core.db.entity import Row
from atrium.core.db.routines import declare
from atrium.core.services import Work

ERASURES = Table(
    "change_erasures",
    Row.metadata,
    Column("id", Uuid, primary_key=True),
    Column("change_id", Uuid, nullable=False, index=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("with_reason", Boolean, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("after", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("erased_by", Uuid),
    Column("erased_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    schema="core",
)

declare(
    "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_erasures "
    "FOR EACH ROW EXECUTE FUNCTION core.refuse_change()",
    "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_erasures EXECUTE FUNCTION core.refuse_change()",
    """
CREATE OR REPLACE FUNCTION core.tombstones(_changes jsonb, _fields text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(jsonb_object_agg(one.key, CASE
        WHEN NOT one.key = ANY (_fields) THEN one.value
        WHEN jsonb_typeof(one.value) <> 'array' THEN '{"erased": true}'
        ELSE (
            SELECT jsonb_agg(CASE jsonb_typeof(side.value) WHEN 'null' THEN side.value ELSE '{"erased": true}' END
                ORDER BY side.place)
            FROM jsonb_array_elements(one.value) WITH ORDINALITY AS side (value, place)
        ) END), '{}')
    FROM jsonb_each(_changes) one
$$
""",
    """
CREATE OR REPLACE FUNCTION core.only_erases(_old jsonb, _new jsonb) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT _old - 'changes' - 'reason' = _new - 'changes' - 'reason' AND EXISTS (
        SELECT FROM core.change_erasures e
        WHERE e.change_id = (_old->>'id')::uuid AND e.erased_at = now()
        AND _new->'changes' = core.tombstones(_old->'changes', e.fields)
        AND (_new->'reason' = _old->'reason' OR e.with_reason AND _new->>'reason' = '(erased)'))
$$
""",
    """
CREATE OR REPLACE FUNCTION core.erase_change(
    _id uuid, _change uuid, _occurred_at timestamptz, _fields text[], _with_reason boolean, _before bytea, _after bytea,
    _reason text, _by uuid, _key text, _signature bytea
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO core.change_erasures
        (id, change_id, occurred_at, fields, with_reason, before, after, reason, erased_by, key_id, signature)
    VALUES (_id, _change, _occurred_at, _fields, _with_reason, _before, _after, _reason, _by, _key, _signature);
    UPDATE core.changes SET changes = core.tombstones(changes, _fields),
        reason = CASE WHEN _with_reason AND reason IS NOT NULL THEN '(erased)' ELSE reason END
    WHERE id = _change AND occurred_at = _occurred_at;
END $$
""",
)

NAMES = "ARRAY(SELECT name FROM jsonb_object_keys(c.changes) name WHERE $3::text[] IS NULL OR name = ANY ($3))"
ERASED = {
    "changes": "core.tombstones(c.changes, c.fields)",
    "reason": "CASE WHEN $4 AND c.reason IS NOT NULL THEN '(erased)' ELSE c.reason END",
}
FOUND = f"""
    SELECT c.id, c.occurred_at, c.module, c.fields, {values_of("c")} AS before, {values_of("c", ERASED)} AS after
    FROM (
        SELECT c.*, {NAMES} AS fields FROM core.changes c WHERE c.entity_type = $1 AND c.entity_id = $2
    ) c
    ORDER BY c.sequence
"""
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
ERASE = "SELECT core.erase_change($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


async def erase(
    work: Work, entity_type: str, entity_id: UUID, fields: Sequence[str] | None = None, *, reason: str
) -> int:
    """Replace the values of a record in the log, those of `fields` or all; returns in how many changes.

    `reason` among the fields means the reasons that people gave for their changes; all fields include them. The
    record itself is another matter. What was erased once is found in it no more, so erasing again is harmless.
    """
    connection, key = await work.connection(), Keyring.of(work.runtime.settings).key
    await connection.execute(ALONE, f"{entity_type} {entity_id}")
    with_reason = fields is None or "reason" in fields
    found = await connection.fetch(FOUND, entity_type, entity_id, fields, with_reason)
    rows = [row for row in found if row["before"] != row["after"]]
    if not rows:
        return 0
    by = work.caller.principal.user_id if work.caller else None
    for row in rows:
        one = Erasure(
            clock.new_id(), row["id"], row["occurred_at"], row["fields"], with_reason,
            key.digest(row["before"]), key.digest(row["after"]), reason, by,
        )  # fmt: skip
        await connection.execute(ERASE, *astuple(one), key.id, key.sign(b"erasure", one.content()))
    await record(
        work,
        module=rows[0]["module"],
        action="erase",
        entity_type=entity_type,
        entity_id=entity_id,
        changes={"erased": [None, {"changes": len(rows), "fields": list(fields) if fields else None}]},
        reason=reason,
    )
    return len(rows)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What the signature of one erased change covers."""

    id: UUID
    change_id: UUID
    occurred_at: datetime
    fields: list[str]
    with_reason: bool
    before: bytes
    after: bytes
    reason: str
    erased_by: UUID | None

    def content(self) -> bytes:
        return msgspec.json.encode(
            (
                self.id,
                self.change_id,
                microseconds(self.occurred_at),
                self.fields,
                self.with_reason,
                self.before,
                self.after,
                self.reason,
                self.erased_by,
            )
        )
