"""A small application of its own for conversations: real database, sockets and HTTP, and a module that has cases."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import MetaData, Text, Uuid, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from websockets.asyncio.client import ClientConnection, connect

from atrium.core import clock
from atrium.core.access import Principal, everyone, held_by, protect
from atrium.core.chat.assistant import Assistant, assistant
from atrium.core.chat.completions import Completions
from atrium.core.chat.language import ModelEngine
from atrium.core.chat.module import module as chat
from atrium.core.chat.subjects import ConversationSubject, subject_id
from atrium.core.config import Settings
from atrium.core.errors import NotFound, Unauthenticated
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import Request
from atrium.core.lookups import Asking, Citation, Found, Lookup, phrases
from atrium.core.realtime.hub import hub
from atrium.core.runtime import Runtime


class Base(DeclarativeBase):
    """Apart from the application's tables."""

    metadata = MetaData(schema="house")


class Case(Base):
    __tablename__ = "cases"

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(Uuid())
    person_id: Mapped[UUID | None] = mapped_column(Uuid())
    name: Mapped[str] = mapped_column(Text())


class CaseConversation(Base):
    __tablename__ = "case_conversations"

    conversation_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(Uuid())


protect(Case, held_by(Case.worker_id, "worker_id") | held_by(Case.person_id, "user_id") | everyone("house.oversee"))

CASES = ConversationSubject(
    module="house",
    link=CaseConversation,  # type: ignore[arg-type]  # tables of a test stay out of the application's metadata
    field="client_id",
    parent=Case,
    kinds=("client_advisor",),
    people=select(Case.person_id)
    .where(Case.id == subject_id())
    .union_all(select(Case.worker_id).where(Case.id == subject_id())),
)
TABLES = """
CREATE SCHEMA IF NOT EXISTS house;
CREATE TABLE IF NOT EXISTS house.cases (
    id uuid PRIMARY KEY, worker_id uuid NOT NULL, person_id uuid, name text NOT NULL
);
CREATE TABLE IF NOT EXISTS house.case_conversations (
    conversation_id uuid PRIMARY KEY REFERENCES core.conversations ON DELETE CASCADE, client_id uuid NOT NULL
);
GRANT USAGE ON SCHEMA house TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA house TO PUBLIC;
"""


class Named(msgspec.Struct, frozen=True):
    name: str


async def count_cases(asking: Asking, _: Any) -> Found:
    """Under the caller's scope, and about one case where the conversation is about one."""
    rows = await asking.runtime.database.pool.fetch(
        "SELECT id, name FROM house.cases WHERE worker_id = $1 ORDER BY name", asking.principal.user_id
    )
    cited = [Citation("house.cases", str(row["id"]), row["name"]) for row in rows]
    return Found(f"You have {len(rows)} open cases.", [{"name": row["name"]} for row in rows], cited)


async def orders_of(_asking: Asking, asked: Named | None) -> Found:
    if asked and asked.name == "Nobody":
        raise NotFound("There is no case of that name.")
    whose = f" for {asked.name}" if asked else ""
    return Found(
        f"There are 7 orders{whose}, worth $1,234.50 in total.", [{"total": Decimal("1234.5000"), "orders": 7}]
    )


async def broken(_asking: Asking, _: Any) -> Found:
    raise RuntimeError("a lookup that fails with 99")


LOOKUPS = (
    Lookup(
        "house.count_cases",
        "How many cases the caller works on, with their names.",
        "house.read",
        count_cases,
        phrases=phrases(r"how many (?:open )?cases"),
        example="How many cases do I have?",
    ),
    Lookup(
        "house.orders",
        "How many orders there are and what they are worth.",
        "house.read",
        lambda asking, _: orders_of(asking, None),
        phrases=phrases(r"\borders\b"),
        example="How many orders are there?",
    ),
    Lookup(
        "house.orders_of",
        "The orders of a person.",
        "house.read",
        orders_of,
        parameters=Named,
        phrases=phrases(r"\borders of (?P<name>\w+)"),
    ),
    Lookup("house.broken", "Fails.", "house.read", broken, phrases=phrases(r"break it")),
    Lookup("house.secret", "Not for everybody.", "house.secret", count_cases, phrases=phrases(r"secrets?")),
)


@dataclass(frozen=True)
class Manifest:
    """As much of a module as conversations look at."""

    name: str = "house"
    lookups: tuple[Lookup, ...] = LOOKUPS
    subjects: tuple[ConversationSubject, ...] = (CASES,)
    roles: tuple[Any, ...] = ()


@dataclass
class Tokens:
    """A token is a name; who it stands for is made up by the test."""

    known: dict[str, Principal] = field(default_factory=dict)

    def authenticate(self, token: str) -> Principal:
        if token not in self.known:
            raise Unauthenticated
        return self.known[token]


