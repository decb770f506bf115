"""A module of three tables, declared as any module would, over a database of the test's own.

Ann and Bob each keep their own books; the chief sees all of them; Cat keeps books and may not read reviews; to Dan
authors are what they are to Ann, and books nothing at all. What an author earns is only for the chief, and so is the
secret of a review.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import MetaData, insert, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped

from atrium.core import clock
from atrium.core.access import Principal, caller, clause, everyone, held_by, protect
from atrium.core.config import Settings
from atrium.core.db.columns import Money, field
from atrium.core.db.engines import sqlalchemy_url
from atrium.core.db.entity import NAMING, Entity, Versioned
from atrium.core.http import problems
from atrium.core.resources.relations import many, one
from atrium.core.resources.resource import Resource
from atrium.core.resources.routes import handlers
from atrium.core.runtime import Runtime

METADATA = MetaData(naming_convention=NAMING)


class Author(Entity, table="library.authors"):
    """Who writes."""

    audited = False
    metadata = METADATA

    name: Mapped[str] = field(length=100)
    country: Mapped[str | None] = field(length=2)
    royalty: Mapped[Money | None] = field()
    mentor_id: Mapped[UUID | None] = field(references="library.authors.id")


class Book(Versioned, Entity, table="library.books"):
    """What is written."""

    audited = False
    metadata = METADATA

    title: Mapped[str] = field(length=200)
    author_id: Mapped[UUID | None] = field(references="library.authors.id")
    owner_id: Mapped[UUID] = field()
    status: Mapped[str] = field(choices=("draft", "out", "sold"), default="out")
    price: Mapped[Money | None] = field()
    pages: Mapped[int | None] = field()
    published_on: Mapped[date | None] = field()
    sold_at: Mapped[datetime | None] = field()
    deleted_at: Mapped[datetime | None] = field()


class Review(Entity, table="library.reviews"):
    """What is said about it."""

    audited = False
    metadata = METADATA

    book_id: Mapped[UUID] = field(references="library.books.id", scope=True)
    stars: Mapped[int] = field(ge=1, le=5)
    heading: Mapped[str | None] = field(length=100)
    body: Mapped[str] = field()
    secret: Mapped[str | None] = field()
    deleted_at: Mapped[datetime | None] = field()


OWN = Review.book_id.in_(select(Book.id).where(Book.owner_id == caller("user_id")))
protect(Author, clause(claim="user_id", hidden=("royalty",)) | everyone("library.oversee"))
protect(Book, held_by(Book.owner_id, "user_id", without="chief") | everyone("library.oversee"))
protect(Review, clause(claim="user_id", without="chief", rows=OWN, hidden=("secret",)) | everyone("library.oversee"))

authors = Resource(
    Author,
    path="/authors",
    read="library.read",
    filters=("name", "country", "royalty"),
    sorts=("name", "country", "royalty"),
    relations={
        "books": many("library.books.author_id"),
        "mentor": one("mentor_id"),
        "pupils": many("library.authors.mentor_id"),
    },
)
books = Resource(
    Book,
    path="/books",
    read="library.read",
    filters=("title", "status", "price", "pages", "published_on", "sold_at", "author_id"),
    sorts=("title", "price", "pages", "published_on", "sold_at", "created_at"),
    search=("title",),
    relations={"author": one("author_id"), "reviews": many("library.reviews.book_id")},
)
reviews = Resource(
    Review,
    path="/reviews",
    also=("/books/{book_id}/reviews",),
    read="library.reviews.read",
    filters=("stars", "heading", "secret"),
    sorts=("stars", "created_at", "secret"),
    search=("heading", "secret"),
    fulltext=("heading", "body"),
    relations={"book": one("book_id")},
)
RESOURCES = (authors, books, reviews)


def _person(*permissions: str, **claims: UUID) -> Principal:
    return Principal(clock.new_id(), "reader", frozenset({"reader"}), frozenset({"library.read", *permissions}), claims)


ANN, BOB = _person("library.reviews.read"), _person("library.reviews.read")
CAT = _person()
CHIEF = _person("library.reviews.read", "library.oversee", chief=uuid4())
DAN = _person("library.reviews.read", chief=uuid4())
PEOPLE = {"ann": ANN, "bob": BOB, "cat": CAT, "dan": DAN, "chief": CHIEF}


def _signed_in(app: ASGIApp) -> ASGIApp:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        headers: Any = dict(scope.get("headers", ()))
        scope["user"] = PEOPLE[headers.get(b"x-as", b"ann").decode()]
        await app(scope, receive, send)

    return run


class Library:
    """The open library: its doors, and a way past them."""

    def __init__(self, client: httpx.AsyncClient, engine: Any, runtime: Runtime) -> None:
        self.client, self._engine, self.runtime = client, engine, runtime

    async def add(self, model: Any, **values: Any) -> UUID:
        given = {"id": clock.new_id(), **values}
        async with self._engine.begin() as working:
            await working.execute(insert(model).values(**given))
        row_id: UUID = given["id"]
        return row_id

    async def run(self, sql: str) -> Any:
        return await self.runtime.database.pool.fetch(sql)

    async def ask(self, path: str, who: str = "ann", **params: Any) -> httpx.Response:
        given = params.pop("params", params)
        return await self.client.get(path, headers={"x-as": who}, params=given)

    async def items(self, path: str, who: str = "ann", **params: Any) -> list[dict[str, Any]]:
        answer = await self.ask(path, who, **params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def refused(self, path: str, who: str = "ann", **params: Any) -> Mapping[str, Any]:
        answer = await self.ask(path, who, **params)
        assert answer.status_code == 422, answer.text
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def open_library(url: str, settings: Settings, **over: Any) -> AsyncIterator[Library]:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA library")
    await connection.close()
    engine = create_async_engine(sqlalchemy_url(url))
    async with engine.begin() as working:
        await working.run_sync(METADATA.create_all)
    async with Runtime.open(msgspec.structs.replace(settings, database_url=url, **over)) as runtime:
        app = Litestar(
            [handler for resource in RESOURCES for handler in handlers(resource)],
            exception_handlers=problems.HANDLERS,
            middleware=[_signed_in],
            state=State({"runtime": runtime}),
            openapi_config=None,
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Library(client, engine, runtime)
    await engine.dispose()
