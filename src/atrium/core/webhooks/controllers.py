"""Webhooks over HTTP."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from atrium.core import clock
from atrium.core.changes.chain import microseconds
from atrium.core.http.requests import caller_of, json, row_id, runtime_of
from atrium.core.resources.doors.path import if_match_of, query_of
from atrium.core.resources.doors.writing import matching
from atrium.core.resources.openapi import one_of, page_of, verb
from atrium.core.resources.parameters import list_parameters
from atrium.core.services import Work, transact
from atrium.core.webhooks import schemas
from atrium.core.webhooks.policies import MANAGE
from atrium.core.webhooks.resources import deliveries, webhooks
from atrium.core.webhooks.services import WebhookService, check_target, shown

AnyRequest = Request[Any, Any, Any]
Result = TypeVar("Result")
EXAMPLE = {"url": "https://example.com/hooks", "events": ["wealth.clients.*", "wealth.orders.submit"]}


class WebhookController(Controller):
    path = "/api/v1/webhooks"
    tags = ("webhooks",)

    @get(
        "/",
        operation_id="listWebhooks",
        operation_class=verb(schemas.webhook_page, refused="401 403 404 422", query=partial(list_parameters, webhooks)),
        summary="List webhooks",
        description="The caller's own, and all of them for administrators. Secrets are never shown again.",
    )
    async def list_webhooks(self, request: AnyRequest) -> Response[bytes]:
        runtime = runtime_of(request)
        page = await webhooks.page(runtime, caller_of(request), query_of(request), {})
        items = msgspec.json.encode(await shown(runtime.database.pool, page.items))
        return json(replace(page, items=items[1:-1]).envelope())

    @post(
        "/",
        operation_id="createWebhook",
        operation_class=verb(schemas.new_webhook_struct, refused="400 401 403 404 409 422", example=EXAMPLE),
        summary="Create a webhook",
        description="Its secret is in the answer and never shown again. Events are `<module>.<table>.<what happened>`; "
        "`wealth.clients.*`, `wealth.*` and `*` name many.",
    )
    async def create(self, request: AnyRequest, data: JSONBody[schemas.NewWebhook]) -> Response[bytes]:
        caller_of(request).principal.require(MANAGE)
        await check_target(runtime_of(request), data.url)

        async def run(work: Work) -> dict[str, Any]:
            made, secret = await WebhookService(work).add(data)
            return {**await _shown(work, made), "secret": secret}

        made = await _transact(request, run)
        return json(made, 201, {"Location": f"/api/v1/webhooks/{made['id']}"})

    @get(
        "/{webhook_id:str}",
        operation_id="getWebhook",
        operation_class=verb(schemas.webhook_struct, refused="401 403 404"),
        summary="Read a webhook",
        description="With its health: failed attempts in a row, and what waits.",
    )
    async def read(self, request: AnyRequest, webhook_id: FromPath[str]) -> Response[bytes]:
        runtime = runtime_of(request)
        found = await webhooks.get(runtime, caller_of(request), row_id(webhook_id))
        (record,) = await shown(runtime.database.pool, found.body)
        return json(record, headers={"ETag": f'"{found.version}"'})

    @patch(
        "/{webhook_id:str}",
        operation_id="updateWebhook",
        operation_class=verb(
            schemas.webhook_struct,
            refused="400 401 403 404 412 422",
            query=matching,
            example={"events": ["wealth.*"], "description": "Tells the portal."},
        ),
        summary="Change a webhook",
        description="What waits is sent to a new address at once.",
    )
    async def change(
        self, request: AnyRequest, webhook_id: FromPath[str], data: JSONBody[schemas.ChangeWebhook]
    ) -> Response[bytes]:
        found, if_match = row_id(webhook_id), if_match_of(request)
        caller_of(request).principal.require(MANAGE)
        if data.url is not UNSET:
            await check_target(runtime_of(request), data.url)

        async def run(work: Work) -> dict[str, Any]:
            await WebhookService(work).amend(found, data, if_match)
            return await _shown(work, found)

        record = await _transact(request, run)
        version = microseconds(datetime.fromisoformat(record["updated_at"]))
        return json(record, headers={"ETag": f'"{version}"'})

    @delete(
        "/{webhook_id:str}",
        operation_id="deleteWebhook",
        operation_class=verb(refused="401 403 404 412", query=matching),
        summary="Delete a webhook",
        description="With its deliveries; nothing more is sent.",
    )
    async def remove(self, request: AnyRequest, webhook_id: FromPath[str]) -> None:
        await webhooks.remove(
            runtime_of(request), caller_of(request), row_id(webhook_id), if_match=if_match_of(request)
        )

    @post(
        "/{webhook_id:str}/rotate-secret",
        status_code=200,
        operation_id="rotateWebhookSecret",
        operation_class=verb(schemas.Rotated, refused="400 401 403 404 422", example={"overlap_hours": 24}),
        summary="Give a webhook a new secret",
        description="It is in the answer and nowhere else. Both secrets sign each message for `overlap_hours` (24).",
    )
    async def rotate(
        self, request: AnyRequest, webhook_id: FromPath[str], data: JSONBody[schemas.RotateSecret | None] = None
    ) -> Response[bytes]:
        found, hours = row_id(webhook_id), (data or schemas.RotateSecret()).overlap_hours
        secret, until = await _transact(request, lambda work: WebhookService(work).rotate(found, hours))
        return json(schemas.Rotated(secret, clock.stamp(until) if until else None))

    @post(
        "/{webhook_id:str}/test",
        status_code=202,
        operation_id="testWebhook",
        operation_class=verb(schemas.QueuedTest, refused="401 403 404 409"),
        summary="Send a test event",
        description="`core.webhooks.test`, before all that waits; it is tried once. The delivery says how it went.",
    )
    async def test(self, request: AnyRequest, webhook_id: FromPath[str]) -> Response[bytes]:
        found = row_id(webhook_id)
        made = await _transact(request, lambda work: WebhookService(work).send_test(found))
        return json(schemas.QueuedTest(made), 202)

    @post(
        "/{webhook_id:str}/enable",
        status_code=200,
        operation_id="enableWebhook",
        operation_class=verb(schemas.webhook_struct, refused="401 403 404 422"),
        summary="Switch a webhook on again",
        description="Its address is checked anew. What it missed meanwhile is sent by `redeliver`.",
    )
    async def enable(self, request: AnyRequest, webhook_id: FromPath[str]) -> Response[bytes]:
        found = await webhooks.get(runtime_of(request), caller_of(request), row_id(webhook_id))
        await check_target(runtime_of(request), msgspec.json.decode(found.body)["url"])

        async def run(work: Work) -> dict[str, Any]:
            await WebhookService(work).enable(found.id)
            return await _shown(work, found.id)

        return json(await _transact(request, run, "enable"))

    @post(
        "/{webhook_id:str}/disable",
        status_code=200,
        operation_id="disableWebhook",
        operation_class=verb(schemas.webhook_struct, refused="401 403 404"),
        summary="Switch a webhook off",
        description="What happens meanwhile is noted as skipped for thirty days and can be sent later.",
    )
    async def disable(self, request: AnyRequest, webhook_id: FromPath[str]) -> Response[bytes]:
        found = row_id(webhook_id)

        async def run(work: Work) -> dict[str, Any]:
            await WebhookService(work).disable(found)
            return await _shown(work, found)

        return json(await _transact(request, run, "disable"))

    @post(
        "/{webhook_id:str}/redeliver",
        status_code=202,
        operation_id="redeliverFailed",
        operation_class=verb(
            schemas.QueuedDeliveries,
            refused="400 401 403 404 409 422",
            example={"since": "2026-01-31T09:30:00Z"},
        ),
        summary="Send again all that failed",
        description="And what was skipped, since a moment; in the old order and under the old ids.",
    )
    async def redeliver_since(
        self, request: AnyRequest, webhook_id: FromPath[str], data: JSONBody[schemas.RedeliverSince]
    ) -> Response[bytes]:
        found = row_id(webhook_id)
        queued = await _transact(request, lambda work: WebhookService(work).redeliver_since(found, data.since))
        return json(schemas.QueuedDeliveries(queued), 202)

    @get(
        "/{webhook_id:str}/deliveries",
        operation_id="listWebhookDeliveries",
        operation_class=verb(
            page_of(deliveries), refused="401 403 404 422", query=partial(list_parameters, deliveries)
        ),
        summary="List the deliveries of a webhook",
        description="Newest first, for thirty days after they ended: status, attempts, and what the receiver answered.",
    )
    async def list_deliveries(self, request: AnyRequest, webhook_id: FromPath[str]) -> Response[bytes]:
        within = {"webhook_id": row_id(webhook_id)}
        page = await deliveries.page(runtime_of(request), caller_of(request), query_of(request), within)
        return json(page.envelope())

    @get(
        "/{webhook_id:str}/deliveries/{delivery_id:str}",
        operation_id="getWebhookDelivery",
        operation_class=verb(one_of(deliveries), refused="401 403 404"),
        summary="Read a delivery",
        description="With what was sent.",
    )
    async def read_delivery(
        self, request: AnyRequest, webhook_id: FromPath[str], delivery_id: FromPath[str]
    ) -> Response[bytes]:
        within = {"webhook_id": row_id(webhook_id)}
        found = await deliveries.get(runtime_of(request), caller_of(request), row_id(delivery_id), within)
        return json(found.body)

    @post(
        "/{webhook_id:str}/deliveries/{delivery_id:str}/redeliver",
        status_code=202,
        operation_id="redeliverWebhookDelivery",
        operation_class=verb(one_of(deliveries), refused="401 403 404 409"),
        summary="Send a delivery again",
        description="Under the same webhook-id; what waits behind it waits until it is through.",
    )
    async def redeliver(
        self, request: AnyRequest, webhook_id: FromPath[str], delivery_id: FromPath[str]
    ) -> Response[bytes]:
        hook, found = row_id(webhook_id), row_id(delivery_id)
        return json(await _transact(request, lambda work: WebhookService(work).redeliver(hook, found)), 202)


async def _shown(work: Work, webhook_id: UUID) -> dict[str, Any]:
    (record,) = await shown(await work.connection(), await webhooks.render(work, webhook_id))
    return record


async def _transact(request: AnyRequest, run: Callable[[Work], Awaitable[Result]], action: str | None = None) -> Result:
    return await transact(runtime_of(request), caller_of(request), run, action=action)
