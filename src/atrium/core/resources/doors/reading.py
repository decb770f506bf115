"""List, get and history."""

from collections.abc import Iterator
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from atrium.core.changes.history import history_page
from atrium.core.http.requests import caller_of, header, runtime_of
from atrium.core.resources.doors.path import JSON, AnyRequest, Path, answer, id_of, query_of, tag_of, within_of
from atrium.core.resources.openapi import ETAG, PAGING, HistoryPage, Verb, json_content, reference
from atrium.core.resources.parameters import (
    aggregate_answer,
    aggregate_parameters,
    list_parameters,
    record_parameters,
)
from atrium.core.resources.resource import Resource


def _page(resource: Resource) -> dict[str, Any]:
    return {"200": json_content("A page", reference(f"{resource.model.__name__}Page"))}


def _record(resource: Resource) -> dict[str, Any]:
    return {"200": {**json_content("The record", reference(resource.model.__name__)), "headers": ETAG}}


def _history(_resource: Resource) -> dict[str, Any]:
    text = "Status changes and other changes, oldest first"
    return {"200": json_content(text, reference(HistoryPage.__name__))}


LIST = Verb("list", "List {many}", _page, "401 403 422 503", on_record=False, many=True, parameters=list_parameters)
AGGREGATE = Verb(
    "aggregate",
    "Count, sum and group {many}",
    aggregate_answer,
    "401 403 404 422 503",
    on_record=False,
    many=True,
    parameters=aggregate_parameters,
)
GET = Verb("get", "Read {one}", _record, "401 403 404 422", parameters=record_parameters)
HISTORY = Verb("get History", "What happened to {one}", _history, "401 403 404", parameters=lambda _: PAGING)


def handlers(path: Path) -> Iterator[HTTPRouteHandler]:
    resource = path.resource

    async def list_records(request: AnyRequest) -> Response[bytes]:
        page = await resource.page(runtime_of(request), caller_of(request), query_of(request), within_of(request))
        headers = {"Link": f'<{_next(request, page.next_cursor)}>; rel="next"'} if page.next_cursor else None
        return Response(page.envelope(), media_type=JSON, headers=headers)

    async def get_record(request: AnyRequest) -> Response[bytes]:
        runtime, caller = runtime_of(request), caller_of(request)
        record = await resource.get(runtime, caller, id_of(request), within_of(request), query_of(request))
        # The tag is the record's own: what is included may have changed under it.
        if header(request, b"if-none-match") == tag_of(record) and not record.includes:
            return Response(b"", status_code=304, headers={"ETag": tag_of(record)})
        return answer(record)

    async def aggregate_records(request: AnyRequest) -> Response[bytes]:
        runtime, caller = runtime_of(request), caller_of(request)
        body = await resource.aggregate(runtime, caller, query_of(request), within_of(request))
        return Response(body, media_type=JSON)

    async def record_history(request: AnyRequest) -> Response[bytes]:
        runtime, caller = runtime_of(request), caller_of(request)
        await resource.get(runtime, caller, id_of(request), within_of(request))
        hidden = resource.policy.hidden(resource.policy.kind(caller.principal))
        visible = frozenset(resource.fields) - hidden
        body = await history_page(runtime, resource.table.fullname, id_of(request), visible, query_of(request))
        return Response(body, media_type=JSON)

    yield path.door(get, LIST, list_records, 200)
    yield path.door(get, AGGREGATE, aggregate_records, 200, "/aggregate")
    yield path.door(get, GET, get_record, 200)
    if resource.history:
        yield path.door(get, HISTORY, record_history, 200, "/history")


def _next(request: AnyRequest, cursor: str) -> str:
    """The same list behind the cursor, relative to this origin."""
    kept = [part for part in query_of(request).split("&") if part and not part.startswith(("page=", "cursor="))]
    return f"{request.scope['path']}?{'&'.join([*kept, 'cursor=' + cursor])}"
