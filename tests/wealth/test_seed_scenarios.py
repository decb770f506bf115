"""The scenarios of the documented wealth backend that are about the whole application.

Those about one resource stand with it: test_clients.py, test_orders.py, test_growth_scan.py.
"""

import json
from typing import Any

import httpx
import pytest
from tests.core.factories import an_account
from tests.wealth.factories import an_advisor
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from atrium.app import MODULES, create_app
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.db.entity import Row
from atrium.core.runtime import Runtime

FRONTEND = "http://localhost:5173"
CHAT = ("conversations", "messages", "conversation_summaries")


async def test_application_starts_and_health_check_returns_ok(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "database": "connected"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/clients"), ("PUT", "/api/v1/clients/1"), ("POST", "/x")])
async def test_cors_allows_frontend_origin(client: httpx.AsyncClient, method: str, path: str) -> None:
    asked = {"Origin": FRONTEND, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "if-match"}

    allowed = await client.options(path, headers=asked)
    foreign = await client.options(path, headers={**asked, "Origin": "https://evil.example"})

    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == FRONTEND
    assert method in allowed.headers["access-control-allow-methods"]
    assert foreign.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


async def test_an_actual_answer_carries_the_cors_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health", headers={"Origin": FRONTEND})

    assert answer.headers["access-control-allow-origin"] == FRONTEND
    assert "etag" in answer.headers["access-control-expose-headers"].lower()


def test_all_api_routes_are_versioned() -> None:
    technical = ("/health", "/api/health", "/api/hello", "/docs", "/redoc", "/openapi", "/metrics", "/saq", "/ws")
    versioned = ("/api/v1/", "/api/auth")
    paths = {route.path for route in create_app(Settings(environment="test")).routes}

    stray = [path for path in paths if path != "/" and not path.startswith((*versioned, *technical))]

    assert stray == []
    assert all(resource.path.startswith("/api/v1/") for module in MODULES for resource in module.resources)


async def test_user_signs_in_with_email_and_password(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime, roles=("wealth_advisor",))

    answer = await client.post("/api/v1/auth/login", json={"email": account.email, "password": account.password})

    assert answer.status_code == 200
    assert {"access_token", "refresh_token"} <= answer.json().keys()
    assert answer.json()["role"] == "wealth_advisor"


async def test_alembic_migration_creates_all_tables(runtime: Runtime) -> None:
    rows = await runtime.database.pool.fetch(
        "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
        list(migrations.SCHEMAS),
    )

    assert {row["name"] for row in rows} == set(Row.metadata.tables)


async def test_new_conversation_tables_are_created(runtime: Runtime) -> None:
    rows = await runtime.database.pool.fetch(
        "SELECT DISTINCT conrelid::regclass::text AS name, confrelid::regclass::text AS parent FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid = ANY($1::regclass[])",
        [f"core.{name}" for name in CHAT],
    )

    keys = {(row["name"], row["parent"]) for row in rows}
    assert ("core.conversations", "core.users") in keys
    assert {(f"core.{name}", "core.conversations") for name in CHAT[1:]} <= keys


async def test_websocket_connection_established_with_valid_token(server: str, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)

    async with connect(_chat(server, advisor.headers["Authorization"].removeprefix("Bearer "))) as socket:
        frame: dict[str, Any] = json.loads(await socket.recv())

    assert (frame["type"], frame["event"], frame["user_id"]) == ("system", "connected", str(advisor.user_id))


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
async def test_websocket_rejects_invalid_token(server: str, token: str) -> None:
    async with connect(_chat(server, token)) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def _chat(server: str, token: str) -> str:
    return f"{server.replace('http', 'ws', 1)}/ws/chat?token={token}"
