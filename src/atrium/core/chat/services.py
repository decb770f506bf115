"""Conversations and what is said in them. Every method runs inside a unit of work and under the conversations'
policy.

Locks are taken in one order: the conversation, then its messages. A sequence number is given under the conversation's
lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import CursorResult, Table, Text, cast, func, insert, literal, select, union, update
from sqlalchemy.dialects.postgresql import JSONB

from atrium.core import clock
from atrium.core.access import policy_of, policy_of_table
from atrium.core.chat.errors import (
    AnswerInProgress,
    ConversationArchived,
    NothingToCancel,
    NothingToSummarize,
    SubjectNotFound,
)
from atrium.core.chat.models import ASSISTANT, IN_FLIGHT, Conversation, ConversationSummary, Message
from atrium.core.chat.records import NO_CONVERSATION
from atrium.core.chat.registry import registry_of
from atrium.core.chat.subjects import SUBJECT_ID, ConversationSubject
from atrium.core.chat.summaries import Summary, summarize
from atrium.core.db.entity import Entity
from atrium.core.errors import Forbidden, Invalid, NotFound
from atrium.core.services import Service, Work, caller_values

STALLED_AFTER = timedelta(minutes=5)
"""An answer that has not grown for so long belongs to a process that is gone; a turn ends long before."""

MESSAGES: Table = Message.__table__  # type: ignore[assignment]
STALLED = "The answer was interrupted by a restart."


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended."""

    status: str
    content: str
    finish_reason: str
    citations: Sequence[Any] = ()
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None


