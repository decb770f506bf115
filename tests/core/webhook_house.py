"""An application with webhooks on a database of its own, and a real server that receives them."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import msgspec
from tests.core.factories import a_role, sql
from tests.wealth.factories import Actor, an_advisor, headers_for

from atrium.app import create_app
from atrium.core.changes.relay import chain_batch
from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.webhooks.dispatching import BEGIN, CURSOR, dispatch_batch
from atrium.core.webhooks.policies import MANAGE
from atrium.core.webhooks.sending import claim, deliver

LOOPBACK = ("127.0.0.0/8",)
DEADLINE = 15.0


@dataclass
class House:
    runtime: Runtime
    client: httpx.AsyncClient

    async def call(self, actor: Actor, method: str, path: str, status: int, **options: Any) -> Any:
        """The decoded answer of a request that must end with this status."""
        headers = {**actor.headers, **options.pop("headers", {})}
        answer = await self.client.request(method, f"/api/v1/webhooks{path}", headers=headers, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def hook(self, actor: Actor, url: str, *events: str) -> Any:
        body = {"url": url, "events": list(events or ("*",))}
        return await self.call(actor, "POST", "", 201, json=body)

    async def dispatch(self) -> None:
        """Everything that happened becomes deliveries."""
        while await chain_batch(self.runtime):
            pass
        while await dispatch_batch(self.runtime):
            pass

    async def send(self) -> int:
        """One round: at most one attempt for each webhook."""
        claimed = await claim(self.runtime, 64, 64)
        await asyncio.gather(*(deliver(self.runtime, one) for one in claimed))
        return len(claimed)

    async def send_all(self) -> None:
        await self.dispatch()
        while await self.send():
            pass

    async def deliveries(self, hook: Any) -> list[Any]:
        """In their order."""
        statement = "SELECT * FROM core.webhook_deliveries WHERE webhook_id = $1 ORDER BY position, id"
        return [dict(row) for row in await self.runtime.database.pool.fetch(statement, UUID(hook["id"]))]

    async def row(self, hook: Any) -> Any:
        return await self.runtime.database.pool.fetchrow("SELECT * FROM core.webhooks WHERE id = $1", UUID(hook["id"]))

    async def make_due(self, hook: Any) -> None:
        """The time until the next attempt has passed."""
        await self.runtime.database.pool.execute(
            "UPDATE core.webhook_deliveries SET next_attempt_at = now() WHERE webhook_id = $1 AND status = 'queued'",
            UUID(hook["id"]),
        )


def own_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str], name: str) -> Settings:
    direct = new_database(name)
    return msgspec.structs.replace(
        settings,
        database_url=as_application(direct),
        database_direct_url=direct,
        redis_prefix=f"{settings.redis_prefix}-{name}",
        webhook_allowed_networks=LOOPBACK,
    )


@asynccontextmanager
async def a_house(own: Settings) -> AsyncIterator[House]:
    app = create_app(own)
    opened, done = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            opened.set()
            await done.wait()

    living = asyncio.create_task(live())
    await asyncio.wait({living, asyncio.create_task(opened.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if living.done():
        await living
    runtime: Runtime = app.state.runtime
    await runtime.database.pool.execute(BEGIN, CURSOR)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield House(runtime, client)
    finally:
        done.set()
        await living


async def an_owner(runtime: Runtime, **over: Any) -> Actor:
    """An advisor who may have webhooks."""
    advisor = await an_advisor(runtime, **over)
    await permit(runtime, advisor.user_id)
    return Actor(advisor.user_id, advisor.id, await headers_for(runtime, advisor.user_id))


async def permit(runtime: Runtime, user_id: UUID) -> str:
    """Somebody gets a role that may have webhooks; returns the role."""
    role = await a_role(runtime, MANAGE)
    await sql(
        runtime,
        "INSERT INTO core.user_roles (id, user_id, role_id) "
        "SELECT gen_random_uuid(), :user, id FROM core.roles WHERE code = :role",
        user=user_id,
        role=role,
    )
    return role


async def eventually(holds: Callable[[], Any], seconds: float = DEADLINE) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def event(self) -> Any:
        return msgspec.json.decode(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Standard Webhooks, written down once more from its text: any of the signatures may fit."""
        key = base64.b64decode(secret.split("_", 1)[1])
        said = b".".join([self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body])
        wanted = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
        given = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and hmac.compare_digest(text, wanted) for version, text in given)


@dataclass
class Receiver:
    """Answers what a test tells it to: a status, or with `hangs` nothing at all."""

    status: int = 200
    answer: bytes = b"thanks"
    headers: bytes = b""
    hangs: bool = False
    drips: bool = False
    received: list[Received] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    port: int = 0
    _script: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/{secrets.token_hex(4)}"

    @property
    def names(self) -> list[str]:
        return [one.event["type"] for one in self.received]

    def then(self, *statuses: int) -> None:
        """The next answers, before `status` holds again."""
        self._script.extend(statuses)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        given = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in given.items()}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(headers, body, head[0].split(" ")[1]))
        if self.hangs:
            await reader.read()
            return
        status = self._script.pop(0) if self._script else self.status
        length = len(self.answer) + (100 if self.drips else 0)
        writer.write(b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n%s" % (status, self.headers, length, self.answer))
        await writer.drain()
        if self.drips:
            await reader.read()


@asynccontextmanager
async def a_receiver(**options: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**options)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
