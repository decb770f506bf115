"""A SQLAlchemy statement compiled once for asyncpg, and the bounded cache that keeps such statements."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from sqlalchemy import ClauseElement, Table
from sqlalchemy.dialects.postgresql import asyncpg as dialects

from atrium.core.access import CALLER, Principal
from atrium.core.errors import DependencyDown
from atrium.core.runtime import Runtime
from atrium.core.statements.failures import CONNECTION_LOST, explain
from atrium.core.statements.retries import is_retryable, pause, retried

DIALECT: Any = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Compiled:
    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def arguments(self, values: Mapping[str, Any], principal: Principal) -> list[Any]:
        """The positional arguments: given values, the caller's own ids, and literals of the statement."""
        found = []
        for name in self.names:
            if name in values:
                found.append(values[name])
            elif name.startswith(CALLER):
                found.append(principal.id_of(name[len(CALLER) :]))
            else:
                found.append(self.constants[name])
        return found


def compile_statement(statement: ClauseElement) -> Compiled:
    compiled: Any = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    return Compiled(str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params))


class Cache:
    """Least recently used first out: whoever invents shapes displaces statements, not memory."""

    def __init__(self, size: int = 512) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Compiled] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], ClauseElement]) -> Compiled:
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = compile_statement(build())
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found


async def fetch(
    runtime: Runtime, compiled: Compiled, values: Mapping[str, Any], principal: Principal, table: Table
) -> list[asyncpg.Record]:
    """A read; repeated once when the pooled connection turns out to be dead."""
    arguments, limit = compiled.arguments(values, principal), runtime.settings.query_timeout_seconds
    pool = runtime.database.pool
    try:
        try:
            return await pool.fetch(compiled.sql, *arguments, timeout=limit)
        except TimeoutError:
            raise
        except CONNECTION_LOST:
            return await pool.fetch(compiled.sql, *arguments, timeout=limit)
    except TimeoutError as error:
        raise too_slow() from error
    except Exception as error:
        raise explain(error, (table,)) or error from error


def too_slow() -> DependencyDown:
    """For a statement that asyncpg has cancelled; a timeout that is set inside it would have no effect."""
    return DependencyDown("The query took too long and was stopped. Narrow it down.", code="QUERY_TIMEOUT")


async def run(
    runtime: Runtime, compiled: Compiled, values: Mapping[str, Any], principal: Principal, table: Table
) -> list[asyncpg.Record]:
    """A write: repeated only when PostgreSQL undid it, because a lost answer does not tell whether it was committed."""
    arguments, pool = compiled.arguments(values, principal), runtime.database.pool
    try:
        return await pool.fetch(compiled.sql, *arguments)
    except Exception as error:
        if not is_retryable(error):
            raise explain(error, (table,)) or error from error
        if not isinstance(pool, asyncpg.Pool):
            raise  # the transaction it belongs to is what must be repeated
    await pause(1)
    try:
        return await retried(lambda: pool.fetch(compiled.sql, *arguments), attempt=2)
    except Exception as error:
        raise explain(error, (table,)) or error from error


def inside(runtime: Runtime, connection: Any) -> Runtime:
    """The same runtime, whose compiled statements run in the transaction of this connection."""
    return replace(runtime, database=replace(runtime.database, pool=connection))
