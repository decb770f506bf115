"""Reads that may be dear: figures over many rows under a time limit of their own, and what the planner guesses."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Table

from atrium.core.access import Principal
from atrium.core.query.vocabulary import invalid
from atrium.core.runtime import Runtime
from atrium.core.statements.compiled import Compiled, fetch, too_slow
from atrium.core.statements.failures import explain


async def fetch_limited(
    runtime: Runtime, compiled: Compiled, values: Mapping[str, Any], principal: Principal, table: Table
) -> list[asyncpg.Record]:
    """A read in a transaction that PostgreSQL itself ends, even if nobody is left to cancel it."""
    seconds = runtime.settings.query_timeout_seconds
    arguments = compiled.arguments(values, principal)
    try:
        async with runtime.database.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {seconds * 1000}")
            return await connection.fetch(compiled.sql, *arguments, timeout=seconds + 1)
    except TimeoutError as error:
        raise too_slow() from error
    except asyncpg.InvalidParameterValueError as error:
        raise invalid("tz", "must be a time zone that exists, such as Europe/Berlin") from error
    except Exception as error:
        raise explain(error, (table,)) or error from error


async def estimate(
    runtime: Runtime, compiled: Compiled, values: Mapping[str, Any], principal: Principal, table: Table
) -> int:
    """How many rows the planner expects.

    The statement is the caller's, policy and all, so the guess is about the rows that it may see; what it draws on
    beyond them is how often values occur in the whole table, which a total of more than a thousand rows blurs.
    """
    explained = Compiled(f"EXPLAIN (FORMAT JSON) {compiled.sql}", compiled.names, compiled.constants)
    rows = await fetch(runtime, explained, values, principal, table)
    plan = msgspec.json.decode(rows[0][0])
    return int(plan[0]["Plan"]["Plan Rows"])
