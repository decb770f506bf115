"""Create, change, delete and restore."""

from collections.abc import Callable, Iterator
from typing import Any

from litestar import Response, delete, patch, post, put
from litestar.handlers import HTTPRouteHandler

from atrium.core.http.requests import caller_of, runtime_of
from atrium.core.replays.creation import once
from atrium.core.replays.keys import OWN, Asked, request_sha256
from atrium.core.replays.statements import keeping, keeping_binds
from atrium.core.resources.doors.path import AnyRequest, Path, answer, body_of, id_of, if_match_of, within_of
from atrium.core.resources.openapi import ETAG, Verb, json_content, reference
from atrium.core.resources.resource import Resource
from atrium.core.resources.writing import Keep

CHANGED = "400 401 403 404 409 412 422"


def _record(status: str, text: str) -> Callable[[Resource], dict[str, Any]]:
    def described(resource: Resource) -> dict[str, Any]:
        return {status: {**json_content(text, reference(resource.model.__name__)), "headers": ETAG}}

    return described


def matching(_resource: Resource | None = None) -> list[dict[str, Any]]:
    text = "Only if the record still has this ETag; else 412 with the changed fields"
    return [{"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": text}]


_WHOLE = _record("200", "The whole record after the change")
CREATE = Verb(
    "create",
    "Create {one}",
    _record("201", "Made"),
    "400 401 403 409 422",
    on_record=False,
    body="create",
)
REPLACE = Verb("replace", "Replace {one}", _WHOLE, CHANGED, parameters=matching, body="update")
UPDATE = Verb("update", "Change {one}", _WHOLE, CHANGED, parameters=matching, body="update")
DELETE = Verb(
    "delete", "Delete {one}", lambda _: {"204": {"description": "Gone"}}, "401 403 404 409 412", parameters=matching
)
RESTORE = Verb("restore", "Bring back {one} that was deleted", _WHOLE, "401 403 404 409")


def handlers(path: Path) -> Iterator[HTTPRouteHandler]:
    resource = path.resource

    async def create_record(request: AnyRequest) -> Response[bytes]:
        within, caller, raw = within_of(request), caller_of(request), await body_of(request)
        place = path.filled(within) + "/"
        keep, sha256 = None, b""
        if (asked := Asked.of(request.scope, caller.principal)) is not None:
            sha256 = request_sha256(request.scope, raw)
            binds = keeping_binds(asked, sha256, place, resource.create or "", caller.principal)
            keep = Keep(keeping, binds)

        async def make() -> Response[bytes]:
            record = await resource.make(runtime_of(request), caller, raw, within, keep)
            return answer(record, status=201, headers={"Location": place + str(record.id)})

        if asked is None:
            return await make()
        resource.maker(caller.principal)
        return await once(runtime_of(request), caller.principal, asked, sha256, make)

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

    async def restore_record(request: AnyRequest) -> Response[bytes]:
        record = await resource.bring_back(runtime_of(request), caller_of(request), id_of(request), within_of(request))
        return answer(record)

    if resource.create is not None:
        yield path.door(post, CREATE, create_record, 201, opt={OWN: True})
    if resource.update is not None:
        yield path.door(put, REPLACE, update_record, 200)
        yield path.door(patch, UPDATE, patch_record, 200)
    if resource.delete is not None:
        yield path.door(delete, DELETE, delete_record, 204)
    if resource.restore is not None:
        yield path.door(post, RESTORE, restore_record, 200, "/restore")
