"""SAQ's monitor at `/saq`, for administrators only, its static files included."""

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import Redirect
from saq.job import Job
from saq.queue import Queue
from saq.web.common import STATIC_PATH, job_dict

from atrium.core.errors import Forbidden, NotFound, Unauthenticated
from atrium.core.http.requests import json, runtime_of
from atrium.core.resources.openapi import verb
from atrium.core.runtime import Runtime
from atrium.core.system import tickets
from atrium.core.system.assets import Asset, Shelf
from atrium.core.system.schemas import MonitorTicket
from atrium.core.system.services import bearer_of, get_administrator

AnyRequest = Request[Any, Any, Any]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE = Asset(
    b"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atrium: queues</title>
<link rel="stylesheet" href="/saq/static/pico.min.css">
</head>
<body>
<div id="app"></div>
<script src="/saq/static/root.js"></script>
<script src="/saq/static/snabbdom.js"></script>
<script src="/saq/static/app.js"></script>
</body>
</html>
""",
    "text/html",
)
# SAQ's script knows its first page only with the slash at the end.
START = """\
const root_path = "/saq";
if (window.location.pathname === root_path) {
  window.history.replaceState(null, "", root_path + "/");
}
"""
SAFE = ("GET", "HEAD", "OPTIONS")
shelf = Shelf(
    STATIC_PATH,
    {"pico.min.css": "pico.min.css.gz", "snabbdom.js": "snabbdom.js.gz", "app.js": "app.js"},
    {"root.js": START},
)


async def administrators_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A bearer token, the monitor's cookie, or a ticket that the page itself will redeem."""
    if bearer_of(connection) is not None:
        get_administrator(connection)
        return
    if connection.scope["path"] == tickets.PATH and "ticket" in connection.query_params:
        return
    cookie = connection.cookies.get(tickets.COOKIE)
    if cookie is None or not await tickets.admits(runtime_of(connection), cookie):
        raise Unauthenticated(
            "The monitor needs an administrator's token, or a ticket from POST /api/v1/admin/saq-ticket."
        )
    headers = connection.headers
    if connection.scope.get("method") not in SAFE and not tickets.is_own_page(
        headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site")
    ):
        raise Forbidden("The monitor's own page must send this.")


class MonitorController(Controller):
    path = tickets.PATH
    include_in_schema = False
    guards = (administrators_only,)
    opt = {"public": True}  # noqa: RUF012  Litestar reads it; the guard above decides

    @get("/")
    async def index(self, request: AnyRequest) -> Response[Any]:
        ticket = request.query_params.get("ticket")
        if ticket is None or bearer_of(request) is not None:
            return _page(request)
        cookie = await tickets.redeem(runtime_of(request), ticket, secure=request.scope["scheme"] == "https")
        if cookie is None:
            raise Unauthenticated("The ticket was used already or has expired. Ask for a new one.")
        return Redirect(tickets.PATH, status_code=303, cookies=[cookie])

    @get(["/queues/{queue:str}", "/queues/{queue:str}/jobs/{job:str}"])
    async def page(self, request: AnyRequest) -> Response[bytes]:
        return _page(request)

    @get("/static/{name:str}")
    async def static(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        asset = await shelf.find(name)
        if asset is None:
            raise NotFound
        return asset.answer(request, "private, no-cache")

    @get("/api/queues")
    async def queues(self, request: AnyRequest) -> Response[bytes]:
        return json({"queues": [await queue.info() for queue in _queues(runtime_of(request)).values()]})

    @get("/api/queues/{queue:str}")
    async def queue(self, request: AnyRequest, queue: FromPath[str]) -> Response[bytes]:
        return json({"queue": await _queue(request, queue).info(jobs=True)})

    @get("/api/queues/{queue:str}/jobs/{job:str}")
    async def job(self, request: AnyRequest, queue: FromPath[str], job: FromPath[str]) -> Response[bytes]:
        return json({"job": job_dict(await _job(request, queue, job))})

    @post("/api/queues/{queue:str}/jobs/{job:str}/retry", status_code=200)
    async def retry(self, request: AnyRequest, queue: FromPath[str], job: FromPath[str]) -> Response[bytes]:
        await (await _job(request, queue, job)).retry("retried by an administrator")
        return json({})

    @post("/api/queues/{queue:str}/jobs/{job:str}/abort", status_code=200)
    async def abort(self, request: AnyRequest, queue: FromPath[str], job: FromPath[str]) -> Response[bytes]:
        await (await _job(request, queue, job)).abort("aborted by an administrator")
        return json({})


class TicketController(Controller):
    tags = ("system",)

    @post(
        "/api/v1/admin/saq-ticket",
        status_code=200,
        operation_id="createMonitorTicket",
        operation_class=verb(refused="401 403"),
        summary="Open the queue monitor",
        responses={200: ResponseSpec(MonitorTicket, description="The link", generate_examples=False)},
    )
    async def create(self, request: AnyRequest) -> Response[bytes]:
        """A link that opens the monitor in a browser once, within a minute. For administrators."""
        if not request.user.is_admin:
            raise Forbidden("Only an administrator may open the monitor.")
        ticket = await tickets.issue(runtime_of(request), request.user)
        return json({"url": f"{tickets.PATH}?ticket={ticket}", "expires_in": tickets.TICKET_LASTS})


def _page(request: AnyRequest) -> Response[bytes]:
    return PAGE.answer(request, "no-store", **{"Content-Security-Policy": POLICY})


def _queues(runtime: Runtime) -> dict[str, Queue]:
    return runtime.parts.get("queues") or {}


def _queue(request: AnyRequest, name: str) -> Queue:
    queue = _queues(runtime_of(request)).get(name)
    if queue is None:
        raise NotFound
    return queue


async def _job(request: AnyRequest, queue: str, key: str) -> Job:
    job = await _queue(request, queue).job(key)
    if job is None:
        raise NotFound
    return job
