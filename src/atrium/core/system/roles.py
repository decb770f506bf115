"""What `atrium doctor` says of the role that the application connects as, and of a pooler in between."""

from typing import Any

import asyncpg

from atrium.core.config import Settings
from atrium.core.db.engines import connect
from atrium.core.db.migrations import SCHEMAS
from atrium.core.system.findings import Finding, Findings

POWER = """
    SELECT current_user AS role, r.rolsuper AS is_superuser, EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE')) AS is_owner
    FROM pg_roles r WHERE r.rolname = current_user
"""
# 25 of pg_trigger.tgtype: FOR EACH ROW on UPDATE and DELETE; such a table only takes new rows.
MISSING = """
    SELECT c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND NOT c.relispartition AND CASE
        WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE')
        WHEN c.relkind NOT IN ('r', 'p') THEN false
        WHEN NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')) THEN true
        WHEN EXISTS (
            SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = c.oid AND p.proname = 'refuse_change' AND t.tgtype & 25 = 25) THEN false
        ELSE NOT (has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
    END ORDER BY 1
"""
"""What the role lacks; nothing where it owns the tables."""
SUPERFLUOUS = """
    SELECT c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND (has_table_privilege(c.oid, 'TRUNCATE')
        OR (has_any_column_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE')) AND EXISTS (
            SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = c.oid AND p.proname = 'refuse_change' AND t.tgtype & 25 = 25))
    ORDER BY 1
"""
SHOWN = 3
AGAIN = "Run `atrium database grant` as the owner (DATABASE_DIRECT_URL)."


async def examine_role(connection: "asyncpg.Connection[Any]", settings: Settings) -> Findings:
    """That it can do its work, and, where it matters, no more than that."""
    power = await connection.fetchrow(POWER, list(SCHEMAS))
    assert power is not None
    role, subject = power["role"], "database role"
    if power["is_superuser"] or power["is_owner"]:
        what = f"{role} is {'a superuser' if power['is_superuser'] else 'the owner of the tables'}"
        if not settings.is_production:
            yield Finding("ok", subject, what)
            return
        advice = "Name the owner in DATABASE_DIRECT_URL, another role in DATABASE_URL, and run `atrium database grant`."
        yield Finding("warn", subject, f"{what}: nothing keeps it from changing the schema or the log", advice)
        return
    lacking = [row["name"] for row in await connection.fetch(MISSING, list(SCHEMAS))]
    superfluous = [row["name"] for row in await connection.fetch(SUPERFLUOUS, list(SCHEMAS))]
    if lacking:
        yield Finding("fail", subject, f"{role} lacks rights on {_some(lacking)}", AGAIN)
    if superfluous:
        yield Finding("warn", subject, f"{role} may change what only takes new rows: {_some(superfluous)}", AGAIN)
    if not (lacking or superfluous):
        yield Finding("ok", subject, f"{role} owns nothing and may do what it must")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


async def examine_pooler(connection: "asyncpg.Connection[Any]", settings: Settings, *, patience: float) -> Findings:
    """A pooler invents the process number that it tells a client; one session for two clients means transactions."""
    if await connection.fetchval("SELECT pg_backend_pid()") == connection.get_server_pid():
        if settings.database_pooler == "transaction":
            advice = "Set DATABASE_POOLER=session: prepared statements then save a round trip each."
            yield Finding("warn", "pooler", "DATABASE_POOLER is transaction, but nothing pools in between", advice)
        return
    if not settings.database_direct_url:
        advice = "Set DATABASE_DIRECT_URL to PostgreSQL itself: migrations do not belong into a pool."
        yield Finding("warn", "pooler", "migrations would go through the pooler", advice)
    if settings.database_pooler == "session" and await _shares_sessions(connection, settings, patience):
        advice = "Set DATABASE_POOLER=transaction, or statements fail as soon as there is load."
        yield Finding("fail", "pooler", "it pools by transaction, but DATABASE_POOLER is session", advice)
        return
    yield Finding("ok", "pooler", f"in between, pooling by {settings.database_pooler}")


async def _shares_sessions(connection: "asyncpg.Connection[Any]", settings: Settings, patience: float) -> bool:
    """Whether a second client gets the session that the first one, which stays connected, does not use right now."""
    other = await connect(settings, patience=patience)
    try:
        mine = {await connection.fetchval("SELECT pg_backend_pid()") for _ in range(3)}
        return bool(mine & {await other.fetchval("SELECT pg_backend_pid()") for _ in range(3)})
    finally:
        await other.close(timeout=patience)
