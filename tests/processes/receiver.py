"""A receiver of webhooks on loopback, whose paths may keep their requests waiting."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

TAKEN = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass
class Request:
    id: str
    port: int
    """The sender's end of the connection."""
    body: dict[str, Any]
    is_answered: bool = False


class Receiver:
    def __init__(self) -> None:
        self.url = ""
        self.requests: dict[str, list[Request]] = defaultdict(list)
        self._gates: dict[str, asyncio.Event] = defaultdict(_open_gate)

    def hold(self, path: str) -> None:
        """Let requests wait until `release`."""
        self._gates[path].clear()

    def release(self, path: str) -> None:
        self._gates[path].set()

    def waiting(self, path: str) -> list[Request]:
        return [request for request in self.requests[path] if not request.is_answered]

    def answered(self, path: str) -> list[str]:
        """The ids of what was taken, in the order of arrival."""
        return [request.id for request in self.requests[path] if request.is_answered]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            path = first.split()[1]
            request = Request(headers["webhook-id"], writer.get_extra_info("peername")[1], body)
            self.requests[path].append(request)
            await self._gates[path].wait()
            writer.write(TAKEN)
            await writer.drain()
            request.is_answered = True
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has gone
        finally:
            writer.close()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver
        for path in receiver.requests:
            receiver.release(path)
