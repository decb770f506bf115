"""Access tokens: issued and read here, and taken back within seconds on every process.

An ordinary request costs no query. A verified token is remembered until it expires; what can take it back (ended
sessions, changed users, edited roles) is read from PostgreSQL every two seconds and asked on each request. When
that reading is older than five seconds, requests are checked one by one until it works again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import structlog
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware.authentication import AuthenticationResult
from litestar.security.jwt import JWTAuth
from litestar.security.jwt.middleware import JWTAuthenticationMiddleware
from litestar.types import Receive, Scope, Send

from atrium.core import clock
from atrium.core.access import ADMIN, Principal
from atrium.core.config import Settings
from atrium.core.errors import DependencyDown, Unauthenticated
from atrium.core.http.requests import runtime_of
from atrium.core.identity.rules import Standing
from atrium.core.modules import ClaimSource, Module
from atrium.core.runtime import Runtime
from atrium.core.stopping import stop

log = structlog.get_logger()
POLL_SECONDS = 2.0
STALE_SECONDS = 5.0
REMEMBERED = 20_000
LONGEST_TOKEN = 8_000
OWN_CLAIMS = frozenset({"sub", "sid", "role", "roles", "ver", "iat", "exp", "jti", "typ"})
MAY = "is_active AND deleted_at IS NULL AND (locked_until IS NULL OR locked_until <= now())"
ENDED_SESSIONS = "SELECT DISTINCT family_id FROM core.sessions WHERE revoked_at > now() - $1::interval"
CHANGED_USERS = f"""
SELECT id, token_version, {MAY} AS may FROM core.users
WHERE updated_at > now() - $1::interval AND (token_version > 0 OR NOT ({MAY}))
"""
ROLES = """
SELECT r.code, coalesce(array_agg(p.code) FILTER (WHERE p.id IS NOT NULL), '{}') AS permissions
FROM core.roles r
LEFT JOIN core.role_permissions g ON g.role_id = r.id
LEFT JOIN core.permissions p ON p.id = g.permission_id
GROUP BY r.code
"""
ALL_PERMISSIONS = "SELECT code FROM core.permissions"
ONE_USER = f"""
SELECT token_version, {MAY} AS may,
    EXISTS (SELECT FROM core.sessions WHERE family_id = $2 AND revoked_at IS NULL) AS session
FROM core.users WHERE id = $1
"""
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last reading said that can take tokens back."""

    ended: frozenset[UUID] = frozenset()
    users: Mapping[UUID, tuple[int, bool]] | None = None

    def allows(self, principal: Principal) -> bool:
        if principal.session_id in self.ended:
            return False
        changed = self.users.get(principal.user_id) if self.users else None
        return changed is None or (changed[1] and changed[0] <= principal.version)


