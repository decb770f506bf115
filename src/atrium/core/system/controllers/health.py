"""Is it there, is it well, what is it doing: for people, orchestrators and Prometheus."""

import asyncio
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec

from atrium.core.access import Principal
from atrium.core.clock import now, stamp
from atrium.core.http import metrics
from atrium.core.http.requests import json, runtime_of
from atrium.core.resources.openapi import verb
from atrium.core.runtime import Runtime
from atrium.core.system.schemas import Health, HealthDetails, Hello, Readiness, Welcome
from atrium.core.system.services import VERSION, check_metrics_access, find_caller, probes_of

AnyRequest = Request[Any, Any, Any]
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
WELCOME = {
    "message": "Welcome to Atrium",
    "version": VERSION,
    "status": "operational",
    "endpoints": {"health": "/health", "api_docs": "/docs", "websocket": "/ws/chat/{user_id}"},
}
HELLO = {"message": "Hello World"}
WELL = {"status": "healthy", "database": "connected"}
ILL = {"status": "unhealthy", "database": "disconnected"}


def described(kind: type[msgspec.Struct], *, unwell: bool = False) -> dict[str, Any]:
    """What the OpenAPI document says of a route that answers bytes to anybody."""
    responses = {200: ResponseSpec(kind, description="As documented", generate_examples=False)}
    if unwell:
        responses[503] = ResponseSpec(kind, description="Not now", generate_examples=False)
    return {"public": True, "security": [{}], "responses": responses}


class HealthController(Controller):
    tags = ("system",)

    @get("/", operation_id="welcome", summary="What this is and where to look next", **described(Welcome))
    async def welcome(self) -> Response[bytes]:
        """Name, version and the most useful paths."""
        return json(WELCOME)

    @get("/api/hello", operation_id="hello", summary="Say hello", **described(Hello))
    async def hello(self) -> Response[bytes]:
        """The smallest answer there is, for a first try."""
        return json(HELLO)

    @get("/api/v1/assessments-platform/hello", public=True, include_in_schema=False)
    async def hello_versioned(self) -> Response[bytes]:
        return json(HELLO)

    @get("/health", operation_id="health", summary="Is the system healthy", **described(Health, unwell=True))
    async def health(self, request: AnyRequest) -> Response[bytes]:
        """Whether the database answers: 200 or 503, always with the same two keys."""
        well = await probes_of(runtime_of(request)).database()
        return json(WELL) if well else json(ILL, 503)

    @get("/health/live", operation_id="healthLive", summary="Does the process run", **described(Readiness))
    async def live(self) -> Response[bytes]:
        """For orchestrators: a process that answers is alive, whatever its dependencies do."""
        return json({"status": "alive"})

    @get(
        "/health/ready",
        operation_id="healthReady",
        summary="May the process take traffic",
        **described(Readiness, unwell=True),
    )
    async def ready(self, request: AnyRequest) -> Response[bytes]:
        """For orchestrators: 503 while the process is leaving or has no database."""
        runtime = runtime_of(request)
        if runtime.draining:
            return json({"status": "draining"}, 503)
        well = await probes_of(runtime).database()
        return json({"status": "ready"}) if well else json({"status": "unavailable"}, 503)

    @get(
        "/api/health",
        operation_id="healthDetails",
        summary="How every part is",
        **described(HealthDetails, unwell=True),
    )
    async def details(self, request: AnyRequest) -> Response[bytes]:
        """Database, Redis and workers. Without Redis or workers the system is degraded, without database unhealthy.

        An administrator also sees how many jobs wait and run in every queue.
        """
        runtime = runtime_of(request)
        body, well = await _details(runtime, find_caller(request))
        return json(body, 200 if well else 503)

    @get(
        "/metrics",
        public=True,
        operation_id="metrics",
        operation_class=verb(refused="401 403"),
        summary="Figures for Prometheus",
        security=[{}, {"bearer": []}],
        responses={200: ResponseSpec(str, description="The figures", media_type="text/plain", generate_examples=False)},
    )
    async def metrics(self, request: AnyRequest) -> Response[bytes]:
        """Requests, latency, database pools, queues, tasks and sockets of all processes on this machine.

        For administrators, for addresses of METRICS_ALLOW, and for the bearer credential METRICS_TOKEN.
        """
        check_metrics_access(request)
        return Response(await metrics.exposition(runtime_of(request)), media_type=PROMETHEUS)


async def _details(runtime: Runtime, principal: Principal | None) -> tuple[dict[str, Any], bool]:
    probes = probes_of(runtime)
    database, redis, worker = await asyncio.gather(probes.database(), probes.redis(), probes.worker())
    services = {"database": database, "redis": redis, "worker": worker}
    body: dict[str, Any] = {
        "status": "unhealthy" if not database else "healthy" if redis and worker else "degraded",
        "database": "connected" if database else "disconnected",
        "services": {name: "healthy" if well else "unhealthy" for name, well in services.items()},
        "version": VERSION,
        "timestamp": stamp(now()),
    }
    if principal is not None and principal.is_admin and redis:
        body["jobs"] = await metrics.queue_depths(runtime)
    return body, database
