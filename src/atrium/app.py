"""The application: the modules it consists of and how they become one Litestar app. It knows no module's inside."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from advanced_alchemy.extensions.litestar import (
    AlembicAsyncConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyInitPlugin,
)
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Contact, License
from litestar_saq import SAQPlugin

import atrium.core.changes.triggers  # noqa: F401  declares the change log's SQL for all tables
from atrium.core.chat.module import module as chat
from atrium.core.config import Settings
from atrium.core.db.engines import SESSIONLESS, sqlalchemy_url
from atrium.core.db.migrations import VERSION_TABLE, folder
from atrium.core.http import edge, logging, problems
from atrium.core.http.requests import Request
from atrium.core.identity.module import module as identity
from atrium.core.identity.tokens import bearer_auth
from atrium.core.modules import Module, open_runtime
from atrium.core.notifications.module import module as notifications
from atrium.core.replays.middleware import Replays
from atrium.core.resources import relations
from atrium.core.resources.openapi import ResourceDocument, mark_repeatable
from atrium.core.resources.resource import Resource
from atrium.core.resources.routes import handlers
from atrium.core.subscriptions.module import module as subscriptions
from atrium.core.system.module import module as system
from atrium.core.tasks.module import module as tasks
from atrium.core.tasks.worker import saq_config
from atrium.core.transfers import doors as transfers
from atrium.core.transfers.module import module as transferring
from atrium.core.webhooks.module import module as webhooks
from atrium.wealth.module import module as wealth

VERSION = "1.0.0"
MODULES: tuple[Module, ...] = (
    system,
    identity,
    notifications,
    tasks,
    transferring,
    chat,
    subscriptions,
    webhooks,
    wealth,
)
EXPOSED = (
    *("ETag", "Location", "Link", "X-Total-Count", "X-Request-Id", "Retry-After", "Upload-Offset"),
    "Idempotent-Replay",
)
ACCEPTED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id")


def create_app(settings: Settings, modules: tuple[Module, ...] = MODULES) -> Litestar:
    logging.configure(settings)
    resources = tuple(resource for module in modules for resource in module.resources)
    routes = [handler for resource in resources for handler in handlers(resource)]
    routes += [door for resource in resources for door in transfers.handlers(resource)]
    routes += [controller for module in modules for controller in module.controllers]
    check_paths(modules)
    check_relations(resources)
    app = Litestar(
        route_handlers=routes,
        lifespan=[_lifespan(settings, modules)],
        exception_handlers=problems.HANDLERS,
        cors_config=_cors(settings),
        request_max_body_size=settings.max_body_bytes,
        openapi_config=_openapi(resources),
        request_class=Request,
        middleware=[Replays],
        on_app_init=[bearer_auth(settings).on_app_init],
        plugins=[_migrations(settings), SAQPlugin(saq_config(settings, modules))],
        state=State({"settings": settings, "modules": modules}),
        debug=False,
        logging_config=None,
    )
    mark_repeatable(app)
    edge.install(app, settings)
    return app


def _lifespan(settings: Settings, modules: tuple[Module, ...]) -> Any:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.runtime = await stack.enter_async_context(open_runtime(settings, modules))
            gc.collect()
            gc.freeze()  # what lives as long as the process need not be walked by each full collection (80 ms)
            gc.set_threshold(10_000, 20, 20)  # requests leave little that only a collection can free
            yield

    return lifespan


def check_paths(modules: tuple[Module, ...]) -> None:
    """Two resources at one path would hide one of them."""
    seen: dict[str, str] = {}
    for module in modules:
        for resource in module.resources:
            for path in (resource.path, *resource.also):
                if path in seen:
                    raise ValueError(f"{path} is declared by {seen[path]} and by {resource.name}")
                seen[path] = resource.name


def check_relations(resources: tuple[Resource, ...]) -> None:
    """A relation is found when it is first asked for; one that leads nowhere is told at the start."""
    if wrong := relations.faults(resources):
        raise ValueError(f"Relations that lead nowhere: {'; '.join(wrong)}")


def _cors(settings: Settings) -> CORSConfig:
    return CORSConfig(
        allow_origins=list(settings.backend_cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[*ACCEPTED, "Upload-Offset", "Upload-Length", "Upload-Metadata"],
        allow_credentials=True,
        expose_headers=[*EXPOSED, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
        max_age=600,
    )


def _openapi(resources: tuple[Any, ...]) -> OpenAPIConfig:
    return ResourceDocument(
        title="Atrium",
        version=VERSION,
        summary="Wealth, marketplace, CRM, insights and assessments behind one API.",
        contact=Contact(name="Atrium"),
        license=License(name="MIT", identifier="MIT"),
        resources=resources,
        path="/docs/openapi",
        render_plugins=[],
        use_handler_docstrings=True,
    )


def _migrations(settings: Settings) -> SQLAlchemyInitPlugin:
    """Gives the command line its `database` commands; the running app has sessions of its own (core.services)."""
    project = folder().parent / "pyproject.toml"
    config = SQLAlchemyAsyncConfig(
        connection_string=sqlalchemy_url(settings.owner_url or "postgresql://localhost/atrium"),
        engine_config=EngineConfig(connect_args=SESSIONLESS),
        alembic_config=AlembicAsyncConfig(
            script_location=str(folder() / "migrations"),
            version_table_name=VERSION_TABLE,
            toml_file=str(project) if project.is_file() else None,
            compare_type=True,
        ),
    )
    plugin = SQLAlchemyInitPlugin(config)
    plugin.on_app_init = lambda app_config: app_config  # type: ignore[method-assign]
    return plugin
