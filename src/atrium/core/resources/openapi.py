"""The OpenAPI description of resources and of the verbs beside them, made when somebody asks for the document and not
before.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, OpenAPI, Operation, SecurityScheme
from litestar.routes import HTTPRoute

from atrium.core.access import EVERYTHING
from atrium.core.db.wire import Field
from atrium.core.errors import FieldError
from atrium.core.replays.keys import LONGEST_KEY, SECRETS
from atrium.core.resources.batches import Refused
from atrium.core.resources.declaration import PARAMETERS
from atrium.core.resources.resource import Resource
from atrium.core.resources.schemas import Body, read_struct

TEMPLATE = "#/components/schemas/{name}"
REASONS = {
    "400": "The body cannot be read",
    "401": "No or bad token",
    "403": "The role may never do this",
    "404": "Not there, or outside the caller's scope",
    "409": "The present state or a unique value does not allow it",
    "410": "Expired",
    "412": "Changed meanwhile; `changed` names the fields",
    "413": "Larger than is taken here",
    "415": "A content type that is not read here",
    "422": "Some values are not valid; `errors` names them",
    "423": "Locked after too many failed attempts",
    "429": "Too often; Retry-After says when again",
    "503": "It took too long and was stopped, or a part that it needs is not reachable",
}
REPLAY_TEXT = (
    "A key of the caller's choice: the same request under the same key within 24 hours happens once and gets the kept "
    "answer with Idempotent-Replay: true; another body under it is 409. Failures are not kept"
)
REPLAY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": REPLAY_TEXT,
}
ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The version of the record"}}
PARENT = UUID("01980000-0000-7000-8000-000000000001")
UUID_TEXT = {"type": "string", "format": "uuid"}
Answer = Callable[[], type[msgspec.Struct]]
_answers: list[Answer] = []


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be done with a resource, as its door and the OpenAPI document name it.

    `summary` has places for {one} and {many}; `answers` are the responses that are no refusals; `body` says which body
    of the resource it takes ("create", "update"), or describes one of its own.
    """

    name: str
    summary: str
    answers: Callable[[Resource], dict[str, Any]]
    refused: str
    on_record: bool = True
    many: bool = False
    parameters: Callable[[Resource], list[dict[str, Any]]] = lambda _: []
    body: str | Callable[[Resource], dict[str, Any]] | None = None

    def identifier(self, resource: Resource, route: str, *, main: bool) -> str:
        noun = resource.model.__name__
        plural = "".join(part.capitalize() for part in resource.name.split("_"))
        words = (
            "" if main else "".join(f"Of{name.removesuffix('_id').capitalize()}" for name in PARAMETERS.findall(route))
        )
        first, _, rest = self.name.partition(" ")
        return f"{first}{plural if self.many else noun}{words}{rest}"


@dataclass
class ResourceOperation(Operation):
    """An operation that describes itself lazily."""

    resource: ClassVar[Resource]
    verb: ClassVar[Verb]
    route: ClassVar[str]
    identifier: ClassVar[str]
    takes_key: ClassVar[bool] = False

    def to_schema(self) -> dict[str, Any]:
        kind = type(self)
        described = describe(kind.resource, kind.verb, kind.route, kind.identifier)
        if kind.takes_key:
            described["parameters"].append(REPLAY)
        return described


def operation(resource: Resource, verb: Verb, route: str, *, main: bool) -> type[ResourceOperation]:
    identifier = verb.identifier(resource, route, main=main)
    members = {"resource": resource, "verb": verb, "route": route, "identifier": identifier}
    return type("ResourceOperation", (ResourceOperation,), members)


def describe(resource: Resource, verb: Verb, route: str, identifier: str) -> dict[str, Any]:
    noun = resource.noun()
    names = {"one": f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}", "many": resource.name.replace("_", " ")}
    path = [*PARAMETERS.findall(route), *(["id"] if verb.on_record else [])]
    described: dict[str, Any] = {
        "operationId": identifier,
        "summary": verb.summary.format(**names),
        "description": resource.title + ".",
        "tags": [resource.tag],
        "security": [{"bearer": []}],
        "parameters": [path_parameter(name) for name in path] + verb.parameters(resource),
        "responses": verb.answers(resource) | problems(verb.refused),
    }
    if isinstance(verb.body, str):
        described["requestBody"] = request_body(resource, verb.body)
    elif verb.body is not None:
        described["requestBody"] = verb.body(resource)
    return described


def path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": dict(UUID_TEXT)}


def problems(statuses: str) -> dict[str, Any]:
    """What a refusal looks like, for each of the statuses."""
    content = {"application/problem+json": {"schema": reference(Problem.__name__)}}
    return {status: {"description": REASONS[status], "content": content} for status in statuses.split()}


