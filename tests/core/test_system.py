import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.openapi.config import OpenAPIConfig
from saq import Queue
from tests.core.servers import free_port

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.errors import Unauthenticated
from atrium.core.http import edge
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import Request
from atrium.core.jobs.pulse import beat, count
from atrium.core.runtime import Runtime
from atrium.core.system import doctor
from atrium.core.system.module import module
from atrium.core.system.services import Probe, bearer_of, find_caller

ADMIN, ADVISOR = {"Authorization": "Bearer admin"}, {"Authorization": "Bearer advisor"}
System = tuple[Runtime, httpx.AsyncClient]
CREDENTIAL = {"Authorization": "Bearer prometheus-credential"}


class Known:
    """Takes words for tokens."""

    def __init__(self) -> None:
        self.sessions = {word: Principal(clock.new_id(), word, frozenset({word})) for word in ("admin", "advisor")}

    def authenticate(self, token: str) -> Principal:
        if token not in self.sessions:
            raise Unauthenticated
        return self.sessions[token]


class Tokens(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        principal = find_caller(connection)
        if principal is None:
            raise Unauthenticated
        return AuthenticationResult(principal, bearer_of(connection))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    app = Litestar(
        module.controllers,
        exception_handlers=HANDLERS,
        request_class=Request,
        middleware=[DefineMiddleware(Tokens, exclude_from_auth_key="public")],
        openapi_config=OpenAPIConfig(title="Atrium", version="1", path="/docs/openapi", render_plugins=[]),
        logging_config=None,
    )
    installed = edge.install(app, settings)
    async with Runtime.open(settings) as runtime:
        runtime.authenticator = Known()
        app.state.runtime = runtime
        # Litestar's own lifespan must end in the task that began it, which a fixture cannot promise.
        await installed.start(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield runtime, client
        await installed.stop()


@pytest.fixture
def system_settings(settings: Settings) -> Settings:
    prefix = f"{settings.redis_prefix}:{clock.new_id()}"
    return msgspec.structs.replace(settings, redis_prefix=prefix, metrics_token="prometheus-credential")


@pytest.fixture
async def system(system_settings: Settings) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    async with running(system_settings) as both:
        yield both


@pytest.fixture
async def queued(system: System) -> AsyncIterator[None]:
    """One job in a queue of the test's own."""
    runtime, _ = system
    queue = Queue.from_url(runtime.settings.redis_url, name=str(clock.new_id()))
    await queue.enqueue("work", key=str(clock.new_id()))
    runtime.parts["queues"] = {"default": queue}
    yield
    await queue.disconnect()


async def test_the_documented_answers_to_the_letter(system: System) -> None:
    _, client = system

    assert (await client.get("/")).json() == {
        "message": "Welcome to Atrium",
        "version": "1.0.0",
        "status": "operational",
        "endpoints": {"health": "/health", "api_docs": "/docs", "websocket": "/ws/chat/{user_id}"},
    }
    assert (await client.get("/health")).text == '{"status":"healthy","database":"connected"}'
    for path in ("/api/hello", "/api/v1/assessments-platform/hello"):
        assert (await client.get(path)).json() == {"message": "Hello World"}
    for path in ("/health/live", "/health/ready"):
        assert (await client.get(path)).status_code == 200


async def test_a_worker_is_heard_or_missed(system: System) -> None:
    runtime, client = system

    before = (await client.get("/api/health")).json()
    await beat(runtime)
    await asyncio.sleep(1.1)
    after = (await client.get("/api/health")).json()

    assert (before["status"], before["services"]["worker"]) == ("degraded", "unhealthy")
    assert after["status"] == "healthy"
    assert after["services"] == {"database": "healthy", "redis": "healthy", "worker": "healthy"}
    assert (after["version"], after["timestamp"][-1]) == ("1.0.0", "Z")


async def test_job_counters_are_for_administrators(system: System, queued: None) -> None:
    _, client = system

    assert "jobs" not in (await client.get("/api/health", headers=ADVISOR)).json()
    jobs = (await client.get("/api/health", headers=ADMIN)).json()["jobs"]
    assert jobs == {"default": {"queued": 1, "active": 0, "scheduled": 0}}


async def test_without_redis_it_is_degraded(system_settings: Settings) -> None:
    gone = msgspec.structs.replace(system_settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with running(gone) as (_, client):
        answer = await client.get("/api/health")

        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["services"]["redis"] == "unhealthy"
        assert (await client.get("/health")).status_code == 200
        assert "redis_up 0.0" in (await client.get("/metrics", headers=ADMIN)).text


async def test_without_database_it_is_unhealthy(system: System) -> None:
    runtime, client = system
    whole = runtime.database
    broken = await asyncpg.create_pool(str(runtime.settings.database_url), min_size=0, max_size=2, port=free_port())
    runtime.database = replace(whole, pool=broken)

    health, details, ready = [await client.get(path) for path in ("/health", "/api/health", "/health/ready")]
    runtime.database = whole

    assert (health.status_code, health.text) == (503, '{"status":"unhealthy","database":"disconnected"}')
    assert (details.status_code, details.json()["status"]) == (503, "unhealthy")
    assert ready.status_code == 503


async def test_a_busy_pool_is_no_dead_database(system: System) -> None:
    runtime, client = system
    pool = runtime.database.pool
    held = [await pool.acquire() for _ in range(pool.get_max_size())]

    answer = await client.get("/health")

    for connection in held:
        await pool.release(connection)
    assert answer.status_code == 200


async def test_a_hanging_dependency_is_waited_for_briefly_and_asked_once() -> None:
    asked = 0

    async def hang() -> bool:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)
        return True

    probe = Probe("database", hang, patience=0.1)
    began = time.monotonic()
    answers = await asyncio.gather(*(probe() for _ in range(20)))

    assert (set(answers), asked) == ({False}, 1)
    assert time.monotonic() - began < 1
    assert await probe() is False
    assert asked == 1


async def test_a_leaving_process_is_not_ready(system: System) -> None:
    runtime, client = system
    runtime.draining = True

    answer = await client.get("/health/ready")

    assert (answer.status_code, answer.headers["connection"]) == (503, "close")
    assert (await client.get("/health/live")).status_code == 200


async def test_metrics_are_for_those_who_may(system: System) -> None:
    runtime, client = system

    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers=ADVISOR)).status_code == 403
    assert (await client.get("/metrics", headers=ADMIN)).status_code == 200
    assert (await client.get("/metrics", headers=CREDENTIAL)).status_code == 200
    nearby = msgspec.structs.replace(runtime.settings, metrics_allow=("192.0.2.0/24",))
    async with running(nearby) as (_, allowed):
        assert (await allowed.get("/metrics")).status_code == 200


