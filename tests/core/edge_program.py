"""A small application behind the real edge and the real logging, for tests that need a process of their own."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import structlog
from litestar import Litestar, WebSocket, get, websocket

from atrium.core.config import Settings
from atrium.core.http import edge
from atrium.core.http import logging as logs
from atrium.core.http.problems import HANDLERS
from atrium.core.runtime import Runtime


@websocket("/ws/chat")
async def chat(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    token = socket.query_params["token"]
    structlog.get_logger().info(
        "joined", token=token, url=str(socket.url), nested={"headers": {"authorization": "Bearer x"}}
    )
    logging.getLogger("somebody.else").warning("GET /x?access_token=%s failed", token)
    async for text in socket.iter_data("text"):
        await socket.send_text(text)


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(1)
    return "done"


@get("/broken")
async def broken() -> None:
    raise RuntimeError("connecting to postgresql://app:hunter22@db/x failed")


class Hub:
    """Says that it was told, and leaves the closing to the server."""

    def close_all(self, code: int) -> None:
        structlog.get_logger().info("hub_closes", code=code)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.runtime = Runtime(settings, cast("Any", None), cast("Any", None), parts={"hub": Hub()})
    yield


settings = Settings(log_level=cast("Any", os.environ.get("LOG_LEVEL", "INFO")))
logs.configure(settings)
app = Litestar([chat, slow, broken], lifespan=[lifespan], exception_handlers=HANDLERS, logging_config=None)
edge.install(app, settings)
