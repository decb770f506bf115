"""Every failure as one answer, RFC 9457 with our codes. The stack of what nobody expected is logged, never sent."""

import re
from typing import Any

import asyncpg
import msgspec
import redis.exceptions
import structlog
from litestar import Response
from litestar.connection import Request
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import DBAPIError

from atrium.core.db.entity import Entity
from atrium.core.errors import (
    AtriumError,
    DependencyDown,
    FieldError,
    Forbidden,
    Gone,
    Internal,
    Invalid,
    Locked,
    Malformed,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    RateLimited,
    Unauthenticated,
    UnknownParameter,
    UnsupportedMediaType,
    problem,
)
from atrium.core.http import bodies
from atrium.core.http.requests import request_id_of
from atrium.core.statements.failures import explain

log = structlog.get_logger()
PROBLEM_JSON = "application/problem+json"
BY_STATUS: dict[int, type[AtriumError]] = {
    kind.status: kind
    for kind in (
        Malformed,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Gone,
        PreconditionFailed,
        PayloadTooLarge,
        UnsupportedMediaType,
        Invalid,
        Locked,
        Unauthenticated,
        DependencyDown,
    )
}
MISSING = re.compile(r"Missing required (?P<source>\w+) parameter '(?P<name>[^']+)'")
REDIS_GONE = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
)
DATABASE = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    told = translate(error, request.scope["method"])
    request_id = request_id_of(request)
    _record(told, error, request, request_id)
    return Response(problem(told, request_id), status_code=told.status, headers=told.headers, media_type=PROBLEM_JSON)


HANDLERS: ExceptionHandlersMap = {AtriumError: answer, HTTPException: answer, Exception: answer}


def translate(error: Exception, method: str = "GET") -> AtriumError:
    """The public error behind any exception; Internal when it is our fault."""
    if isinstance(error, AtriumError):
        return error
    if isinstance(error, ValidationException):
        return _validation(error)
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, SerializationException) and method in WRITES:
        return Malformed(f"The body is not valid JSON: {_cause(error)}.")
    if isinstance(error, msgspec.ValidationError) and method in WRITES:
        return bodies.invalid([bodies.explain(error)])
    if isinstance(error, REDIS_GONE):
        return DependencyDown("The queue and cache are not reachable at the moment. Try again shortly.")
    if isinstance(error, DATABASE) and not _is_about_a_file(error):
        return explain(error, Entity.metadata.tables.values()) or Internal()
    return Internal()


def _http(error: HTTPException) -> AtriumError:
    kept = dict(error.headers or {})
    if error.status_code == 405:
        allowed = [method for name, text in kept.items() if name.lower() == "allow" for method in text.split(", ")]
        methods = sorted({"OPTIONS", *allowed, *(("HEAD",) if "GET" in allowed else ())})
        return MethodNotAllowed(
            f"This path takes {', '.join(methods)}.", headers={"Allow": ", ".join(methods)}, allowed=methods
        )
    if error.status_code == 429:
        after = next((text for name, text in kept.items() if name.lower() == "retry-after"), "60")
        return RateLimited(retry_after=int(after) if after.isdigit() else 60)
    if error.status_code == 400 and isinstance(error.__cause__, SerializationException):
        return Malformed(f"The body is not valid JSON: {_cause(error.__cause__)}.")
    kind = BY_STATUS.get(error.status_code)
    if kind is None:
        return Malformed() if 400 <= error.status_code < 500 else Internal()
    if kind is Unauthenticated:
        return Unauthenticated()
    return kind(_sentence(error.detail) if kind is Malformed else "", headers=kept)


def _validation(error: ValidationException) -> AtriumError:
    """What Litestar refused before a handler ran: a parameter, or a body that is not JSON."""
    if missing := MISSING.search(error.detail):
        fault = FieldError((missing["source"], missing["name"]), "is required", "missing")
        return Invalid(f"{missing['name']}: is required.", errors=[fault])
    listed = error.extra if isinstance(error.extra, list) else []
    found = [each for each in listed if isinstance(each, dict)]
    if found and all(each.get("source") == "path" for each in found):
        return NotFound()
    errors = [_fault(each) for each in found]
    if any(fault.type == "unknown_parameter" for fault in errors):
        return UnknownParameter("; ".join(f"{fault.loc[-1]}: {fault.msg}" for fault in errors), errors=errors)
    return bodies.invalid(errors) if errors else Invalid(_sentence(error.detail))


def _fault(entry: dict[str, Any]) -> FieldError:
    source = str(getattr(entry.get("source"), "value", entry.get("source") or "query"))
    name = str(entry.get("key", ""))
    steps = () if source == "body" and name == "data" else tuple(name.split("."))
    return bodies.explain(msgspec.ValidationError(str(entry.get("message", "is not valid"))), (source, *steps))


def _cause(error: BaseException) -> str:
    return str(error.__cause__ or error).rstrip(".")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _is_about_a_file(error: Exception) -> bool:
    """A missing file or a full disk is ours, not a lost connection."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno == 28)


def _record(told: AtriumError, error: Exception, request: Request[Any, Any, Any], request_id: str) -> None:
    route = request.scope.get("path_template") or request.scope["path"]
    if told.status == 500:
        log.error(
            "unhandled_error",
            exc_info=error,
            method=request.scope["method"],
            route=route,
            request_id=request_id,
        )
    elif told.status == 503:
        # asyncpg says InterfaceError of a lost connection and of a programming mistake alike; a stack tells them apart.
        stack = error if isinstance(error, asyncpg.InterfaceError) else None
        log.warning("dependency_down", error=repr(error), exc_info=stack, route=route, request_id=request_id)
