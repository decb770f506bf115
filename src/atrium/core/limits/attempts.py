"""Exact limits: every attempt is counted over all processes in Redis, per process while Redis is away.

    await limits.exact(runtime, "query", str(principal.user_id))

Attempts are kept as moments in a sorted set, so that the limit holds in every window, not only per calendar minute.
"""

import hashlib
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from atrium.core.clock import new_id
from atrium.core.config import Settings
from atrium.core.errors import RateLimited
from atrium.core.limits.redis import Reach
from atrium.core.runtime import Runtime

MINUTE, HOUR = 60, 3600
RATES: Mapping[str, tuple[Callable[[Settings], int], int]] = {
    "login": (lambda settings: settings.login_rate_per_minute, MINUTE),
    "register": (lambda settings: settings.register_rate_per_hour, HOUR),
    "verify_email": (lambda settings: settings.verification_rate_per_hour, HOUR),
    "reset_password": (lambda settings: settings.verification_rate_per_hour, HOUR),
    "query": (lambda settings: settings.query_rate_per_minute, MINUTE),
}
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


class Moments:
    """The same for one process: when each attempt was."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[float]] = {}

    def recent(self, key: str, seconds: float) -> deque[float]:
        if len(self._kept) > REMEMBERED:
            self._kept.clear()
        found = self._kept.setdefault(key, deque())
        while found and found[0] <= time.monotonic() - seconds:
            found.popleft()
        return found

    def take(self, key: str, limit: int, seconds: float) -> float:
        """Seconds to wait; 0 when this attempt is allowed, and counted."""
        found = self.recent(key, seconds)
        if len(found) >= limit:
            return found[0] + seconds - time.monotonic()
        found.append(time.monotonic())
        return 0

    def forget(self, key: str) -> None:
        self._kept.pop(key, None)


class Limits:
    """The exact limits of one process, and how many requests any limit refused."""

    def __init__(self, runtime: Runtime) -> None:
        self.refused: Counter[str] = Counter()
        self._runtime = runtime
        self._reach = Reach(REDIS_SECONDS, REDIS_SECONDS)
        self._moments = Moments()

    async def take(self, what: str, *who: str | None, limit: int, seconds: int) -> None:
        """Count an attempt or raise RateLimited; a limit of 0 is none."""
        if limit == 0:
            return
        key, redis = hashed_key(self._runtime, "limit", what, *who), self._runtime.redis
        taking: Any = redis.eval(TAKE, 1, key, limit, seconds * 1000, new_id().hex)
        found = await self._reach.ask(taking)
        wait = self._moments.take(key, limit, seconds) if found is None else found / 1000
        if wait > 0:
            self.refused[what] += 1
            raise RateLimited(retry_after=math.ceil(wait))


async def exact(runtime: Runtime, what: str, *who: str | None) -> None:
    """Count an attempt at one of `RATES` or raise RateLimited; `who` is all that the limit is kept apart by."""
    rate, seconds = RATES[what]
    await limits_of(runtime).take(what, *who, limit=rate(runtime.settings), seconds=seconds)


def limits_of(runtime: Runtime) -> Limits:
    found: Limits | None = runtime.parts.get("limits")
    if found is None:
        found = runtime.parts["limits"] = Limits(runtime)
    return found


def hashed_key(runtime: Runtime, kind: str, *who: str | None) -> str:
    """What people typed is hashed: it may be long, odd or a password in the wrong field."""
    digest = hashlib.sha256("\0".join(str(one).casefold() for one in who).encode()).hexdigest()
    return runtime.key(kind, digest[:32])
