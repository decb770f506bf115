"""Connections: SQLAlchemy's engine for units of work, a bare asyncpg pool for statements that PostgreSQL renders.

The pool's `reset` does nothing: asyncpg's default is a second round trip on every fetch. That is safe because
nothing that runs on it may set session state; each statement is its own transaction.

Behind PgBouncer in transaction mode two statements of one connection may run in different sessions. So nothing there
is prepared under a name, nothing is cached, and what a session needs (jit, timeouts) the role or the database sets.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from atrium.core.config import Settings
from atrium.core.db.watch import Watch

STATEMENTS_KEPT = 512
# Without its cache asyncpg names no statement, and parses it again together with its execution: it then needs no
# session to survive in.
SESSIONLESS: dict[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}


@dataclass(frozen=True, slots=True)
class Database:
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    pool: "asyncpg.Pool[Any]"

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, watch: Watch) -> AsyncIterator[Self]:
        engine = create_engine(settings, watch)
        pool = await asyncpg.create_pool(
            asyncpg_url(settings.database_url),
            min_size=2,
            max_size=settings.database_pool_size,
            reset=_keep,
            command_timeout=settings.database_timeout_seconds,
            statement_cache_size=_statements_kept(settings),
            connection_class=watch.connection_class(),
        )
        try:
            yield cls(engine, async_sessionmaker(engine, expire_on_commit=False), pool)
        finally:
            await pool.close()
            await engine.dispose()


async def _keep(_connection: Any) -> None:
    """Nothing to reset; a transaction that a cancelled request left open asyncpg itself rolls back before this."""


def _statements_kept(settings: Settings) -> int:
    return 0 if settings.database_pooler == "transaction" else STATEMENTS_KEPT


def create_engine(settings: Settings, watch: Watch) -> AsyncEngine:
    arguments: dict[str, Any] = {
        "command_timeout": settings.database_timeout_seconds,
        "connection_class": watch.connection_class(),
    }
    if settings.database_pooler == "transaction":
        arguments |= SESSIONLESS
    engine = create_async_engine(
        sqlalchemy_url(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=4,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=arguments,
    )
    watch.follow(engine)
    return engine


async def connect(settings: Settings, *, patience: float) -> "asyncpg.Connection[Any]":
    """One connection for a few questions, whatever pools in between."""
    return await asyncpg.connect(asyncpg_url(settings.database_url), timeout=patience, statement_cache_size=0)


def sqlalchemy_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def asyncpg_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