class Bearer(ASGIMiddleware):
    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = dict(scope["headers"])
        token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        if scope["type"] == "http":  # type: ignore[comparison-overlap]
            scope["user"] = scope["app"].state.runtime.authenticator.authenticate(token)
        await next_app(scope, receive, send)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class House:
    """The running application, its people and one case of the worker's with a person in it."""

    runtime: Runtime
    url: str
    tokens: Tokens
    http: httpx.AsyncClient
    case_id: UUID
    foreign_case_id: UUID

    def user(self, name: str) -> UUID:
        return self.tokens.known[name].user_id

    async def call(self, method: str, path: str, who: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who}", **options.pop("headers", {})}
        return await self.http.request(method, f"/api/v1/chat{path}", json=body, headers=headers, **options)

    @asynccontextmanager
    async def socket(self, who: str) -> AsyncIterator[ClientConnection]:
        url = self.url.replace("http", "ws", 1) + f"/ws/chat?token={who}"
        async with connect(url, proxy=None) as connection:
            assert json.loads(await connection.recv())["event"] == "connected"
            yield connection

    def use(self, engine: Any) -> None:
        self.runtime.parts["assistant"] = Assistant(self.runtime, engine)

    def use_model(self, url: str, http: httpx.AsyncClient, seconds: int = 2) -> None:
        settings = msgspec.structs.replace(
            self.runtime.settings, openai_api_key="k", openai_base_url=url, openai_timeout_seconds=seconds
        )
        self.use(ModelEngine(Completions(http, settings), seconds=3 * seconds))


async def talk(connection: ClientConnection, content: str, **more: Any) -> list[dict[str, Any]]:
    """The frames of one turn."""
    await connection.send(json.dumps({"type": "message", "id": "c1", "content": content, **more}))
    return await until(connection, "message.completed", "error")


async def until(connection: ClientConnection, *kinds: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] not in kinds:
        frames.append(json.loads(await asyncio.wait_for(connection.recv(), 10)))
    return frames


PEOPLE = {
    "worker": ("worker", {"house.read", "house.cases.read"}),
    "colleague": ("worker", {"house.read"}),
    "person": ("person", {"house.read"}),
    "overseer": ("overseer", {"house.oversee"}),
    "stranger": ("viewer", {"elsewhere.read", "elsewhere.oversee"}),
    "admin": ("admin", {"house.oversee", "elsewhere.oversee"}),
}


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[House]:
    tokens = Tokens()
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime.open(settings))
        runtime.authenticator = tokens
        runtime.parts["modules"] = (Manifest(),)
        for name, (role, permissions) in PEOPLE.items():
            tokens.known[name] = await _person(runtime, name, role, permissions)
        case_id, foreign_case_id = await _cases(runtime, tokens)
        await stack.enter_async_context(hub(runtime))
        await stack.enter_async_context(assistant(runtime))
        url = await stack.enter_async_context(_served(runtime))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20))
        yield House(runtime, url, tokens, http, case_id, foreign_case_id)


async def _person(runtime: Runtime, name: str, role: str, permissions: set[str]) -> Principal:
    user_id = clock.new_id()
    await runtime.database.pool.execute(
        "INSERT INTO core.users (id, email, name) VALUES ($1, $2, $3)", user_id, f"{user_id}@house.example", name
    )
    claims = {"worker_id": user_id} if role == "worker" else {}
    return Principal(user_id, role, frozenset({role}), frozenset(permissions), claims)


async def _cases(runtime: Runtime, tokens: Tokens) -> tuple[UUID, UUID]:
    owner = await asyncpg.connect(runtime.settings.owner_url)
    await owner.execute(TABLES)
    await owner.close()
    mine, theirs = clock.new_id(), clock.new_id()
    worker, colleague, person = (tokens.known[name].user_id for name in ("worker", "colleague", "person"))
    insert = "INSERT INTO house.cases (id, worker_id, person_id, name) VALUES ($1, $2, $3, $4)"
    await runtime.database.pool.executemany(
        insert,
        [(mine, worker, person, "Alder"), (clock.new_id(), worker, None, "Birch"), (theirs, colleague, None, "Cedar")],
    )
    return mine, theirs


@asynccontextmanager
async def _served(runtime: Runtime) -> AsyncIterator[str]:
    app = Litestar(
        route_handlers=[*chat.controllers],
        exception_handlers=HANDLERS,
        request_class=Request,
        middleware=[Bearer()],
        state=State({"runtime": runtime}),
        openapi_config=None,
        logging_config=None,
    )
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, loop="none", ws="websockets-sansio")
        serving = Server(config)
        task = asyncio.create_task(serving.serve(sockets=[bound]))
        while not serving.started and not task.done():
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        runtime.parts["hub"].close_all()
        serving.should_exit = True
        await task
