"""The outermost layer: what is true of every answer, those of the framework's own errors included.

Request id, allowed hosts, security headers, one line of the access log and the counters. It stands around the whole
application because Litestar's middleware sees neither 404s nor what other middleware refuses with its right status.
All of it costs some ten microseconds, so it allocates little and asks nobody.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Any

import structlog
import uuid_utils
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import LitestarException, MethodNotAllowedException
from litestar.middleware._internal.cors import CORSMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from msgspec import UNSET

from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.errors import Internal, Malformed
from atrium.core.http.draining import drain_on_signal
from atrium.core.http.limits import GeneralLimit, oversized, refuse
from atrium.core.http.logging import REQUEST_ID, AccessLog, Line, redact
from atrium.core.http.metrics import Metrics
from atrium.core.runtime import Runtime
from atrium.core.tracing import Tracing, current_trace_id

log = structlog.get_logger()
GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/health/live", "/health/ready"})
UNMATCHED = "(none)"
STRICT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
NO_STORE = (b"cache-control", b"no-store")
ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
CLOSE = (b"connection", b"close")
CLIENT_LEFT = 499
NO_STATUS_CODE = 1006


class InvalidHost(Malformed):
    """Unknown Host"""

    default_detail = "This server does not answer to that host name. An operator adds it to ALLOWED_HOSTS."


def install(app: Litestar, settings: Settings) -> "Edge":
    """Put the edge around an application; its runtime is found when the process starts."""
    edge = Edge(app.asgi_handler, settings, app)
    app.asgi_handler = edge
    app.on_startup.append(edge.start)
    app.on_shutdown.append(edge.stop)
    return edge


class Edge:
    def __init__(self, app: ASGIApp, settings: Settings, litestar: Litestar | None = None) -> None:
        self.metrics = Metrics()
        self.access_log = AccessLog()
        self._inner = app.app if isinstance(app, CORSMiddleware) else app
        self._limit: GeneralLimit | None = None
        self._app, self._without_cors = app, self._inner
        if settings.general_rate_per_minute or settings.anonymous_rate_per_minute:
            self._limit = GeneralLimit(self._inner, settings)
            self._without_cors = self._limit
            self._app = CORSMiddleware(self._limit, app.config) if isinstance(app, CORSMiddleware) else self._limit
        self._litestar = litestar
        self._logs = settings.access_log and settings.log_level in ("DEBUG", "INFO")
        self._hosts = Hosts(settings.allowed_hosts)
        self._runtime: Runtime | None = None
        self._tracing: Tracing | None = None
        self._release: Callable[[], None] | None = None

    async def start(self, app: Litestar) -> None:
        self._runtime = app.state.runtime
        self._runtime.parts["metrics"] = self.metrics
        self._tracing = self._runtime.tracing
        if self._limit is not None:
            self._limit.start(self._runtime)
        self._release = drain_on_signal(self._runtime)

    async def stop(self) -> None:
        if self._release is not None:
            self._release()
        if self._limit is not None:
            await self._limit.stop()
        self.access_log.flush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            if self._tracing is None:
                await self._http(scope, receive, send)
            else:
                with self._tracing.request(scope):
                    await self._http(scope, receive, send)
        else:
            await self._socket(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        began, status, metrics = perf_counter(), 0, self.metrics
        host, request_id, foreign, header_bytes = _identify(scope)
        closing = self._closing(scope)
        bodiless = scope["method"] == "HEAD" and self._answers_as_get(scope)
        inner: Any = {**scope, "method": "GET"} if bodiless else scope

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = f"app;dur={(perf_counter() - began) * 1000:.2f}".encode()
                known = ((b"x-request-id", request_id.encode()), (b"server-timing", took))
                limits = scope["state"].get("rate_limit", ())
                headers = [*_complete(message.get("headers", ())), *known, *limits, *closing]
                message = {"type": "http.response.start", "status": status, "headers": headers}
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        token = REQUEST_ID.set(request_id)
        metrics.in_flight += 1
        try:
            if not self._hosts.know(host) and scope["path"] not in PROBES:
                await refuse(respond, InvalidHost(), request_id)
            elif error := oversized(scope, header_bytes):
                await refuse(respond, error, request_id)
            else:
                await (self._app if foreign else self._without_cors)(inner, receive, respond)
        except Exception:
            if status:
                status = 500
                raise
            log.exception("unhandled_error", path=scope["path"])
            await refuse(respond, Internal(), request_id)
        finally:
            metrics.in_flight -= 1
            REQUEST_ID.reset(token)
            self._account(inner, scope["method"], status or CLIENT_LEFT, perf_counter() - began, request_id)

    async def _socket(self, scope: Any, receive: Receive, send: Send) -> None:
        began, request_id = perf_counter(), str(uuid_utils.uuid7())
        metrics, open_, code = self.metrics, False, NO_STATUS_CODE
        scope.setdefault("state", {})["request_id"] = request_id

        async def hear() -> Any:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or code
            return message

        async def say(message: Message) -> None:
            nonlocal open_, code
            if message["type"] == "websocket.accept" and not open_:
                open_ = True
                metrics.sockets += 1
            elif message["type"] == "websocket.close":
                code = message["code"]
            await send(message)

        token = REQUEST_ID.set(request_id)
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        try:
            if self._hosts.know(host):
                await self._inner(scope, hear, say)
            else:
                await say({"type": "websocket.close", "code": 1008, "reason": "Unknown host"})
        finally:
            REQUEST_ID.reset(token)
            metrics.sockets -= open_
            metrics.socket_closed(scope.get("path_template") or UNMATCHED, code)
            if self._logs:
                seconds = perf_counter() - began
                self._log(scope, Line("socket", "WEBSOCKET", code, round(seconds * 1000, 3), request_id))

    def _closing(self, scope: Any) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that depend on the connection and the process rather than on the answer."""
        draining = self._runtime is not None and self._runtime.draining
        if scope["scheme"] == "https":
            return (HSTS, CLOSE) if draining else (HSTS,)
        return (CLOSE,) if draining else ()

    def _account(self, scope: Any, method: str, status: int, seconds: float, request_id: str) -> None:
        route = scope.get("path_template") or UNMATCHED
        self.metrics.request(method if method in METHODS else "OTHER", route, status, seconds)
        if self._tracing is not None:
            user = scope.get("user")
            user_id = user.user_id if isinstance(user, Principal) else None
            self._tracing.answered(method, scope.get("path_template"), status, user_id)
        if self._logs:
            self._log(scope, Line("request", method, status, round(seconds * 1000, 3), request_id))

    def _log(self, scope: Any, line: Line) -> None:
        user = scope.get("user")
        line.path = scope.get("path_template") or redact(scope["path"][:200])
        line.user_id = user.user_id if isinstance(user, Principal) else None
        line.timestamp = datetime.fromtimestamp(time(), UTC)
        line.level = "error" if 500 <= line.status < 1000 else "info"
        if self._tracing is not None:
            line.trace_id = current_trace_id() or UNSET
        self.access_log.add(line)

    def _answers_as_get(self, scope: Any) -> bool:
        """HEAD is GET without its body, unless the route answers it itself."""
        if self._litestar is None:
            return False
        try:
            self._litestar.asgi_router.handle_routing(path=normalize_path(scope["path"]), method="HEAD")
        except MethodNotAllowedException:
            return True
        except LitestarException:
            return False
        return False


