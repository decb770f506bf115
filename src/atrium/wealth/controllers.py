"""The verbs that CRUD cannot say."""

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, post
from litestar.params import FromPath, JSONBody

from atrium.core.http.requests import Request, caller_of, json, row_id, runtime_of
from atrium.core.resources.doors.path import if_match_of
from atrium.core.resources.doors.writing import matching
from atrium.core.resources.openapi import one_of, verb
from atrium.core.services import Work, transact
from atrium.wealth.resources import opportunities, orders
from atrium.wealth.schemas import (
    CancelOrder,
    DismissOpportunity,
    GrowthScanRequest,
    Nothing,
    SnoozeOpportunity,
    SubmitOrder,
)
from atrium.wealth.services.growth import GrowthScanService
from atrium.wealth.services.opportunities import OpportunityService
from atrium.wealth.services.orders import OrderService

STEP = "400 401 403 404 409 412 422"
REQUEST = "400 401 403 404 409 422"


class OrderController(Controller):
    path = "/api/v1/orders"
    tags = ("wealth-orders",)

    @post(
        "/{order_id:str}/confirm",
        status_code=200,
        operation_id="confirmOrder",
        operation_class=verb(one_of(orders), refused=STEP, example={}, query=matching),
        summary="Confirm an order",
        description="Places a draft: it becomes pending.",
    )
    async def confirm(
        self,
        request: Request,
        order_id: FromPath[str],
        data: JSONBody[Nothing | None] = None,  # noqa: ARG002  what it must not contain is refused
    ) -> Response[bytes]:
        return await _order_step(request, order_id, "confirm", "wealth.orders.create")

    @post(
        "/{order_id:str}/submit",
        status_code=200,
        operation_id="submitOrder",
        operation_class=verb(one_of(orders), refused=STEP, example={"acknowledge_warnings": True}, query=matching),
        summary="Submit an order",
        description="Sends a pending order to be traded.",
    )
    async def submit(
        self,
        request: Request,
        order_id: FromPath[str],
        data: JSONBody[SubmitOrder | None] = None,  # noqa: ARG002  what it must not contain is refused
    ) -> Response[bytes]:
        return await _order_step(request, order_id, "submit", "wealth.orders.submit")

    @post(
        "/{order_id:str}/cancel",
        status_code=200,
        operation_id="cancelOrder",
        operation_class=verb(
            one_of(orders), refused=STEP, example={"reason": "The client changed her mind."}, query=matching
        ),
        summary="Cancel an order",
        description="Only while it may still trade; else 409 with what is allowed.",
    )
    async def cancel(
        self, request: Request, order_id: FromPath[str], data: JSONBody[CancelOrder | None] = None
    ) -> Response[bytes]:
        return await _order_step(request, order_id, "cancel", "wealth.orders.cancel", data.reason if data else None)


async def _order_step(
    request: Request, order_id: str, action: str, permission: str, reason: str | None = None
) -> Response[bytes]:
    caller = caller_of(request)
    caller.principal.require(permission)

    async def run(work: Work) -> Response[bytes]:
        service, chosen, version = OrderService(work), row_id(order_id), if_match_of(request)
        if version is not None:
            await orders.require_version(work, chosen, (await service.get_writable(chosen)).version, version)
        order = await service.take(chosen, action, reason)
        return _answer(await orders.render(work, order.id), order.version)

    return await transact(runtime_of(request), caller, run, action=action, reason=reason)