async def test_metrics_tell_requests_pools_queues_and_tasks(system: System, queued: None) -> None:
    runtime, client = system
    await count(runtime, "report", "succeeded")
    await client.get("/nothing")

    answer = await client.get("/metrics", headers=ADMIN)

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for pattern in (
        r'^http_requests_total\{method="GET",route="\(none\)",status="404"\} 1.0$',
        r'^http_request_duration_seconds_bucket\{le="\+Inf",method="GET",route="\(none\)",status="404"\} 1.0$',
        r'^database_pool_connections\{pool="reads",state="idle"\} ',
        r'^queue_jobs\{queue="default",state="queued"\} 1.0$',
        r'^background_tasks_total\{kind="report",status="succeeded"\} 1.0$',
        r"^websocket_connections 0.0$",
        r"^redis_up 1.0$",
        r"^process_resident_memory_bytes ",
    ):
        assert re.search(pattern, answer.text, re.MULTILINE), pattern


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_documentation_needs_no_network(system: System, path: str) -> None:
    _, client = system

    page = await client.get(path)

    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text
    assert "<script>" not in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) >= 3
    for file in files:
        answer = await client.get(file)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert (await client.get(file, headers={"If-None-Match": answer.headers["etag"]})).status_code == 304


async def test_only_the_named_files_are_served(system: System) -> None:
    _, client = system

    for name in ("redoc.LICENSE.txt", "..%2Fmodule.py", "%2e%2e", "x.js"):
        assert (await client.get(f"/docs/static/{name}")).status_code == 404


async def test_the_document_is_built_once_and_packed(system: System) -> None:
    runtime, client = system

    plain, packed = await asyncio.gather(
        client.get("/openapi.json", headers={"Accept-Encoding": "identity"}), client.get("/openapi.json")
    )

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.json() == packed.json()
    assert {"/health", "/api/hello", "/api/v1/admin/saq-ticket"} <= plain.json()["paths"].keys()
    assert "/api/v1/assessments-platform/hello" not in plain.json()["paths"]
    answers = plain.json()["paths"]["/health"]["get"]["responses"]
    for status in ("200", "503"):
        assert answers[status]["content"]["application/json"]["schema"]["$ref"].endswith("/Health")
    again = await client.get("/openapi.json", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert gzip.decompress(runtime.parts["openapi"].result().packed) == plain.content


@pytest.mark.parametrize("path", ["/saq", "/saq/", "/saq/static/app.js", "/saq/api/queues", "/saq/queues/default"])
async def test_the_monitor_is_for_administrators(system: System, path: str) -> None:
    _, client = system

    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=ADVISOR)).status_code == 403
    assert (await client.get(path, headers=ADMIN)).status_code == 200
    assert (await client.get(path, params={"ticket": "guessed"})).status_code == 401
    assert (await client.get(path, headers={"Cookie": "atrium_monitor=guessed"})).status_code == 401


