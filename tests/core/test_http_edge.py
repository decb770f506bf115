import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar, Response, get, head
from litestar.config.cors import CORSConfig
from litestar.params import FromPath

from atrium.core.config import Settings
from atrium.core.http import edge
from atrium.core.http.problems import HANDLERS

Install = Callable[..., Any]


@get("/things/{thing:str}")
async def thing(thing: FromPath[str]) -> dict[str, str]:
    return {"thing": thing}


@get("/cached")
async def cached() -> Response[str]:
    return Response("x", headers={"Cache-Control": "max-age=60", "Content-Security-Policy": "default-src 'self'"})


@head("/tus")
async def tus() -> Response[None]:
    return Response(None, headers={"Upload-Offset": "3"})


@get("/broken")
async def broken() -> None:
    raise RuntimeError("oh")


@get("/health/live")
async def live() -> str:
    return "alive"


@pytest.fixture
async def clients() -> AsyncIterator[Install]:
    opened: list[httpx.AsyncClient] = []

    def make(scheme: str = "http", host: str = "localhost", **settings: Any) -> httpx.AsyncClient:
        app = Litestar(
            [thing, cached, tus, broken, live],
            exception_handlers=HANDLERS,
            cors_config=CORSConfig(allow_origins=["http://localhost:5173"]),
            logging_config=None,
        )
        installed = edge.install(app, Settings(**{"access_log": False, **settings}))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),  # type: ignore[arg-type]
            base_url=f"{scheme}://{host}",
        )
        client.edge = installed  # type: ignore[attr-defined]
        opened.append(client)
        return client

    yield make
    for client in opened:
        await client.aclose()


@pytest.mark.parametrize("path", ["/things/1", "/nothing", "/broken"])
async def test_every_answer_has_the_security_headers(clients: Install, path: str) -> None:
    answer = await clients().get(path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["server-timing"].startswith("app;dur=")
    assert "strict-transport-security" not in answer.headers


async def test_tls_is_remembered(clients: Install) -> None:
    assert "max-age" in (await clients("https").get("/things/1")).headers["strict-transport-security"]


async def test_a_response_may_decide_for_itself(clients: Install) -> None:
    headers = (await clients().get("/cached")).headers

    assert headers.get_list("cache-control") == ["max-age=60"]
    assert headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_a_harmless_request_id_is_taken_over(clients: Install) -> None:
    client = clients()

    kept = await client.get("/nothing", headers={"X-Request-Id": "abc-1.2_3"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "abc-1.2_3"

    for bad in ("x" * 65, "a b", '"', "ä".encode()):
        made = await client.get("/nothing", headers={"X-Request-Id": bad})
        assert len(made.headers["x-request-id"]) == 36


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (("localhost",), "localhost:8000", 200),
        (("localhost",), "LOCALHOST", 200),
        (("localhost",), "evil.example", 400),
        (("localhost",), "localhost.evil.example", 400),
        (("[::1]",), "[::1]:8000", 200),
        (("*.example.com",), "api.example.com:443", 200),
        (("*.example.com",), "example.com", 400),
        (("*",), "anything", 200),
    ],
)
async def test_only_our_hosts(clients: Install, allowed: tuple[str, ...], host: str, status: int) -> None:
    answer = await clients(allowed_hosts=allowed).get("/things/1", headers={"Host": host})

    assert answer.status_code == status
    if status == 400:
        assert answer.json()["code"] == "INVALID_HOST"


async def test_a_probe_may_address_a_process_by_any_name(clients: Install) -> None:
    assert (await clients().get("/health/live", headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_head_is_get_without_its_body(clients: Install) -> None:
    client = clients()

    answer = await client.head("/things/1")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "13")
    assert (await client.head("/tus")).headers["upload-offset"] == "3"
    assert (await client.head("/nothing")).status_code == 404


async def test_requests_are_counted_by_route_and_status(clients: Install) -> None:
    client = clients()

    for path in ("/things/1", "/things/2", "/nothing", "/broken"):
        await client.get(path)

    counted = {key: value.total for key, value in client.edge.metrics.requests.items()}
    assert counted == {
        ("GET", "/things/{thing}", 200): 2,
        ("GET", "(none)", 404): 1,
        ("GET", "/broken", 500): 1,
    }
    assert client.edge.metrics.in_flight == 0


async def test_one_line_per_request(clients: Install) -> None:
    client = clients(access_log=True)
    reading, writing = os.pipe()
    client.edge.access_log._descriptor = writing

    await client.get("/things/1?token=eyJsecret")
    await client.get("/no/eyJhbGciOiJI.eyJzdWIi.sig", headers={"X-Request-Id": "mark"})
    client.edge.access_log.flush()

    first, second = map(json.loads, os.read(reading, 10_000).splitlines())
    assert (first["method"], first["path"], first["status"]) == ("GET", "/things/{thing}", 200)
    assert (second["path"], second["status"], second["request_id"]) == ("/no/[hidden]", 404, "mark")
    os.close(reading)
    os.close(writing)


async def test_a_preflight_has_them_too(clients: Install) -> None:
    answer = await clients().options(
        "/things/1", headers={"Origin": "http://localhost:5173", "Access-Control-Request-Method": "GET"}
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "x-request-id" in answer.headers
