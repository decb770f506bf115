"""Mail as administrators see it: what was written and how it fared, and what the templates make."""

from functools import partial
from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath

from atrium.core.errors import FieldError, Forbidden, Invalid, NotFound
from atrium.core.http.requests import caller_of, json, page, row_id, runtime_of
from atrium.core.notifications import openapi, outbox
from atrium.core.notifications.resources import outbox_messages
from atrium.core.notifications.templates import TEMPLATES, MailTemplate
from atrium.core.resources.openapi import one_of, page_of, verb
from atrium.core.resources.parameters import list_parameters
from atrium.core.services import Caller, transact

AnyRequest = Request[Any, Any, Any]
PREVIEW_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"


class OutboxController(Controller):
    path = "/api/v1/admin/outbox"
    tags = ("admin",)

    @get(
        "/",
        operation_id="listOutboxMessages",
        operation_class=verb(
            page_of(outbox_messages), refused="401 403 422", query=partial(list_parameters, outbox_messages)
        ),
        summary="List outgoing mails",
        description="Mails that were written, newest first, and whether they were delivered. For administrators.",
    )
    async def list_mails(self, request: AnyRequest) -> Response[bytes]:
        caller, query = administrator(request), request.scope["query_string"].decode("latin-1")
        return json((await outbox_messages.page(runtime_of(request), caller, query, {})).envelope())

    @get(
        "/{message_id:str}",
        operation_id="getOutboxMessage",
        operation_class=verb(one_of(outbox_messages), refused="401 403 404"),
        summary="Read an outgoing mail",
        description="As it was written, and how its delivery stands. For administrators.",
    )
    async def get_mail(self, request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
        caller = administrator(request)
        record = await outbox_messages.find(runtime_of(request), caller.principal, row_id(message_id))
        if record is None:
            raise NotFound("There is no mail with this id in the outbox.")
        return json(record.body)

    @post(
        "/{message_id:str}/retry",
        status_code=200,
        operation_id="retryOutboxMessage",
        operation_class=verb(one_of(outbox_messages), refused="401 403 404 409"),
        summary="Send a failed mail again",
        description="It is due at once and has all its attempts again. For administrators.",
    )
    async def retry(self, request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
        caller, found = administrator(request), row_id(message_id)
        return json(await transact(runtime_of(request), caller, lambda work: outbox.retry(work, found)))


class MailTemplateController(Controller):
    path = "/api/v1/admin/mail-templates"
    tags = ("admin",)

    @get(
        "/",
        operation_id="listMailTemplates",
        operation_class=verb(openapi.MailTemplatePage, refused="401 403"),
        summary="List mail templates",
        description="What mails there are, with the subject that the sample gives them. For administrators.",
    )
    async def list_templates(self, request: AnyRequest) -> Response[bytes]:
        administrator(request)
        shown = [_shown(template) for _, template in sorted(TEMPLATES.items())]
        return json(page(shown, len(shown), limit=max(len(shown), 1)))

    @get(
        "/{name:str}/preview",
        operation_id="previewMailTemplate",
        operation_class=openapi.Preview,
        summary="Look at a mail",
        description="The mail with its sample, as HTML where it has any, or as text. For administrators.",
    )
    async def preview(self, request: AnyRequest, name: FromPath[str]) -> Response[str]:
        administrator(request)
        template = TEMPLATES.get(name)
        if template is None:
            raise NotFound("There is no mail template with this name.")
        filled = template.render(template.sample)
        wanted = request.query_params.get("format", "text" if filled.html is None else "html")
        if wanted not in openapi.FORMATS:
            errors = [FieldError(("query", "format"), "must be html or text")]
            raise Invalid("format must be html or text.", errors=errors)
        if wanted == "text":
            return Response(filled.text, media_type="text/plain")
        if filled.html is None:
            raise NotFound("This mail is text only.")
        return Response(filled.html, media_type="text/html", headers={"Content-Security-Policy": PREVIEW_POLICY})


def _shown(template: MailTemplate) -> openapi.MailTemplateView:
    filled = template.render(template.sample)
    formats = ("text",) if filled.html is None else openapi.FORMATS
    return openapi.MailTemplateView(template.name, template.title, filled.subject, formats, sorted(template.sample))


def administrator(request: AnyRequest) -> Caller:
    caller = caller_of(request)
    if not caller.principal.is_admin:
        raise Forbidden("Only administrators may see the mail that this installation writes.")
    return caller
