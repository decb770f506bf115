"""Send a frame to the sockets of a user, in whichever process they are. Best effort: the row is the promise."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import structlog
from redis.exceptions import RedisError

from atrium.core.realtime.hub import Hub
from atrium.core.runtime import Runtime

log = structlog.get_logger()
PATIENCE, SHORT_PATIENCE = 0.5, 0.1
"""Seconds a request may wait for Redis on behalf of somebody else's screen; shorter while the hub knows it is away."""


async def publish(runtime: Runtime, user_id: UUID, frame: Mapping[str, Any]) -> None:
    """To all sockets of the user."""
    await publish_to(runtime, topic_of(user_id), frame)


async def publish_to(runtime: Runtime, topic: str, frame: Mapping[str, Any]) -> None:
    """To all sockets that follow the topic; without Redis at least to those of this process."""
    text = msgspec.json.encode(frame).decode()
    hub: Hub | None = runtime.parts.get("hub")
    try:
        async with asyncio.timeout(PATIENCE if hub is None or hub.is_connected else SHORT_PATIENCE):
            await runtime.redis.publish(runtime.key(topic), text)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("publish_failed", topic=topic, error=repr(error))
        if hub is not None:
            hub.deliver(topic, text)


def topic_of(user_id: UUID) -> str:
    return f"user:{user_id}"
