"""A mail server on loopback that says what it is told to say, and an outbox that no other test writes to."""

import asyncio
import dataclasses
import email
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from ssl import SSLContext
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult
from tests.core.factories import sql

from atrium.core.config import Settings
from atrium.core.notifications.mail import send_mail
from atrium.core.notifications.templates import MailTemplate
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

PASSWORD = "the-password-of-the-mail-server"
SENDER = "Atrium <no-reply@example.com>"
LETTER = MailTemplate("letter", Path(__file__).parent / "mail_templates", "A letter of the tests", {})


class MailServer:
    """What it accepted, and what it answers instead of accepting; it may also hold a mail back or say nothing."""

    def __init__(self) -> None:
        self.accepted: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.to_recipient = self.to_data = "250 OK"
        self.arrived, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.port = 0

    async def handle_RCPT(  # noqa: N802  aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self.to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's
        self.arrived.set()
        await self.open.wait()
        if self.to_data.startswith("250"):
            message: Any = email.message_from_bytes(envelope.content, policy=default)
            self.accepted.append(message)
            self.recipients += envelope.rcpt_tos
        return self.to_data


def only_password(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def a_mail_server(*, ssl_context: SSLContext | None = None, **options: Any) -> AsyncIterator[MailServer]:
    handler, loop, connections = MailServer(), asyncio.get_running_loop(), list[SMTP]()

    def accept() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # passwords without TLS are for tests
            connections.append(SMTP(handler, loop=loop, **options))
        return connections[-1]

    serving = await loop.create_server(accept, "127.0.0.1", 0, ssl=ssl_context)
    handler.port = serving.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        handler.open.set()
        serving.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.close()
        await serving.wait_closed()


def through(runtime: Runtime, port: int, **over: Any) -> Runtime:
    """The same process with a mail server."""
    values: dict[str, Any] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_tls": "none",
        "smtp_from": SENDER,
        "smtp_timeout_seconds": 5,
        **over,
    }
    settings: Settings = msgspec.structs.replace(runtime.settings, **values)
    return dataclasses.replace(runtime, settings=settings)


async def a_mail(runtime: Runtime, *, to: str = "dana@example.com", subject: str = "Hello", **over: Any) -> None:
    context = {"subject": subject, "name": "Dana", "link": "https://atrium.example/x?token=secret-of-the-link"}
    async with unit_of_work(runtime) as work:
        await send_mail(work, LETTER, to=to, context=context, **over)


async def outbox(runtime: Runtime) -> list[Any]:
    return await sql(runtime, "SELECT * FROM core.outbox_messages ORDER BY created_at, id")


async def only_row(runtime: Runtime) -> Any:
    (row,) = await outbox(runtime)
    return row


async def make_due(runtime: Runtime) -> None:
    """The moment that a row waits for has come."""
    await sql(runtime, "UPDATE core.outbox_messages SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