class OpportunityController(Controller):
    path = "/api/v1/insights/opportunities"
    tags = ("wealth-insights",)

    @post(
        "/{opportunity_id:str}/start",
        status_code=200,
        operation_id="startOpportunity",
        operation_class=verb(one_of(opportunities), refused=STEP, example={}, query=matching),
        summary="Start on an opportunity",
        description="Somebody works on it from now on.",
    )
    async def start(
        self,
        request: Request,
        opportunity_id: FromPath[str],
        data: JSONBody[Nothing | None] = None,  # noqa: ARG002  what it must not contain is refused
    ) -> Response[bytes]:
        return await _opportunity_step(request, opportunity_id, "start")

    @post(
        "/{opportunity_id:str}/win",
        status_code=200,
        operation_id="winOpportunity",
        operation_class=verb(one_of(opportunities), refused=STEP, example={}, query=matching),
        summary="Win an opportunity",
        description="It came to something and is closed.",
    )
    async def win(
        self,
        request: Request,
        opportunity_id: FromPath[str],
        data: JSONBody[Nothing | None] = None,  # noqa: ARG002  what it must not contain is refused
    ) -> Response[bytes]:
        return await _opportunity_step(request, opportunity_id, "win")

    @post(
        "/{opportunity_id:str}/snooze",
        status_code=200,
        operation_id="snoozeOpportunity",
        operation_class=verb(one_of(opportunities), refused=STEP, example={"until": "2030-01-15"}, query=matching),
        summary="Snooze an opportunity",
        description="It comes back on the named day.",
    )
    async def snooze(
        self, request: Request, opportunity_id: FromPath[str], data: JSONBody[SnoozeOpportunity]
    ) -> Response[bytes]:
        return await _opportunity_step(request, opportunity_id, "snooze", until=data.until)

    @post(
        "/{opportunity_id:str}/dismiss",
        status_code=200,
        operation_id="dismissOpportunity",
        operation_class=verb(
            one_of(opportunities), refused=STEP, example={"reason": "Already discussed in May."}, query=matching
        ),
        summary="Dismiss an opportunity",
        description="It is not worth pursuing; the reason is kept.",
    )
    async def dismiss(
        self, request: Request, opportunity_id: FromPath[str], data: JSONBody[DismissOpportunity]
    ) -> Response[bytes]:
        return await _opportunity_step(request, opportunity_id, "dismiss", reason=data.reason)


async def _opportunity_step(
    request: Request, opportunity_id: str, action: str, *, until: date | None = None, reason: str | None = None
) -> Response[bytes]:
    caller = caller_of(request)
    caller.principal.require("wealth.opportunities.update")

    async def run(work: Work) -> Response[bytes]:
        service, chosen, version = OpportunityService(work), row_id(opportunity_id), if_match_of(request)
        if version is not None:
            await opportunities.require_version(work, chosen, (await service.get_writable(chosen)).version, version)
        row = await service.take(chosen, action, until=until, reason=reason)
        return _answer(await opportunities.render(work, row.id), row.version)

    return await transact(runtime_of(request), caller, run, action=action, reason=reason)


def _answer(body: bytes, version: int) -> Response[bytes]:
    return json(body, headers={"ETag": f'"{version}"'})


class QueuedScan(msgspec.Struct):
    """A scan that a worker will do; the task says how far it is."""

    task_id: UUID
    status: Literal["queued"]
    scan_id: UUID


class GrowthScanController(Controller):
    path = "/api/v1/insights/growth-scan"
    tags = ("wealth-insights",)

    @post(
        "",
        status_code=202,
        operation_id="requestGrowthScan",
        operation_class=verb(QueuedScan, refused=REQUEST, example={"rules": ["KYC_GAP", "REVIEW_DUE"]}),
        summary="Request a growth scan",
        description="Looks for what needs attention in a book: gaps in KYC, lapsed contacts, due reviews, birthdays.",
    )
    async def request_scan(self, request: Request, data: JSONBody[GrowthScanRequest | None] = None) -> Response[bytes]:
        caller = caller_of(request)
        caller.principal.require("wealth.growth_scans.create")

        async def run(work: Work) -> dict[str, str]:
            scan = await GrowthScanService(work).request(data or GrowthScanRequest())
            return {"task_id": str(scan.background_task_id), "status": "queued", "scan_id": str(scan.id)}

        queued = await transact(runtime_of(request), caller, run, action="request_growth_scan")
        return json(queued, 202, {"Location": f"/api/v1/background-tasks/{queued['task_id']}"})