class Hosts:
    """The host names that are ours, whatever the port; `*` is any, `*.example.com` any below it."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = {name.strip().lower().encode() for name in allowed}
        self._any = b"*" in names
        self._below = tuple(name[1:] for name in names if name.startswith(b"*."))
        self._names = names

    def know(self, host: bytes) -> bool:
        if self._any or host in self._names:
            return True
        name = (host[: host.find(b"]") + 1] if host.startswith(b"[") else host.partition(b":")[0]).lower()
        return name in self._names or bool(self._below and name.endswith(self._below))


def _identify(scope: Any) -> tuple[bytes, str, bool, int]:
    """The host that was asked for, the request's id (the caller's when it is harmless, else a new one), whether
    a browser names an origin (only then CORS has anything to say), and how long the headers are.
    """
    host, given, authorization, foreign, size = b"", b"", b"", False, 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"host":
            host = value
        elif name == b"x-request-id":
            given = value
        elif name == b"origin":
            foreign = True
        elif name == b"authorization" and not authorization:
            authorization = value
    request_id = given.decode() if GIVEN_ID.fullmatch(given) else str(uuid_utils.uuid7())
    state = scope.setdefault("state", {})
    state["request_id"], state["authorization"] = request_id, authorization
    return host, request_id, foreign, size


def _complete(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a response and those of every answer, unless the response decided on them itself."""
    found = [*headers, *ALWAYS]
    names = [name for name, _ in found]
    if b"cache-control" not in names:
        found.append(NO_STORE)
    if b"content-security-policy" not in names:
        found.append(STRICT_POLICY)
    return found
