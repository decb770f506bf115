"""What a user wants to be told by mail: chosen when logged in, or turned off from a mail without a login."""

from typing import Any

from litestar import Controller, Request, Response, get, patch, post, put
from litestar.params import JSONBody

from atrium.core import clock
from atrium.core.http.requests import caller_of, header, json, runtime_of
from atrium.core.notifications import openapi, preferences, unsubscribe
from atrium.core.notifications.schemas import ChangedPreferences, Preferences
from atrium.core.notifications.unsubscribe import Subscription
from atrium.core.resources.openapi import verb
from atrium.core.services import transact, unit_of_work

AnyRequest = Request[Any, Any, Any]
EXAMPLE = {"email": {"order": ["warning", "critical"], "chat": []}, "quiet_hours": {"from": "22:00", "to": "07:00"}}
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notification mails</title>
</head>
<body style="margin:48px auto;max-width:480px;padding:0 24px;font-family:sans-serif;line-height:1.5">
<h1 style="font-size:20px">Notification mails</h1>
{content}
</body>
</html>
"""
ASK = """<p>Do you want no more mails about notifications of the kind <b>{kind}</b>? Your inbox still shows them.</p>
<form method="post"><button type="submit">Send me no more of them</button></form>"""
DONE = """<p>You get no more mails about notifications of the kind <b>{kind}</b>.</p>
<p>Log in to change your notification preferences.</p>"""


class PreferencesController(Controller):
    path = "/api/v1/notifications/preferences"
    tags = ("notifications",)

    @get(
        "/",
        operation_id="getNotificationPreferences",
        operation_class=verb(Preferences, refused="401"),
        summary="Read the notification preferences",
        description="The caller's own: which severities of each kind are repeated by mail, and when not.",
    )
    async def get_preferences(self, request: AnyRequest) -> Response[bytes]:
        return json(await transact(runtime_of(request), caller_of(request), preferences.read))

    @put(
        "/",
        operation_id="putNotificationPreferences",
        operation_class=verb(Preferences, refused="400 401 422", example=EXAMPLE),
        summary="Change the notification preferences",
        description="What is named changes, kind by kind; null goes back to the default.",
    )
    async def put_preferences(self, request: AnyRequest, data: JSONBody[ChangedPreferences]) -> Response[bytes]:
        return await _change(request, data)

    @patch(
        "/",
        operation_id="patchNotificationPreferences",
        operation_class=verb(Preferences, refused="400 401 422", example=EXAMPLE),
        summary="Change the notification preferences",
        description="What is named changes, kind by kind; null goes back to the default.",
    )
    async def patch_preferences(self, request: AnyRequest, data: JSONBody[ChangedPreferences]) -> Response[bytes]:
        return await _change(request, data)


class UnsubscribeController(Controller):
    path = unsubscribe.PATH
    tags = ("notifications",)
    opt = {"public": True}  # noqa: RUF012  Litestar reads it; the link is signed
    security = [{}]  # noqa: RUF012

    @get(
        "/",
        operation_id="showUnsubscribe",
        operation_class=verb(openapi.Unsubscription, refused="403 410", query=openapi.link_parameters),
        summary="Look at the link of a mail",
        description="Which mails it turns off. Changes nothing, since programs open links before people do.",
    )
    async def show(self, request: AnyRequest) -> Response[Any]:
        found = _linked(request)
        return _answer(request, found, ASK, is_subscribed=True)

    @post(
        "/",
        status_code=200,
        operation_id="unsubscribe",
        operation_class=verb(openapi.Unsubscription, refused="403 410", query=openapi.link_parameters),
        summary="Turn the mails of a kind off",
        description="What mail programs send at one click (RFC 8058). The inbox is not touched.",
    )
    async def turn_off(self, request: AnyRequest) -> Response[Any]:
        found = _linked(request)
        async with unit_of_work(runtime_of(request), action="unsubscribe") as work:
            await preferences.turn_off(work, found.user_id, found.kind)
        return _answer(request, found, DONE, is_subscribed=False)


async def _change(request: AnyRequest, wanted: ChangedPreferences) -> Response[bytes]:
    runtime, caller = runtime_of(request), caller_of(request)
    return json(await transact(runtime, caller, lambda work: preferences.change(work, wanted)))


def _linked(request: AnyRequest) -> Subscription:
    token = request.query_params.get("token", "")
    return unsubscribe.verify(runtime_of(request).settings, token, clock.now())


def _answer(request: AnyRequest, about: Subscription, content: str, *, is_subscribed: bool) -> Response[Any]:
    """A page for browsers; the kind is one of ours, so nothing of the caller's stands in it."""
    if "text/html" in (header(request, b"accept") or ""):
        page = PAGE.format(content=content.format(kind=about.kind.replace("_", " ")))
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})
    return json(openapi.Unsubscription(about.kind, is_subscribed))
