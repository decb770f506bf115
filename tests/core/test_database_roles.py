"""The application's role in the database: all that the application must do, and nothing that only the owner should."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy import make_url

from atrium.core.config import Settings
from atrium.core.db import grants, migrations
from atrium.core.system import doctor

RIGHTS = """
    SELECT n.nspname || '.' || c.relname AS name, held.privilege_type AS privilege
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) held
    WHERE pg_get_userbyid(held.grantee) = $1
    UNION ALL
    SELECT p.oid::regprocedure::text, held.privilege_type
    FROM pg_proc p, aclexplode(p.proacl) held WHERE pg_get_userbyid(held.grantee) = $1
"""
Role = tuple[str, str]


@pytest.fixture(scope="module")
def owner_url(new_database: Any) -> str:
    url: str = new_database("roles")
    return url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    async with connected(owner_url) as connection:
        yield connection


@pytest.fixture
def role(owner_url: str) -> Iterator[str]:
    """The name of a role that the test may make."""
    name = f'Role "{token_hex(4)}"'

    async def drop() -> None:
        async with connected(owner_url) as connection:
            if await grants.exists(connection, name):
                quoted = await connection.fetchval("SELECT quote_ident($1)", name)
                await connection.execute(f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")

    yield name
    asyncio.run(drop())


@pytest.fixture
def granting(settings: Settings, owner_url: str, role: str) -> Settings:
    """An installation whose role does not exist yet."""
    url = make_url(owner_url).set(username=role, password="it's a $ecret")
    return msgspec.structs.replace(
        settings, database_url=url.render_as_string(hide_password=False), database_direct_url=owner_url
    )


async def rights(owner: "asyncpg.Connection[Any]", role: str) -> set[tuple[str, str]]:
    return {(row["name"], row["privilege"]) for row in await owner.fetch(RIGHTS, role)}


async def test_the_command_makes_the_role_of_the_url(granting: Settings, owner: "asyncpg.Connection[Any]") -> None:
    told = await grants.grant(granting, create=True)
    assert "Password" not in "".join(told)

    async with connected(granting.database_url) as application:
        assert await application.fetchval("SELECT count(*) >= 0 FROM wealth.clients")
        for setting, value in {"jit": "off", "TimeZone": "UTC", "statement_timeout": "1min"}.items():
            assert await application.fetchval(f"SHOW {setting}") == value
    stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", _name(granting))
    assert stored.startswith("SCRAM-SHA-256$")


async def test_granting_again_changes_nothing(granting: Settings, owner: "asyncpg.Connection[Any]") -> None:
    await grants.grant(granting, create=True)
    before = await rights(owner, _name(granting))
    await grants.grant(granting)

    assert await rights(owner, _name(granting)) == before
    async with connected(granting.database_url):
        """The password is still the same."""


async def test_granting_takes_back_what_was_too_much(granting: Settings, owner: "asyncpg.Connection[Any]") -> None:
    await grants.grant(granting, create=True)
    right = await rights(owner, _name(granting))
    quoted = await owner.fetchval("SELECT quote_ident($1)", _name(granting))
    await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA core, wealth TO {quoted}")
    await grants.grant(granting)

    assert await rights(owner, _name(granting)) == right


async def test_another_role_gets_a_password_that_is_shown_once(granting: Settings, role: str) -> None:
    elsewhere = msgspec.structs.replace(granting, database_url=granting.database_direct_url)
    told = await grants.grant(elsewhere, role, create=True)
    password = next(line for line in told if line.startswith("Password: ")).removeprefix("Password: ")

    url = make_url(granting.database_direct_url).set(username=role, password=password)
    async with connected(url.render_as_string(hide_password=False)) as application:
        assert await application.fetchval("SELECT current_user") == role


async def test_what_cannot_be_granted_is_said(granting: Settings, role: str) -> None:
    with pytest.raises(grants.CannotGrant, match=r"There is no role .*: add --create"):
        await grants.grant(granting)
    owners = make_url(granting.database_direct_url).username
    with pytest.raises(grants.CannotGrant, match="owns the tables"):
        await grants.grant(granting, owners, create=True)
    await grants.grant(granting, create=True)
    powerless = msgspec.structs.replace(granting, database_direct_url=granting.database_url)
    with pytest.raises(grants.CannotGrant, match="permission denied"):
        await grants.grant(powerless, "somebody", create=True)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE core.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION wealth.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER mine BEFORE UPDATE ON core.changes EXECUTE FUNCTION core.refuse_change()",
        "CREATE INDEX ON wealth.clients (city)",
        "ALTER TABLE wealth.clients ADD COLUMN mine int",
        "ALTER TABLE core.changes DISABLE TRIGGER ALL",
        "DROP TABLE wealth.notes",
        "DROP TRIGGER refuse_change ON core.changes",
        "TRUNCATE wealth.notes",
        "TRUNCATE core.changes",
        "UPDATE core.changes SET reason = 'x'",
        "UPDATE core.changes SET changes = '{}' WHERE false",
        "DELETE FROM core.changes",
        "DELETE FROM core.conversation_summaries",
        "SELECT 1 FROM core.changes FOR UPDATE",
        "UPDATE schema_version SET version_num = 'x'",
        "ALTER SEQUENCE core.changes_sequence RESTART",
        "SELECT setval('core.changes_sequence', 1)",
        "SET session_replication_role = replica",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "COPY core.users TO PROGRAM 'cat'",
    ],
)
async def test_it_may_not(runtime: Any, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await runtime.database.pool.execute(sql)


async def test_a_partition_is_no_way_around_its_table(granting: Settings, owner: "asyncpg.Connection[Any]") -> None:
    await owner.execute("""
        CREATE TABLE core.facts (at int) PARTITION BY RANGE (at);
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.facts FOR EACH ROW
            EXECUTE FUNCTION core.refuse_change();
        CREATE TABLE core.facts_before PARTITION OF core.facts FOR VALUES FROM (0) TO (10)""")
    try:
        await grants.grant(granting, create=True)
        await owner.execute("CREATE TABLE core.facts_after PARTITION OF core.facts FOR VALUES FROM (10) TO (20)")
        async with connected(granting.database_url) as application:
            await application.execute("INSERT INTO core.facts VALUES (1), (11)")
            assert await application.fetchval("SELECT count(*) FROM core.facts") == 2
            for table in ("facts", "facts_before", "facts_after"):
                for sql in ("DELETE FROM core.{}", "UPDATE core.{} SET at = at", "TRUNCATE core.{}"):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await application.execute(sql.format(table))
    finally:
        await owner.execute("DROP TABLE core.facts")


async def test_nothing_acts_as_the_owner_for_everybody(owner: "asyncpg.Connection[Any]") -> None:
    """Functions of our schemas are for whom they were granted to; what acts as its owner names its search path."""
    ours = (
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname IN ('core', 'wealth')"
    )
    for_all = f"{ours} AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0))"
    unsafe = f"{ours} AND p.prosecdef AND NOT coalesce(array_to_string(p.proconfig, ',') LIKE 'search_path=%', false)"

    assert await owner.fetch(for_all) == []
    assert await owner.fetch(unsafe) == []
    assert await owner.fetchval(f"SELECT count(*) FROM ({ours}) one") > 10


async def test_a_new_table_is_open_at_once_and_for_all_after_a_migration(
    granting: Settings, owner: "asyncpg.Connection[Any]", owner_url: str
) -> None:
    await grants.grant(granting, create=True)
    await owner.execute("CREATE TABLE wealth.later (id int); CREATE TABLE public.elsewhere (id int)")
    try:
        async with connected(granting.database_url) as application:
            await application.execute("INSERT INTO wealth.later SELECT 1 WHERE NOT EXISTS (SELECT FROM wealth.later)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute("UPDATE wealth.later SET id = 2")
        await asyncio.to_thread(migrations.downgrade, owner_url, "-1")
        await asyncio.to_thread(migrations.upgrade, owner_url)
        async with connected(granting.database_url) as application:
            await application.execute("UPDATE wealth.later SET id = 2")
            await application.execute("DELETE FROM wealth.later")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute("SELECT FROM elsewhere")
    finally:
        await owner.execute("DROP TABLE wealth.later, public.elsewhere")


async def test_a_migration_grants_to_nobody_who_was_not_granted_to(
    owner: "asyncpg.Connection[Any]", owner_url: str, role: str
) -> None:
    quoted = await owner.fetchval("SELECT quote_ident($1)", role)
    await owner.execute(f"CREATE ROLE {quoted}; GRANT USAGE ON SCHEMA core TO {quoted}")
    await owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA core GRANT SELECT ON TABLES TO {quoted}")
    await asyncio.to_thread(migrations.downgrade, owner_url, "-1")
    await asyncio.to_thread(migrations.upgrade, owner_url)

    assert {privilege for _, privilege in await rights(owner, role)} <= {"SELECT"}


async def _findings(settings: Settings) -> list[tuple[str, str]]:
    found = await doctor.examine(settings, current=lambda _url: "b", head=lambda: "b")
    return [(finding.level, finding.message) for finding in found if finding.subject == "database role"]


async def test_the_doctor_judges_the_role(granting: Settings, owner: "asyncpg.Connection[Any]") -> None:
    name = _name(granting)
    quoted = await owner.fetchval("SELECT quote_ident($1)", name)
    await grants.grant(granting, create=True)
    assert await _findings(granting) == [("ok", f"{name} owns nothing and may do what it must")]

    await owner.execute(f"REVOKE UPDATE ON wealth.clients FROM {quoted}")
    assert await _findings(granting) == [("fail", f"{name} lacks rights on wealth.clients")]

    await owner.execute(f"GRANT UPDATE ON wealth.clients TO {quoted}; GRANT DELETE ON core.changes TO {quoted}")
    assert await _findings(granting) == [("warn", f"{name} may change what only takes new rows: core.changes")]

    own = msgspec.structs.replace(granting, database_url=granting.database_direct_url)
    assert (await _findings(own))[0][0] == "ok"
    production = msgspec.structs.replace(own, environment="production")
    assert (await _findings(production))[0][0] == "warn"
    await owner.execute(f"REVOKE DELETE ON core.changes FROM {quoted}; CREATE TABLE wealth.own (id int)")
    try:
        await owner.execute(f"ALTER TABLE wealth.own OWNER TO {quoted}")
        owning = msgspec.structs.replace(granting, environment="production")
        assert [(level, "owner of the tables" in told) for level, told in await _findings(owning)] == [("warn", True)]
    finally:
        await owner.execute("DROP TABLE wealth.own")


async def test_the_command_line(granting: Settings, owner_url: str) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": granting.database_url,
        "DATABASE_DIRECT_URL": owner_url,
        "REDIS_URL": granting.redis_url,
    }
    for arguments, code, says in (
        (["--create"], 0, f"{_name(granting)} may do what the application must."),
        (["nobody-at-all"], 1, "There is no role nobody-at-all: add --create"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "atrium.cli", "database", "grant", *arguments),
            env=environ,
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert (process.returncode, says in " ".join(told.decode().split())) == (code, True), told.decode()


def _name(settings: Settings) -> str:
    return make_url(settings.database_url).username or ""
