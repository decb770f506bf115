"""How the doors of identity are described: ids for both mounts, examples, the two forms of a login."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

Properties = dict[str, Reference | Schema]
TEXT = Schema(type=OpenAPIType.STRING)
UNVERSIONED = "Unversioned"
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"


def named(name: str) -> Callable[[HTTPRouteHandler, Method, Sequence[str | PathParameterDefinition]], str]:
    """The operation id: as named on the versioned mount, with a suffix on the other."""

    def identify(_handler: HTTPRouteHandler, _method: Method, path: Sequence[str | PathParameterDefinition]) -> str:
        return name if "v1" in path else name + UNVERSIONED

    return identify


def shown(example: dict[str, Any]) -> type[Operation]:
    """An operation whose body has an example."""

    @dataclass
    class Shown(Operation):
        def __post_init__(self) -> None:
            if isinstance(self.request_body, RequestBody):
                for media in self.request_body.content.values():
                    media.example = example

    return Shown


@dataclass
class Login(Operation):
    """Reads its body itself, since one `data:` binds one encoding only."""

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
class Logout(Operation):
    """Its body is optional."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, properties={"refresh_token": TEXT})
        media = OpenAPIMediaType(schema=schema, example={"refresh_token": "mC2W…"})
        self.request_body = RequestBody(required=False, content={JSON_TYPE: media})


@dataclass
class Paged(Operation):
    """Takes `page` and `limit`; the unversioned mount answers the bare array."""

    def __post_init__(self) -> None:
        number = Schema(type=OpenAPIType.INTEGER, minimum=1)
        self.parameters = [
            Parameter(name="page", param_in="query", schema=number, required=False),
            Parameter(name="limit", param_in="query", schema=number, required=False),
        ]
        found = (self.responses or {}).get("200")
        if str(self.operation_id).endswith(UNVERSIONED) and isinstance(found, OpenAPIResponse) and found.content:
            for media in found.content.values():
                media.schema = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT))


def answers(kind: type[msgspec.Struct], description: str) -> ResponseSpec:
    """What a success holds; made-up examples would be of our types, which JSON does not know."""
    return ResponseSpec(kind, description=description, generate_examples=False)
