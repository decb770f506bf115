"""`atrium doctor`: everything that keeps an installation from working, found before a user finds it.

Every finding says what was looked at, what is the matter and what to do. Nothing here changes anything.
"""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from atrium.core.clock import now
from atrium.core.config import INSECURE_SECRET, Settings
from atrium.core.db import migrations
from atrium.core.db.engines import connect
from atrium.core.http.logging import redact
from atrium.core.jobs.pulse import HEARTBEAT
from atrium.core.system.findings import Finding, Findings, Level
from atrium.core.system.roles import examine_pooler, examine_role

MARKS: dict[Level, str] = {"ok": "✓", "warn": "!", "fail": "✗"}
OLDEST_POSTGRES = 15
OLDEST_PYTHON = (3, 11)
OLDEST_REDIS = 6
MOST_DRIFT = 2.0
LEAST_SPACE = 1 << 30
PATIENCE = 5
EXTENSIONS = ("pg_trgm", "citext", "btree_gist")


async def examine(
    settings: Settings,
    *,
    data: Path | None = None,
    current: Callable[[str], str] = migrations.current,
    head: Callable[[], str] = migrations.head,
) -> list[Finding]:
    """All findings, in the order in which one would repair them; `data` is the folder that the disk is judged by."""
    found = [*_interpreter(), *_settings(settings), *_space(data or Path.cwd())]
    database = await _server("PostgreSQL", "DATABASE_URL", settings.database_url, _postgres(settings))
    if is_fit(database):
        database += await _server("migrations", "DATABASE_URL", "known", _migrations(settings, current, head))
    if is_fit(database):
        database += await _server("database role", "DATABASE_URL", "known", _role(settings))
    return [*found, *database, *await _server("Redis", "REDIS_URL", settings.redis_url, _redis(settings))]


async def _server(name: str, variable: str, url: str, part: Findings) -> list[Finding]:
    """What one server has to say, or why it says nothing."""
    if not url:
        advice = f"Set {variable} in the environment or in .env; `atrium up` needs neither."
        return [Finding("fail", name, f"{variable} is not set", advice)]
    try:
        async with asyncio.timeout(PATIENCE * 3):
            return [finding async for finding in part]
    except (asyncpg.PostgresError, AuthenticationError) as error:
        advice = f"It answers, so correct user, password or database in {variable}."
        return [Finding("fail", name, f"refuses us: {_text(error)}", advice)]
    except Exception as error:  # noqa: BLE001  an examination reports whatever stops it
        advice = f"Start it, or correct {variable}; `atrium up` starts everything on one machine."
        return [Finding("fail", name, f"not reachable: {_text(error)}", advice)]


def render(findings: Iterable[Finding]) -> str:
    """The report for a terminal."""
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level]} {finding.subject}: {finding.message}")
        if finding.advice and finding.level != "ok":
            lines.append(f"    {finding.advice}")
    return "\n".join(lines)


def is_fit(findings: Iterable[Finding]) -> bool:
    return not any(finding.level == "fail" for finding in findings)


def _interpreter() -> list[Finding]:
    name = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return [Finding("fail", "Python", f"{name} is too old", "Use Python 3.11 or newer.")]
    return [Finding("ok", "Python", name)]


def _settings(settings: Settings) -> list[Finding]:
    found = [
        Finding("fail", "settings", text, "Change it in the environment or in .env.") for text in settings.problems()
    ]
    if not settings.is_production and settings.secret_key == INSECURE_SECRET:
        advice = "Set SECRET_KEY (openssl rand -hex 32) before anybody else can reach this."
        found.append(Finding("warn", "settings", "SECRET_KEY is the one everybody knows", advice))
    if settings.is_production:
        found += _production(settings)
    return found or [Finding("ok", "settings", f"complete for {settings.environment}")]


def _production(settings: Settings) -> list[Finding]:
    found = []
    if settings.debug:
        found.append(Finding("fail", "settings", "DEBUG is on in production", "Unset DEBUG."))
    if "*" in settings.allowed_hosts:
        found.append(Finding("warn", "settings", "ALLOWED_HOSTS is *", "Name the hosts that clients use."))
    if "*" in settings.backend_cors_origins:
        advice = "Name the origins: credentials travel with these requests."
        found.append(Finding("fail", "settings", "BACKEND_CORS_ORIGINS is *", advice))
    if settings.public_url.startswith("http://"):
        advice = "Put a proxy with TLS in front and set PUBLIC_URL to its https address."
        found.append(Finding("warn", "settings", "PUBLIC_URL is not https", advice))
    return found


