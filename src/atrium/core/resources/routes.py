"""The doors of a resource: list, create, get, update, delete and history, under every path it declares."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler

from atrium.core.changes.history import history_page
from atrium.core.errors import Invalid
from atrium.core.http.requests import caller_of, require_json, row_id, runtime_of
from atrium.core.resources.openapi import operation
from atrium.core.resources.resource import PARAMETERS, Record, Resource

AnyRequest = Request[Any, Any, Any]
JSON = "application/json"


def handlers(resource: Resource) -> list[HTTPRouteHandler]:
    """All route handlers of a resource; the ids in its paths are read as text, so that a malformed one is 404."""
    paths = (resource.path, *resource.also)
    return [handler for place, path in enumerate(paths) for handler in _under(resource, path, main=place == 0)]


def _under(resource: Resource, path: str, *, main: bool) -> Iterator[HTTPRouteHandler]:
    collection = PARAMETERS.sub(r"{\1:str}", path)
    item = collection + "/{id:str}"

    def door(
        method: Callable[..., Any], route: str, verb: str, run: Callable[..., Any], status: int
    ) -> HTTPRouteHandler:
        described = operation(resource, verb, path, main=main)
        made: HTTPRouteHandler = method(
            route,
            status_code=status,
            operation_class=described,
            operation_id=described.identifier,
            tags=[resource.tag],
            name=described.identifier,
            media_type=JSON,
        )(run)
        return made

    async def list_records(request: AnyRequest) -> Response[bytes]:
        page = await resource.page(runtime_of(request), caller_of(request), _query(request), _within(request))
        headers = {"Link": f'<{_next(request, page.next_cursor)}>; rel="next"'} if page.next_cursor else None
        return Response(page.envelope(), media_type=JSON, headers=headers)

    async def create_record(request: AnyRequest) -> Response[bytes]:
        within = _within(request)
        record = await resource.make(runtime_of(request), caller_of(request), await _body(request), within)
        location = f"{_filled(path, within)}/{record.id}"
        return _answer(record, status=201, headers={"Location": location})

    async def get_record(request: AnyRequest) -> Response[bytes]:
        record = await resource.get(runtime_of(request), caller_of(request), _id(request), _within(request))
        if request.headers.get("if-none-match") == _tag(record):
            return Response(b"", status_code=304, headers={"ETag": _tag(record)})
        return _answer(record)

    async def update_record(request: AnyRequest) -> Response[bytes]:
        record = await resource.change(
            runtime_of(request),
            caller_of(request),
            _id(request),
            await _body(request),
            if_match=_if_match(request),
            within=_within(request),
        )
        return _answer(record)

    async def patch_record(request: AnyRequest) -> Response[bytes]:
        return await update_record(request)

    async def delete_record(request: AnyRequest) -> None:
        await resource.remove(
            runtime_of(request), caller_of(request), _id(request), if_match=_if_match(request), within=_within(request)
        )

    async def record_history(request: AnyRequest) -> Response[bytes]:
        runtime, caller = runtime_of(request), caller_of(request)
        await resource.get(runtime, caller, _id(request), _within(request))
        hidden = resource.policy.hidden(resource.policy.kind(caller.principal))
        visible = frozenset(resource.fields) - hidden
        body = await history_page(runtime, resource.table.fullname, _id(request), visible, _query(request))
        return Response(body, media_type=JSON)

    yield door(get, collection, "list", list_records, 200)
    yield door(get, item, "get", get_record, 200)
    if resource.create is not None:
        yield door(post, collection, "create", create_record, 201)
    if resource.update is not None:
        yield door(put, item, "replace", update_record, 200)
        yield door(patch, item, "update", patch_record, 200)
    if resource.delete is not None:
        yield door(delete, item, "delete", delete_record, 204)
    if resource.history:
        yield door(get, item + "/history", "history", record_history, 200)


def _query(request: AnyRequest) -> str:
    return request.scope["query_string"].decode("latin-1")


async def _body(request: AnyRequest) -> bytes:
    require_json(request)
    return await request.body()


def _id(request: AnyRequest) -> UUID:
    return row_id(request.path_params["id"])


def _within(request: AnyRequest) -> Mapping[str, UUID]:
    return {name: row_id(value) for name, value in request.path_params.items() if name != "id"}


def _filled(path: str, within: Mapping[str, UUID]) -> str:
    return PARAMETERS.sub(lambda found: str(within[found[1]]), path)


def _next(request: AnyRequest, cursor: str) -> str:
    """The same list behind the cursor, relative to this origin."""
    kept = [part for part in _query(request).split("&") if part and not part.startswith(("page=", "cursor="))]
    return f"{request.scope['path']}?{'&'.join([*kept, 'cursor=' + cursor])}"


def _tag(record: Record) -> str:
    return f'"{record.version}"'


def _answer(record: Record, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Response(record.body, status_code=status, media_type=JSON, headers={"ETag": _tag(record), **(headers or {})})


def _if_match(request: AnyRequest) -> int | None:
    """The version that If-Match names; `*` asks only that the record exists."""
    text = request.headers.get("if-match")
    if text is None or text.strip() == "*":
        return None
    version = text.strip().removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit() and len(version) < 19):
        raise Invalid('If-Match must be an ETag that a record was sent with, such as "3".')
    return int(version)