class ConversationService(Service[Conversation], model=Conversation):
    """Threads: opened about a subject, found again, renamed, archived."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.registry = registry_of(work.runtime)

    async def open(self, kind: str, title: str | None = None, about: Mapping[str, UUID] | None = None) -> Conversation:
        """A new conversation; `about` names its subject by the field of the wire."""
        about = about or {}
        self.registry.require_kind(kind, about)
        subjects = [(self.registry.subject_named(name), row_id) for name, row_id in about.items()]
        for subject, row_id in subjects:
            await self._require_subject(subject, row_id)
        module = subjects[0][0].module if subjects else self.registry.home_of(self.work.principal)
        made = Conversation(
            id=clock.new_id(), user_id=self.work.principal.user_id, module=module, kind=kind, title=title
        )
        self.work.session.add(made)
        await self.work.session.flush()
        for subject, row_id in subjects:
            self.work.session.add(subject.link(**{"conversation_id": made.id, subject.field: row_id}))
        await self.work.session.flush()
        return made

    async def find_or_open(self, kind: str, about: Mapping[str, UUID]) -> Conversation:
        """A shared kind has one thread per subject, whoever begins it; with the assistant each thread is new."""
        self.registry.require_kind(kind, about)
        if kind != ASSISTANT:
            for name, row_id in about.items():
                subject = self.registry.subject_named(name)
                await self._require_subject(subject, row_id)
                if found := await self._shared(kind, subject, row_id):
                    return found
        return await self.open(kind, about=about)

    async def get_speakable(self, conversation_id: UUID) -> Conversation:
        """Locked, for somebody who takes part; whoever only reads is refused, for others it does not exist."""
        policy = self.registry.policy
        kind = policy.kind(self.work.principal)
        statement = select(Conversation).where(Conversation.id == conversation_id)
        for rows, refusal in ((policy.rows(kind), NotFound(NO_CONVERSATION)), (policy.written(kind), Forbidden())):
            allowed = statement if rows is None else statement.where(rows)
            locked = allowed.with_for_update(key_share=True, of=Conversation.__table__)
            found = await self.work.session.scalar(locked, caller_values(locked, self.work.principal))
            if found is None:
                raise refusal
        assert found is not None
        return found

    async def change(self, conversation_id: UUID, values: Mapping[str, Any]) -> Conversation:
        found = await self._own(conversation_id)
        for name, value in values.items():
            setattr(found, name, value)
        await self.work.session.flush()
        return found

    async def _own(self, conversation_id: UUID) -> Conversation:
        """Title and status are the owner's."""
        found = await self.get_speakable(conversation_id)
        if found.user_id != self.work.principal.user_id:
            raise Forbidden("Only the owner of a conversation may change it.")
        return found

    async def subject_of(self, conversation_id: UUID) -> dict[str, UUID]:
        found = {}
        for subject in self.registry.subjects:
            link = subject.table
            row_id = await self.work.session.scalar(
                select(link.c[subject.field]).where(link.c.conversation_id == conversation_id)
            )
            if row_id is not None:
                found[subject.field] = row_id
        return found

    async def people_of(self, conversation: Conversation) -> set[UUID]:
        """The users whose screens show a new message."""
        people = {conversation.user_id}
        about = await self.subject_of(conversation.id)
        for subject in self.registry.subjects:
            if subject.people is None or conversation.kind not in subject.kinds or subject.field not in about:
                continue
            users = await self.work.session.scalars(union(subject.people), {SUBJECT_ID: about[subject.field]})
            people |= {user_id for user_id in users if user_id is not None}
        return people

    async def _require_subject(self, subject: ConversationSubject, row_id: UUID) -> None:
        """The caller may see it; locked, so that it stays so and two threads are not begun at once."""
        policy, parent = policy_of(subject.parent), subject.parent
        rows = policy.rows(policy.kind(self.work.principal))
        statement = select(parent.id).where(parent.id == row_id).with_for_update(key_share=True, of=parent.__table__)
        if rows is not None:
            statement = statement.where(rows)
        if "deleted_at" in parent.__table__.c:
            statement = statement.where(parent.deleted_at.is_(None))
        if await self.work.session.scalar(statement, caller_values(statement, self.work.principal)) is None:
            what = subject.field.removesuffix("_id")
            raise SubjectNotFound(f"There is no {what} with this id, or it is outside what you may see.")

    async def _shared(self, kind: str, subject: ConversationSubject, row_id: UUID) -> Conversation | None:
        policy, link = self.registry.policy, subject.table
        rows = policy.written(policy.kind(self.work.principal))
        statement = (
            select(Conversation)
            .join(link, link.c.conversation_id == Conversation.id)
            .where(Conversation.kind == kind, Conversation.status == "active", link.c[subject.field] == row_id)
            .order_by(Conversation.created_at)
            .limit(1)
        )
        if rows is not None:
            statement = statement.where(rows)
        return await self.work.session.scalar(statement, caller_values(statement, self.work.principal))


