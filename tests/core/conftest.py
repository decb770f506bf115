"""Databases of their own for tests that must not share the change log, or a worker, with others."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.core.change_house import empty, opened
from tests.core.job_house import EFFECTS, MakeJob, a_job
from tests.core.subscription_house import House, alone, living

from atrium.app import MODULES
from atrium.core.config import Settings
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime


@pytest.fixture(scope="session")
def own_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    url = new_database("log")
    return msgspec.structs.replace(
        settings,
        database_url=as_application(url),
        database_direct_url=url,
        redis_prefix=f"{settings.redis_prefix}:log",
    )


@pytest.fixture
async def log(own_settings: Settings) -> AsyncIterator[Runtime]:
    """Its change log is empty and nobody else writes to it."""
    async with opened(own_settings) as runtime:
        await empty(runtime)
        yield runtime


@pytest.fixture(scope="module")
def job_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    direct = new_database("jobs")
    return msgspec.structs.replace(
        settings,
        database_url=as_application(direct),
        database_direct_url=direct,
        redis_prefix=f"{settings.redis_prefix}-jobs",
        task_heartbeat_seconds=1,
        task_stale_seconds=2,
    )


@pytest.fixture(scope="module")
async def workshop(job_settings: Settings) -> AsyncIterator[Runtime]:
    owner = await asyncpg.connect(job_settings.owner_url)
    await owner.execute(EFFECTS)
    await owner.close()
    async with open_runtime(job_settings, MODULES) as runtime:
        yield runtime


@pytest.fixture
def make_job(monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    def make(name: str, work: Callable[..., Any], **options: Any) -> Job:
        made = a_job(name, work, **options)
        monkeypatch.setitem(JOBS, made.name, made)
        return made

    return make


@pytest.fixture(scope="module")
def house_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    url = new_database("subscriptions")
    return alone(settings, url, as_application(url))


@pytest.fixture(scope="module")
async def house(house_settings: Settings) -> AsyncIterator[House]:
    """Two applications and a relay over a database of the module's own."""
    async with living(house_settings) as opened_house:
        yield opened_house
