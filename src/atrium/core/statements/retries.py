"""Doing again what PostgreSQL undid: serialisation failures and deadlocks leave nothing behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from atrium.core.statements.failures import RETRYABLE, database_error

Result = TypeVar("Result")
ATTEMPTS = 4


def is_retryable(error: BaseException) -> bool:
    found = database_error(error)
    return found is not None and found.sqlstate in RETRYABLE


async def pause(attempt: int) -> None:
    """Longer after each attempt, and different for those who met."""
    await asyncio.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311  spreading, not secrecy


async def retried(act: Callable[[], Awaitable[Result]], attempt: int = 1) -> Result:
    """The act, repeated a few times; it must not act outside of its transaction."""
    while True:
        try:
            return await act()
        except Exception as error:
            if attempt == ATTEMPTS or not is_retryable(error):
                raise
        await pause(attempt)
        attempt += 1
