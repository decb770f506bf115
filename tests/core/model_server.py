"""A server on loopback that speaks the wire of OpenAI's streamed chat completions, as scripted by a test."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

Reply = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request and the answer that is being written to it."""

    def __init__(self, body: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        self.body, self.headers, self._writer = body, headers, writer
        self.hung_up = asyncio.Event()

    async def head(self, status: int, *lines: str) -> None:
        kind = "text/event-stream" if status == 200 else "application/json"
        head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close", *lines, "", ""]
        self._writer.write("\r\n".join(head).encode())
        await self._writer.drain()

    async def event(self, event: Any) -> None:
        text = event if isinstance(event, str) else json.dumps(event)
        self._writer.write(f"data: {text}\n\n".encode())
        await self._writer.drain()

    async def delta(self, finish: str | None = None, **delta: Any) -> None:
        await self.event({"model": "test-model-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def tool_results(self) -> list[str]:
        return [message["content"] for message in self.body["messages"] if message["role"] == "tool"]


def says(*pieces: str, tokens: tuple[int, int] = (10, 5)) -> Reply:
    async def reply(exchange: Exchange) -> None:
        await exchange.head(200)
        for piece in pieces:
            await exchange.delta(content=piece)
        await exchange.delta(finish="stop")
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        await exchange.event({"choices": [], "usage": usage})
        await exchange.event("[DONE]")

    return reply


def calls(name: str, arguments: str) -> Reply:
    """A tool call, its arguments in pieces of three characters."""

    async def reply(exchange: Exchange) -> None:
        await exchange.head(200)
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        await exchange.delta(tool_calls=[first])
        for start in range(0, len(arguments), 3):
            part = {"index": 0, "function": {"arguments": arguments[start : start + 3]}}
            await exchange.delta(tool_calls=[part])
        await exchange.delta(finish="tool_calls")
        await exchange.event("[DONE]")

    return reply


def refuses(status: int, *lines: str) -> Reply:
    async def reply(exchange: Exchange) -> None:
        await exchange.head(status, *lines)

    return reply


def breaks_after(*pieces: str) -> Reply:
    """The connection ends in the middle of the answer."""

    async def reply(exchange: Exchange) -> None:
        await exchange.head(200)
        for piece in pieces:
            await exchange.delta(content=piece)

    return reply


def hangs(*pieces: str) -> Reply:
    """Silence after the first pieces, until the client hangs up."""

    async def reply(exchange: Exchange) -> None:
        await exchange.head(200)
        for piece in pieces:
            await exchange.delta(content=piece)
        await exchange.hung_up.wait()

    return reply


class ModelServer:
    """Answers each request with the next reply of the script; the last one repeats."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.seen: list[Exchange] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            assert lines[0].startswith("POST /v1/chat/completions ")
            exchange = Exchange(body, headers, writer)
            self.seen.append(exchange)
            reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            watch = asyncio.create_task(self._watch(reader, exchange))
            await reply(exchange)
            watch.cancel()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader, exchange: Exchange) -> None:
        await reader.read()
        exchange.hung_up.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
