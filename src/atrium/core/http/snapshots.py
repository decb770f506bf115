"""The figures of all processes of an installation on one machine, added up wherever a scrape lands.

Each process writes its own into one hash in Redis every few seconds, and before it answers a scrape: so whatever was
ever shown is stored, and sums of counters never go down. What processes that are gone have counted is kept in one
field; their gauges are forgotten.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from redis.exceptions import WatchError

from atrium.core.runtime import Runtime

Labelled = tuple[str, ...]
"""A family and the values of its labels."""
PAST = b"past"
LASTS_SECONDS = 15.0
KEPT_SECONDS = 86_400


class Snapshot(msgspec.Struct, array_like=True):
    """The figures of one process at one moment, or of several together."""

    at: float = 0.0
    counters: dict[Labelled, float] = {}
    histograms: dict[Labelled, list[float]] = {}
    """The sum, then a count for each bucket."""
    gauges: dict[Labelled, float] = {}

    def add(self, other: "Snapshot", highest: frozenset[str] = frozenset(), *, is_alive: bool = True) -> None:
        """Add another process; gauges named in `highest` are not summed."""
        for name, value in other.counters.items():
            self.counters[name] = self.counters.get(name, 0.0) + value
        for name, values in other.histograms.items():
            held = self.histograms.get(name)
            if held is None or len(held) != len(values):
                self.histograms[name] = list(values)
            else:
                self.histograms[name] = [one + two for one, two in zip(held, values, strict=True)]
        for name, value in other.gauges.items() if is_alive else ():
            held_value = self.gauges.get(name, 0.0)
            self.gauges[name] = max(held_value, value) if name[0] in highest else held_value + value


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


class Shelf:
    """Where the processes of an installation on this machine leave their figures."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._key = runtime.key("metrics", "processes", socket.gethostname())
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}".encode()
        self.has_published = False

    async def publish(self, snapshot: Snapshot) -> None:
        async with self._runtime.redis.pipeline(transaction=False) as pipe:
            pipe.hset(self._key, self._name, _encoder.encode(snapshot))  # type: ignore[arg-type]
            pipe.expire(self._key, KEPT_SECONDS)
            await pipe.execute()
        self.has_published = True

    async def total(self, highest: frozenset[str]) -> tuple[Snapshot, int]:
        """The sum over all processes, and how many of them are alive."""
        reading: Any = self._runtime.redis.hgetall(self._key)
        held: dict[bytes, bytes] = await reading
        total, alive, gone, now = Snapshot(), 0, [], time.time()
        for name, raw in held.items():
            one = _decoder.decode(raw)
            if name != PAST and self._is_gone(name, now - one.at):
                gone.append(name)
            is_alive = name != PAST and name not in gone and one.at > now - LASTS_SECONDS
            total.add(one, highest, is_alive=is_alive)
            alive += is_alive
        if gone:
            await self._fold(gone)
        return total, alive

    def _is_gone(self, name: bytes, silent: float) -> bool:
        """Whether a process can never write again: one that only slept must not be counted twice."""
        pid = int(name.partition(b"-")[0])
        if pid == os.getpid():
            return name != self._name
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return silent > KEPT_SECONDS

    async def _fold(self, gone: Iterable[bytes]) -> None:
        """Move what they counted into the past, unless anybody writes meanwhile: the next scrape tries again."""
        names = list(gone)
        async with self._runtime.redis.pipeline(transaction=True) as pipe:
            try:
                await pipe.watch(self._key)
                reading: Any = pipe.hmget(self._key, [PAST, *names])
                held: list[bytes | None] = await reading
                past = Snapshot()
                for raw in held:
                    if raw is not None:
                        past.add(_decoder.decode(raw), is_alive=False)
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.hset(self._key, PAST, _encoder.encode(past))  # type: ignore[arg-type]
                pipe.hdel(self._key, *names)  # type: ignore[arg-type]
                await pipe.execute()
            except WatchError:
                return