class MessageService:
    """What is said: appended under the conversation's lock, grown while it streams, ended once."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def say(self, conversation: Conversation, content: str, attachments: Sequence[UUID] = ()) -> UUID:
        """The caller's own message; `conversation` is locked."""
        if conversation.status != "active":
            raise ConversationArchived
        await self._require_files(attachments)
        sender = self.work.principal.user_id
        return await self._append(
            conversation, role="user", content=content, sender_user_id=sender, attachments=list(attachments)
        )

    async def begin_answer(self, conversation: Conversation) -> UUID:
        """An empty answer that is about to stream; there is one at a time in a conversation."""
        held = select(Message.updated_at, Message.id).where(
            Message.conversation_id == conversation.id, Message.role == "assistant", Message.status.in_(IN_FLIGHT)
        )
        for updated_at, message_id in (await self.work.session.execute(held)).all():
            if clock.now() - updated_at < STALLED_AFTER:
                raise AnswerInProgress
            await self._end(message_id, Ending("failed", "", "error", error=STALLED), keeps_content=True)
        return await self._append(conversation, role="assistant", status="pending")

    async def note_tool(
        self, conversation_id: UUID, message_id: UUID, name: str, text: str, payload: bytes, citations: Sequence[Any]
    ) -> None:
        """A lookup that was used, placed before the answer that it is for."""
        conversation = await self._locked(conversation_id)
        moved = update(MESSAGES).where(MESSAGES.c.id == message_id, MESSAGES.c.status.in_(IN_FLIGHT))
        statement = moved.values(sequence=MESSAGES.c.sequence + 1).returning(MESSAGES.c.sequence)
        sequence = await self.work.session.scalar(statement)
        if sequence is not None:
            await self._append(
                conversation,
                sequence - 1,
                role="tool",
                tool_name=name,
                content=text,
                tool_payload=cast(literal(payload.decode(), Text), JSONB),
                citations=list(citations),
            )

    async def grow(self, message_id: UUID, content: str) -> bool:
        """Store what has been streamed so far; False once somebody ended the message."""
        statement = update(MESSAGES).where(MESSAGES.c.id == message_id, MESSAGES.c.status.in_(IN_FLIGHT))
        grown = statement.values(content=content, status="streaming", updated_at=func.clock_timestamp())
        return _touched(await self.work.session.execute(grown))

    async def is_in_flight(self, message_id: UUID) -> bool:
        statement = select(MESSAGES.c.status).where(MESSAGES.c.id == message_id)
        return await self.work.session.scalar(statement) in IN_FLIGHT

    async def end(self, conversation_id: UUID, message_id: UUID, ending: Ending) -> bool:
        """The last word on a streamed message; False if it already had one."""
        conversation = await self._locked(conversation_id)
        if not await self._end(message_id, ending):
            return False
        conversation.total_tokens += (ending.prompt_tokens or 0) + (ending.completion_tokens or 0)
        conversation.model = ending.model or conversation.model
        conversation.last_message_at = clock.now()
        await self.work.session.flush()
        return True

    async def cancel(self, conversation_id: UUID, message_id: UUID) -> None:
        """End an answer with what is stored of it; the process that streams it notices."""
        found = await self.work.session.scalar(
            select(Message.status).where(Message.id == message_id, Message.conversation_id == conversation_id)
        )
        if found is None:
            raise NotFound("There is no message with this id in this conversation.")
        if found == "cancelled":
            return
        if not await self._end(message_id, Ending("cancelled", "", "cancelled"), keeps_content=True):
            raise NothingToCancel

    async def mark_read(self, conversation_id: UUID, up_to_sequence: int) -> None:
        """What others said in a conversation that the caller takes part in."""
        await ConversationService(self.work).get_speakable(conversation_id)
        await self.work.session.execute(
            update(MESSAGES)
            .where(
                MESSAGES.c.conversation_id == conversation_id,
                MESSAGES.c.sequence <= up_to_sequence,
                MESSAGES.c.read_at.is_(None),
                MESSAGES.c.status.not_in(IN_FLIGHT),
                MESSAGES.c.sender_user_id.is_distinct_from(self.work.principal.user_id),
            )
            .values(read_at=func.clock_timestamp(), updated_at=func.clock_timestamp())
        )

    async def said(self, conversation_id: UUID, after: int = 0) -> list[Message]:
        """Finished messages of people and the assistant, in order."""
        statement = (
            select(Message)
            .where(
                Message.conversation_id == conversation_id,
                Message.sequence > after,
                Message.role.in_(("user", "assistant")),
                Message.status.not_in(IN_FLIGHT),
            )
            .order_by(Message.sequence)
        )
        return list(await self.work.session.scalars(statement))

    async def last_summary(self, conversation_id: UUID) -> ConversationSummary | None:
        statement = (
            select(ConversationSummary)
            .where(ConversationSummary.conversation_id == conversation_id)
            .order_by(ConversationSummary.to_sequence.desc())
            .limit(1)
        )
        return await self.work.session.scalar(statement)

    async def summarize(self, conversation_id: UUID, *, keep: int = 0) -> ConversationSummary:
        """Everything but the last `keep` messages in short; the last summary when nothing was said since."""
        await self._locked(conversation_id)
        before = await self.last_summary(conversation_id)
        fresh = await self.said(conversation_id, before.to_sequence if before else 0)
        fresh = fresh[: len(fresh) - keep] if keep else fresh
        if not fresh:
            if before is None:
                raise NothingToSummarize
            return before
        earlier = Summary(before.summary, before.key_points) if before else Summary()
        found = summarize(earlier, [(message.role, message.content) for message in fresh])
        made = ConversationSummary(
            id=clock.new_id(),
            conversation_id=conversation_id,
            from_sequence=before.from_sequence if before else fresh[0].sequence,
            to_sequence=fresh[-1].sequence,
            summary=found.text,
            key_points=found.key_points,
            token_count=found.tokens,
        )
        self.work.session.add(made)
        await self.work.session.flush()
        return made

    async def end_stalled(self, now: datetime) -> int:
        """Answers whose process died in the middle."""
        statement = update(MESSAGES).where(
            MESSAGES.c.status.in_(IN_FLIGHT), MESSAGES.c.updated_at < now - STALLED_AFTER
        )
        result = await self.work.session.execute(
            statement.values(status="failed", finish_reason="error", error=STALLED, updated_at=func.clock_timestamp())
        )
        return result.rowcount if isinstance(result, CursorResult) else 0

    async def _append(self, conversation: Conversation, sequence: int | None = None, **values: Any) -> UUID:
        if sequence is None:
            last = select(func.coalesce(func.max(Message.sequence), 0)).where(
                Message.conversation_id == conversation.id
            )
            sequence = int(await self.work.session.scalar(last) or 0) + 1
        message_id = clock.new_id()
        await self.work.session.execute(
            insert(MESSAGES).values(id=message_id, conversation_id=conversation.id, sequence=sequence, **values)
        )
        conversation.message_count += 1
        conversation.last_message_at = clock.now()
        await self.work.session.flush()
        return message_id

    async def _end(self, message_id: UUID, ending: Ending, *, keeps_content: bool = False) -> bool:
        values: dict[str, Any] = {
            "status": ending.status,
            "finish_reason": ending.finish_reason,
            "model": ending.model,
            "prompt_tokens": ending.prompt_tokens,
            "completion_tokens": ending.completion_tokens,
            "error": ending.error,
            "updated_at": func.clock_timestamp(),
        }
        if not keeps_content:
            values |= {"content": ending.content, "citations": msgspec.to_builtins(list(ending.citations))}
        statement = update(MESSAGES).where(MESSAGES.c.id == message_id, MESSAGES.c.status.in_(IN_FLIGHT))
        return _touched(await self.work.session.execute(statement.values(**values)))

    async def _locked(self, conversation_id: UUID) -> Conversation:
        statement = select(Conversation).where(Conversation.id == conversation_id)
        found = await self.work.session.scalar(statement.with_for_update(key_share=True))
        if found is None:
            raise NotFound(NO_CONVERSATION)
        return found

    async def _require_files(self, attachments: Sequence[UUID]) -> None:
        """Only files that the caller may see can be attached."""
        if not attachments:
            return
        table = Entity.metadata.tables.get("core.files")
        owner = policy_of_table(table) if table is not None else None
        if table is None or owner is None:
            raise Invalid.at("attachments", "not found", "not_found")
        rows = owner[1].rows(owner[1].kind(self.work.principal))
        statement = select(table.c.id).where(table.c.id.in_(attachments))
        if rows is not None:
            statement = statement.where(rows)
        seen = set(await self.work.session.scalars(statement, caller_values(statement, self.work.principal)))
        if set(attachments) - seen:
            raise Invalid.at("attachments", "not found", "not_found")


def _touched(result: Any) -> bool:
    return bool(result.rowcount)
