"""The manifest: the one thing a module shows to the application."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from atrium.core.config import Settings
from atrium.core.jobs.registry import Job
from atrium.core.lookups import Lookup
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime

ClaimSource = Callable[["asyncpg.Connection[Any]", UUID], Awaitable[Mapping[str, UUID]]]
"""The ids that a module adds to a user's tokens (advisor_id, client_id), read when a session begins or is refreshed."""


@dataclass(frozen=True, slots=True)
class Role:
    """A bundle of permissions; the database holds the bundle in force, this is what a new installation starts with."""

    code: str
    name: str
    rank: int = 10
    grants: tuple[str, ...] = ()
    self_register: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    title: str
    resources: tuple[Resource, ...] = ()
    controllers: tuple[Any, ...] = ()
    jobs: tuple[Job, ...] = ()
    roles: tuple[Role, ...] = ()
    permissions: Mapping[str, str] = field(default_factory=dict)
    claims: ClaimSource | None = None
    lookups: tuple[Lookup, ...] = ()
    subjects: tuple[Any, ...] = ()
    """What this module's conversations may be about (core.chat.subjects)."""
    models: tuple[type, ...] = ()
    on_startup: tuple[Callable[..., Any], ...] = ()
    """Async context managers `(runtime) -> AsyncIterator` opened with the process and closed in reverse order."""

    def all_permissions(self) -> dict[str, str]:
        """Code -> description, those of the resources included."""
        named = {code: resource.title for resource in self.resources for code in resource.permissions()}
        return {**named, **self.permissions}


@asynccontextmanager
async def open_runtime(settings: Settings, modules: Sequence[Module]) -> AsyncIterator[Runtime]:
    """A process's runtime with what its modules open; the same for the API, the worker and the commands."""
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime.open(settings))
        runtime.parts["modules"] = tuple(modules)
        runtime.parts["lookups"] = tuple(lookup for module in modules for lookup in module.lookups)
        for opened in (part for module in modules for part in module.on_startup):
            await stack.enter_async_context(opened(runtime))
        yield runtime