async def test_a_ticket_opens_the_monitor_in_a_browser_once(system: System) -> None:
    runtime, client = system
    user, family = await _sign_in(runtime)
    runtime.authenticator.sessions["admin"] = Principal(user, "admin", frozenset({"admin"}), session_id=family)  # type: ignore[union-attr]

    assert (await client.post("/api/v1/admin/saq-ticket", headers=ADVISOR)).status_code == 403
    ticket = (await client.post("/api/v1/admin/saq-ticket", headers=ADMIN)).json()
    assert ticket["expires_in"] == 60
    opened = await client.get(ticket["url"])

    assert (opened.status_code, opened.headers["location"]) == (303, "/saq")
    cookie = opened.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "Path=/saq", "SameSite=strict"))
    for path in ("/saq", "/saq/static/app.js", "/saq/static/root.js", "/saq/static/pico.min.css", "/saq/api/queues"):
        assert (await client.get(path)).status_code == 200
    client.cookies.clear()
    assert (await client.get(ticket["url"])).status_code == 401


async def test_the_cookie_ends_with_the_session_and_serves_only_its_page(system: System, queued: None) -> None:
    runtime, client = system
    user, family = await _sign_in(runtime)
    runtime.authenticator.sessions["admin"] = Principal(user, "admin", frozenset({"admin"}), session_id=family)  # type: ignore[union-attr]
    await client.get((await client.post("/api/v1/admin/saq-ticket", headers=ADMIN)).json()["url"])
    job = (await client.get("/saq/api/queues/default")).json()["queue"]["jobs"][0]["key"]
    abort = f"/saq/api/queues/default/jobs/{job}/abort"

    assert (await client.post(abort, headers={"Origin": "http://evil.localhost"})).status_code == 403
    assert (await client.post(abort, headers={"Sec-Fetch-Site": "same-site"})).status_code == 403
    assert (await client.post(abort, headers={"Origin": "http://localhost"})).status_code == 200
    await runtime.database.pool.execute("UPDATE core.sessions SET revoked_at = now() WHERE family_id = $1", family)
    assert (await client.get("/saq")).status_code == 401


async def test_the_doctor_finds_what_is_wrong(system_settings: Settings) -> None:
    well = await doctor.examine(system_settings, current=lambda _url: "b", head=lambda: "b")
    assert doctor.is_fit(well), doctor.render(well)
    assert {"PostgreSQL", "migrations", "disk", "Python"} <= {
        finding.subject for finding in well if finding.level == "ok"
    }

    behind = await doctor.examine(system_settings, current=lambda _url: "a", head=lambda: "b")
    assert "the database is at a, the code at b" in doctor.render(behind)
    assert "Run `atrium database upgrade`." in doctor.render(behind)
    assert not doctor.is_fit(behind)

    gone = msgspec.structs.replace(
        system_settings,
        database_url=f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x",
        redis_url=f"redis://127.0.0.1:{free_port()}/0",
    )
    failed = await doctor.examine(gone, current=lambda _url: "b", head=lambda: "b")
    assert {finding.subject for finding in failed if finding.level == "fail"} == {"PostgreSQL", "Redis"}
    assert "hunter2" not in doctor.render(failed)

    unset = doctor.render(await doctor.examine(Settings(environment="test", database_url="", redis_url="")))
    assert "DATABASE_URL is not set" in unset
    assert "REDIS_URL is not set" in unset

    nobody = re.sub(r"//[^/]*@", "//nobody-at-all:hunter2@", system_settings.database_url)
    refused = doctor.render(await doctor.examine(msgspec.structs.replace(system_settings, database_url=nobody)))
    assert "correct user, password or database in DATABASE_URL" in refused
    assert "migrations" not in refused


async def _sign_in(runtime: Runtime) -> tuple[UUID, UUID]:
    user, family, pool = clock.new_id(), clock.new_id(), runtime.database.pool
    await pool.execute(
        "INSERT INTO core.users (id, email, name, hashed_password, is_superuser) VALUES ($1, $2, 'A', 'x', true)",
        user,
        f"{user}@example.com",
    )
    await pool.execute(
        "INSERT INTO core.sessions (id, user_id, family_id, token_sha256, issued_at, expires_at) "
        "VALUES ($1, $2, $1, $3, now(), now() + interval '1 day')",
        family,
        user,
        family.bytes,
    )
    return user, family
