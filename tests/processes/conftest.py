"""A cluster per module of tests, whole again before each test, its logs shown where one fails."""

import tempfile
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conftest import SECRET
from tests.processes.cluster import Cluster

from atrium.app import MODULES
from atrium.core.config import Settings
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime


@pytest.fixture(scope="module")
def cluster_environ() -> dict[str, str]:
    """What a module's processes are told beside the addresses of the servers."""
    return {"GENERAL_RATE_PER_MINUTE": "0"}


@pytest.fixture(scope="module")
def owner_url(request: pytest.FixtureRequest, new_database: Any) -> str:
    """A database of this module as its owner."""
    url: str = new_database(request.module.__name__.rpartition("test_")[2][:30])
    return url


@pytest.fixture(scope="module")
async def installation(
    owner_url: str, as_application: Callable[[str], str], settings: Settings, cluster_environ: dict[str, str]
) -> AsyncIterator[Cluster]:
    environ = {
        "DATABASE_URL": as_application(owner_url),
        "DATABASE_POOLER": settings.database_pooler,
        "SECRET_KEY": SECRET,
    }
    with tempfile.TemporaryDirectory(prefix="atrium-processes-") as folder:
        cluster = Cluster(Path(folder), {**environ, **cluster_environ}, owner_url)
        try:
            await cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
async def cluster(request: pytest.FixtureRequest, installation: Cluster) -> Cluster:
    """Whole again; of a test marked with `usefixtures("no_workers")` only its API processes."""
    await installation.start(*(installation.apis if "no_workers" in request.fixturenames else ()))
    return installation


@pytest.fixture
def no_workers() -> None:
    """Starting a process takes seconds, and not every test needs all."""


@pytest.fixture(scope="module")
async def people(installation: Cluster, settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime that makes accounts and their records; no test acts through it."""
    environ = installation.environ
    own = msgspec.structs.replace(
        settings,
        database_url=environ["DATABASE_URL"],
        database_direct_url=installation.owner_url,
        redis_prefix=f"{settings.redis_prefix}-people",
    )
    async with open_runtime(own, MODULES) as runtime:
        yield runtime


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cluster = getattr(item, "funcargs", {}).get("installation")
    if report.failed and isinstance(cluster, Cluster):
        report.sections += [(f"the end of {one.log.name}", one.last_lines()) for one in cluster.processes]
    return report
