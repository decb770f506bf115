"""Alembic's environment: the models of all modules against the database that the settings name."""

import asyncio
import os
import warnings
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from atrium.app import MODULES
from atrium.core.config import read_env_file
from atrium.core.db import grants
from atrium.core.db.engines import SESSIONLESS, sqlalchemy_url
from atrium.core.db.entity import Row
from atrium.core.db.migrations import SCHEMAS, VERSION_TABLE, compare_type, include_name, render_item
from atrium.embedded import find_running

# Indexes on expressions are compared by name; PostgreSQL spells an expression otherwise than its author.
warnings.filterwarnings("ignore", message="Expression #")

assert MODULES, "importing the modules declares their tables"


def url() -> str:
    """The URL that a caller passed on, that of the tables' owner, or the embedded server that runs here."""
    given = context.config.attributes.get("url")
    environ = {**read_env_file(Path(".env")), **os.environ}
    if found := given or environ.get("DATABASE_DIRECT_URL") or environ.get("DATABASE_URL"):
        return str(found)
    running = find_running(Path(".atrium"))
    if running is None or not running.database_url:
        raise SystemExit("There is no database: set DATABASE_URL, or start one with `atrium up`.")
    return running.database_url


def engine() -> AsyncEngine:
    given = getattr(context.config, "engine", None)  # Litestar's `database` commands bring their own
    if isinstance(given, AsyncEngine):
        return given
    return create_async_engine(sqlalchemy_url(url()), poolclass=pool.NullPool, connect_args=SESSIONLESS)


def migrate(connection: Connection) -> None:
    for schema in SCHEMAS:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        include_schemas=True,
        include_name=include_name,
        compare_type=compare_type,
        render_item=render_item,
        compare_server_default=False,
        version_table=VERSION_TABLE,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        before = context.get_context().get_current_heads()
        context.run_migrations()
        if context.get_context().get_current_heads() != before:
            grants.renew(connection)


async def run() -> None:
    async with engine().begin() as connection:
        await connection.run_sync(migrate)


if context.is_offline_mode():
    context.configure(url=sqlalchemy_url(url()), target_metadata=Row.metadata, literal_binds=True, include_schemas=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(run())
