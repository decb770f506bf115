"""The frames of a conversation (platform.md §10.2) and to whom they go.

A new message goes to all sockets of everybody who takes part. What streams goes to the chat sockets of the one who
asked, in all tabs and processes: they follow `topic_of(user)`. `id` is what the asking client chose.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from atrium.core.realtime.publish import publish, publish_to
from atrium.core.runtime import Runtime

Frame = dict[str, Any]


def topic_of(user_id: UUID) -> str:
    return f"chat:{user_id}"


class Stage:
    """Where one turn is shown."""

    def __init__(self, runtime: Runtime, user_id: UUID, conversation_id: UUID, echo: Any = None) -> None:
        self._runtime, self._user_id, self._conversation_id, self._echo = runtime, user_id, conversation_id, echo
        self._seq = 0

    async def created(self, people: Iterable[UUID], message: bytes) -> None:
        frame = self._frame("message.created", message=msgspec.Raw(message))
        foreign = {name: value for name, value in frame.items() if name != "id"}
        for user_id in sorted(people, key=lambda one: one != self._user_id):
            await publish(self._runtime, user_id, frame if user_id == self._user_id else foreign)

    async def delta(self, message_id: UUID, text: str) -> None:
        self._seq += 1
        await self._show(self._frame("message.delta", message_id=str(message_id), seq=self._seq, delta=text))

    async def tool(self, message_id: UUID, name: str, payload: bytes) -> None:
        raw = msgspec.Raw(payload)
        await self._show(self._frame("message.tool", message_id=str(message_id), tool_name=name, tool_payload=raw))

    async def completed(self, message: bytes) -> None:
        await self._show(self._frame("message.completed", message=msgspec.Raw(message)))

    async def failed(self, message_id: UUID, code: str, text: str) -> None:
        await self._show(self._frame("error", message_id=str(message_id), code=code, message=text))

    async def _show(self, frame: Frame) -> None:
        await publish_to(self._runtime, topic_of(self._user_id), frame)

    def _frame(self, kind: str, **members: Any) -> Frame:
        echo = {} if self._echo is None else {"id": self._echo}
        return {"type": kind, **echo, "conversation_id": str(self._conversation_id), **members}
