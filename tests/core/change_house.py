"""A change log of a test's own: a database that nobody else writes to, and ways to write into it and to harm it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from atrium.core.changes.relay import chain_batch, publish_batch
from atrium.core.config import Settings
from atrium.core.runtime import Runtime


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Runtime]:
    async with Runtime.open(settings) as runtime:
        yield runtime
        await runtime.redis.delete(runtime.key("changes"))


EMPTY = """
    TRUNCATE core.changes, core.change_queue, core.change_chain, core.change_anchors, core.change_erasures;
    UPDATE core.change_relay SET position = 0, hash = NULL, moved_at = NULL;
    DO $$ DECLARE _name text; BEGIN
        FOR _name IN SELECT c.oid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'core.changes'::regclass AND c.relname <> 'changes_default'
            AND abs(left(right(c.relname, 7), 4)::integer - extract(year FROM now())) > 1
        LOOP EXECUTE 'DROP TABLE ' || _name; END LOOP;
    END $$
"""


async def empty(runtime: Runtime) -> None:
    async with as_owner(runtime) as owner, owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(EMPTY)


async def a_branch(runtime: Runtime, *, name: str = "North") -> UUID:
    row_id = uuid4()
    sql = "INSERT INTO wealth.branches (id, code, name, country) VALUES ($1, $2, $3, 'IL')"
    await runtime.database.pool.execute(sql, row_id, row_id.hex[:12], name)
    return row_id


async def rename(runtime: Runtime, branch: UUID, name: str) -> None:
    await runtime.database.pool.execute("UPDATE wealth.branches SET name = $2 WHERE id = $1", branch, name)


async def changes(runtime: Runtime, row_id: UUID) -> list[asyncpg.Record]:
    sql = "SELECT * FROM core.changes WHERE entity_id = $1 ORDER BY sequence"
    rows: list[asyncpg.Record] = await runtime.database.pool.fetch(sql, row_id)
    return rows


async def relay(runtime: Runtime) -> int:
    """Everything that waits, chained and published; returns how many changes were chained."""
    count = 0
    while taken := await chain_batch(runtime):
        count += taken
    while await publish_batch(runtime):
        pass
    return count


@asynccontextmanager
async def as_owner(runtime: Runtime) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Somebody whom no grant stops."""
    connection = await asyncpg.connect(runtime.settings.database_direct_url)
    try:
        yield connection
    finally:
        await connection.close()


async def refusal(runtime: Runtime, sql: str, *values: Any) -> str:
    """The SQLSTATE with which the owner of the tables is refused; empty if not."""
    async with as_owner(runtime) as owner:
        try:
            await owner.execute(sql, *values)
        except asyncpg.PostgresError as error:
            return str(error.sqlstate)
    return ""


async def harm(runtime: Runtime, sql: str, *values: Any) -> str:
    """A statement of somebody whom no trigger stops either."""
    async with as_owner(runtime) as owner, owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        status: str = await owner.execute(sql, *values)
        return status


def atrium(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line, on this database."""
    given = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "SECRET_KEY": settings.secret_key}
    environ = {**os.environ, **given, "REDIS_PREFIX": settings.redis_prefix}
    return subprocess.run(
        [sys.executable, "-m", "atrium.cli", *arguments], env=environ, capture_output=True, text=True, check=False
    )
