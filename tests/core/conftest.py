"""A database of their own for tests that must not share the change log with others."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from tests.core.change_house import empty, opened

from atrium.core.config import Settings
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
