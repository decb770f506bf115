from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import redis.exceptions
from litestar import Litestar, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath, FromQuery, JSONBody

from atrium.core.config import Settings
from atrium.core.errors import InvalidTransition
from atrium.core.http import edge
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import Request, read_body, row_id

EXACT = "12345678901234567890.12345678"


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    amount: Decimal | None = None
    lines: list[int] = []


@post("/cancel", status_code=200)
async def cancel(data: JSONBody[Cancel | None] = None) -> str:
    return str(data.amount) if data else "nothing"


@post("/read", status_code=200)
async def read(request: Request) -> str:
    return (await read_body(request, Cancel)).reason


@get("/search")
async def search(limit: FromQuery[int]) -> int:
    return limit


@get("/rows/{row:str}")
async def row(row: FromPath[str]) -> str:
    return str(row_id(row))


@get("/moved")
async def moved() -> None:
    raise InvalidTransition("An order that is filled cannot be cancelled.", origin="filled", to="cancelled", allowed=[])


@get("/broken")
async def broken() -> None:
    raise RuntimeError("SELECT secret FROM db.internal.example")


@get("/private")
async def private() -> None:
    raise NotAuthorizedException("no")


@get("/lost/{what:str}")
async def lost(what: FromPath[str]) -> None:
    raise {
        "redis": redis.exceptions.ConnectionError("localhost:6379"),
        "database": asyncpg.CannotConnectNowError("starting up"),
        "socket": ConnectionRefusedError("127.0.0.1:5432"),
        "file": FileNotFoundError(2, "no such file", "/etc/thing"),
    }[what]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar(
        [cancel, read, search, row, moved, broken, private, lost],
        exception_handlers=HANDLERS,
        request_class=Request,
        request_max_body_size=1000,
        logging_config=None,
    )
    edge.install(app, Settings(access_log=False))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as requests:
        yield requests


def told(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"].endswith(".")
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


async def test_a_decimal_is_never_a_float(client: httpx.AsyncClient) -> None:
    answer = await client.post("/cancel", content=f'{{"reason": "x", "amount": {EXACT}}}')

    assert answer.text == EXACT


async def test_an_absent_body_is_none(client: httpx.AsyncClient) -> None:
    assert (await client.post("/cancel")).text == "nothing"


async def test_every_wrong_member_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/cancel", json={"amount": "much", "lines": [1, "two"]})

    body = told(answer, 422, "VALIDATION_ERROR")
    assert sorted(tuple(error["loc"]) for error in body["errors"]) == [
        ("body", "amount"),
        ("body", "lines", 1),
        ("body", "reason"),
    ]


async def test_an_unknown_field_is_refused_with_what_is_allowed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/cancel", json={"reason": "x", "id": 1})

    body = told(answer, 422, "UNKNOWN_FIELD")
    assert body["allowed"] == ["amount", "lines", "reason"]
    assert body["errors"][0]["loc"] == ["body", "id"]


@pytest.mark.parametrize("path", ["/cancel", "/read"])
async def test_what_is_not_json_is_malformed(client: httpx.AsyncClient, path: str) -> None:
    told(await client.post(path, content=b'{"reason": '), 400, "MALFORMED")
    told(await client.post(path, content=b"[" * 900), 400, "MALFORMED")
    told(await client.post(path, content=b"[]"), 422, "VALIDATION_ERROR")
    told(await client.post(path, content=b"\xff\xfe"), 400, "MALFORMED")


@pytest.mark.parametrize("path", ["/cancel", "/read"])
async def test_only_json_is_read(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"<a/>", headers={"Content-Type": "application/xml"})

    told(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_large_body_is_refused(client: httpx.AsyncClient) -> None:
    told(await client.post("/cancel", json={"reason": "x" * 2000}), 413, "PAYLOAD_TOO_LARGE")


async def test_a_parameter_is_explained(client: httpx.AsyncClient) -> None:
    body = told(await client.get("/search", params={"limit": "many"}), 422, "VALIDATION_ERROR")
    assert body["errors"][0]["loc"] == ["query", "limit"]

    body = told(await client.get("/search"), 422, "VALIDATION_ERROR")
    assert body["errors"][0] == {"loc": ["query", "limit"], "msg": "is required", "type": "missing"}


async def test_a_malformed_id_is_not_found(client: httpx.AsyncClient) -> None:
    told(await client.get("/rows/7"), 404, "NOT_FOUND")


async def test_what_is_not_there_and_what_is_not_done(client: httpx.AsyncClient) -> None:
    told(await client.get("/nothing"), 404, "NOT_FOUND")
    answer = await client.delete("/search")
    told(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_a_refused_token_says_how_to_authenticate(client: httpx.AsyncClient) -> None:
    answer = await client.get("/private")

    told(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_our_own_errors_keep_their_members(client: httpx.AsyncClient) -> None:
    body = told(await client.get("/moved"), 409, "INVALID_TRANSITION")

    assert (body["from"], body["to"], body["allowed"]) == ("filled", "cancelled", [])


async def test_a_bug_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/broken")

    told(answer, 500, "INTERNAL")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("what", ["redis", "database", "socket"])
async def test_a_lost_dependency_is_503(client: httpx.AsyncClient, what: str) -> None:
    answer = await client.get(f"/lost/{what}")

    told(answer, 503, "DEPENDENCY_DOWN")
    assert "127.0.0.1" not in answer.text


async def test_a_missing_file_is_a_bug_and_no_lost_database(client: httpx.AsyncClient) -> None:
    told(await client.get("/lost/file"), 500, "INTERNAL")
