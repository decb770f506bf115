"""What can go wrong, said once: every failure a caller may see and how it is written on the wire.

AtriumError
├── Malformed              400  the body or a parameter cannot be read at all
├── Unauthenticated        401
├── Forbidden              403  the role may never do this
├── NotFound               404  it is not there, or not in the caller's scope
├── MethodNotAllowed       405
├── Conflict               409
│   ├── Duplicate               a unique value is taken
│   └── InvalidTransition       the state machine has no such step
├── Gone                   410
├── PreconditionFailed     412  If-Match names another version
├── PayloadTooLarge        413
├── UnsupportedMediaType   415
├── Invalid                422  readable, but wrong
│   ├── UnknownField
│   └── UnknownParameter
├── Locked                 423
├── RateLimited            429
├── Internal               500
└── DependencyDown         503

A module's error subclasses one of these, its docstring is the public title and its code is derived
from its name; the raise gives the detail. `problem` is the one place that renders RFC 9457.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong value: where it stands, what is wrong with it, and the kind of mistake."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class AtriumError(Exception):
    """Something went wrong"""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    title: ClassVar[str] = "Something went wrong"
    default_detail: ClassVar[str] = "Something went wrong on our side. Quote the request id when you report it."

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()
        if cls.__doc__ and "title" not in cls.__dict__:
            cls.title = cls.__doc__.strip().splitlines()[0].rstrip(".")

    def __init__(
        self,
        detail: str = "",
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
        **members: Any,
    ) -> None:
        """`members` are extension members of the problem, such as `allowed` or `from`."""
        super().__init__(detail or self.default_detail)
        self.detail = detail or self.default_detail
        self.instance_code = code or self.code
        self.headers = dict(headers or {})
        self.errors = tuple(errors)
        self.members = members


class Malformed(AtriumError):
    """Malformed Request"""

    status = 400
    default_detail = "The request cannot be read."


class Unauthenticated(AtriumError):
    """Not Authenticated"""

    status = 401
    default_detail = "A valid bearer token is needed: log in and send it as Authorization: Bearer <token>."

    def __init__(self, detail: str = "", **more: Any) -> None:
        super().__init__(detail, **{"headers": {"WWW-Authenticate": "Bearer"}, **more})


class Forbidden(AtriumError):
    """Forbidden"""

    status = 403
    default_detail = "Your role may not do this."


class NotFound(AtriumError):
    """Not Found"""

    status = 404
    default_detail = "There is no such thing here, or it is outside what you may see."


class MethodNotAllowed(AtriumError):
    """Method Not Allowed"""

    status = 405
    default_detail = "This path does not take that method."


class Conflict(AtriumError):
    """Conflict"""

    status = 409
    default_detail = "The present state does not allow this."


class Duplicate(Conflict):
    """Already Exists"""


class InvalidTransition(Conflict):
    """Not Possible In This State"""

    def __init__(self, detail: str, *, origin: str, to: str, allowed: Iterable[str], **more: Any) -> None:
        super().__init__(detail, **{"from": origin, "to": to, "allowed": list(allowed), **more})


class Gone(AtriumError):
    """Gone"""

    status = 410
    default_detail = "This has expired."


class PreconditionFailed(AtriumError):
    """Changed Meanwhile"""

    status = 412
    default_detail = "Somebody changed the record since you read it. Read it again and repeat your change."


class PayloadTooLarge(AtriumError):
    """Too Large"""

    status = 413
    default_detail = "The body is larger than this route takes."


class UnsupportedMediaType(AtriumError):
    """Unsupported Media Type"""

    status = 415
    default_detail = "This route does not read that content type."


class Invalid(AtriumError):
    """Not Valid"""

    status = 422
    code = "VALIDATION_ERROR"
    default_detail = "Some values are not valid."

    @classmethod
    def at(cls, field: str, message: str, kind: str = "value_error") -> "Invalid":
        """One wrong member of the body."""
        return cls(f"{field}: {message}", errors=[FieldError(("body", field), message, kind)])


class UnknownField(Invalid):
    """Unknown Field"""


class UnknownParameter(Invalid):
    """Unknown Parameter"""


class Locked(AtriumError):
    """Locked"""

    status = 423
    default_detail = "This is locked."


class RateLimited(AtriumError):
    """Too Many Requests"""

    status = 429

    def __init__(self, detail: str = "", *, retry_after: int, **more: Any) -> None:
        text = detail or f"Too many requests. Try again in {retry_after} seconds."
        super().__init__(text, **{"headers": {"Retry-After": str(retry_after)}, **more})


class Internal(AtriumError):
    """Internal Error"""


class DependencyDown(AtriumError):
    """Temporarily Unavailable"""

    status = 503
    default_detail = "A part that this needs is not reachable at the moment. Try again shortly."


def problem(error: AtriumError, request_id: str) -> bytes:
    """The body of an RFC 9457 answer (platform.md §1.1)."""
    body: dict[str, Any] = {
        "type": "/errors/" + error.instance_code.lower().replace("_", "-"),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.instance_code,
        "request_id": request_id,
    }
    if error.errors or error.status == 422:
        body["errors"] = error.errors
    return msgspec.json.encode(body | error.members)
