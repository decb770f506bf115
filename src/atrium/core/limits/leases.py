"""The general limit: spent locally in blocks that Redis hears about afterwards.

An ordinary request looks at two numbers. After each half block the process tells Redis in the background what it
spent, and hears what all have spent; it never runs more than one block ahead of that, so all processes together
overshoot by at most a block each. While Redis is away the limit holds per process. Windows are minutes; each caller's
begin at a second of its own, so that not everybody who waits comes back at once.
"""

import asyncio
import ipaddress
import math
import time
import zlib
from collections.abc import Hashable
from typing import Any

from atrium.core.limits.redis import Reach
from atrium.core.runtime import Runtime

WINDOW = 60
BLOCKS = 20
REMEMBERED = 20_000
PATIENCE, PAUSE = 0.2, 5.0
SPEND = """
local before = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[2]))
local spent = before + tonumber(ARGV[1])
redis.call('SET', KEYS[1], spent, 'EX', ARGV[3])
return spent
"""
"""What a process knows to be spent counts too: Redis may have been away, or have begun anew."""


class Lease:
    """One caller's requests of this minute, as this process knows them."""

    __slots__ = ("_asked", "_block", "_key", "_leases", "_owed", "_phase", "ends", "limit", "settling", "spent")

    def __init__(self, leases: "Leases", key: str, limit: int) -> None:
        self.limit = limit
        self.ends = 0.0
        self.spent = 0
        self.settling: asyncio.Task[None] | None = None
        self._leases, self._key = leases, key
        self._phase = zlib.crc32(key.encode()) % WINDOW
        self._block = max(1, limit // BLOCKS)
        self._owed = self._asked = 0

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.spent)

    def wait(self, now: float) -> int:
        """Whole seconds until the next window."""
        return max(1, math.ceil(self.ends - now))

    @property
    def is_ahead(self) -> bool:
        """Whether a block is spent that Redis has not confirmed: wait for `settling` before the next."""
        return self.settling is not None and self._asked + self._owed >= self._block

    async def settled(self) -> None:
        if self.settling is not None:
            await asyncio.wait({self.settling})

    def spend(self, now: float) -> bool:
        """Count a request of this moment; False when the window has none left."""
        if now >= self.ends:
            self.ends = now - (now - self._phase) % WINDOW + WINDOW
            self.spent = self._owed = 0
        if self.spent >= self.limit:
            return False
        self.spent += 1
        self._owed += 1
        if self.settling is None and self._owed * 2 >= self._block:
            self.settling = asyncio.get_running_loop().create_task(self._settle())
        return True

    async def _settle(self) -> None:
        window, self._asked, self._owed = self.ends, self._owed, 0
        try:
            told = await self._leases.tell(f"{self._key}:{window:.0f}", self._asked, self.spent - self._asked)
            if told is not None and window == self.ends:
                self.spent = told + self._owed
        finally:
            self._asked, self.settling = 0, None


class Leases:
    """The leases of one process by caller."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reach = Reach(PATIENCE, PAUSE)
        self._held: dict[tuple[str, Hashable], Lease] = {}

    def find(self, kind: str, who: Hashable, limit: int) -> Lease:
        """The lease of a user, or of an address as text; the addresses of one IPv6 network share theirs."""
        lease = self._held.get((kind, who))
        if lease is None:
            shared = _network(who) if isinstance(who, str) else who
            lease = self._held.get((kind, shared))
            if lease is None:
                lease = Lease(self, self._runtime.key("lease", kind, str(shared)), limit)
            if len(self._held) >= REMEMBERED:
                self._forget()
            self._held[kind, shared] = self._held[kind, who] = lease
        return lease

    async def tell(self, key: str, spent: int, before: int) -> int | None:
        """What all processes have spent; None while Redis is away."""
        telling: Any = self._runtime.redis.eval(SPEND, 1, key, spent, before, 2 * WINDOW)
        return await self._reach.ask(telling)

    async def close(self) -> None:
        """Let what is being told be told."""
        telling = {lease.settling for lease in self._held.values() if lease.settling is not None}
        if telling:
            await asyncio.wait(telling)

    def _forget(self) -> None:
        """Drop what is over; when a flood of callers leaves too many, the oldest ones too."""
        now = time.time()
        self._held = {who: lease for who, lease in self._held.items() if lease.ends > now}
        if len(self._held) > REMEMBERED // 2:
            self._held = dict(list(self._held.items())[REMEMBERED // 4 :])


def _network(address: str) -> str:
    """What one caller owns of the address space: an IPv4 address, the /64 of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address
