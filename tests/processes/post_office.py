"""A real mail server on loopback that refuses, or keeps its clients waiting, when a test says so."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class PostOffice:
    """`taken` are the Message-IDs of the mails that were accepted, by recipient."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.refused: list[str] = []
        self.refuses = False
        self.waiting: list[int] = []
        """The senders' ends of the connections that are kept waiting."""
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's
        (recipient,) = envelope.rcpt_tos
        if self.refuses:
            self.refused.append(recipient)
            return "451 4.3.0 Come back later"
        peer: Any = session.peer
        self.waiting.append(peer[1])
        try:
            await self._gate.wait()
        finally:
            self.waiting.remove(peer[1])
        content: Any = envelope.content
        self.taken[recipient].append(message_from_bytes(content)["Message-ID"])
        return "250 OK"


@asynccontextmanager
async def serving_mail() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(office, hostname="localhost", loop=loop), "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    async with server:
        yield office
        office.release()
