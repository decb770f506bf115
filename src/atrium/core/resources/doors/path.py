"""One path of a resource: how its route handlers are made, and what they take from a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from atrium.core.errors import Invalid
from atrium.core.http.requests import header, require_json, row_id
from atrium.core.resources.declaration import PARAMETERS
from atrium.core.resources.openapi import Verb, operation
from atrium.core.resources.reading import Record
from atrium.core.resources.resource import Resource

AnyRequest = Request[Any, Any, Any]
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Path:
    """The ids in it are read as text, so that a malformed one is 404; `main` is the path that the resource is at."""

    resource: Resource
    route: str
    main: bool

    @property
    def collection(self) -> str:
        return PARAMETERS.sub(r"{\1:str}", self.route)

    @property
    def item(self) -> str:
        return self.collection + "/{id:str}"

    def door(
        self,
        method: Callable[..., Any],
        verb: Verb,
        run: Callable[..., Any],
        status: int,
        suffix: str = "",
        **more: Any,
    ) -> HTTPRouteHandler:
        described = operation(self.resource, verb, self.route, main=self.main)
        made: HTTPRouteHandler = method(
            (self.item if verb.on_record else self.collection) + suffix,
            status_code=status,
            operation_class=described,
            operation_id=described.identifier,
            tags=[self.resource.tag],
            name=described.identifier,
            media_type=JSON,
            **more,
        )(run)
        return made

    def filled(self, within: Mapping[str, UUID]) -> str:
        return PARAMETERS.sub(lambda found: str(within[found[1]]), self.route)


def query_of(request: AnyRequest) -> str:
    return request.scope["query_string"].decode("latin-1")


async def body_of(request: AnyRequest) -> bytes:
    require_json(request)
    return await request.body()


def id_of(request: AnyRequest) -> UUID:
    return row_id(request.path_params["id"])


def within_of(request: AnyRequest) -> Mapping[str, UUID]:
    return {name: row_id(value) for name, value in request.path_params.items() if name != "id"}


def tag_of(record: Record) -> str:
    return f'"{record.version}"'


def answer(record: Record, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    known = {"ETag": tag_of(record), **(headers or {})}
    return Response(record.body, status_code=status, media_type=JSON, headers=known)


def if_match_of(request: AnyRequest) -> int | None:
    """The version that If-Match names; `*` asks only that the record exists."""
    text = header(request, b"if-match")
    if text is None or text.strip() == "*":
        return None
    version = text.strip().removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit() and len(version) < 19):
        raise Invalid('If-Match must be an ETag that a record was sent with, such as "3".')
    return int(version)
