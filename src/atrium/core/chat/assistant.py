"""Turns: a message is stored, answered by an engine, streamed, stored as it grows, and ended once.

A turn runs on its own: it survives the socket that asked, and ends with its process at the latest. It can be
cancelled from any process, because the one that streams looks at the stored row about three times a second.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import msgspec
import structlog

from atrium.core import clock
from atrium.core.chat.completions import Completions
from atrium.core.chat.engines import Delta, Engine, Finished, Past, PhraseEngine, Question, Used
from atrium.core.chat.errors import ModelUnreachable
from atrium.core.chat.frames import Stage
from atrium.core.chat.language import ENCODER, ModelEngine
from atrium.core.chat.models import ASSISTANT, Message
from atrium.core.chat.records import records_of
from atrium.core.chat.registry import registry_of
from atrium.core.chat.services import ConversationService, Ending, MessageService
from atrium.core.errors import AtriumError, Invalid, RateLimited
from atrium.core.lookups import Asking
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, transact
from atrium.core.stopping import stop

log = structlog.get_logger()
LONGEST_MESSAGE = 8000
STORE_SECONDS = 0.3
TURN_SECONDS = 180.0
TIDY_SECONDS = 60.0
TURNS_PER_USER = 4
ROWS_STREAMED = 20
PROMPT_CHARACTERS = 24_000
RECENT = 8
INTERRUPTED = "The server is restarting. Ask again in a moment."
FAILED = "Something went wrong while answering. Ask again in a moment."


class _Seat:
    """One of the few turns that a user may have at a time; taken once, however often a transaction is repeated."""

    def __init__(self, taken: Counter[UUID], user_id: UUID) -> None:
        self._taken, self._user_id, self._is_taken = taken, user_id, False

    def take(self) -> None:
        if self._is_taken:
            return
        if self._taken[self._user_id] >= TURNS_PER_USER:
            raise RateLimited("Too many questions at once. Wait for an answer first.", retry_after=2)
        self._taken[self._user_id] += 1
        self._is_taken = True

    def leave(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._taken.subtract((self._user_id,))
            if not self._taken[self._user_id]:
                del self._taken[self._user_id]


@dataclass(eq=False)
class Turn:
    """One message and what becomes of it."""

    caller: Caller
    conversation_id: UUID
    message_id: UUID
    text: str
    stage: Stage
    about: Mapping[str, UUID]
    seat: "_Seat"
    answer_id: UUID | None = None
    content: str = ""
    stored: str = ""
    is_cancelled: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    async def wait(self) -> None:
        """Until the answer has ended, however."""
        if self.task:
            await asyncio.wait([self.task])


class Assistant:
    """The assistant of one process: its engine and the turns that are under way."""

    def __init__(self, runtime: Runtime, engine: Engine) -> None:
        self._runtime = runtime
        self._engine = engine
        self._turns: dict[UUID, Turn] = {}
        self._asking: Counter[UUID] = Counter()
        self._beginning: set[asyncio.Task[Turn]] = set()

    async def begin(
        self,
        caller: Caller,
        content: str,
        *,
        conversation_id: UUID | None = None,
        kind: str = ASSISTANT,
        about: Mapping[str, UUID] | None = None,
        attachments: Sequence[UUID] = (),
        echo: Any = None,
    ) -> Turn:
        """Store the message and, in a conversation with the assistant, begin to answer it."""
        text = content.strip()
        if not text or len(content) > LONGEST_MESSAGE or "\0" in content:
            raise Invalid.at("content", f"must have 1 to {LONGEST_MESSAGE} characters and no NUL")

        seat = _Seat(self._asking, caller.principal.user_id)

        async def store(work: Work) -> tuple[Turn, set[UUID], bytes]:
            conversations, messages = ConversationService(work), MessageService(work)
            if conversation_id is None:
                found = await conversations.find_or_open(kind, about or {})
            else:
                found = await conversations.get_speakable(conversation_id)
            message_id = await messages.say(found, content, attachments)
            answer_id = await messages.begin_answer(found) if found.kind == ASSISTANT else None
            if answer_id:
                seat.take()
            people = await conversations.people_of(found)
            subject = await conversations.subject_of(found.id)
            record = await records_of(self._runtime).part(await work.connection(), Message, message_id)
            stage = Stage(self._runtime, caller.principal.user_id, found.id, echo)
            return Turn(caller, found.id, message_id, content, stage, subject, seat, answer_id), people, record

        beginning = asyncio.create_task(self._begin(caller, seat, store), name="begin turn")
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        return await asyncio.shield(beginning)

    async def _begin(
        self, caller: Caller, seat: "_Seat", store: Callable[[Work], Awaitable[tuple[Turn, set[UUID], bytes]]]
    ) -> Turn:
        """Shielded from whoever asked: a message that is stored is answered, even if its socket is gone by then."""
        try:
            turn, people, record = await transact(self._runtime, caller, store)
        except BaseException:
            seat.leave()
            raise
        if turn.answer_id is not None:
            self._turns[turn.answer_id] = turn
        await turn.stage.created(people, record)
        if turn.answer_id is not None:
            turn.task = asyncio.create_task(self._run(turn), name=f"turn {turn.answer_id}")
            await asyncio.sleep(0)  # a task that is cancelled before its first step would leave its message pending
        return turn

    async def cancel(self, caller: Caller, conversation_id: UUID, answer_id: UUID) -> None:
        """Whoever may write in the conversation may end its answer."""
        turn = self._turns.get(answer_id)

        async def allowed(work: Work) -> None:
            await ConversationService(work).get_speakable(conversation_id)
            if turn is None or turn.conversation_id != conversation_id:
                await MessageService(work).cancel(conversation_id, answer_id)

        await transact(self._runtime, caller, allowed, action="cancel")
        if turn is not None and turn.task and turn.conversation_id == conversation_id:
            turn.is_cancelled = True
            turn.task.cancel()
            await turn.wait()

    async def close(self) -> None:
        """End what is under way; its rows say why."""
        await asyncio.gather(*self._beginning, return_exceptions=True)
        tasks = [turn.task for turn in self._turns.values() if turn.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def tidy(self) -> None:
        """End answers of processes that are gone, once a minute."""

        async def end(work: Work) -> int:
            return await MessageService(work).end_stalled(clock.now())

        while True:
            await asyncio.sleep(TIDY_SECONDS)
            try:
                await transact(self._runtime, None, end, action="tidy")
            except Exception as error:  # noqa: BLE001  the next minute tries again
                log.warning("tidy_failed", error=repr(error))

    async def _run(self, turn: Turn) -> None:
        assert turn.answer_id is not None
        keeper = asyncio.create_task(self._keep(turn, asyncio.current_task()), name=f"keeper {turn.answer_id}")
        try:
            async with asyncio.timeout(TURN_SECONDS):
                ending = await self._answer(turn)
        except asyncio.CancelledError:
            _take_back_cancellation()
            ending = Ending("cancelled", turn.content, "cancelled")
            if not turn.is_cancelled:
                ending = Ending("failed", turn.content, "error", error=INTERRUPTED)
        except TimeoutError:
            ending = Ending("failed", turn.content, "error", error=ModelUnreachable().detail)
        except Exception:
            log.exception("turn_failed", conversation_id=str(turn.conversation_id))
            ending = Ending("failed", turn.content, "error", error=FAILED)
        finally:
            turn.is_over.set()
        try:
            await keeper
            await self._end(turn, turn.answer_id, ending)
        except Exception:
            log.exception("turn_not_stored", conversation_id=str(turn.conversation_id))
            await turn.stage.failed(turn.answer_id, AtriumError.code, FAILED)
        finally:
            del self._turns[turn.answer_id]
            turn.seat.leave()

    async def _answer(self, turn: Turn) -> Ending:
        assert turn.answer_id is not None
        question = await self._question(turn)
        last = Finished("stop")
        citations: dict[Any, None] = {}
        async with aclosing(self._engine.answer(question)) as events:
            async for event in events:
                match event:
                    case Delta(text):
                        turn.content += text
                        await turn.stage.delta(turn.answer_id, text)
                    case Used():
                        citations |= dict.fromkeys(event.found.citations)
                        await self._note(turn, turn.answer_id, event)
                    case Finished():
                        last = event
        return Ending(
            status="complete",
            content=turn.content,
            finish_reason=last.reason,
            citations=list(citations),
            model=last.model,
            prompt_tokens=last.prompt_tokens,
            completion_tokens=last.completion_tokens,
            error=last.error,
        )

    async def _question(self, turn: Turn) -> Question:
        """What the engine needs to know; a history that grew too long is summarised first."""

        async def read(work: Work) -> tuple[list[Past], str]:
            messages = MessageService(work)
            summary = await messages.last_summary(turn.conversation_id)
            said = await messages.said(turn.conversation_id, summary.to_sequence if summary else 0)
            earlier = [one for one in said if one.id != turn.message_id]
            if sum(len(one.content) for one in earlier) > PROMPT_CHARACTERS and len(said) > RECENT:
                summary = await messages.summarize(turn.conversation_id, keep=RECENT)
                earlier = [one for one in earlier if one.sequence > summary.to_sequence]
            return [Past(one.role, one.content) for one in earlier if one.content], summary.summary if summary else ""

        history, summary = await transact(self._runtime, turn.caller, read)
        principal = turn.caller.principal
        return Question(
            asking=Asking(self._runtime, principal, dict(turn.about)),
            text=turn.text,
            lookups=registry_of(self._runtime).open_to(principal),
            history=history,
            summary=summary,
        )

    async def _note(self, turn: Turn, answer_id: UUID, used: Used) -> None:
        """Keep what was looked up, and show it."""
        rows = used.found.rows
        shown = {"parameters": used.parameters, "row_count": len(rows), "rows": rows[:ROWS_STREAMED]}
        payload = ENCODER.encode(shown)
        citations = msgspec.to_builtins(used.found.citations)

        async def keep(work: Work) -> None:
            await MessageService(work).note_tool(
                turn.conversation_id, answer_id, used.lookup.name, used.found.text, payload, citations
            )

        await transact(self._runtime, turn.caller, keep)
        await turn.stage.tool(answer_id, used.lookup.name, payload)

    async def _keep(self, turn: Turn, runner: "asyncio.Task[Any] | None") -> None:
        """Store what has streamed; stop the turn when somebody ended its message."""
        assert turn.answer_id is not None
        while not await _is_set_within(turn.is_over, STORE_SECONDS):
            content, answer_id = turn.content, turn.answer_id

            async def store(work: Work, content: str = content, answer_id: UUID = answer_id) -> bool:
                messages = MessageService(work)
                if content == turn.stored:
                    return await messages.is_in_flight(answer_id)
                return await messages.grow(answer_id, content)

            try:
                is_wanted = await transact(self._runtime, turn.caller, store)
            except Exception as error:  # noqa: BLE001  the end is stored in any case
                log.warning("turn_not_kept", error=repr(error))
                continue
            turn.stored = content
            if not is_wanted and runner and not turn.is_over.is_set():
                turn.is_cancelled = True
                runner.cancel()
                return

    async def _end(self, turn: Turn, answer_id: UUID, ending: Ending) -> None:
        async def store(work: Work) -> bytes:
            await MessageService(work).end(turn.conversation_id, answer_id, ending)
            return await records_of(self._runtime).part(await work.connection(), Message, answer_id)

        record = await transact(self._runtime, turn.caller, store)
        if ending.status == "complete":
            await turn.stage.completed(record)
        elif ending.status == "cancelled":
            await turn.stage.failed(answer_id, "CANCELLED", "The answer was cancelled.")
        else:
            code = "RESTARTING" if ending.error == INTERRUPTED else AtriumError.code
            await turn.stage.failed(answer_id, code, ending.error or FAILED)


def _take_back_cancellation() -> None:
    """The cancelled task goes on, to store its end: timeouts on the way would take the old request for a new one."""
    task = asyncio.current_task()
    while task and task.cancelling():
        task.uncancel()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def assistant_of(runtime: Runtime) -> Assistant:
    found: Assistant = runtime.parts["assistant"]
    return found


@asynccontextmanager
async def assistant(runtime: Runtime) -> AsyncIterator[None]:
    """The assistant of this process, at `runtime.parts["assistant"]`; a language model only where a key is set."""
    settings = runtime.settings
    async with httpx.AsyncClient() as http:
        engine: Engine = PhraseEngine()
        if settings.openai_api_key:
            engine = ModelEngine(Completions(http, settings), seconds=3.0 * settings.openai_timeout_seconds)
        opened = runtime.parts["assistant"] = Assistant(runtime, engine)
        tidying = asyncio.create_task(opened.tidy(), name="tidy conversations")
        try:
            yield
        finally:
            await stop(tidying)
            await opened.close()
