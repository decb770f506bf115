"""Create, change and delete."""

from collections.abc import Callable, Iterator
from typing import Any

from litestar import Response, delete, patch, post, put
from litestar.handlers import HTTPRouteHandler

from atrium.core.http.requests import caller_of, runtime_of
from atrium.core.resources.doors.path import AnyRequest, Path, answer, body_of, id_of, if_match_of, within_of
from atrium.core.resources.openapi import ETAG, Verb, json_content, reference
from atrium.core.resources.resource import Resource

CHANGED = "400 401 403 404 409 412 422"


def _record(status: str, text: str) -> Callable[[Resource], dict[str, Any]]:
    def described(resource: Resource) -> dict[str, Any]:
        return {status: {**json_content(text, reference(resource.model.__name__)), "headers": ETAG}}

    return described


def _matching(_resource: Resource) -> list[dict[str, Any]]:
    text = "Only if the record still has this ETag; else 412 with the changed fields"
    return [{"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": text}]


_WHOLE = _record("200", "The whole record after the change")
CREATE = Verb("create", "Create {one}", _record("201", "Made"), "400 401 403 409 422", on_record=False, body="create")
REPLACE = Verb("replace", "Replace {one}", _WHOLE, CHANGED, parameters=_matching, body="update")
UPDATE = Verb("update", "Change {one}", _WHOLE, CHANGED, parameters=_matching, body="update")
DELETE = Verb(
    "delete", "Delete {one}", lambda _: {"204": {"description": "Gone"}}, "401 403 404 409 412", parameters=_matching
)


def handlers(path: Path) -> Iterator[HTTPRouteHandler]:
    resource = path.resource

    async def create_record(request: AnyRequest) -> Response[bytes]:
        within = within_of(request)
        record = await resource.make(runtime_of(request), caller_of(request), await body_of(request), within)
        return answer(record, status=201, headers={"Location": f"{path.filled(within)}/{record.id}"})

    async def update_record(request: AnyRequest) -> Response[bytes]:
        record = await resource.change(
            runtime_of(request),
            caller_of(request),
            id_of(request),
            await body_of(request),
            if_match=if_match_of(request),
            within=within_of(request),
        )
        return answer(record)

    async def patch_record(request: AnyRequest) -> Response[bytes]:
        return await update_record(request)

    async def delete_record(request: AnyRequest) -> None:
        await resource.remove(
            runtime_of(request),
            caller_of(request),
            id_of(request),
            if_match=if_match_of(request),
            within=within_of(request),
        )

    if resource.create is not None:
        yield path.door(post, CREATE, create_record, 201)
    if resource.update is not None:
        yield path.door(put, REPLACE, update_record, 200)
        yield path.door(patch, UPDATE, patch_record, 200)
    if resource.delete is not None:
        yield path.door(delete, DELETE, delete_record, 204)
