"""Redis as limits see it: an answer soon, or none, and then left alone for a while."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog
from redis.exceptions import RedisError

log = structlog.get_logger()
AWAY = (RedisError, OSError, TimeoutError)


class Reach:
    """Asks, waits for `patience` seconds, and after a failure asks nothing for `pause` seconds."""

    def __init__(self, patience: float, pause: float) -> None:
        self._patience, self._pause = patience, pause
        self._away_until = 0.0

    async def ask(self, command: Coroutine[Any, Any, Any]) -> int | None:
        """What Redis says, or None while it is away."""
        if time.monotonic() < self._away_until:
            command.close()
            return None
        try:
            async with asyncio.timeout(self._patience):
                return int(await command)
        except AWAY as error:
            self._away_until = time.monotonic() + self._pause
            log.warning("limits_kept_locally", error=type(error).__name__)
            return None
