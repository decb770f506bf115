"""The system's own routes behind the real edge, for tests that need several processes of their own."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, get

from atrium.core.config import Settings
from atrium.core.http import edge, logging, metrics
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import runtime_of
from atrium.core.modules import open_runtime
from atrium.core.system.module import module


@get("/pid")
async def pid() -> int:
    return os.getpid()


@get("/slow")
async def slow(request: Request[Any, Any, Any]) -> int:
    return int(await runtime_of(request).database.pool.fetchval("SELECT 1 FROM pg_sleep($1)", 0.05))


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with open_runtime(settings, (module,)) as runtime:
        app.state.runtime = runtime
        yield


metrics.EVERY_SECONDS = 0.5
settings = Settings.from_env(os.environ)
logging.configure(settings)
app = Litestar(
    [pid, slow, *module.controllers],
    lifespan=[lifespan],
    exception_handlers=HANDLERS,
    openapi_config=None,
    logging_config=None,
)
edge.install(app, settings)
