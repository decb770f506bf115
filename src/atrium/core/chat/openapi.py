"""What conversations look like in the OpenAPI document."""

import functools
from typing import Any
from uuid import UUID

import msgspec
from msgspec import defstruct

from atrium.core.chat.models import Conversation, ConversationSummary, Message
from atrium.core.chat.records import CONVERSATION_FILTERS, MESSAGE_FILTERS
from atrium.core.db.wire import fields_of
from atrium.core.resources.openapi import PAGING, page_struct
from atrium.core.resources.schemas import read_struct


@functools.cache
def conversation() -> type[msgspec.Struct]:
    """A conversation with the client it is about, if it is about one."""
    base = read_struct("Conversation", fields_of(Conversation).values())
    return defstruct("Conversation", [("client_id", UUID | None)], bases=(base,), kw_only=True)


@functools.cache
def conversations() -> type[msgspec.Struct]:
    return page_struct(conversation())


@functools.cache
def message() -> type[msgspec.Struct]:
    return read_struct("ChatMessage", fields_of(Message).values())


@functools.cache
def messages() -> type[msgspec.Struct]:
    return page_struct(message())


@functools.cache
def exchange() -> type[msgspec.Struct]:
    """A message and the assistant's answer to it; there is none where people talk to each other."""
    answer = message()
    members = [("conversation_id", UUID), ("message", answer), ("answer", answer | None)]
    return defstruct("Exchange", members)


@functools.cache
def summary() -> type[msgspec.Struct]:
    return read_struct("ConversationSummary", fields_of(ConversationSummary).values())


def conversation_parameters() -> list[dict[str, Any]]:
    return _parameters((*CONVERSATION_FILTERS, "client_id"))


def message_parameters() -> list[dict[str, Any]]:
    return _parameters(MESSAGE_FILTERS)


def _parameters(filters: tuple[str, ...]) -> list[dict[str, Any]]:
    names = ("cursor", "order_by", "fields", "count", *filters)
    return [*PAGING, *({"name": name, "in": "query", "schema": {"type": "string"}} for name in names)]
