"""Spans as a receiver gets them: of requests, of their statements, and of the jobs that they ask for."""

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, get, post
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.params import FromPath
from litestar.response import Stream
from sqlalchemy import text
from tests.core.collector import Collector
from tests.core.servers import free_port

from atrium.core import clock, tracing
from atrium.core.access import Principal
from atrium.core.config import InvalidSettings, Settings
from atrium.core.http import edge
from atrium.core.http import logging as logs
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import runtime_of
from atrium.core.jobs.queue import Task, enqueue, queues
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.tasks.worker import working

USER = clock.new_id()
SECRET_VALUE = "value-that-nobody-may-read"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
AnyRequest = Request[Any, Any, Any]
SERVER, CLIENT, CONSUMER = 2, 3, 5


class Everybody(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        return AuthenticationResult(Principal(USER, "user", frozenset()), None)


@get("/things/{thing:str}")
async def thing(request: AnyRequest, thing: FromPath[str]) -> str:
    runtime = runtime_of(request)
    await runtime.database.pool.fetch("SELECT $1::text AS from_the_pool", thing)
    async with unit_of_work(runtime) as work:
        await work.session.execute(text("SELECT :value ::text AS from_a_session"), {"value": thing})
    return "found"


@get("/wrong")
async def wrong(request: AnyRequest) -> None:
    await runtime_of(request).database.pool.fetch("SELECT $1::text::int AS wrong", SECRET_VALUE)


@get("/breaks")
async def breaks() -> Stream:
    async def pieces() -> AsyncIterator[str]:
        yield "begun"
        raise RuntimeError(SECRET_VALUE)

    return Stream(pieces())


@post("/jobs/{job:str}")
async def ask_for(request: AnyRequest, job: FromPath[str]) -> str:
    async with unit_of_work(runtime_of(request)) as work:
        return str((await enqueue(work, job, {"word": SECRET_VALUE})).id)


async def work_it(task: Task, word: str) -> None:
    await task.runtime.database.pool.fetch("SELECT $1::text AS from_a_job", word)


async def break_it(task: Task, word: str) -> None:
    raise RuntimeError(word)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@asynccontextmanager
async def serving(settings: Settings, **over: Any) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    prefix = f"{settings.redis_prefix}:{clock.new_id()}"
    changed = msgspec.structs.replace(settings, redis_prefix=prefix, database_pool_size=2, **over)
    logs.configure(changed)
    app = Litestar(
        [thing, wrong, breaks, ask_for],
        exception_handlers=HANDLERS,
        middleware=[DefineMiddleware(Everybody)],
        logging_config=None,
    )
    installed = edge.install(app, changed)
    async with Runtime.open(changed) as runtime, queues(runtime):
        app.state.runtime = runtime
        await installed.start(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield runtime, client
        await installed.stop()
    logs.configure(settings)


async def test_a_request_is_a_span_with_its_statements_below(settings: Settings, collector: Collector) -> None:
    async with serving(settings, otel_exporter_otlp_endpoint=collector.url, otel_service_name="tests") as (_, client):
        assert (await client.get(f"/things/{SECRET_VALUE}?q={SECRET_VALUE}", headers=TRACEPARENT)).status_code == 200
        await client.get("/nothing")

    found = collector.named("GET /things/{thing}")[0]
    assert (found.trace_id, found.parent_id, found.kind) == (TRACE, PARENT, SERVER)
    assert found.attributes["http.route"] == "/things/{thing}"
    assert found.attributes["http.response.status_code"] == 200
    assert found.attributes["enduser.pseudo.id"] == hashlib.sha256(str(USER).encode()).hexdigest()[:16]
    assert found.resource["service.name"] == "tests"
    below = [one.attributes["db.query.text"] for one in collector.below(found)]
    assert "SELECT $1::text AS from_the_pool" in below
    assert "SELECT $1 ::text AS from_a_session" in below
    assert {one.kind for one in collector.below(found)} == {CLIENT}
    nothing = collector.named("GET")[0]
    assert (nothing.attributes["http.response.status_code"], nothing.parent_id) == (404, "")
    assert all(SECRET_VALUE not in span.text and str(USER) not in span.text for span in collector.spans)


async def test_a_failure_is_marked_without_its_words(settings: Settings, collector: Collector) -> None:
    async with serving(settings, otel_exporter_otlp_endpoint=collector.url) as (_, client):
        assert (await client.get("/wrong")).status_code == 422

    failed = collector.below(collector.named("GET /wrong")[0])[0]
    assert failed.is_error
    assert failed.attributes["error.type"] in ("22P02", "DataError")
    assert SECRET_VALUE not in failed.text


async def test_an_answer_that_breaks_off_is_marked_without_its_words(settings: Settings, collector: Collector) -> None:
    async with serving(settings, otel_exporter_otlp_endpoint=collector.url) as (_, client):
        assert (await client.get("/breaks")).text == "begun"

    broken = collector.named("GET /breaks")[0]
    assert broken.is_error
    assert broken.attributes["error.type"]
    assert SECRET_VALUE not in broken.text


@pytest.mark.parametrize(("run", "is_error"), [(work_it, False), (break_it, True)])
async def test_a_job_continues_the_trace_of_its_request(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch, run: Any, is_error: bool
) -> None:
    monkeypatch.setitem(JOBS, "tests.traced", Job("tests.traced", "maintenance", run, max_attempts=1))
    async with serving(settings, otel_exporter_otlp_endpoint=collector.url) as (runtime, client):
        runtime.principals = _anybody
        async with working(runtime, ["default"]):
            answer = await client.post("/jobs/tests.traced", headers=TRACEPARENT)
            assert answer.status_code == 201, answer.text
            await _finished(runtime, UUID(answer.text))

    job = collector.named("job tests.traced")[0]
    assert (job.trace_id, job.kind, job.is_error) == (TRACE, CONSUMER, is_error)
    assert job.parent_id == collector.named("POST /jobs/{job}")[0].span_id
    assert job.attributes["messaging.message.id"] == answer.text
    statements = [one.attributes["db.query.text"] for one in collector.below(job)]
    assert ("SELECT $1::text AS from_a_job" in statements) is not is_error
    assert SECRET_VALUE not in "".join(span.text for span in collector.spans)


async def test_work_that_is_cancelled_has_not_failed(settings: Settings, collector: Collector) -> None:
    async def wait(tracing: Any) -> None:
        with tracing.job("tests.waiting", "1", 1):
            await asyncio.sleep(60)

    async with serving(settings, otel_exporter_otlp_endpoint=collector.url) as (runtime, _):
        waiting = asyncio.create_task(wait(runtime.tracing))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    assert not collector.named("job tests.waiting")[0].is_error


async def test_log_lines_name_the_trace(
    settings: Settings, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    watched = {"access_log": True, "slow_query_ms": 1}
    async with serving(settings, otel_exporter_otlp_endpoint=collector.url, **watched) as (runtime, client):
        await client.get("/things/x", headers=TRACEPARENT)
        await runtime.database.pool.fetch("SELECT pg_sleep(0.01)")

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    access = [line for line in lines if line.get("logger") == "access"]
    assert [line["trace_id"] for line in access] == [TRACE]
    alone = [line for line in lines if line["message"] == "slow_query" and "pg_sleep" in line["sql"]]
    assert ["trace_id" in line for line in alone] == [False]


async def test_a_receiver_that_is_away_disturbs_nobody(settings: Settings) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with serving(settings, otel_exporter_otlp_endpoint=nowhere) as (_, client):
        assert [(await client.get("/things/x")).status_code for _ in range(20)] == [200] * 20
        began = time.monotonic()
    assert time.monotonic() - began < 10


async def test_switched_off_nothing_is_traced(settings: Settings, collector: Collector) -> None:
    off = {"otel_enabled": False, "otel_exporter_otlp_endpoint": collector.url}
    async with serving(settings, **off) as (runtime, client):
        await client.get("/things/x", headers=TRACEPARENT)
        assert runtime.tracing is None

    assert collector.spans == []


def test_switched_off_the_libraries_are_not_even_imported() -> None:
    """Others may import what is installed; what sends spans is only ever imported by us."""
    program = "import sys, atrium.app; from atrium.core.config import Settings; atrium.app.create_app(Settings()); "
    shown = "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exp'))])"
    found = subprocess.run([sys.executable, "-c", program + shown], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_it_is_switched_on_by_naming_a_receiver_or_outright() -> None:
    assert not Settings.from_env({}).traces
    assert Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}).traces
    assert Settings.from_env({"OTEL_ENABLED": "true"}).traces
    assert not Settings.from_env(
        {"OTEL_ENABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    ).traces


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _name: None)

    with pytest.raises(InvalidSettings, match=r"OTEL_ENABLED: .* install atrium\[otel\]"):
        Settings.from_env({"OTEL_ENABLED": "true"})
    assert not Settings.from_env({}).traces


async def _anybody(user_id: UUID) -> Principal:
    return Principal(user_id, "user", frozenset())


async def _finished(runtime: Runtime, task_id: UUID) -> None:
    sql = "SELECT status FROM core.background_tasks WHERE id = $1"
    async with asyncio.timeout(15):
        while await runtime.database.pool.fetchval(sql, task_id) in ("queued", "running"):
            await asyncio.sleep(0.05)
