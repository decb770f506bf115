"""One PostgreSQL and one Valkey for the whole run, a migrated template database, and a clone of it per test process.

The application under test connects as a role that owns nothing, so a missing grant fails a test. With
ATRIUM_TEST_POOLER=pgbouncer its connections go through a PgBouncer, two per database, pooled by transaction.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from litestar import Litestar
from sqlalchemy import make_url
from tests.core.servers import PgBouncer

from atrium import embedded
from atrium.app import create_app
from atrium.core.config import Settings
from atrium.core.db import grants, migrations
from atrium.core.runtime import Runtime

TEMPLATE = "atrium_template"
ROLE = "atrium_tests_app"
POOLER = os.environ.get("ATRIUM_TEST_POOLER", "")
SECRET = "a-secret-of-the-tests-and-of-nothing-else"


class Servers:
    """Started by the process that runs the suite, before xdist starts its workers."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.database_url = os.environ.get("DATABASE_URL", "")
        self.redis_url = os.environ.get("REDIS_URL", "")
        self.application_url = ""
        self._password = secrets.token_hex(16)

    @property
    def urls(self) -> tuple[str, str, str]:
        return self.database_url, self.redis_url, self.application_url

    def start(self) -> None:
        if not (self.database_url and self.redis_url):
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-tests-")))
            folder.chmod(0o711)  # root's servers run as another user, who must get through
            running = self._stack.enter_context(
                embedded.start(folder, postgres=not self.database_url, valkey=not self.redis_url)
            )
            self.database_url = self.database_url or running.urls.database_url or ""
            self.redis_url = self.redis_url or running.urls.redis_url or ""
        asyncio.run(self._make_template())
        migrations.upgrade(database(self.database_url, TEMPLATE))
        asyncio.run(self._close_template())
        self.application_url = self._application_url()

    async def _make_template(self) -> None:
        connection = await asyncpg.connect(self.database_url)
        await connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await connection.close()

    async def _close_template(self) -> None:
        connection = await asyncpg.connect(database(self.database_url, TEMPLATE))
        await grants.give(connection, ROLE, password=self._password)
        await connection.execute(f"ALTER ROLE {ROLE} SET synchronous_commit = off")
        await connection.close()
        connection = await asyncpg.connect(self.database_url)
        await connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
        await connection.close()

    def _application_url(self) -> str:
        url = make_url(self.database_url).set(username=ROLE, password=self._password)
        direct = url.render_as_string(hide_password=False)
        if POOLER != "pgbouncer":
            return direct
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-pooler-")))
        pooler = PgBouncer(folder, self.database_url, {ROLE: self._password}, size=2)
        return self._stack.enter_context(pooler).url(direct)

    def stop(self) -> None:
        self._stack.close()


def database(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, options = url.partition("?")
    return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{options}" if options else "")


SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    config.stash[SERVERS] = servers = Servers()
    servers.start()
    config.add_cleanup(servers.stop)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the servers are."""
    servers = node.config.stash[SERVERS]
    node.workerinput["servers"] = servers.urls


@pytest.fixture(scope="session")
def server_urls(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """(URL of PostgreSQL as the owner of everything, URL of Valkey, URL of PostgreSQL as the application)."""
    if hasattr(request.config, "workerinput"):
        urls: tuple[str, str, str] = request.config.workerinput["servers"]
        return urls
    return request.config.stash[SERVERS].urls


@pytest.fixture(scope="session")
def servers(server_urls: tuple[str, str, str]) -> tuple[str, str]:
    """(URL of PostgreSQL as the owner of everything, URL of Valkey)."""
    return server_urls[:2]


@pytest.fixture(scope="session")
def new_database(servers: tuple[str, str]) -> Iterator[Any]:
    """Makes migrated databases for tests that must not share theirs: `new_database("name") -> url`."""
    made: list[str] = []

    async def run(sql: str) -> None:
        connection = await asyncpg.connect(servers[0])
        await connection.execute(sql)
        await connection.close()

    def make(name: str, *, template: str | None = TEMPLATE) -> str:
        full = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{name}"
        asyncio.run(run(f"DROP DATABASE IF EXISTS {full} WITH (FORCE)"))
        asyncio.run(run(f"CREATE DATABASE {full}" + (f" TEMPLATE {template}" if template else "")))
        made.append(full)
        return database(servers[0], full)

    yield make
    for name in made:
        asyncio.run(run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def database_url(new_database: Any) -> str:
    """The suite's database as its owner: for what the application itself may not do."""
    url: str = new_database("suite")
    return url


@pytest.fixture(scope="session")
def as_application(server_urls: tuple[str, str, str]) -> Callable[[str], str]:
    """The way to a database of `new_database` for the application."""

    def url(owners: str) -> str:
        return database(server_urls[2], make_url(owners).database or "")

    return url


@pytest.fixture(scope="session")
def settings(database_url: str, as_application: Callable[[str], str], servers: tuple[str, str]) -> Settings:
    prefix = f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}"
    return Settings(
        environment="test",
        database_url=as_application(database_url),
        database_direct_url=database_url,
        database_pooler="transaction" if POOLER else "session",
        database_pool_size=8,
        redis_url=servers[1],
        redis_prefix=prefix,
        secret_key=SECRET,
        login_rate_per_minute=0,
        register_rate_per_hour=0,
        verification_rate_per_hour=0,
        general_rate_per_minute=0,
        anonymous_rate_per_minute=0,
        query_rate_per_minute=0,
        access_log=False,
        sweep_seconds=1,
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    application = create_app(settings)
    opened, done = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        """The lifespan belongs to one task: pytest sets fixtures up and tears them down in different ones."""
        async with application.lifespan():
            opened.set()
            await done.wait()

    living = asyncio.create_task(live())
    waiting = asyncio.create_task(opened.wait())
    await asyncio.wait({living, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if living.done():
        await living
    yield application
    done.set()
    await living


@pytest.fixture(scope="session")
async def runtime(app: Litestar) -> Runtime:
    found: Runtime = app.state.runtime
    return found


@pytest.fixture(scope="session")
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Requests straight into the application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as requests:
        yield requests


class Server(uvicorn.Server):
    """uvicorn inside the test's own event loop, which keeps its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(scope="session")
async def server(app: Litestar) -> AsyncIterator[str]:
    """The application on a real port: `http://127.0.0.1:PORT`."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        config = uvicorn.Config(app, lifespan="off", log_config=None, loop="none", ws="websockets-sansio")
        serving = Server(config)
        task = asyncio.create_task(serving.serve(sockets=[bound]))
        while not serving.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        serving.should_exit = True
        await task