def reference(name: str) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(name=name)}


def json_content(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": dict(schema)}}}


def request_body(resource: Resource, verb: str) -> dict[str, Any]:
    body = _body(resource, verb)
    content: dict[str, Any] = {"schema": reference(body.struct.__name__)}
    given = {name: value for name, value in resource.example.items() if name in body.kinds}
    parents = {name: PARENT for name in body.required if body.kinds[name] is UUID}
    content["example"] = _plain(parents | given or _sample(body.fields))
    return {"required": True, "content": {"application/json": content}}


def _body(resource: Resource, verb: str) -> Body:
    """All fields that somebody may send; what the path or the caller's own id says need not be sent."""
    known = {name for clause in resource.policy.clauses for name in clause.stamps}
    return resource.body(verb, EVERYTHING, tuple(sorted(known.union(PARAMETERS.findall(resource.path)))))


def _sample(fields: Mapping[str, Field]) -> dict[str, Any]:
    """An example for records that nobody creates by hand."""
    for name, known in fields.items():
        if known.column.info.get("choices"):
            return {name: known.column.info["choices"][0]}
        if known.column.type.python_type is str:
            return {name: "As agreed."}
    return {}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


WHOLE = {"type": "integer", "minimum": 1}
PAGING: list[dict[str, Any]] = [
    {"name": "page", "in": "query", "schema": {**WHOLE, "default": 1}, "description": "Page, from 1"},
    {
        "name": "limit",
        "in": "query",
        "schema": {**WHOLE, "maximum": 100, "default": 20},
        "description": "Rows per page",
    },
]


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


class Actor(msgspec.Struct):
    """Who did it; nobody when the system did."""

    id: UUID | None
    name: str | None


class Change(msgspec.Struct):
    """One entry of a history: each changed field with its old and its new value."""

    id: UUID
    at: str
    actor: Actor
    action: str
    from_status: str | None
    to_status: str | None
    reason: str | None
    changes: dict[str, list[Any]]
    version: int | None
    request_id: str | None


class HistoryPage(msgspec.Struct):
    """The v1 list over what happened to a record, oldest first."""

    items: list[Change]
    total: int
    page: int
    limit: int
    pages: int
    next_cursor: None


class Groups(msgspec.Struct):
    """What an aggregate answers: one object per group, its members named after the keys and metrics asked for."""

    items: list[dict[str, Any]]


@dataclass
class VerbOperation(Operation):
    """A verb that CRUD cannot say: its refusals are problems, and it may name what it answers with."""

    answers: ClassVar[Answer | None] = None
    refused: ClassVar[str] = "401 404"
    example: ClassVar[Mapping[str, Any] | None] = None
    query: ClassVar[Callable[[], list[dict[str, Any]]]] = list
    takes_key: ClassVar[bool] = False

    def to_schema(self) -> dict[str, Any]:
        kind = type(self)
        described = super().to_schema()
        kept = {status: answer for status, answer in described["responses"].items() if not status.startswith("4")}
        if kind.answers is not None:
            for status, answer in kept.items():
                answer["content"] = json_content("", reference(kind.answers().__name__))["content"]
                answer["description"] = ANSWERED.get(status, "Done")
        described["responses"] = kept | problems(kind.refused)
        if parameters := [*described.get("parameters", []), *kind.query(), *([REPLAY] if kind.takes_key else ())]:
            described["parameters"] = [_named(parameter) for parameter in parameters]
        if "requestBody" in described:
            _show(described["requestBody"], kind.example)
        return described


ANSWERED = {"200": "The present state", "201": "Made", "202": "Accepted; the task says how far it is"}


def _named(parameter: dict[str, Any]) -> dict[str, Any]:
    """Ids in paths are read as text, so that a malformed one is 404; for callers they are UUIDs."""
    is_id = parameter["in"] == "path" and parameter["name"].endswith("_id")
    return {**parameter, "schema": dict(UUID_TEXT)} if is_id else parameter


def _show(body: dict[str, Any], example: Mapping[str, Any] | None) -> None:
    """A body that may be null may also be left out."""
    for media in body["content"].values():
        alternatives = media["schema"].get("oneOf", ())
        if {"type": "null"} in alternatives:
            body["required"] = False
            media["schema"] = next(one for one in alternatives if one != {"type": "null"})
        if example is not None:
            media["example"] = example


def verb(
    answers: type[msgspec.Struct] | Answer | None = None,
    *,
    refused: str = "401 404",
    example: Mapping[str, Any] | None = None,
    query: Callable[[], list[dict[str, Any]]] = list,
) -> type[Operation]:
    """The `operation_class` of a hand-written verb; what it answers with becomes a named schema of the document."""
    answer = (lambda: answers) if isinstance(answers, type) else answers
    if answer is not None:
        _answers.append(answer)
    members = {"answers": answer and staticmethod(answer), "refused": refused, "example": example}
    return type("VerbOperation", (VerbOperation,), {**members, "query": staticmethod(query)})


def name_schemas(*answers: type[msgspec.Struct]) -> None:
    """What doors of resources answer with beside records becomes named schemas of the document."""
    _answers.extend(lambda answer=answer: answer for answer in answers)  # type: ignore[misc]


def one_of(resource: Resource) -> Answer:
    """A record of a resource, as an answer of `verb`."""
    return lambda: record_struct(resource)


def page_of(resource: Resource) -> Answer:
    return lambda: page_struct(record_struct(resource))


@dataclass
class ResourceComponents(Components):
    """The named schemas of all resources and verbs, derived when the document is first asked for."""

    resources: tuple[Resource, ...] = ()

    @property
    def _exclude_fields(self) -> set[str]:
        return {"resources"}

    def to_schema(self) -> dict[str, Any]:
        found = super().to_schema()
        answers: list[Any] = [Problem, HistoryPage, Groups, *(answer() for answer in _answers)]
        bodies: list[Any] = []
        for resource in self.resources:
            record = record_struct(resource)
            answers += [record, page_struct(record)]
            if resource.create or resource.update or resource.delete:
                answers.append(bulk_struct(record))
            verbs = ("create", "update", "upsert")
            bodies += [_body(resource, verb).struct for verb in verbs if getattr(resource, verb)]
        named = _named_schemas(answers, "number") | _named_schemas(bodies, ["number", "string"])
        if twice := found.get("schemas", {}).keys() & named.keys():
            raise ValueError(f"Two schemas are called {', '.join(sorted(twice))}.")
        found["schemas"] = {**found.get("schemas", {}), **named}
        return found


def _named_schemas(structs: list[Any], number: str | list[str]) -> dict[str, Any]:
    """Decimals are numbers on the wire with all their digits; what comes in may be a text as well (decisions.md §2)."""
    _, named = msgspec.json.schema_components(dict.fromkeys(structs), ref_template=TEMPLATE)
    return {name: on_the_wire(schema, number) for name, schema in named.items()}


def on_the_wire(node: Any, number: str | list[str]) -> Any:
    if isinstance(node, list):
        return [on_the_wire(one, number) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "decimal":
        return {"type": number}
    members = {key: on_the_wire(one, number) for key, one in node.items()}
    is_choice = isinstance(members.get("enum"), list) and "type" not in members
    return {"type": "string", **members} if is_choice else members


@dataclass
class ResourceDocument(OpenAPIConfig):
    """Litestar merges components into a plain copy when security adds its own; ours come in after that."""

    resources: tuple[Resource, ...] = field(default=(), kw_only=True)

    def to_openapi_schema(self) -> OpenAPI:
        document = super().to_openapi_schema()
        given = document.components or Components()
        for scheme in (given.security_schemes or {}).values():
            if isinstance(scheme, SecurityScheme) and scheme.type == "http":
                scheme.name = None  # only API keys have one; Litestar names every scheme
        document.components = ResourceComponents(security_schemes=given.security_schemes, resources=self.resources)
        return document


def mark_repeatable(app: Litestar) -> None:
    """Every POST whose answer is no secret takes a key."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith(SECRETS):
            for handler in route.route_handlers:
                described = handler.operation_class
                if "POST" in handler.http_methods and issubclass(described, (ResourceOperation, VerbOperation)):
                    described.takes_key = True


@functools.cache
def record_struct(resource: Resource) -> type[msgspec.Struct]:
    return read_struct(resource.model.__name__, resource.guarded.visible(EVERYTHING))


@functools.cache
def bulk_struct(record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """What became of many rows; each verb has the lists that it can fill."""
    records: Any = list[record] | msgspec.UnsetType  # type: ignore[valid-type]
    members: list[Any] = [(name, records, msgspec.UNSET) for name in ("created", "updated", "unchanged")]
    members += [("deleted", list[UUID] | msgspec.UnsetType, msgspec.UNSET), ("errors", list[Refused])]
    return msgspec.defstruct(f"{record.__name__}BulkResult", members, kw_only=True)


@functools.cache
def page_struct(record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    members: list[Any] = [
        ("items", list[record]),  # type: ignore[valid-type]
        ("total", int | None),
        ("page", int),
        ("limit", int),
        ("pages", int | None),
        ("next_cursor", str | None),
    ]
    return msgspec.defstruct(f"{record.__name__}Page", members)
