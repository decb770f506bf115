"""What the system routes ask and keep: probes of the dependencies, the worker's heartbeat, who may look inside."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Any

import structlog
from litestar.connection import ASGIConnection

from atrium.core.access import Principal
from atrium.core.db.engines import connect
from atrium.core.errors import AtriumError, Forbidden, Unauthenticated
from atrium.core.http.requests import address_of, runtime_of
from atrium.core.jobs.pulse import is_beating
from atrium.core.runtime import Runtime

log = structlog.get_logger()
VERSION = version("atrium")
PATIENCE = 2.0
KEPT = 1.0
Connection = ASGIConnection[Any, Any, Any, Any]


class Probe:
    """One question to a dependency, asked at most once a second and waited for two seconds, however many want to know.

    A question that hangs is left to end by itself: probes of an orchestrator must not pile up behind it.
    """

    def __init__(self, name: str, ask: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
        self._name = name
        self._patience = patience
        self._ask = ask
        self._well = False
        self._until = 0.0
        self._asking: asyncio.Task[bool] | None = None

    async def __call__(self) -> bool:
        if monotonic() < self._until:
            return self._well
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        done, _pending = await asyncio.wait({self._asking}, timeout=self._patience)
        well = bool(done) and self._asking.result()
        if well != self._well:
            tell = log.info if well else log.warning
            tell("dependency_changed", dependency=self._name, well=well)
        self._well, self._until = well, monotonic() + KEPT
        return well

    async def _answer(self) -> bool:
        try:
            async with asyncio.timeout(self._patience * 2):
                return await self._ask()
        except Exception as error:  # noqa: BLE001  whatever it is, the dependency does not answer
            log.debug("probe_failed", dependency=self._name, error=repr(error))
            return False


class Probes:
    """The probes of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self.database = Probe("database", lambda: _database_answers(runtime))
        self.redis = Probe("redis", lambda: _redis_answers(runtime))
        self.worker = Probe("worker", lambda: is_beating(runtime))


def probes_of(runtime: Runtime) -> Probes:
    if "probes" not in runtime.parts:
        runtime.parts["probes"] = Probes(runtime)
    found: Probes = runtime.parts["probes"]
    return found


async def _database_answers(runtime: Runtime) -> bool:
    pool = runtime.database.pool
    if pool.get_idle_size() == 0 and pool.get_size() == pool.get_max_size():
        # A busy pool is no dead database: ask beside it.
        connection = await connect(runtime.settings, patience=PATIENCE)
        try:
            return bool(await connection.fetchval("SELECT 1", timeout=PATIENCE))
        finally:
            connection.terminate()
    return bool(await pool.fetchval("SELECT 1", timeout=PATIENCE))


async def _redis_answers(runtime: Runtime) -> bool:
    answer: Any = runtime.redis.ping()
    return bool(await answer)


def bearer_of(connection: Connection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def get_caller(connection: Connection) -> Principal:
    """Who calls a route that no authentication stands in front of."""
    token, authenticator = bearer_of(connection), runtime_of(connection).authenticator
    if token is None or authenticator is None:
        raise Unauthenticated
    return authenticator.authenticate(token)


def find_caller(connection: Connection) -> Principal | None:
    """The same for a route that also answers to strangers."""
    try:
        return get_caller(connection)
    except AtriumError:
        return None


def get_administrator(connection: Connection) -> Principal:
    """The administrator who calls; 401 without a valid token, 403 for everybody else."""
    principal = get_caller(connection)
    if not principal.is_admin:
        raise Forbidden("Only an administrator may look here.")
    return principal


def check_metrics_access(connection: Connection) -> None:
    """Prometheus by its own credential or from its address, or an administrator."""
    settings = runtime_of(connection).settings
    token = bearer_of(connection) or ""
    if settings.metrics_token and hmac.compare_digest(token.encode(), settings.metrics_token.encode()):
        return
    if settings.metrics_allow and _is_within(address_of(connection), settings.metrics_allow):
        return
    get_administrator(connection)


def _is_within(address: str | None, allowed: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    return any(found in network for network in _networks(allowed))


@lru_cache
def _networks(allowed: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(each, strict=False) for each in allowed)
