"""How many sockets a user may hold: counted over all processes in Redis, in this process alone when Redis is away.

Each socket is a member of the user's set with a moment at which it counts as gone, so that a killed process gives its
places back by itself.
"""

from collections import Counter
from collections.abc import Awaitable
from typing import Any, cast
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from atrium.core.runtime import Runtime

log = structlog.get_logger()
SOCKETS_PER_USER = 5
STAY_SECONDS = 60
ENTER = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class Admission:
    """The places of one socket's user."""

    __slots__ = ("_here", "_key", "_runtime", "_socket_id", "_user_id")

    def __init__(self, runtime: Runtime, user_id: UUID, socket_id: str) -> None:
        self._runtime, self._user_id, self._socket_id = runtime, user_id, socket_id
        self._here: Counter[UUID] = runtime.parts.setdefault("sockets_here", Counter())
        self._key = runtime.key("sockets", str(user_id))

    async def enter(self) -> bool:
        if self._here[self._user_id] >= SOCKETS_PER_USER or not await self.stay():
            return False
        self._here[self._user_id] += 1
        return True

    async def stay(self) -> bool:
        """Renew the place; True too when Redis cannot be asked."""
        try:
            arguments = (self._key, self._socket_id, str(SOCKETS_PER_USER), str(STAY_SECONDS))
            granted = await cast(Awaitable[Any], self._runtime.redis.eval(ENTER, 1, *arguments))
        except (RedisError, OSError) as error:
            log.warning("socket_count_unknown", error=repr(error))
            return True
        return bool(granted)

    async def leave(self) -> None:
        self._here[self._user_id] -= 1
        if self._here[self._user_id] <= 0:
            del self._here[self._user_id]
        try:
            await self._runtime.redis.zrem(self._key, self._socket_id)
        except (RedisError, OSError):
            log.info("socket_place_expires_by_itself", user_id=str(self._user_id))
