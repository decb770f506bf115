"""What conversations take in over REST."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from atrium.core.chat.models import ASSISTANT

Title = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
Kind = Literal["assistant", "client_advisor", "request_thread"]


class CreateConversation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new thread; `client_id` says which client it is about."""

    kind: Kind = ASSISTANT  # type: ignore[assignment]
    client_id: UUID | None = None
    title: Title | None = None

    def about(self) -> dict[str, UUID]:
        return {} if self.client_id is None else {"client_id": self.client_id}


class UpdateConversation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields that are present; what the server owns is ignored, because clients send whole records back."""

    title: Title | UnsetType | None = UNSET
    status: Literal["active", "archived"] | UnsetType = UNSET
    id: Any = UNSET
    created_at: Any = UNSET
    updated_at: Any = UNSET

    def values(self) -> dict[str, Any]:
        given = {"title": self.title, "status": self.status}
        return {name: value for name, value in given.items() if value is not UNSET}


class SendMessage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A message; with `stream` the answer's pieces come over the socket and this call does not wait for them."""

    content: Annotated[str, Meta(min_length=1, max_length=8000)]
    attachments: Annotated[list[UUID], Meta(max_length=20)] = []
    stream: bool = False


class Said(msgspec.Struct, kw_only=True):
    """The user's message and the assistant's answer; there is none where people talk to each other."""

    conversation_id: UUID
    message: msgspec.Raw
    answer: msgspec.Raw | None
