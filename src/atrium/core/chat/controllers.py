"""Conversations over REST (platform.md §10.6)."""

from typing import Any
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from atrium.core.chat import openapi
from atrium.core.chat.assistant import assistant_of
from atrium.core.chat.errors import SubjectNotFound
from atrium.core.chat.models import ConversationSummary, Message
from atrium.core.chat.records import records_of
from atrium.core.chat.schemas import CreateConversation, Said, SendMessage, UpdateConversation
from atrium.core.chat.services import ConversationService, MessageService
from atrium.core.errors import Invalid, PreconditionFailed
from atrium.core.http.requests import Request, caller_of, json, row_id, runtime_of
from atrium.core.resources.openapi import verb
from atrium.core.resources.reading import Record
from atrium.core.services import Work, transact

CHANGING = "400 401 403 404 412 422"


class ConversationController(Controller):
    path = "/api/v1/chat/conversations"
    tags = ("conversations",)

    @get(
        "/",
        operation_id="listConversations",
        operation_class=verb(openapi.conversations, refused="401 422", query=openapi.conversation_parameters),
        summary="List conversations",
        description="Those the caller takes part in, the last spoken in first.",
    )
    async def list_conversations(self, request: Request) -> Response[bytes]:
        runtime, principal = runtime_of(request), request.user
        page = await records_of(runtime).conversations(runtime.database.pool, principal, _query(request))
        return json(page.envelope())

    @post(
        "/",
        status_code=201,
        operation_id="createConversation",
        operation_class=verb(
            openapi.conversation,
            refused="400 401 403 422",
            example={"kind": "assistant", "title": "Before the review"},
        ),
        summary="Begin a conversation",
        description="With the assistant, or between a client and the advisor; `client_id` says whom it is about.",
    )
    async def create(self, request: Request, data: JSONBody[CreateConversation]) -> Response[bytes]:
        async def run(work: Work) -> Record:
            try:
                made = await ConversationService(work).open(data.kind, data.title, data.about())
            except SubjectNotFound:
                raise Invalid.at("client_id", "not found", "not_found") from None
            return await _rendered(work, made.id)

        record = await transact(runtime_of(request), caller_of(request), run)
        return _answer(record, 201, {"Location": f"{self.path}/{record.id}"})

    @get(
        "/{conversation_id:str}",
        operation_id="getConversation",
        operation_class=verb(openapi.conversation),
        summary="Read a conversation",
        description="The conversation without its messages; the ETag is its version.",
    )
    async def read(self, request: Request, conversation_id: FromPath[str]) -> Response[bytes]:
        runtime = runtime_of(request)
        found = await records_of(runtime).conversation(runtime.database.pool, request.user, row_id(conversation_id))
        return _answer(found)

    @put(
        "/{conversation_id:str}",
        operation_id="replaceConversation",
        operation_class=verb(openapi.conversation, refused=CHANGING, example={"title": "Before the review"}),
        summary="Rename, archive or reopen",
        description="Changes the title or the status; with If-Match only if nobody else changed it.",
    )
    async def replace(
        self, request: Request, conversation_id: FromPath[str], data: JSONBody[UpdateConversation]
    ) -> Response[bytes]:
        return await _change(request, row_id(conversation_id), data.values())

    @patch(
        "/{conversation_id:str}",
        operation_id="updateConversation",
        operation_class=verb(openapi.conversation, refused=CHANGING, example={"title": "Before the review"}),
        summary="Rename, archive or reopen",
        description="Changes the title or the status; with If-Match only if nobody else changed it.",
    )
    async def update(
        self, request: Request, conversation_id: FromPath[str], data: JSONBody[UpdateConversation]
    ) -> Response[bytes]:
        return await _change(request, row_id(conversation_id), data.values())

    @delete(
        "/{conversation_id:str}",
        status_code=204,
        operation_id="archiveConversation",
        operation_class=verb(refused="401 403 404 412"),
        summary="Archive a conversation",
        description="Nothing is lost: an archived conversation can be read and reopened.",
    )
    async def archive(self, request: Request, conversation_id: FromPath[str]) -> None:
        await _change(request, row_id(conversation_id), {"status": "archived"}, action="archive")

    @get(
        "/{conversation_id:str}/messages",
        operation_id="listMessages",
        operation_class=verb(openapi.messages, refused="401 404 422", query=openapi.message_parameters),
        summary="List messages",
        description="In the order in which they were said, tool messages included.",
    )
    async def list_messages(self, request: Request, conversation_id: FromPath[str]) -> Response[bytes]:
        runtime, principal, chosen = runtime_of(request), request.user, row_id(conversation_id)
        page = await records_of(runtime).messages(runtime.database.pool, principal, chosen, _query(request))
        return json(page.envelope())

    @post(
        "/{conversation_id:str}/messages",
        status_code=201,
        operation_id="sendMessage",
        operation_class=verb(
            openapi.exchange,
            refused="400 401 403 404 409 422 429",
            example={"content": "Which reviews are due in the next 30 days?"},
        ),
        summary="Send a message",
        description="Waits for the answer; with `stream` the answer comes in pieces over the socket instead.",
    )
    async def send(
        self, request: Request, conversation_id: FromPath[str], data: JSONBody[SendMessage]
    ) -> Response[bytes]:
        runtime, chosen = runtime_of(request), row_id(conversation_id)
        turn = await assistant_of(runtime).begin(
            caller_of(request), data.content, conversation_id=chosen, attachments=data.attachments
        )
        if not data.stream:
            await turn.wait()
        records, pool = records_of(runtime), runtime.database.pool
        message = await records.raw(pool, Message, turn.message_id)
        answer = await records.raw(pool, Message, turn.answer_id) if turn.answer_id else None
        location = f"{self.path}/{chosen}/messages"
        return json(Said(conversation_id=chosen, message=message, answer=answer), 201, {"Location": location})

    @post(
        "/{conversation_id:str}/messages/{message_id:str}/cancel",
        status_code=200,
        operation_id="cancelMessage",
        operation_class=verb(openapi.message, refused="401 403 404 409"),
        summary="Cancel an answer that is being written",
        description="What was said so far stays, marked as cancelled.",
    )
    async def cancel(
        self, request: Request, conversation_id: FromPath[str], message_id: FromPath[str]
    ) -> Response[bytes]:
        runtime, chosen = runtime_of(request), row_id(message_id)
        await assistant_of(runtime).cancel(caller_of(request), row_id(conversation_id), chosen)
        return json(await records_of(runtime).part(runtime.database.pool, Message, chosen))

    @post(
        "/{conversation_id:str}/summarize",
        status_code=201,
        operation_id="summarizeConversation",
        operation_class=verb(openapi.summary, refused="401 403 404 409"),
        summary="Sum up what was said so far",
        description="The summary stands for the older messages when the assistant is asked again.",
    )
    async def summarize(self, request: Request, conversation_id: FromPath[str]) -> Response[bytes]:
        chosen = row_id(conversation_id)

        async def run(work: Work) -> bytes:
            await ConversationService(work).get_speakable(chosen)
            summary = await MessageService(work).summarize(chosen)
            return await records_of(work.runtime).part(await work.connection(), ConversationSummary, summary.id)

        return json(await transact(runtime_of(request), caller_of(request), run), 201)


async def _change(
    request: Request, conversation_id: UUID, values: dict[str, Any], action: str | None = None
) -> Response[bytes]:
    async def run(work: Work) -> Record:
        await ConversationService(work).get_speakable(conversation_id)
        _require_match(request, await _rendered(work, conversation_id))
        await ConversationService(work).change(conversation_id, values)
        return await _rendered(work, conversation_id)

    return _answer(await transact(runtime_of(request), caller_of(request), run, action=action))


async def _rendered(work: Work, conversation_id: UUID) -> Record:
    connection = await work.connection()
    return await records_of(work.runtime).conversation(connection, work.principal, conversation_id)


def _require_match(request: Request, record: Record) -> None:
    given = request.headers.get("if-match", "*").strip().removeprefix("W/").strip('"')
    if given not in ("*", str(record.version)):
        raise PreconditionFailed


def _answer(record: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return json(record.body, status, {"ETag": f'"{record.version}"', **(headers or {})})


def _query(request: Request) -> str:
    text: bytes = request.scope["query_string"]
    return text.decode("latin-1")
