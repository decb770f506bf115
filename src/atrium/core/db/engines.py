"""Connections: SQLAlchemy's engine for units of work, a bare asyncpg pool for statements that PostgreSQL renders.

The pool's `reset` does nothing: asyncpg's default is a second round trip on every fetch. That is safe because
nothing that runs on it may set session state; each statement is its own transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from atrium.core.config import Settings


@dataclass(frozen=True, slots=True)
class Database:
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    pool: "asyncpg.Pool[Any]"

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        engine = create_engine(settings)
        pool = await asyncpg.create_pool(
            asyncpg_url(settings.database_url),
            min_size=2,
            max_size=settings.database_pool_size,
            reset=_keep,
            command_timeout=settings.database_timeout_seconds,
            statement_cache_size=0 if settings.database_pooler == "transaction" else 512,
        )
        try:
            yield cls(engine, async_sessionmaker(engine, expire_on_commit=False), pool)
        finally:
            await pool.close()
            await engine.dispose()


async def _keep(_connection: Any) -> None:
    """Nothing to reset."""


def create_engine(settings: Settings) -> AsyncEngine:
    arguments: dict[str, Any] = {"command_timeout": settings.database_timeout_seconds}
    if settings.database_pooler == "transaction":
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        sqlalchemy_url(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=4,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=arguments,
    )


def sqlalchemy_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def asyncpg_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
