"""The statements behind replays; times are the database's, so that all processes agree on what has lapsed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Interval,
    LargeBinary,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from atrium.core import clock
from atrium.core.access import Principal, caller
from atrium.core.replays.keys import Asked, Kept, told
from atrium.core.replays.models import ONCE, IdempotencyKey
from atrium.core.runtime import Runtime
from atrium.core.statements.failures import explain
from atrium.core.statements.table import version_of

KEPT_FOR = timedelta(hours=24)
LOCKED_FOR = timedelta(seconds=30)
"""A process that runs a verb renews its claim; one that was killed loses it after this long."""

CLAIM = f"""
INSERT INTO core.idempotency_keys AS k (id, user_id, key, method, path, request_sha256, locked_until, expires_at)
VALUES ($1, $2, $3, $4, $5, '', now() + $6, now() + $7)
ON CONFLICT ON CONSTRAINT {ONCE} DO UPDATE SET id = excluded.id, created_at = now(), request_sha256 = '',
    response_status = NULL, response_headers = NULL, response_body = NULL,
    locked_until = excluded.locked_until, expires_at = excluded.expires_at
WHERE k.expires_at <= now() OR (k.response_status IS NULL AND k.locked_until <= now())
RETURNING k.id
"""
FIND = """
SELECT id, request_sha256, response_status, response_headers::text, response_body, expires_at <= now() AS lapsed,
    extract(epoch FROM coalesce(locked_until, now()) - now())::float8 AS seconds_left
FROM core.idempotency_keys WHERE user_id = $1 AND method = $2 AND path = $3 AND key = $4
"""
KEEP = """
UPDATE core.idempotency_keys SET request_sha256 = $2, response_status = $3, response_headers = $4::jsonb,
    response_body = $5, locked_until = NULL
WHERE id = $1
"""
RENEW = "UPDATE core.idempotency_keys SET locked_until = now() + $2 WHERE id = $1 AND locked_until IS NOT NULL"
RELEASE = "DELETE FROM core.idempotency_keys WHERE id = $1"
FORGET = "DELETE FROM core.idempotency_keys WHERE id = $1 AND expires_at <= now()"
PRUNE = """
DELETE FROM core.idempotency_keys WHERE id IN (
    SELECT id FROM core.idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT 5000
    FOR UPDATE SKIP LOCKED
)
"""


async def claim(runtime: Runtime, asked: Asked) -> UUID | None:
    """The claim's id; None when the key is already used and what it stands for has not lapsed."""
    given = (clock.new_id(), asked.user_id, asked.key, asked.method, asked.path, LOCKED_FOR, KEPT_FOR)
    found: UUID | None = await _ask(runtime.database.pool.fetchval(CLAIM, *given))
    return found


async def find(runtime: Runtime, asked: Asked) -> Kept | None:
    given = (asked.user_id, asked.method, asked.path, asked.key)
    row = await _ask(runtime.database.pool.fetchrow(FIND, *given))
    if row is None:
        return None
    described = msgspec.json.decode(row["response_headers"] or "{}")
    return Kept(row["id"], row["request_sha256"], row["response_status"], described, *tuple(row)[4:])


async def keep(
    runtime: Runtime,
    claimed: UUID,
    request_sha256: bytes,
    status: int,
    described: Mapping[str, Any],
    body: bytes | None,
) -> None:
    text = msgspec.json.encode(described).decode()
    await _ask(runtime.database.pool.execute(KEEP, claimed, request_sha256, status, text, body))


async def renew(runtime: Runtime, claimed: UUID) -> None:
    await _ask(runtime.database.pool.execute(RENEW, claimed, LOCKED_FOR))


async def release(runtime: Runtime, claimed: UUID) -> None:
    await _ask(runtime.database.pool.execute(RELEASE, claimed))


async def forget(runtime: Runtime, kept: Kept) -> None:
    await _ask(runtime.database.pool.execute(FORGET, kept.id))


async def prune(runtime: Runtime) -> None:
    """Some of what has lapsed; whoever sweeps comes again."""
    await runtime.database.pool.execute(PRUNE)


async def _ask(answer: Any) -> Any:
    try:
        return await answer
    except Exception as error:
        raise explain(error, ()) or error from error


def keeping(made: FromClause, body: ColumnElement[bytes]) -> CTE:
    """The part of a create that keeps its answer: a key that is used already aborts all of it."""
    table: Any = IdempotencyKey.__table__
    etag = literal_column("'\"'").op("||")(cast(version_of(made), Text)).op("||")(literal_column("'\"'"))
    location = bindparam("replay_location", type_=Text()).op("||")(cast(made.c.id, Text))
    headers = func.jsonb_build_object(
        literal_column("'content-type'"),
        literal_column("'application/json'"),
        literal_column("'etag'"),
        etag,
        literal_column("'location'"),
        location,
    )
    described = func.jsonb_build_object(literal_column("'headers'"), headers).op("||")(
        bindparam("replay_told", type_=JSONB())
    )
    values: dict[str, ColumnElement[Any]] = {
        "id": bindparam("replay_id", type_=table.c.id.type),
        "user_id": caller("user_id"),
        "key": bindparam("replay_key", type_=Text()),
        "method": literal_column("'POST'"),
        "path": bindparam("replay_path", type_=Text()),
        "request_sha256": bindparam("replay_sha256", type_=LargeBinary()),
        "response_status": literal_column("201"),
        "response_headers": described,
        "response_body": body,
        "expires_at": func.now() + bindparam("replay_kept_for", type_=Interval()),
    }
    chosen = select(*values.values()).select_from(made)
    return insert(table).from_select(list(values), chosen, include_defaults=False).returning(table.c.id).cte("kept")


def keeping_binds(
    asked: Asked, request_sha256: bytes, location: str, required: str, principal: Principal
) -> dict[str, Any]:
    described = told({}, [required], principal)
    return {
        "replay_id": clock.new_id(),
        "replay_key": asked.key,
        "replay_path": asked.path,
        "replay_sha256": request_sha256,
        "replay_location": location,
        "replay_told": msgspec.json.encode({name: described[name] for name in ("required", "standing")}).decode(),
        "replay_kept_for": KEPT_FOR,
    }
