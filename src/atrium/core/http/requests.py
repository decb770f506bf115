"""What a controller takes from a request and how it answers: caller, runtime, ids, JSON bytes, the v1 list envelope."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.connection import ASGIConnection
from litestar.connection import Request as LitestarRequest
from litestar.enums import MediaType

from atrium.core.access import Principal
from atrium.core.errors import NotFound, UnsupportedMediaType
from atrium.core.http import bodies
from atrium.core.runtime import Runtime
from atrium.core.services import Caller

Connection = ASGIConnection[Any, Any, Any, Any]
StructT = TypeVar("StructT", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder(decimal_format="number")


def runtime_of(connection: Connection) -> Runtime:
    runtime: Runtime = connection.app.state.runtime
    return runtime


def request_id_of(connection: Connection) -> str:
    """The id that the edge took over or made; empty where no edge stands in front."""
    return str(connection.scope.get("state", {}).get("request_id", ""))


def address_of(connection: Connection) -> str | None:
    """The caller's address as the server saw it; a trusted proxy's header is resolved before us."""
    client = connection.scope.get("client")
    return client[0] if client else None


def principal_of(connection: Connection) -> Principal | None:
    """The caller of a route that also answers without one."""
    found = connection.scope.get("user")
    return found if isinstance(found, Principal) else None


def header(connection: Connection, name: bytes) -> str | None:
    """One header by its name in small letters; looking for a few is cheaper than a mapping of all."""
    for known, value in connection.scope["headers"]:
        if known == name:
            return value.decode("latin-1")
    return None


def caller_of(request: Connection) -> Caller:
    principal: Principal = request.user
    return Caller(principal, request_id_of(request), address_of(request))


def row_id(text: str) -> UUID:
    """The id in a path; what is not one names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """JSON as it is when it comes from PostgreSQL (bytes), encoded by msgspec otherwise."""
    content = body if isinstance(body, bytes) else _encoder.encode(body)
    return Response(content, status_code=status, headers=headers, media_type=MediaType.JSON)


def page(
    items: Sequence[Any], total: int, page: int = 1, limit: int = 20, next_cursor: str | None = None
) -> dict[str, Any]:
    """The v1 list envelope for lists that no resource renders."""
    return {
        "items": items,
        "total": total,
        "page": page,
        "limit": limit,
        "pages": -(-total // limit),
        "next_cursor": next_cursor,
    }


class Request(LitestarRequest[Principal, Any, Any]):
    """The application's request class: `data:` is decoded once, into its type, so that decimals stay exact.

    No door sees JSON that is too deep or too rich, whoever decodes it.
    """

    async def body(self) -> bytes:
        raw = await super().body()
        if raw and is_json(header(self, b"content-type")):
            bodies.check_shape(raw)
        return raw

    async def json(self) -> Any:
        field = self.route_handler.parsed_data_field
        if field is None or field.is_any:
            return bodies.decode(await self.body() or b"null", Any)
        require_json(self)
        return bodies.decode(await self.body(), field.annotation)


async def read_body(request: LitestarRequest[Any, Any, Any], kind: type[StructT]) -> StructT:
    """A JSON body that no `data:` parameter can bind, with the same errors; an absent body is an empty object."""
    require_json(request)
    found: StructT = bodies.decode(await request.body() or b"{}", kind)
    return found


def require_json(request: LitestarRequest[Any, Any, Any]) -> None:
    """Refuse what is no JSON."""
    given = header(request, b"content-type")
    if not is_json(given):
        raise UnsupportedMediaType(f"This route reads application/json, not {given}.")


def is_json(given: str | None) -> bool:
    """A body without a content type is taken for JSON, as every client library forgets it sometimes."""
    if given is None or given == "application/json":
        return True
    kind = given.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
