"""What workers tell the other processes through Redis: that one is alive, and how its tasks ended."""

from typing import Any

from atrium.core.runtime import Runtime

HEARTBEAT = ("worker", "heartbeat")
COUNTS = ("metrics", "tasks")
BEAT_SECONDS = 10
BEAT_LASTS = 30


async def beat(runtime: Runtime) -> None:
    """A worker says that it is alive; called every ten seconds, forgotten after thirty."""
    await runtime.redis.set(runtime.key(*HEARTBEAT), "worker", ex=BEAT_LASTS)


async def is_beating(runtime: Runtime) -> bool:
    return bool(await runtime.redis.exists(runtime.key(*HEARTBEAT)))


async def count(runtime: Runtime, kind: str, status: str) -> None:
    """Count a finished background task for the metrics, which another process shows."""
    counting: Any = runtime.redis.hincrby(runtime.key(*COUNTS), f"{kind}:{status}", 1)
    await counting


async def counts(runtime: Runtime) -> dict[bytes, bytes]:
    """`kind:status` of finished tasks and how many there were."""
    reading: Any = runtime.redis.hgetall(runtime.key(*COUNTS))
    found: dict[bytes, bytes] = await reading
    return found
