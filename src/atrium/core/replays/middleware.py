"""Idempotency-Key on every POST that does not keep its own answer; without the header it costs one look at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from atrium.core.access import Principal
from atrium.core.errors import AtriumError
from atrium.core.replays import statements
from atrium.core.replays.keys import HEADER, OWN, SECRETS, Asked, Kept, Watched, digest, told
from atrium.core.runtime import Runtime
from atrium.core.services import CLAIM
from atrium.core.stopping import stop

log = structlog.get_logger()
LARGEST = 4 * 1024 * 1024


class Replays:
    """ASGI middleware; it stands behind the one that says who is calling."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == "POST":
            for name, _ in scope["headers"]:
                if name == HEADER:
                    await self._keyed(scope, receive, send)
                    return
        await self.app(scope, receive, send)

    async def _keyed(self, scope: Any, receive: Receive, send: Send) -> None:
        principal = scope.get("user")
        own = scope["route_handler"].opt.get(OWN) or scope["path"].startswith(SECRETS)
        asked = None if own or not isinstance(principal, Principal) else Asked.of(scope, principal)
        if asked is None:
            await self.app(scope, receive, send)
            return
        runtime: Runtime = scope["litestar_app"].state.runtime
        claimed = await statements.claim(runtime, asked)
        if claimed is None:
            await self._again(scope, receive, send, runtime, asked)
        else:
            await self._first(scope, receive, send, runtime, claimed)

    async def _first(self, scope: Any, receive: Receive, send: Send, runtime: Runtime, claimed: UUID) -> None:
        """Run the verb and keep its answer before the caller gets it."""
        watched = scope["user"] = Watched.of(scope["user"])
        body, answer = Body(scope, receive), Answer(send)
        async with renewing(runtime, claimed), claiming(claimed):
            try:
                await self.app(scope, body.receive, answer.send)
            except Exception:
                await self._release(runtime, claimed)
                raise
            if 200 <= answer.status < 300:
                await body.drain()
                described = told(answer.headers, watched.required, watched)
                await self._keep(runtime, claimed, body.sha256(), answer, described)
            else:
                await self._release(runtime, claimed)
        await answer.finish()

    async def _keep(
        self, runtime: Runtime, claimed: UUID, sha256: bytes, answer: "Answer", described: dict[str, Any]
    ) -> None:
        """What is done is done: that its answer cannot be kept is no reason to say that it is not."""
        try:
            await statements.keep(runtime, claimed, sha256, answer.status, described, answer.body)
        except AtriumError as error:
            log.warning("answer_not_kept", error=error.detail)

    async def _again(self, scope: Any, receive: Receive, send: Send, runtime: Runtime, asked: Asked) -> None:
        kept = await statements.find(runtime, asked)
        if kept is None:  # the first one failed meanwhile: this one is the first now
            await self._keyed(scope, receive, send)
            return
        kept.require_finished()
        body = Body(scope, receive)
        await body.drain()
        await self._answer(kept, body.sha256(), scope, receive, send)

    async def _answer(self, kept: Kept, sha256: bytes, scope: Any, receive: Receive, send: Send) -> None:
        response = kept.answer(sha256, scope["user"]).to_asgi_response(app=None, request=None)  # type: ignore[arg-type]
        await response(scope, receive, send)

    async def _release(self, runtime: Runtime, claimed: UUID) -> None:
        with suppress(AtriumError):
            await statements.release(runtime, claimed)


class Body:
    """The request's body on its way to the handler, with what tells it from others."""

    def __init__(self, scope: Any, receive: Receive) -> None:
        self._receive, self._digest, self._ended = receive, digest(scope["query_string"]), False

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request":
            self._digest.update(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        else:
            self._ended = True
        return message

    async def drain(self) -> None:
        while not self._ended:
            await self.receive()

    def sha256(self) -> bytes:
        found: bytes = self._digest.digest()
        return found


class Answer:
    """What the handler answers, held back until it is kept; one that is too large or a stream goes through."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._parts: list[bytes] = []
        self._size = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_whole = True

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
            self.is_whole = not self.headers.get("content-type", "").startswith("text/event-stream")
        elif message["type"] == "http.response.body":
            self._parts.append(message["body"])
            self._size += len(message["body"])
            self.is_whole = self.is_whole and self._size <= LARGEST
        self._held.append(message)
        if not self.is_whole:
            self._parts.clear()
            await self.finish()

    @property
    def body(self) -> bytes | None:
        return b"".join(self._parts) if self.is_whole else None

    async def finish(self) -> None:
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


@asynccontextmanager
async def claiming(claimed: UUID) -> AsyncIterator[None]:
    """Transactions in here say that the claim is carried out."""
    token = CLAIM.set(claimed)
    try:
        yield
    finally:
        CLAIM.reset(token)


@asynccontextmanager
async def renewing(runtime: Runtime, claimed: UUID) -> AsyncIterator[None]:
    """Keep the claim while the verb runs, however long that takes."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(statements.LOCKED_FOR.total_seconds() / 3)
            with suppress(AtriumError):
                await statements.renew(runtime, claimed)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        await stop(task)