class Tokens:
    """The authenticator of one process."""

    def __init__(self, runtime: Runtime, claim_sources: Sequence[ClaimSource] = ()) -> None:
        self.runtime = runtime
        self.claim_sources = tuple(claim_sources)
        self._known: dict[str, Principal] = {}
        self._seen = Seen()
        self._ended_here: dict[UUID, float] = {}
        self._roles: dict[str, frozenset[str]] = {}
        self._everything: frozenset[str] = frozenset()
        self._unions: dict[frozenset[str], frozenset[str]] = {}
        self._read_at = float("-inf")

    @property
    def lifetime(self) -> timedelta:
        return timedelta(minutes=self.runtime.settings.access_token_expire_minutes)

    @property
    def stale(self) -> bool:
        return time.monotonic() - self._read_at > STALE_SECONDS

    def issue(
        self, user_id: UUID, version: int, standing: Standing, session_id: UUID, now: datetime
    ) -> tuple[str, int]:
        """A new access token and the seconds it lives; it never outlives a role that it carries."""
        issued = int(now.timestamp())
        expires = issued + int(self.lifetime.total_seconds())
        if standing.until is not None:
            expires = max(issued + 1, min(expires, int(standing.until.timestamp())))
        payload: dict[str, Any] = {name: str(value) for name, value in standing.claims.items()}
        payload |= {
            "sub": str(user_id),
            "sid": str(session_id),
            "role": standing.role,
            "roles": list(standing.roles),
            "ver": version,
            "iat": issued,
            "exp": expires,
            "jti": clock.new_id().hex,
            "typ": "access",
        }
        settings = self.runtime.settings
        return jwt.encode(payload, settings.secret_key, settings.algorithm), expires - issued

    def authenticate(self, token: str) -> Principal:
        """The caller behind a token, out of memory; while the last reading is too old, use `authenticate_fresh`."""
        if self.stale:
            raise DependencyDown
        principal = self._principal(token)
        if not self._seen.allows(principal):
            raise Unauthenticated
        return principal

    async def authenticate_fresh(self, token: str) -> Principal:
        """The same, asked of PostgreSQL."""
        principal = self._principal(token)
        try:
            if self._read_at == float("-inf"):
                await self.load()
                return self.authenticate(token)
            row = await self.runtime.database.pool.fetchrow(
                ONE_USER, principal.user_id, principal.session_id, timeout=STALE_SECONDS
            )
        except LOST:
            raise DependencyDown("The database is not reachable at the moment. Try again shortly.") from None
        if row is None or not row["may"] or row["token_version"] > principal.version or not row["session"]:
            raise Unauthenticated
        return principal

    def session_ended(self, session_id: UUID) -> None:
        """Heard in this process; the others read it within two seconds."""
        self._ended_here[session_id] = time.monotonic()
        self._seen = Seen(self._seen.ended | {session_id}, self._seen.users)

    def permissions_of(self, roles: frozenset[str]) -> frozenset[str]:
        """The union over the roles; one object per set of roles, however many callers hold it."""
        found = self._unions.get(roles)
        if found is None:
            parts = (self._roles.get(role, frozenset()) for role in roles)
            found = self._everything if ADMIN in roles else frozenset().union(*parts)
            self._unions[roles] = found
        return found

    def principal(
        self,
        user_id: UUID,
        version: int,
        standing: Standing,
        session_id: UUID | None = None,
        expires_at: float = 0,
    ) -> Principal:
        roles = frozenset(standing.roles)
        permissions = self.permissions_of(roles)
        return Principal(user_id, standing.role, roles, permissions, standing.claims, session_id, version, expires_at)

    def _principal(self, token: str) -> Principal:
        principal = self._known.get(token)
        if principal is None:
            principal = self._remember(token, self._read(token))
        if principal.expires_at <= time.time():
            self._known.pop(token, None)
            raise Unauthenticated("The token has expired: refresh it or log in again.")
        return principal

    def _remember(self, token: str, principal: Principal) -> Principal:
        if len(self._known) >= REMEMBERED:
            for old in list(self._known)[: REMEMBERED // 4]:
                del self._known[old]
        self._known[token] = principal
        return principal

    def _read(self, token: str) -> Principal:
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated
        settings = self.runtime.settings
        try:
            sent = jwt.decode(
                token,
                settings.secret_key,
                [settings.algorithm],
                options={"require": ["sub", "sid", "exp", "iat"]},
            )
            if sent["typ"] != "access":
                raise Unauthenticated
            standing = Standing(
                roles=_primary_first(sent["role"], sent["roles"]),
                claims={name: UUID(value) for name, value in sent.items() if name not in OWN_CLAIMS},
            )
            return self.principal(UUID(sent["sub"]), int(sent["ver"]), standing, UUID(sent["sid"]), float(sent["exp"]))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired: refresh it or log in again.") from None
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError):
            raise Unauthenticated from None

    async def load(self) -> None:
        """Read what takes tokens back, and what roles allow."""
        started = time.monotonic()
        window = self.lifetime + timedelta(minutes=1)
        async with self.runtime.database.pool.acquire(timeout=STALE_SECONDS) as connection:
            ended = await connection.fetch(ENDED_SESSIONS, window, timeout=STALE_SECONDS)
            users = await connection.fetch(CHANGED_USERS, window, timeout=STALE_SECONDS)
            roles = await connection.fetch(ROLES, timeout=STALE_SECONDS)
            everything = await connection.fetch(ALL_PERMISSIONS, timeout=STALE_SECONDS)
        self._ended_here = {one: at for one, at in self._ended_here.items() if at > started - STALE_SECONDS}
        self._seen = Seen(
            frozenset(row["family_id"] for row in ended) | self._ended_here.keys(),
            {row["id"]: (row["token_version"], row["may"]) for row in users},
        )
        self._set_roles(
            {row["code"]: frozenset(row["permissions"]) for row in roles},
            frozenset(row["code"] for row in everything),
        )
        self._forget_expired()
        self._read_at = started

    def _set_roles(self, roles: dict[str, frozenset[str]], everything: frozenset[str]) -> None:
        if roles == self._roles and everything == self._everything:
            return
        self._roles, self._everything = roles, everything
        self._unions.clear()
        self._known.clear()

    def _forget_expired(self) -> None:
        """Tokens live equally long, so the oldest stand in front."""
        now = time.time()
        while self._known:
            oldest = next(iter(self._known))
            if self._known[oldest].expires_at > now:
                return
            del self._known[oldest]

    async def follow(self) -> None:
        """Read again and again; the database may be away for a while."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.load()
            except LOST as error:
                log.warning("revocations_not_read", error=type(error).__name__)


def _primary_first(role: str, roles: Iterable[str]) -> tuple[str, ...]:
    """The roles as a Standing holds them; the label of an account without any is no role."""
    held = tuple(roles)
    return (role, *(one for one in held if one != role)) if role in held else held


def tokens_of(runtime: Runtime) -> Tokens:
    """The authenticator of this runtime, made when first asked for; its modules may add ids to tokens."""
    if not isinstance(runtime.authenticator, Tokens):
        modules: Iterable[Module] = runtime.parts.get("modules", ())
        runtime.authenticator = Tokens(runtime, [module.claims for module in modules if module.claims])
    return runtime.authenticator


@asynccontextmanager
async def watching(runtime: Runtime) -> AsyncIterator[None]:
    """Part of a process that serves: it is not ready before it knows what was revoked."""
    tokens = tokens_of(runtime)
    await tokens.load()
    task = asyncio.create_task(tokens.follow(), name="revocations")
    try:
        yield
    finally:
        await stop(task)


class BearerMiddleware(JWTAuthenticationMiddleware):
    """`Authorization: Bearer <token>` only; on a public route a good token is welcome and a bad one ignored."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["route_handler"].opt.get(self.exclude_opt_key):
            if any(name == b"authorization" for name, _ in scope["headers"]):
                with suppress(Unauthenticated, DependencyDown):
                    scope["user"] = (await self.authenticate_request(ASGIConnection(scope))).user
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        tokens = tokens_of(runtime_of(connection))
        known = connection.scope["state"].get("principal")
        if known is not None and not tokens.stale:
            return AuthenticationResult(user=known, auth=None)
        token = bearer_token(connection.scope["headers"])
        principal = await tokens.authenticate_fresh(token) if tokens.stale else tokens.authenticate(token)
        return AuthenticationResult(user=principal, auth=None)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return token.strip().decode("latin-1")
            raise Unauthenticated
    raise Unauthenticated


async def _never(_token: Any, _connection: Any) -> None:
    """The middleware finds the caller; Litestar's configuration only wants a handler to be named."""


def bearer_auth(settings: Settings) -> JWTAuth[Principal]:
    """Litestar's JWT security with our middleware: `on_app_init=[bearer_auth(settings).on_app_init]`."""
    return JWTAuth[Principal](
        retrieve_user_handler=_never,
        token_secret=settings.secret_key,
        algorithm=settings.algorithm,
        authentication_middleware_class=BearerMiddleware,
        exclude_opt_key="public",
        exclude_http_methods=["OPTIONS"],
        scopes={ScopeType.HTTP},
        openapi_security_scheme_name="bearer",
        description="An access token from POST /api/v1/auth/login, sent as `Authorization: Bearer <token>`.",
    )
