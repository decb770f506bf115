"""Conversations, their messages, and the summaries that keep prompts short."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import CREATE_ONLY, SYSTEM, check, field
from atrium.core.db.entity import Entity, Fact, Json, JsonList
from atrium.core.db.routines import declare

ASSISTANT = "assistant"
KINDS = (ASSISTANT, "client_advisor", "request_thread")
IN_FLIGHT = ("pending", "streaming")


class Conversation(Entity, table="core.conversations"):
    """A thread with the assistant, between a client and an advisor, or between the parties of a request."""

    __table_args__ = (
        Index("ix_conversations_owner", "user_id", text("last_message_at DESC")),
        Index("ix_conversations_module_kind", "module", "kind", text("last_message_at DESC")),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", index=False, scope=True, mark=SYSTEM)
    module: Mapped[str] = field(mark=SYSTEM)
    kind: Mapped[str] = field(choices=KINDS, default=ASSISTANT, mark=CREATE_ONLY)
    title: Mapped[str | None]
    status: Mapped[str] = field(choices=("active", "archived"), default="active")
    model: Mapped[str | None] = field(mark=SYSTEM)
    context: Mapped[Json] = field(default={}, mark=SYSTEM)
    message_count: Mapped[int] = field(default=0, ge=0, mark=SYSTEM)
    total_tokens: Mapped[int] = field(default=0, mark=SYSTEM)
    last_message_at: Mapped[datetime | None] = field(mark=SYSTEM)


class Message(Entity, table="core.messages"):
    """One turn of a conversation. Not audited: it is the record itself, and it does not change once it is complete."""

    audited = False
    __table_args__ = (
        check("role <> 'tool' OR tool_name IS NOT NULL", "tool", "a tool message names its tool", ("tool_name",)),
        check(
            "role <> 'user' OR sender_user_id IS NOT NULL",
            "sender",
            "a user's message names its sender",
            ("sender_user_id",),
        ),
        UniqueConstraint("conversation_id", "sequence"),
        Index("ix_messages_in_flight", "status", postgresql_where=text("status IN ('pending', 'streaming')")),
    )

    conversation_id: Mapped[UUID] = field(
        references="core.conversations.id", on_delete="CASCADE", index=False, mark=SYSTEM
    )
    sequence: Mapped[int] = field(gt=0, mark=SYSTEM)
    role: Mapped[str] = field(choices=("user", "assistant", "system", "tool"), mark=SYSTEM)
    sender_user_id: Mapped[UUID | None] = field(references="core.users.id", mark=SYSTEM)
    content: Mapped[str] = field(default="", mark=SYSTEM)
    status: Mapped[str] = field(
        choices=(*IN_FLIGHT, "complete", "failed", "cancelled"), default="complete", mark=SYSTEM
    )
    tool_name: Mapped[str | None] = field(mark=SYSTEM)
    tool_payload: Mapped[Json | None] = field(mark=SYSTEM)
    citations: Mapped[JsonList] = field(default=[], mark=SYSTEM)
    attachments: Mapped[list[UUID]] = field(type_=ARRAY(Uuid()), default_sql="'{}'::uuid[]", mark=SYSTEM)
    model: Mapped[str | None] = field(mark=SYSTEM)
    prompt_tokens: Mapped[int | None] = field(mark=SYSTEM)
    completion_tokens: Mapped[int | None] = field(mark=SYSTEM)
    finish_reason: Mapped[str | None] = field(mark=SYSTEM)
    error: Mapped[str | None] = field(mark=SYSTEM)
    read_at: Mapped[datetime | None] = field(mark=SYSTEM)


class ConversationSummary(Fact, table="core.conversation_summaries"):
    """What was said from the first message up to one of them, in short: stands for those messages in a prompt."""

    __table_args__ = (
        check(
            "from_sequence > 0 AND to_sequence >= from_sequence",
            "span",
            "must end where it begins or later",
            ("from_sequence", "to_sequence"),
        ),
        UniqueConstraint("conversation_id", "to_sequence"),
    )

    conversation_id: Mapped[UUID] = field(
        references="core.conversations.id", on_delete="CASCADE", index=False, mark=SYSTEM
    )
    from_sequence: Mapped[int] = field(mark=SYSTEM)
    to_sequence: Mapped[int] = field(mark=SYSTEM)
    summary: Mapped[str] = field(mark=SYSTEM)
    key_points: Mapped[JsonList] = field(default=[], mark=SYSTEM)
    model: Mapped[str | None] = field(mark=SYSTEM)
    token_count: Mapped[int | None] = field(mark=SYSTEM)


# A message that has reached its end may be marked as read once and is otherwise kept as it is. It goes only with its
# conversation: then the DELETE comes from the foreign key, one trigger deeper.
declare(
    """
CREATE OR REPLACE FUNCTION core.keep_finished_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.status IN ('pending', 'streaming') THEN
        RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
    END IF;
    IF tg_op = 'DELETE' THEN
        IF pg_trigger_depth() > 1 THEN
            RETURN old;
        END IF;
        RAISE EXCEPTION 'a finished message is kept' USING ERRCODE = 'ATR02';
    END IF;
    IF old.read_at IS NOT NULL AND new.read_at IS DISTINCT FROM old.read_at
        OR to_jsonb(new) - 'read_at' - 'updated_at' IS DISTINCT FROM to_jsonb(old) - 'read_at' - 'updated_at'
    THEN
        RAISE EXCEPTION 'a finished message is not changed' USING ERRCODE = 'ATR02';
    END IF;
    RETURN new;
END $$
""",
    """
CREATE TRIGGER keep_finished_message BEFORE UPDATE OR DELETE ON core.messages
FOR EACH ROW EXECUTE FUNCTION core.keep_finished_message()
""",
)
