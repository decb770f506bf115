"""The OpenAPI document, walked as a whole: what a client generator and a reader rely on."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from atrium.app import create_app
from atrium.core.config import Settings
from atrium.core.system.controllers.documentation import _build

TAGS = {
    "admin",
    "auth",
    "background-tasks",
    "conversations",
    "notifications",
    "system",
    "wealth-admin",
    "wealth-clients",
    "wealth-communications",
    "wealth-insights",
    "wealth-orders",
    "webhooks",
}
AUTH = ("login", "register", "refresh", "verify", "request-verify-token", "forgot-password", "reset-password")
PUBLIC = {
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/api/health",
    "/api/hello",
    "/metrics",  # for METRICS_ALLOW
    "/api/v1/exports/{export_id}/download",  # for signed links
    "/api/v1/notifications/unsubscribe",  # for signed links in mails
    *(f"{mount}/{name}" for mount in ("/api/auth", "/api/v1/auth") for name in AUTH),
}
TWINS = ("/api/v1/crm", "/api/v1/bi", "/api/v1/assessments-platform", "/docs", "/redoc", "/saq", "/openapi")
BEARER: dict[str, list[str]] = {"bearer": []}
NOBODY: dict[str, list[str]] = {}
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


@dataclass(frozen=True)
class Operation:
    path: str
    method: str
    says: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(Settings(environment="test"))
    found: dict[str, Any] = msgspec.json.decode(_build(app).body)
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    return [Operation(path, method, says) for path, item in document["paths"].items() for method, says in item.items()]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def bodies(operation: Operation) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The media of what is sent."""
    yield from operation.says.get("requestBody", {}).get("content", {}).items()


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def misfits(document: dict[str, Any], schema: Mapping[str, Any], value: Any, at: str = "$") -> list[str]:
    """What in a value its schema does not allow, as far as our schemas go."""
    if "$ref" in schema:
        return misfits(document, resolve(document, schema["$ref"]), value, at)
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if alternatives and all(misfits(document, one, value, at) for one in alternatives):
        return [f"{at}: no alternative fits {value!r}"]
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind or []
    if kinds and not any(isinstance(value, KINDS[one]) for one in kinds):
        return [f"{at}: {value!r} is not {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is not one of {schema['enum']}"]
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return [f"{at}: too long"]
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{at}: {value!r} has not the pattern {schema['pattern']}"]
    if isinstance(value, list):
        return [wrong for one in value for wrong in misfits(document, schema.get("items", {}), one, f"{at}[]")]
    if not isinstance(value, dict):
        return []
    members = schema.get("properties", {})
    missing = [f"{at}.{name}: is required" for name in schema.get("required", ()) if name not in value]
    unknown = [f"{at}.{name}: is unknown" for name in value if members and name not in members]
    inside = [
        wrong
        for name, one in value.items()
        if name in members
        for wrong in misfits(document, members[name], one, f"{at}.{name}")
    ]
    return missing + unknown + inside


def test_it_is_openapi_31_and_names_itself(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Atrium"
    assert document["info"]["version"]


def test_every_operation_is_described(operations: list[Operation]) -> None:
    for operation in operations:
        says = operation.says
        assert re.fullmatch(r"[a-z][a-zA-Z0-9]+", says["operationId"]), operation
        assert says["summary"], operation
        assert says.get("description"), operation
        assert says["tags"], operation
        assert set(says["tags"]) <= TAGS, operation


def test_operation_ids_are_unique(operations: list[Operation]) -> None:
    counted = Counter(operation.says["operationId"] for operation in operations)
    assert [name for name, count in counted.items() if count > 1] == []


def test_only_the_listed_doors_are_open(document: dict[str, Any], operations: list[Operation]) -> None:
    open_doors = set()
    for operation in operations:
        needs = operation.says.get("security", document["security"])
        assert NOBODY in needs or needs == [BEARER], operation
        if NOBODY in needs:
            open_doors.add(operation.path)
    assert open_doors == PUBLIC


def test_the_documented_mounts_only(document: dict[str, Any]) -> None:
    assert [path for path in document["paths"] if path.startswith(TWINS)] == []


def test_what_is_sent_has_a_schema_and_an_example_that_fits(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    for operation in operations:
        if operation.method == "get" or (operation.method == "delete" and not operation.path.endswith("/bulk")):
            assert "requestBody" not in operation.says, operation
        for kind, media in bodies(operation):
            assert media["schema"], operation
            assert "example" in media, f"{operation} {kind}"
            assert misfits(document, media["schema"], media["example"]) == [], operation
            assert media["example"] or "Nothing" in media["schema"]["$ref"], operation


def test_what_is_answered_has_a_schema(operations: list[Operation]) -> None:
    for operation in operations:
        good = {status: answer for status, answer in operation.says["responses"].items() if status.startswith("2")}
        assert good, operation
        for status, answer in good.items():
            if status == "204":
                assert "content" not in answer, operation
                continue
            for kind, media in answer["content"].items():
                schema = media["schema"]
                text = kind.startswith("text/") or kind == "application/x-ndjson"
                assert "$ref" in schema or schema.get("type") == ("string" if text else "array"), operation


def test_refusals_are_problems(operations: list[Operation]) -> None:
    for operation in operations:
        for status, answer in operation.says["responses"].items():
            if status.startswith("4"):
                assert list(answer["content"]) == ["application/problem+json"], f"{operation} {status}"
                assert answer["content"]["application/problem+json"]["schema"] == {
                    "$ref": "#/components/schemas/Problem"
                }, operation


def test_who_needs_a_token_is_told_so(document: dict[str, Any], operations: list[Operation]) -> None:
    for operation in operations:
        if NOBODY not in operation.says.get("security", document["security"]):
            assert "401" in operation.says["responses"], operation
        if "{" in operation.path:
            assert "404" in operation.says["responses"] or operation.says["operationId"].startswith(
                ("list", "create")
            ), operation


def test_path_parameters_are_declared_as_they_stand_in_the_path(operations: list[Operation]) -> None:
    for operation in operations:
        declared = [one["name"] for one in operation.says.get("parameters", ()) if one["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"\{(\w+)\}", operation.path)), operation
        names = [(one["in"], one["name"]) for one in operation.says.get("parameters", ())]
        assert len(names) == len(set(names)), operation


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    references = {node["$ref"] for node in walk(document) if isinstance(node.get("$ref"), str)}

    assert len(references) > 50
    for reference in references:
        assert isinstance(resolve(document, reference), dict), reference


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    references = {node["$ref"].rpartition("/")[2] for node in walk(document) if isinstance(node.get("$ref"), str)}

    assert set(document["components"]["schemas"]) - references == set()


def test_decimals_are_numbers_on_the_wire(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert [node for node in walk(schemas) if node.get("format") == "decimal"] == []
    assert schemas["Order"]["properties"]["quantity"]["anyOf"][0] == {"type": "number"}
    assert schemas["OrderCreate"]["properties"]["quantity"]["anyOf"][0] == {"type": ["number", "string"]}


def test_every_post_that_can_be_repeated_takes_a_key(operations: list[Operation]) -> None:
    for operation in operations:
        names = [one["name"] for one in operation.says.get("parameters", ()) if one["in"] == "header"]
        secret = operation.path.startswith(("/api/v1/auth/", "/api/auth/", "/api/v1/webhooks"))
        repeatable = operation.method == "post" and not secret
        assert ("Idempotency-Key" in names) == repeatable, operation
