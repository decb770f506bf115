"""Many records in one request, and one record by its key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, delete, post, put
from litestar.handlers import HTTPRouteHandler

from atrium.core.errors import FieldError, Invalid, Malformed, UnknownParameter
from atrium.core.http.requests import caller_of, runtime_of
from atrium.core.resources.batches import BulkResult, Written
from atrium.core.resources.doors.path import JSON, AnyRequest, Path, answer, body_of, query_of, within_of
from atrium.core.resources.openapi import ETAG, UUID_TEXT, Verb, json_content, reference, request_body
from atrium.core.resources.resource import Resource

MOST = 500
REFUSED = "400 401 403 404 409 422"
FLAGS = {"true": True, "1": True, "false": False, "0": False}
PARTIAL = {
    "name": "partial",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "Write the rows that can be written and name the others, instead of all or nothing",
}


def _rows(resource: Resource, verb: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """A list of the bodies that the single verb takes."""
    content = request_body(resource, verb)["content"][JSON]
    item: dict[str, Any] = content["schema"]
    if more:
        item = {"allOf": [{"type": "object", "required": ["id"], "properties": more}, item]}
    example = {**({"id": "01980000-0000-7000-8000-000000000001"} if more else {}), **content["example"]}
    schema = {"type": "array", "maxItems": MOST, "items": item}
    return {"required": True, "content": {JSON: {"schema": schema, "example": [example]}}}


def _new_rows(resource: Resource) -> dict[str, Any]:
    return _rows(resource, "create", {})


def _changed_rows(resource: Resource) -> dict[str, Any]:
    version = {"type": "integer", "description": "Only if the record still has this version"}
    return _rows(resource, "update", {"id": UUID_TEXT, "version": version})


def _ids(_resource: Resource) -> dict[str, Any]:
    schema = {"type": "array", "maxItems": MOST, "items": UUID_TEXT}
    return {
        "required": True,
        "content": {JSON: {"schema": schema, "example": ["01980000-0000-7000-8000-000000000001"]}},
    }


def _result(resource: Resource) -> dict[str, Any]:
    return {"200": json_content("What became of the rows", reference(f"{resource.model.__name__}BulkResult"))}


def _creating(resource: Resource) -> list[dict[str, Any]]:
    if not resource.upsert:
        return [PARTIAL]
    text = "Change the rows whose key exists instead of refusing them"
    schema = {"type": "string", "enum": [",".join(resource.upsert)]}
    return [PARTIAL, {"name": "upsert", "in": "query", "schema": schema, "description": text}]


def _put(resource: Resource) -> dict[str, Any]:
    known = reference(resource.model.__name__)
    return {
        "200": {**json_content("It existed: the whole record after the change", known), "headers": ETAG},
        "201": {**json_content("Made", known), "headers": ETAG},
    }


def _keyed(resource: Resource) -> dict[str, Any]:
    return request_body(resource, "upsert")


CREATE = Verb(
    "create Bulk",
    "Create many {many}",
    _result,
    REFUSED,
    on_record=False,
    many=True,
    parameters=_creating,
    body=_new_rows,
)
UPDATE = Verb(
    "update Bulk",
    "Change many {many}",
    _result,
    REFUSED,
    on_record=False,
    many=True,
    parameters=lambda _: [PARTIAL],
    body=_changed_rows,
)
DELETE = Verb(
    "delete Bulk",
    "Delete many {many}",
    _result,
    REFUSED,
    on_record=False,
    many=True,
    parameters=lambda _: [PARTIAL],
    body=_ids,
)
UPSERT = Verb("upsert", "Create {one}, or change the one with its key", _put, REFUSED, on_record=False, body=_keyed)


def handlers(path: Path) -> Iterator[HTTPRouteHandler]:
    resource = path.resource

    async def create_many(request: AnyRequest) -> Response[bytes]:
        asked = _asked(request, "partial", "upsert")
        result = await resource.make_many(
            runtime_of(request),
            caller_of(request),
            _list(await body_of(request)),
            within_of(request),
            partial=_partial(asked),
            key=_key(resource, asked.get("upsert")),
        )
        if "upsert" not in asked:
            return _answer(result, created=result.created)
        return _answer(result, created=result.created, updated=result.updated, unchanged=result.unchanged)

    async def update_many(request: AnyRequest) -> Response[bytes]:
        rows, partial = _list(await body_of(request)), _partial(_asked(request, "partial"))
        result = await resource.change_many(
            runtime_of(request), caller_of(request), rows, within_of(request), partial=partial
        )
        return _answer(result, updated=result.updated)

    async def delete_many(request: AnyRequest) -> Response[bytes]:
        ids, partial = _names(await body_of(request)), _partial(_asked(request, "partial"))
        result = await resource.remove_many(
            runtime_of(request), caller_of(request), ids, within_of(request), partial=partial
        )
        gone = b",".join(b'"%s"' % str(one.record.id).encode() for one in result.deleted)
        return _joined({"deleted": gone}, result)

    async def put_record(request: AnyRequest) -> Response[bytes]:
        _asked(request)
        within = within_of(request)
        record, is_new = await resource.put(runtime_of(request), caller_of(request), await body_of(request), within)
        headers = {"Location": f"{path.filled(within)}/{record.id}"} if is_new else None
        return answer(record, status=201 if is_new else 200, headers=headers)

    if resource.create is not None:
        yield path.door(post, CREATE, create_many, 200, "/bulk")
    if resource.update is not None:
        yield path.door(put, UPDATE, update_many, 200, "/bulk")
    if resource.delete is not None:
        yield path.door(delete, DELETE, delete_many, 200, "/bulk")
    if resource.upsert:
        yield path.door(put, UPSERT, put_record, 200, "/upsert")


def _asked(request: AnyRequest, *known: str) -> dict[str, str]:
    found = dict(parse_qsl(query_of(request), keep_blank_values=True))
    for name in found:
        if name not in known:
            error = FieldError(("query", name), "unknown parameter", "unknown_parameter")
            raise UnknownParameter(f"{name}: unknown parameter.", errors=[error], allowed=sorted(known))
    return found


def _partial(asked: Mapping[str, str]) -> bool:
    text = asked.get("partial", "false").lower()
    if text not in FLAGS:
        error = FieldError(("query", "partial"), "must be true or false")
        raise Invalid("partial must be true or false.", errors=[error])
    return FLAGS[text]


def _key(resource: Resource, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    if not resource.upsert or tuple(text.split(",")) != resource.upsert:
        allowed = [",".join(resource.upsert)] if resource.upsert else []
        error = FieldError(("query", "upsert"), "is no key of these records")
        raise Invalid(f"upsert: {resource.name} are not found by {text}.", errors=[error], allowed=allowed)
    return resource.upsert


def _list(raw: bytes, kind: Any = msgspec.Raw) -> list[Any]:
    try:
        found: list[Any] = msgspec.json.decode(raw, type=list[kind])
    except msgspec.ValidationError:
        raise Invalid("The body must be a list.", errors=[FieldError(("body",), "must be a list")]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON: {error}.") from None
    if len(found) > MOST:
        text = f"must have at most {MOST} rows"
        raise Invalid(f"The body {text}; this one has {len(found)}.", errors=[FieldError(("body",), text, "too_long")])
    return [bytes(one) for one in found] if kind is msgspec.Raw else found


def _names(raw: bytes) -> list[str]:
    """`["id", …]`, or `{"ids": […]}` for clients that send objects only."""
    if raw.lstrip()[:1] == b"{":
        try:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("ids", msgspec.Raw(b"null"))
        except msgspec.DecodeError as error:
            raise Malformed(f"The body is not JSON: {error}.") from None
    return _list(raw, str)


def _answer(result: BulkResult, **lists: Sequence[Written]) -> Response[bytes]:
    return _joined({name: b",".join(one.record.body for one in rows) for name, rows in lists.items()}, result)


def _joined(lists: Mapping[str, bytes], result: BulkResult) -> Response[bytes]:
    parts = [b'"%s":[%s]' % (name.encode(), items) for name, items in lists.items()]
    parts.append(b'"errors":' + msgspec.json.encode(result.errors))
    return Response(b"{" + b",".join(parts) + b"}", media_type=JSON)
