"""The OpenAPI description of a resource, made when somebody asks for the document and not before."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from litestar.openapi.spec import Components, Operation

from atrium.core.access import EVERYTHING
from atrium.core.errors import FieldError
from atrium.core.query.parse import OPERATORS
from atrium.core.resources.resource import PARAMETERS, Resource
from atrium.core.resources.schemas import read_struct

TEMPLATE = "#/components/schemas/{name}"
SUMMARIES = {
    "list": "List {many}",
    "create": "Create {one}",
    "get": "Read {one}",
    "replace": "Change {one}",
    "update": "Change {one}",
    "delete": "Delete {one}",
    "history": "What happened to {one}",
}


@dataclass
class ResourceOperation(Operation):
    """An operation that describes itself lazily."""

    resource: ClassVar[Resource]
    verb: ClassVar[str]
    route: ClassVar[str]
    identifier: ClassVar[str]

    def to_schema(self) -> dict[str, Any]:
        return describe(type(self).resource, type(self).verb, type(self).route, type(self).identifier)


def operation(resource: Resource, verb: str, route: str, *, main: bool) -> type[ResourceOperation]:
    identifier = _identifier(resource, verb, route, main=main)
    members = {"resource": resource, "verb": verb, "route": route, "identifier": identifier}
    return type("ResourceOperation", (ResourceOperation,), members)


def _identifier(resource: Resource, verb: str, route: str, *, main: bool) -> str:
    noun = resource.model.__name__
    plural = "".join(part.capitalize() for part in resource.name.split("_"))
    scope = "" if main else "".join(f"Of{name.removesuffix('_id').capitalize()}" for name in PARAMETERS.findall(route))
    if verb == "list":
        return f"list{plural}{scope}"
    return f"get{noun}{scope}History" if verb == "history" else f"{verb}{noun}{scope}"


def describe(resource: Resource, verb: str, route: str, identifier: str) -> dict[str, Any]:
    names = {"one": f"one of {resource.name}", "many": resource.name.replace("_", " ")}
    described: dict[str, Any] = {
        "operationId": identifier,
        "summary": SUMMARIES[verb].format(**names),
        "description": resource.title + ".",
        "tags": [resource.tag],
        "security": [{"bearer": []}],
        "parameters": _parameters(resource, verb, route),
        "responses": _responses(resource, verb),
    }
    if verb in ("create", "replace", "update"):
        described["requestBody"] = _request_body(resource, verb)
    return described


def _parameters(resource: Resource, verb: str, route: str) -> list[dict[str, Any]]:
    path = [*PARAMETERS.findall(route), *([] if verb in ("list", "create") else ["id"])]
    uuid = {"type": "string", "format": "uuid"}
    found: list[dict[str, Any]] = [{"name": name, "in": "path", "required": True, "schema": uuid} for name in path]
    if verb in ("replace", "update", "delete"):
        text = "Only if the record still has this ETag; else 412 with the changed fields"
        found.append({"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": text})
    return found + (_list_parameters(resource) if verb == "list" else [])


def _list_parameters(resource: Resource) -> list[dict[str, Any]]:
    def query(name: str, schema: Mapping[str, Any], text: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "in": "query", "schema": dict(schema), "description": text, **more}

    sorts = ", ".join(sorted({"id", *resource.sorts}))
    whole = {"type": "integer", "minimum": 1}
    found = [
        query("page", {**whole, "default": 1}, "Page, from 1"),
        query("limit", {**whole, "maximum": resource.max_limit, "default": 20}, "Rows per page"),
        query("cursor", {"type": "string"}, "next_cursor of the page before; costs the same at any depth"),
        query("order_by", {"type": "string"}, f"Comma-separated, - for descending: {sorts}", example=resource.sort),
        query("fields", {"type": "string"}, "Only these fields, comma-separated"),
        query("count", {"enum": ["exact", "none"]}, "Whether to count all matching rows"),
        query("or", {"type": "string"}, "A group of conditions such as (a.eq.1,b.gt.2)"),
    ]
    if resource.vocabulary(EVERYTHING).searchable:
        found.append(query("q", {"type": "string"}, "Rows in which every word occurs"))
    operators = "Also with " + ", ".join(f"__{name}" for name in OPERATORS) + "; repeated: any of"
    for name in resource.filters:
        schema = copy.deepcopy(msgspec.json.schema(resource.fields[name].kind))
        found.append(query(name, schema, operators))
    found += [query(name, {"type": "string"}, "A named filter") for name in resource.presets]
    return found


def _responses(resource: Resource, verb: str) -> dict[str, Any]:
    reference = {"$ref": TEMPLATE.format(name=resource.model.__name__)}
    etag = {"ETag": {"schema": {"type": "string"}, "description": "The version of the record"}}
    answers: dict[str, dict[str, Any]] = {
        "list": {"200": _json("A page", {"$ref": TEMPLATE.format(name=f"{resource.model.__name__}Page")})},
        "create": {"201": {**_json("Made", reference), "headers": etag}},
        "get": {"200": {**_json("The record", reference), "headers": etag}},
        "replace": {"200": {**_json("The whole record after the change", reference), "headers": etag}},
        "update": {"200": {**_json("The whole record after the change", reference), "headers": etag}},
        "delete": {"204": {"description": "Gone"}},
        "history": {"200": _json("Status changes and other changes, oldest first", {"type": "object"})},
    }
    statuses = {"list": "401 403 422", "create": "400 401 403 409 422", "get": "401 404", "history": "401 404"}
    refused = statuses.get(verb, "400 401 403 404 409 412 422" if verb != "delete" else "401 403 404 409 412")
    problem = {
        "description": "Refused",
        "content": {"application/problem+json": {"schema": {"$ref": TEMPLATE.format(name="Problem")}}},
    }
    return answers[verb] | {status: {**problem, "description": REASONS[status]} for status in refused.split()}


REASONS = {
    "400": "The body cannot be read",
    "401": "No or bad token",
    "403": "The role may never do this",
    "404": "Not there, or outside the caller's scope",
    "409": "The present state or a unique value does not allow it",
    "412": "Changed meanwhile; `changed` names the fields",
    "422": "Some values are not valid; `errors` names them",
}


def _json(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": dict(schema)}}}


def _request_body(resource: Resource, verb: str) -> dict[str, Any]:
    name = resource.body("create" if verb == "create" else "update", EVERYTHING).struct.__name__
    content: dict[str, Any] = {"schema": {"$ref": TEMPLATE.format(name=name)}}
    if resource.example and verb == "create":
        content["example"] = _plain(resource.example)
    return {"required": True, "content": {"application/json": content}}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


class Problem(msgspec.Struct):
    """RFC 9457; `code` is stable, `errors` stands on 422, `allowed` and `suggestions` where they help."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    allowed: list[str] | msgspec.UnsetType = msgspec.UNSET


class ResourceComponents(Components):
    """The named schemas of all resources, derived when the document is first asked for."""

    resources: ClassVar[tuple[Resource, ...]] = ()

    def to_schema(self) -> dict[str, Any]:
        found = super().to_schema()
        structs: list[Any] = [Problem]
        for resource in self.resources:
            record = read_struct(resource.model.__name__, resource.guarded.visible(EVERYTHING))
            structs += [record, _page_struct(resource, record)]
            structs += [
                resource.body(verb, EVERYTHING).struct for verb in ("create", "update") if getattr(resource, verb)
            ]
        _, named = msgspec.json.schema_components(structs, ref_template=TEMPLATE)
        found["schemas"] = {**found.get("schemas", {}), **named}
        return found


def _page_struct(resource: Resource, record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    members: list[Any] = [
        ("items", list[record]),  # type: ignore[valid-type]
        ("total", int | None),
        ("page", int),
        ("limit", int),
        ("pages", int | None),
        ("next_cursor", str | None),
    ]
    return msgspec.defstruct(f"{resource.model.__name__}Page", members)
