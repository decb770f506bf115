"""How often somebody may try: exact over all processes in Redis, per process while Redis is away.

Attempts are kept as moments in a sorted set, so that the limit holds in every window, not only per calendar
minute.
"""

import asyncio
import hashlib
import math
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import RedisError

from atrium.core.clock import new_id
from atrium.core.errors import RateLimited
from atrium.core.identity.rules import network_of
from atrium.core.runtime import Runtime

log = structlog.get_logger()
FAILURES = 10
FAILURE_SECONDS = 15 * 60
LOCK_SECONDS = 15 * 60
REDIS_SECONDS = 1.0
REMEMBERED = 10_000

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
    return math.max(1, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] + ARGV[2] - now)
end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
"""
FAIL = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
    return 0
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], 1, 'PX', ARGV[3])
return 1
"""
AWAY = (RedisError, OSError, TimeoutError)


@dataclass(slots=True)
class Memory:
    """The same for one process: moments of attempts, and locks with their ends."""

    moments: dict[str, deque[float]] = field(default_factory=dict)
    locks: dict[str, float] = field(default_factory=dict)

    def _recent(self, key: str, seconds: float) -> deque[float]:
        if len(self.moments) > REMEMBERED:
            self.moments.clear()
        found = self.moments.setdefault(key, deque())
        while found and found[0] <= time.monotonic() - seconds:
            found.popleft()
        return found

    def take(self, key: str, limit: int, seconds: float) -> float:
        """Seconds to wait; 0 when this attempt is allowed, and counted."""
        found = self._recent(key, seconds)
        if len(found) >= limit:
            return found[0] + seconds - time.monotonic()
        found.append(time.monotonic())
        return 0

    def fail(self, key: str, lock: str) -> bool:
        found = self._recent(key, FAILURE_SECONDS)
        found.append(time.monotonic())
        if len(found) < FAILURES:
            return False
        del self.moments[key]
        if len(self.locks) > REMEMBERED:
            self.locks.clear()
        self.locks[lock] = time.monotonic() + LOCK_SECONDS
        return True


class Limits:
    """Rate limits of the public doors and the lock of a pair of account and network."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.memory = Memory()
        self._away_until = 0.0

    async def take(self, what: str, *who: str | None, limit: int, seconds: int) -> None:
        """Count an attempt or raise RateLimited; a limit of 0 is none."""
        if limit == 0:
            return
        key = self._key("limit", what, *who)
        found = await self._ask(self._redis.eval(TAKE, 1, key, limit, seconds * 1000, new_id().hex))
        wait = self.memory.take(key, limit, seconds) if found is None else found / 1000
        if wait > 0:
            raise RateLimited(retry_after=math.ceil(wait))

    async def locked_for(self, account: str, ip: str | None) -> int:
        """Seconds for which this account takes no password from that network."""
        key = self._key("lock", account, network_of(ip))
        local = self.memory.locks.get(key, 0) - time.monotonic()
        found = await self._ask(self._redis.pttl(key)) or 0
        return max(0, math.ceil(max(found / 1000, local)))

    async def failed(self, account: str, ip: str | None) -> bool:
        """Count a wrong password; True when this one locked the pair."""
        failures, lock = self._pair(account, ip)
        times = (FAILURES, FAILURE_SECONDS * 1000, LOCK_SECONDS * 1000)
        found = await self._ask(self._redis.eval(FAIL, 2, failures, lock, *times, new_id().hex))
        return self.memory.fail(failures, lock) if found is None else bool(found)

    async def forgive(self, account: str, ip: str | None) -> None:
        """Forget the failures and the lock of a pair, after the right password or a reset by mail."""
        failures, lock = self._pair(account, ip)
        self.memory.moments.pop(failures, None)
        self.memory.locks.pop(lock, None)
        await self._ask(self._redis.delete(failures, lock))

    @property
    def _redis(self) -> Any:
        return self.runtime.redis

    async def _ask(self, command: Coroutine[Any, Any, Any]) -> int | None:
        """What Redis says, or None while it is away; after a failure it is left alone for a moment."""
        if time.monotonic() < self._away_until:
            command.close()
            return None
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                return int(await command)
        except AWAY as error:
            self._away_until = time.monotonic() + REDIS_SECONDS
            log.warning("limits_kept_locally", error=type(error).__name__)
            return None

    def _pair(self, account: str, ip: str | None) -> tuple[str, str]:
        network = network_of(ip)
        return self._key("failed", account, network), self._key("lock", account, network)

    def _key(self, kind: str, *who: str | None) -> str:
        """What people typed is hashed: it may be long, odd or a password in the wrong field."""
        digest = hashlib.sha256("\0".join(str(one).casefold() for one in who).encode()).hexdigest()
        return self.runtime.key("identity", kind, digest[:32])


def limits_of(runtime: Runtime) -> Limits:
    limits: Limits = runtime.parts.setdefault("identity.limits", Limits(runtime))
    return limits
