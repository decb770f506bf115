"""What one process holds while it runs: settings, database, Redis, and who verifies tokens. Nothing else is global."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.db.engines import Database
from atrium.core.db.watch import Watch
from atrium.core.tracing import Tracing


class Authenticator(Protocol):
    def authenticate(self, token: str) -> Principal:
        """The caller behind an access token; raises Unauthenticated. No I/O: it is asked on every request."""
        ...


@dataclass(slots=True)
class Runtime:
    settings: Settings
    database: Database
    redis: Redis
    authenticator: Authenticator | None = None
    principals: Callable[[UUID], Awaitable[Principal]] | None = None
    draining: bool = False
    watch: Watch = field(default_factory=Watch)
    tracing: Tracing | None = None
    parts: dict[str, Any] = field(default_factory=dict)
    """Objects that a feature opens for the life of the process (the socket hub, the queue), by feature name."""

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        redis = Redis.from_url(
            settings.redis_url,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
            socket_connect_timeout=2,
            socket_timeout=5,
            health_check_interval=15,
        )
        tracing = Tracing(settings.otel_service_name, settings.otel_exporter_otlp_endpoint) if settings.traces else None
        watch = Watch(settings.slow_query_ms, tracing)
        async with Database.open(settings, watch) as database:
            try:
                yield cls(settings, database, redis, watch=watch, tracing=tracing)
            finally:
                await redis.aclose()
                if tracing is not None:
                    await asyncio.to_thread(tracing.close)

    async def principal_for(self, user_id: UUID) -> Principal:
        """A user as a caller with the roles of this moment, for what has no token; raises NotFound."""
        if self.principals is None:
            raise LookupError("nobody tells who is who in this process")
        return await self.principals(user_id)

    def key(self, *parts: str) -> str:
        """A Redis key of ours; the prefix keeps installations and test processes apart."""
        return ":".join((self.settings.redis_prefix, *parts))
