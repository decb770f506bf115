"""What the inbox, the outbox and the templates answer beside their records, for the OpenAPI document."""

from collections.abc import Sequence
from typing import Any

import msgspec

from atrium.core.resources.openapi import VerbOperation

FORMATS = ("html", "text")


class UnreadCount(msgspec.Struct):
    unread_count: int


class Updated(msgspec.Struct):
    """How many were changed."""

    updated: int


class Unsubscription(msgspec.Struct):
    """The kind of notification that a link is about, and whether it is still repeated by mail."""

    kind: str
    is_subscribed: bool


class MailTemplateView(msgspec.Struct):
    """A mail that this installation may write, and the names that its template is filled with."""

    name: str
    title: str
    subject: str
    formats: Sequence[str]
    variables: Sequence[str]


class MailTemplatePage(msgspec.Struct):
    items: list[MailTemplateView]
    total: int
    page: int
    limit: int
    pages: int
    next_cursor: None


class Preview(VerbOperation):
    """Answers with the mail itself."""

    refused = "401 403 404 422"

    def to_schema(self) -> dict[str, Any]:
        described = super().to_schema()
        content = {kind: {"schema": {"type": "string"}} for kind in ("text/html", "text/plain")}
        described["responses"]["200"] = {"description": "The mail", "content": content}
        return described

    @staticmethod
    def query() -> list[dict[str, Any]]:
        schema = {"type": "string", "enum": list(FORMATS)}
        return [{"name": "format", "in": "query", "schema": schema, "description": "By default html if there is any"}]


def link_parameters() -> list[dict[str, Any]]:
    text = "What the link of the mail carries"
    return [{"name": "token", "in": "query", "required": True, "schema": {"type": "string"}, "description": text}]
