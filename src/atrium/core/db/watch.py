"""What is to be known of every statement: the slow ones are logged, and all are spans while tracing is on.

asyncpg's own query loggers build a record and a callback per statement; methods of a connection class that look at
the clock twice cost a tenth of that. Values never show: a statement is told by its text with parameters.
"""

import hashlib
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import asyncpg
import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from atrium.core.tracing import Tracing

log = structlog.get_logger()
METHODS = ("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval")
SHOWN = 500


class Watch:
    """The statements of one process."""

    def __init__(self, slow_ms: int = 0, tracing: Tracing | None = None) -> None:
        self.slow = 0
        self._limit = slow_ms / 1000 if slow_ms else float("inf")
        self._tracing = tracing
        self.is_on = bool(slow_ms or tracing)

    def connection_class(self) -> "type[asyncpg.Connection[Any]]":
        """The class of asyncpg's connections; its own one while nobody wants to know anything."""
        if not self.is_on:
            return asyncpg.Connection
        wrap = self._timed if self._tracing is None else self._traced
        methods = {name: wrap(getattr(asyncpg.Connection, name)) for name in METHODS}
        return type("Watched", (asyncpg.Connection,), {"__slots__": (), **methods})

    def follow(self, engine: AsyncEngine) -> None:
        """SQLAlchemy prepares statements and runs those, past the connection's methods; except many at once."""
        if self.is_on:
            event.listen(engine.sync_engine, "before_cursor_execute", self._begin)
            event.listen(engine.sync_engine, "after_cursor_execute", self._end)
            event.listen(engine.sync_engine, "handle_error", self._fail)

    def _timed(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        limit = self._limit

        async def call(connection: Any, sql: str, *args: Any, **options: Any) -> Any:
            began = perf_counter()
            try:
                return await original(connection, sql, *args, **options)
            finally:
                seconds = perf_counter() - began
                if seconds >= limit:
                    self._tell(sql, seconds)

        return call

    def _traced(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(connection: Any, sql: str, *args: Any, **options: Any) -> Any:
            began, span = perf_counter(), self._span(sql)
            error: BaseException | None = None
            try:
                return await original(connection, sql, *args, **options)
            except BaseException as raised:
                error = raised
                raise
            finally:
                self._done(sql, began, span, error)

        return call

    def _begin(self, _connection: Any, _cursor: Any, sql: str, _values: Any, context: Any, many: bool) -> None:
        if not many:
            context.watched = (sql, perf_counter(), self._span(sql))

    def _end(self, _connection: Any, _cursor: Any, _sql: str, _values: Any, context: Any, many: bool) -> None:
        if not many:
            sql, began, span = context.watched
            self._done(sql, began, span)

    def _fail(self, failure: Any) -> None:
        watched = getattr(failure.execution_context, "watched", None)
        if watched is not None:
            sql, began, span = watched
            self._done(sql, began, span, failure.original_exception)

    def _span(self, sql: str) -> Any:
        return None if self._tracing is None else self._tracing.statement(sql)

    def _done(self, sql: str, began: float, span: Any, error: BaseException | None = None) -> None:
        seconds = perf_counter() - began
        if span is not None and self._tracing is not None:
            self._tracing.end(span, error)
        if seconds >= self._limit:
            self._tell(sql, seconds)

    def _tell(self, sql: str, seconds: float) -> None:
        """The request's id is added by the log; the fingerprint finds all lines of one statement."""
        self.slow += 1
        text = " ".join(sql.split())
        log.warning(
            "slow_query",
            duration_ms=round(seconds * 1000, 1),
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
            sql=text[:SHOWN],
        )
