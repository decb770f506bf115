"""How the doors of identity are described: ids for both mounts, examples, the two forms of a login."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from atrium.core.identity.schemas import SessionView
from atrium.core.resources.openapi import PAGING, TEMPLATE, VerbOperation, verb

Properties = dict[str, Reference | Schema]
TEXT = Schema(type=OpenAPIType.STRING)
UNVERSIONED = "Unversioned"
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"


def named(name: str) -> Callable[[HTTPRouteHandler, Method, Sequence[str | PathParameterDefinition]], str]:
    """The operation id: as named on the versioned mount, with a suffix on the other."""

    def identify(_handler: HTTPRouteHandler, _method: Method, path: Sequence[str | PathParameterDefinition]) -> str:
        return name if "v1" in path else name + UNVERSIONED

    return identify


def shown(example: dict[str, Any], refused: str = "400 422 429") -> type[Operation]:
    """An operation whose body has an example."""
    return verb(refused=refused, example=example)


@dataclass
class Login(VerbOperation):
    """Reads its body itself, since one `data:` binds one encoding only."""

    refused = "400 401 403 415 422 423 429"

    def __post_init__(self) -> None:
        members: Properties = dict.fromkeys(("username", "email", "password", "otp", "app"), TEXT)
        form: Properties = dict.fromkeys(("username", "password", "grant_type", "scope"), TEXT)
        self.request_body = RequestBody(
            required=True,
            content={
                JSON_TYPE: OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.OBJECT, properties=members, required=["password"]),
                    example={"email": "advisor@example.com", "password": "demo-password"},
                ),
                FORM_TYPE: OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.OBJECT, properties=form, required=["username", "password"]),
                    example={"username": "admin@test.com", "password": "test123"},
                ),
            },
        )


@dataclass
class Logout(VerbOperation):
    """Its body is optional."""

    refused = "400 401 422"

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, properties={"refresh_token": TEXT})
        media = OpenAPIMediaType(schema=schema, example={"refresh_token": "mC2W…"})
        self.request_body = RequestBody(required=False, content={JSON_TYPE: media})


@dataclass
class Paged(VerbOperation):
    """Takes `page` and `limit`; the unversioned mount answers the bare array."""

    refused = "401 422"
    query = staticmethod(lambda: PAGING)

    def to_schema(self) -> dict[str, Any]:
        described = super().to_schema()
        if str(self.operation_id).endswith(UNVERSIONED):
            items = {"$ref": TEMPLATE.format(name=SessionView.__name__)}
            described["responses"]["200"]["content"][JSON_TYPE]["schema"] = {"type": "array", "items": items}
        return described


def answers(kind: type[msgspec.Struct], description: str) -> ResponseSpec:
    """What a success holds; made-up examples would be of our types, which JSON does not know."""
    return ResponseSpec(kind, description=description, generate_examples=False)
