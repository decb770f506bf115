"""The lock of a pair of account and network after too many wrong passwords, over all processes like the limits."""

import math
import time
from typing import Any

from atrium.core.clock import new_id
from atrium.core.identity.rules import network_of
from atrium.core.limits.attempts import REDIS_SECONDS, REMEMBERED, Moments, hashed_key
from atrium.core.limits.redis import Reach
from atrium.core.runtime import Runtime

FAILURES = 10
FAILURE_SECONDS = 15 * 60
LOCK_SECONDS = 15 * 60
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


class Locks:
    """Wrong passwords by account and network."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reach = Reach(REDIS_SECONDS, REDIS_SECONDS)
        self._moments = Moments()
        self._local: dict[str, float] = {}

    async def locked_for(self, account: str, ip: str | None) -> int:
        """Seconds for which this account takes no password from that network."""
        _, lock = self._pair(account, ip)
        local = self._local.get(lock, 0) - time.monotonic()
        found = await self._reach.ask(self._redis.pttl(lock)) or 0
        return max(0, math.ceil(max(found / 1000, local)))

    async def failed(self, account: str, ip: str | None) -> bool:
        """Count a wrong password; True when this one locked the pair."""
        failures, lock = self._pair(account, ip)
        times = (FAILURES, FAILURE_SECONDS * 1000, LOCK_SECONDS * 1000)
        found = await self._reach.ask(self._redis.eval(FAIL, 2, failures, lock, *times, new_id().hex))
        return self._failed_here(failures, lock) if found is None else bool(found)

    async def forgive(self, account: str, ip: str | None) -> None:
        """Forget the failures and the lock of a pair, after the right password or a reset by mail."""
        failures, lock = self._pair(account, ip)
        self._moments.forget(failures)
        self._local.pop(lock, None)
        await self._reach.ask(self._redis.delete(failures, lock))

    def _failed_here(self, failures: str, lock: str) -> bool:
        found = self._moments.recent(failures, FAILURE_SECONDS)
        found.append(time.monotonic())
        if len(found) < FAILURES:
            return False
        self._moments.forget(failures)
        if len(self._local) > REMEMBERED:
            self._local.clear()
        self._local[lock] = time.monotonic() + LOCK_SECONDS
        return True

    @property
    def _redis(self) -> Any:
        return self._runtime.redis

    def _pair(self, account: str, ip: str | None) -> tuple[str, str]:
        network = network_of(ip)
        return tuple(hashed_key(self._runtime, kind, account, network) for kind in ("failed", "lock"))  # type: ignore[return-value]


def locks_of(runtime: Runtime) -> Locks:
    locks: Locks = runtime.parts.setdefault("identity.locks", Locks(runtime))
    return locks
