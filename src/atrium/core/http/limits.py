"""What a request may be at most: so many per minute, so many headers, so long an address.

The general limit stands between CORS and the application, so that a browser can read the refusal. Who asks is told by
the bearer token alone, out of memory; whoever has none that is good is counted by address.
"""

import hashlib
from time import time
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from atrium.core.config import Settings
from atrium.core.errors import AtriumError, DependencyDown, Malformed, RateLimited, Unauthenticated, problem
from atrium.core.limits import Limits, limits_of
from atrium.core.limits.leases import Lease, Leases
from atrium.core.runtime import Runtime

EXEMPT = ("/health", "/api/health", "/metrics", "/docs", "/redoc", "/openapi.json")
MONITOR = "/saq"
LONGEST_ADDRESS = 16 * 1024
MOST_PARAMETERS = 256
MOST_HEADERS = 128
LONGEST_HEADERS = 64 * 1024


class UriTooLong(AtriumError):
    """Address Too Long"""

    status = 414
    default_detail = f"The path and its parameters may have {LONGEST_ADDRESS} characters together."


class TooManyParameters(Malformed):
    """Too Many Parameters"""

    default_detail = f"A request may have {MOST_PARAMETERS} parameters."


class HeadersTooLarge(AtriumError):
    """Headers Too Large"""

    status = 431
    default_detail = f"A request may have {MOST_HEADERS} headers of {LONGEST_HEADERS} characters together."


def oversized(scope: Any, header_bytes: int) -> AtriumError | None:
    """Why a request is too big to be looked at, if it is; its body is counted while it is read."""
    query = scope["query_string"]
    if len(query) + len(scope["path"]) > LONGEST_ADDRESS:
        return UriTooLong()
    if query.count(b"&") >= MOST_PARAMETERS:
        return TooManyParameters()
    if header_bytes > LONGEST_HEADERS or len(scope["headers"]) > MOST_HEADERS:
        return HeadersTooLarge()
    return None


class GeneralLimit:
    """Requests per minute of one user, or of one address without a login. It needs a runtime; before that all pass."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._user_rate, self._anonymous_rate = settings.general_rate_per_minute, settings.anonymous_rate_per_minute
        self._runtime: Runtime | None = None
        self._leases: Leases | None = None
        self._limits: Limits | None = None

    def start(self, runtime: Runtime) -> None:
        self._runtime, self._leases, self._limits = runtime, Leases(runtime), limits_of(runtime)

    async def stop(self) -> None:
        if self._leases is not None:
            await self._leases.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, lease = self._lease(scope)
        if lease is None:
            await self._app(scope, receive, send)
            return
        while lease.is_ahead and lease.settling is not None:
            await lease.settled()
        now = time()
        allowed = lease.spend(now)
        wait = lease.wait(now)
        scope["state"]["rate_limit"] = (
            (b"ratelimit-limit", b"%d" % lease.limit),
            (b"ratelimit-remaining", b"%d" % lease.remaining),
            (b"ratelimit-reset", b"%d" % wait),
        )
        if allowed:
            await self._app(scope, receive, send)
        else:
            if self._limits is not None:
                self._limits.refused[kind] += 1
            await refuse(send, RateLimited(retry_after=wait), scope["state"]["request_id"])

    def _lease(self, scope: Any) -> tuple[str, Lease | None]:
        """Whose minute this request is counted in; nobody's when it is exempt or the limit is off."""
        leases, path, rate = self._leases, scope["path"], self._user_rate
        if leases is None or path.startswith(EXEMPT):
            return "", None
        given = scope["state"]["authorization"]
        if given:
            try:
                user_id = self._user_of(scope, given)
                return "general", leases.find("general", user_id, rate) if rate else None
            except Unauthenticated:
                pass
            except DependencyDown:
                # While nobody can tell whose token it is, the token itself is counted.
                token = hashlib.sha256(given).digest()
                return "general", leases.find("token", token.hex(), rate) if rate else None
        client = scope["client"]
        address = client[0] if client else ""
        if path.startswith(MONITOR):
            # Its page polls with a cookie of its own.
            return "general", leases.find("monitor", address, rate) if rate else None
        return "anonymous", leases.find("anonymous", address, self._anonymous_rate) if self._anonymous_rate else None

    def _user_of(self, scope: Any, given: bytes) -> Any:
        """The caller is kept in the request's state, so that nobody has to find out twice."""
        scheme, _, token = given.partition(b" ")
        authenticator = self._runtime.authenticator if self._runtime else None
        if authenticator is None or scheme.lower() != b"bearer":
            raise Unauthenticated
        principal = scope["state"]["principal"] = authenticator.authenticate(token.strip().decode("latin-1"))
        return principal.user_id


async def refuse(send: Any, error: AtriumError, request_id: str) -> None:
    """A problem from a place that Litestar does not reach."""
    body = problem(error, request_id)
    kind = (b"content-type", b"application/problem+json")
    told = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    headers = [kind, (b"content-length", str(len(body)).encode()), *told]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
