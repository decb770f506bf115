"""What the application's role may do in the database: read and write rows, and nothing that only the owner should.

The owner migrates and grants; API and workers connect as a role of their own. It cannot change the schema, and rows of
tables that only take new rows it cannot change either, whatever their triggers say. What needs more (making or dropping
a partition, erasing a person) is a SECURITY DEFINER function of the owner.

`give` is idempotent. Migrations end with `renew` for every role that was ever given to, so a new table needs no
thought: the default privileges that `give` leaves behind name those roles, and open what is made between migrations.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from typing import Any

import asyncpg
from sqlalchemy import Connection, make_url, text

from atrium.core.config import Settings
from atrium.core.db.engines import asyncpg_url
from atrium.core.db.migrations import SCHEMAS, VERSION_TABLE

ROLE = "atrium_app"
PATIENCE = 10
WITHIN = ", ".join(SCHEMAS)
ITERATIONS = 4096
LIMITS = {"jit": "off", "timezone": "UTC", "idle_in_transaction_session_timeout": "5min"}

PRIVILEGES = (
    "GRANT USAGE ON SCHEMA {schemas} TO {role}",
    "REVOKE CREATE ON SCHEMA {schemas} FROM {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schemas} FROM {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schemas} TO {role}",
    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schemas} FROM {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {role}",
    # PostgreSQL lets everybody call a new function, also one that acts as its owner.
    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schemas} FROM PUBLIC",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schemas} TO {role}",
    f"GRANT SELECT ON {VERSION_TABLE} TO {{role}}",
)
# Without UPDATE and DELETE, because a partition made meanwhile inherits these and not what its parent allows.
DEFAULTS = (
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schemas} GRANT SELECT, INSERT ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schemas} GRANT USAGE, SELECT ON SEQUENCES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schemas} GRANT EXECUTE ON FUNCTIONS TO {role}",
)
# Bits of pg_trigger.tgtype: 1 is FOR EACH ROW, 8 DELETE, 16 UPDATE. Such triggers of a partitioned table stand in its
# partitions, too.
SEALED = """
    SELECT c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND p.proname = 'refuse_change' AND t.tgtype & 25 = 25)
    ORDER BY 1
"""
GRANTED = """
    SELECT DISTINCT quote_ident(pg_get_userbyid(held.grantee))
    FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) held
    WHERE n.nspname = ANY($1) AND d.defaclobjtype = 'r' AND held.privilege_type = 'INSERT'
    AND pg_get_userbyid(d.defaclrole) = current_user AND held.grantee <> 0 AND held.grantee <> d.defaclrole
"""


class CannotGrant(Exception):
    """A sentence for the operator."""


async def grant(settings: Settings, role: str | None = None, *, create: bool = False) -> list[str]:
    """The command: what was done, line by line. A password that was made up is shown here and nowhere else."""
    application, owner = make_url(settings.database_url), make_url(settings.owner_url)
    named = application.username if application.username != owner.username else None
    role = role or named or ROLE
    if role == owner.username:
        raise CannotGrant(f"{role} owns the tables; name another role, for instance {ROLE}.")
    password = str(application.password) if role == named and application.password else secrets.token_hex(24)
    try:
        connection = await asyncpg.connect(asyncpg_url(settings.owner_url), timeout=PATIENCE)
        try:
            if not create and not await exists(connection, role):
                raise CannotGrant(f"There is no role {role}: add --create, or let an administrator create it.")
            await give(connection, role, password=password if create else None)
            refused = await _limit(connection, role, settings.database_timeout_seconds)
        finally:
            await connection.close(timeout=PATIENCE)
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        raise CannotGrant(f"The database refused: {error}") from error
    lines = [f"{role} may do what the application must."]
    if create and role != named:
        lines.append(f"Password: {password}")
    return lines + [f"This needs an administrator of the server: {statement};" for statement in refused]


async def give(connection: "asyncpg.Connection[Any]", role: str, *, password: str | None = None) -> None:
    """All that the application needs of the schema; `password` also makes the role, or gives it a new one."""
    name = await connection.fetchval("SELECT quote_ident($1)", role)
    async with connection.transaction():
        if password is not None:
            await _make(connection, role, name, password)
        for statement in DEFAULTS:
            await connection.execute(statement.format(schemas=WITHIN, role=name))
        for statement in privileges(name, await connection.fetch(SEALED, list(SCHEMAS))):
            await connection.execute(statement)


def privileges(name: str, sealed: Iterable[Any]) -> list[str]:
    """The statements that give a (quoted) role what it may have today; rows of `sealed` tables are never changed."""
    found = [statement.format(schemas=WITHIN, role=name) for statement in PRIVILEGES]
    return [*found, *(f"REVOKE UPDATE, DELETE ON {table} FROM {name}" for (table,) in sealed)]


def renew(connection: Connection) -> None:
    """At the end of a migration: what `give` gave, for the tables of now."""
    schemas = list(SCHEMAS)
    for (name,) in connection.execute(text(GRANTED.replace("$1", ":schemas")), {"schemas": schemas}).all():
        sealed = connection.execute(text(SEALED.replace("$1", ":schemas")), {"schemas": schemas})
        for statement in privileges(name, sealed):
            connection.exec_driver_sql(statement)


async def exists(connection: "asyncpg.Connection[Any]", role: str) -> bool:
    return bool(await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role))


async def _make(connection: "asyncpg.Connection[Any]", role: str, name: str, password: str) -> None:
    verb = "ALTER" if await exists(connection, role) else "CREATE"
    options = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE" if verb == "CREATE" else "LOGIN"
    await connection.execute(f"{verb} ROLE {name} {options} PASSWORD '{verifier(password)}'")


async def _limit(connection: "asyncpg.Connection[Any]", role: str, timeout_seconds: int) -> list[str]:
    """What no session can set for itself behind a pooler; the statements that the server did not let us run.

    The application gives a statement up after `timeout_seconds`; the ceiling is for what it lost sight of.
    """
    name = await connection.fetchval("SELECT quote_ident($1)", role)
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    wanted = {**LIMITS, "statement_timeout": f"{timeout_seconds * 2}s"}
    refused = []
    for setting, value in wanted.items():
        statement = f"ALTER ROLE {name} IN DATABASE {database} SET {setting} = '{value}'"
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            refused.append(statement)
    return refused


def verifier(password: str) -> str:
    """A SCRAM-SHA-256 secret (RFC 5803), so that the password itself is neither sent nor logged."""
    if not password.isascii():
        raise ValueError("the password of a database role must consist of ASCII characters")
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    one, two, three = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{one}${two}:{three}"