def _space(folder: Path) -> list[Finding]:
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / (1 << 30):.1f} GiB free at {existing}"
    if free < LEAST_SPACE:
        return [Finding("fail" if free < LEAST_SPACE // 10 else "warn", "disk", text, "Free some space.")]
    return [Finding("ok", "disk", text)]


async def _postgres(settings: Settings) -> Findings:
    connection = await connect(settings, patience=PATIENCE)
    try:
        label = str(await connection.fetchval("SHOW server_version")).partition(" ")[0]
        if connection.get_server_version().major < OLDEST_POSTGRES:
            yield Finding("fail", "PostgreSQL", f"{label} is too old", f"Use PostgreSQL {OLDEST_POSTGRES} or newer.")
        else:
            yield Finding("ok", "PostgreSQL", f"{label} answers")
        async for finding in _postgres_details(connection, settings):
            yield finding
        async for finding in examine_pooler(connection, settings, patience=PATIENCE):
            yield finding
    finally:
        await connection.close(timeout=PATIENCE)


async def _postgres_details(connection: "asyncpg.Connection[Any]", settings: Settings) -> Findings:
    drift = abs((now() - await connection.fetchval("SELECT clock_timestamp()")).total_seconds())
    if drift > MOST_DRIFT:
        advice = "Let both machines take their time from NTP: tokens and schedules depend on it."
        yield Finding("warn", "clock", f"this machine and the database differ by {drift:.1f} s", advice)
    missing = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) name WHERE name NOT IN (SELECT name FROM pg_available_extensions)",
        list(EXTENSIONS),
    )
    if missing:
        names = ", ".join(row["name"] for row in missing)
        yield Finding("fail", "PostgreSQL", f"lacks {names}", "Install its contrib package (postgresql-contrib).")
    if await connection.fetchval("SHOW fsync") == "off":
        advice = "Set fsync = on: what a client was promised must survive a power cut."
        yield Finding("warn" if not settings.is_production else "fail", "PostgreSQL", "fsync is off", advice)
    wanted = settings.database_pool_size * 2
    most = int(await connection.fetchval("SHOW max_connections"))
    if settings.database_pooler == "session" and wanted > most:
        advice = "Lower DATABASE_POOL_SIZE, raise max_connections or put PgBouncer in between."
        yield Finding("warn", "PostgreSQL", f"one process may open {wanted} of {most} connections", advice)


async def _migrations(settings: Settings, current: Callable[[str], str], head: Callable[[], str]) -> Findings:
    wanted = await asyncio.to_thread(head)
    found = await asyncio.to_thread(current, settings.database_url)
    if found == wanted:
        yield Finding("ok", "migrations", f"at the newest ({wanted or 'none yet'})")
    else:
        yield Finding(
            "fail",
            "migrations",
            f"the database is at {found or 'nothing'}, the code at {wanted}",
            "Run `atrium database upgrade`.",
        )


async def _role(settings: Settings) -> Findings:
    """After the migrations: rights on tables are no question before there are any."""
    connection = await connect(settings, patience=PATIENCE)
    try:
        async for finding in examine_role(connection, settings):
            yield finding
    finally:
        await connection.close(timeout=PATIENCE)


async def _redis(settings: Settings) -> Findings:
    redis: Redis = Redis.from_url(settings.redis_url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
    try:
        about: dict[str, Any] = await redis.info()
        name = "Valkey" if "valkey_version" in about else "Redis"
        version = str(about.get("valkey_version") or about["redis_version"])
        if int(version.partition(".")[0]) < OLDEST_REDIS:
            yield Finding("fail", name, f"{version} is too old", "Use Redis 6.2, Valkey 7.2 or newer.")
        else:
            yield Finding("ok", name, f"{version} answers")
        policy = about.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and about.get("maxmemory"):
            advice = "Set maxmemory-policy noeviction: queued jobs and revocations must not be evicted."
            yield Finding("warn", name, f"evicts keys ({policy})", advice)
        if not about.get("aof_enabled") and not await _saves(redis):
            advice = "Set appendonly yes, so that a restart does not wait for the sweeper to queue jobs again."
            yield Finding("warn", name, "keeps nothing over a restart", advice)
        if await redis.exists(":".join((settings.redis_prefix, *HEARTBEAT))):
            yield Finding("ok", "worker", "alive")
        else:
            yield Finding(
                "warn", "worker", "no worker was heard of within 30 seconds", "Start one with `atrium workers run`."
            )
    finally:
        await redis.aclose()


async def _saves(redis: Redis) -> bool:
    """Whether snapshots are taken; managed servers refuse the question, which is no reason to warn."""
    asking: Awaitable[Any] = redis.config_get("save")
    try:
        return bool((await asking).get("save"))
    except Exception:  # noqa: BLE001
        return True


def _text(error: BaseException) -> str:
    """Its first line: what follows is for programmers."""
    return redact(str(error).partition("\n")[0] or type(error).__name__)
