"""The wire of an OpenAI-compatible endpoint: one streamed completion, retried before its first piece, never after."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
import structlog

from atrium.core.chat.errors import ModelUnreachable
from atrium.core.config import Settings

log = structlog.get_logger()
ATTEMPTS = 3
FIRST_PAUSE = 0.3
LONGEST_PAUSE = 5.0
CONNECT_SECONDS = 5.0
DONE = "[DONE]"
RETRIED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.RemoteProtocolError, httpx.ReadError)


class CalledFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class CalledTool(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: CalledFunction = msgspec.field(default_factory=CalledFunction)


class Change(msgspec.Struct):
    content: str | None = None
    tool_calls: list[CalledTool] | None = None


class Option(msgspec.Struct):
    delta: Change = msgspec.field(default_factory=Change)
    finish_reason: str | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chunk(msgspec.Struct):
    choices: list[Option] = []
    usage: Usage | None = None
    model: str | None = None
    error: Any = None


class _Again(Exception):
    """Worth another attempt, after a pause that the server may have asked for."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class Completions:
    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._url = settings.openai_base_url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {settings.openai_api_key}"}
        self.model = settings.openai_model
        self._timeout = httpx.Timeout(
            settings.openai_timeout_seconds, connect=min(CONNECT_SECONDS, settings.openai_timeout_seconds)
        )

    async def stream(
        self, messages: Sequence[Any], tools: Sequence[Any], deadline: float
    ) -> AsyncGenerator[Chunk, None]:
        """The chunks of one answer; raises ModelUnreachable. `deadline` is a moment of the event loop's clock."""
        body: dict[str, Any] = {"model": self.model, "messages": list(messages), "stream": True}
        body |= {"stream_options": {"include_usage": True}, "temperature": 0}
        if tools:
            body |= {"tools": list(tools), "tool_choice": "auto"}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._attempt(msgspec.json.encode(body), deadline)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except _Again as error:
                log.warning("model_attempt_failed", attempt=attempt, error=str(error))
                pause = min(error.pause or FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1), LONGEST_PAUSE)  # noqa: S311
                if attempt == ATTEMPTS or asyncio.get_running_loop().time() + pause >= deadline:
                    raise ModelUnreachable from error
                await asyncio.sleep(pause)
            else:
                return

    async def _attempt(self, body: bytes, deadline: float) -> AsyncGenerator[Chunk, None]:
        begun = finished = False
        try:
            async with aclosing(self._lines(body, deadline)) as lines:
                async for line in lines:
                    if line == DONE:
                        return
                    begun = True
                    chunk = _read(line)
                    finished = finished or any(option.finish_reason for option in chunk.choices)
                    yield chunk
        except (httpx.HTTPError, TimeoutError) as error:
            if isinstance(error, RETRIED) and not begun:
                raise _Again(repr(error)) from error
            log.warning("model_failed", error=repr(error), begun=begun)
            raise ModelUnreachable(is_cut=begun) from error
        if not begun:
            raise _Again("nothing came")
        if not finished:
            raise ModelUnreachable("The language model stopped before it had finished.", is_cut=begun)

    async def _lines(self, body: bytes, deadline: float) -> AsyncGenerator[str, None]:
        """The data of the server-sent events."""
        headers = {**self._headers, "Content-Type": "application/json", "Accept": "text/event-stream"}
        request = self._http.build_request("POST", self._url, content=body, headers=headers, timeout=self._timeout)
        async with asyncio.timeout_at(deadline):
            response = await self._http.send(request, stream=True)
        try:
            _require_success(response)
            lines = response.aiter_lines()
            while True:
                async with asyncio.timeout_at(deadline):
                    line = await anext(lines, None)
                if line is None:
                    return
                if line.startswith("data:"):
                    yield line[5:].strip()
        finally:
            await response.aclose()


def _require_success(response: httpx.Response) -> None:
    if response.status_code == 200:
        return
    if response.status_code == 429 or response.status_code >= 500:
        given = response.headers.get("retry-after", "")
        raise _Again(f"status {response.status_code}", float(given) if given.isdigit() else None)
    log.error("model_refused", status=response.status_code)
    raise ModelUnreachable


def _read(line: str) -> Chunk:
    try:
        chunk = msgspec.json.decode(line, type=Chunk)
    except msgspec.MsgspecError as error:
        raise ModelUnreachable("The language model answered in a way that cannot be read.", is_cut=True) from error
    if chunk.error:
        log.warning("model_error", error=str(chunk.error)[:500])
        raise ModelUnreachable(is_cut=True)
    return chunk
