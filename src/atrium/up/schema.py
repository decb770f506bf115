"""What a database says about itself, asked without loading the application, which takes longer than all the rest."""

import asyncio
import re
from pathlib import Path

import asyncpg

ASK_WITHIN = 5.0
PACKAGE = Path(__file__).parent.parent
# The table is made anew with the schema, so its number differs wherever data was thrown away.
QUERY = """
    SELECT (SELECT string_agg(version_num, ' ') FROM schema_version) AS revision,
        concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
            (SELECT oid FROM pg_database WHERE datname = current_database()), 'core.users'::regclass::oid) AS identity
"""


def identify(database_url: str) -> str | None:
    """Which database this is, if its schema is the newest; nothing also where that cannot be found out."""
    try:
        return asyncio.run(_identify(database_url))
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None


async def _identify(database_url: str) -> str | None:
    url = "postgresql://" + database_url.partition("://")[2]
    connection = await asyncpg.connect(url, timeout=ASK_WITHIN, command_timeout=ASK_WITHIN, statement_cache_size=0)
    try:
        async with connection.transaction():  # one session for all of it, also behind a pooler
            row = await connection.fetchrow(QUERY)
    finally:
        await connection.close(timeout=ASK_WITHIN)
    return str(row["identity"]) if row and row["revision"] == newest_revision() else None


def newest_revision() -> str | None:
    """Read from the files themselves: Alembic would import for longer than this takes."""
    folder = next(path for path in (PACKAGE / "_db", PACKAGE.parent.parent / "db") if path.is_dir())
    texts = [path.read_text(encoding="utf-8") for path in (folder / "migrations" / "versions").glob("*.py")]
    made = {found for text in texts for found in _values("revision", text)}
    heads = made - {found for text in texts for found in _values("down_revision", text)}
    return heads.pop() if len(heads) == 1 else None


def _values(name: str, text: str) -> list[str]:
    line = re.search(rf"^{name}\b[^=\n]*=(.*)$", text, re.MULTILINE)
    return re.findall(r"[\"'](\w+)[\"']", line[1]) if line else []
