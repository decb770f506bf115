"""Giving the outbox to a mail server, each mail over a connection of its own.

A row is claimed under a lease and counts an attempt with it. A worker that is killed leaves the row to whoever finds
its lease run out: that mail may arrive twice, under one Message-ID, and is never lost. What a server refuses for good
(5xx about this mail) fails at once; everything else, a wrong password included, is tried again with growing pauses.
Without a server nothing is claimed, and the rows are the mail box.
"""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from atrium.core.config import Settings
from atrium.core.errors import Invalid
from atrium.core.http.logging import redact
from atrium.core.notifications.messages import Mail, compose, host_of, sender_of, wire_address
from atrium.core.notifications.rules import MOST_ATTEMPTS, delay_after
from atrium.core.runtime import Runtime

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger()
AT_ONCE = 4
LOOK_SECONDS = 1.0
SILENT_SECONDS = 10.0
COMMANDS = 3
"""How many times the timeout of a command one mail may take altogether."""
SPARE = timedelta(seconds=30)
GOODBYE_SECONDS = 2.0
LONGEST_ERROR = 500
CLAIM = """
    UPDATE core.outbox_messages SET status = 'sending', attempts = attempts + 1, updated_at = now(),
        next_attempt_at = clock_timestamp() + $1
    WHERE id = (
        SELECT id FROM core.outbox_messages
        WHERE status IN ('queued', 'sending') AND next_attempt_at <= clock_timestamp()
        ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, to_address, template, subject, body_text, body_html, unsubscribe_url, attempts, created_at,
        expires_at <= clock_timestamp() AS is_too_late
"""
MINE = "WHERE id = $1 AND attempts = $2 AND status = 'sending'"
SENT = f"""
    UPDATE core.outbox_messages SET status = 'sent', sent_at = clock_timestamp(), next_attempt_at = NULL,
        last_error = NULL, updated_at = now() {MINE}
"""
LATER = f"""
    UPDATE core.outbox_messages SET status = 'queued', next_attempt_at = clock_timestamp() + $3, last_error = $4,
        updated_at = now() {MINE}
"""
FAILED = f"""
    UPDATE core.outbox_messages SET status = 'failed', next_attempt_at = NULL, last_error = $3, updated_at = now()
    {MINE}
"""


class NotSent(Exception):
    """Why a mail did not get through."""

    def __init__(self, reason: str, *, for_good: bool = False, answers: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.for_good, self.answers = reason, for_good, answers


async def keep_mailing(runtime: Runtime) -> None:
    """Send what is due until cancelled; any number of workers may do it."""
    if runtime.settings.smtp_host:
        await asyncio.gather(*(_keep_sending(runtime) for _ in range(AT_ONCE)))


async def _keep_sending(runtime: Runtime) -> None:
    """One line for a trouble with the database however long it lasts; the rows keep what is due."""
    in_trouble = False
    while True:
        pause = LOOK_SECONDS
        try:
            pause = LOOK_SECONDS if await send_due(runtime) else SILENT_SECONDS
            in_trouble = False
        except Exception as error:  # noqa: BLE001  the next look is the remedy
            if not in_trouble:
                log.warning("mails_not_read", error=repr(error))
            in_trouble = True
        await asyncio.sleep(pause)


async def send_due(runtime: Runtime) -> bool:
    """Send until nothing is due. False as soon as the server does not answer: the others would only wait, too."""
    while (row := await runtime.database.pool.fetchrow(CLAIM, lease(runtime.settings))) is not None:
        if not await _send(runtime, row):
            return False
    return True


def lease(settings: Settings) -> timedelta:
    """Longer than one attempt can take, so that nobody else sends what is being sent."""
    return timedelta(seconds=COMMANDS * settings.smtp_timeout_seconds + GOODBYE_SECONDS) + SPARE


async def _send(runtime: Runtime, row: "asyncpg.Record") -> bool:
    """Try one claimed row and write down how it went; returns whether the server answers at all."""
    try:
        if row["is_too_late"]:
            raise NotSent("It could not be sent while it was of use.", for_good=True)
        if row["attempts"] > MOST_ATTEMPTS:
            raise NotSent("It was tried too often.", for_good=True)
        await deliver(runtime.settings, _mail(row))
    except NotSent as error:
        await _postpone(runtime, row, error)
        return error.answers
    except Exception as error:  # noqa: BLE001  a fault of ours must not make the loop forget the row
        await _postpone(runtime, row, NotSent(repr(error)))
        return True
    await runtime.database.pool.execute(SENT, row["id"], row["attempts"])
    log.info("mail_sent", id=str(row["id"]), template=row["template"], attempts=row["attempts"])
    return True


async def _postpone(runtime: Runtime, row: "asyncpg.Record", error: NotSent) -> None:
    reason = _harmless(runtime.settings, error.reason)
    said = {"id": str(row["id"]), "template": row["template"], "attempts": row["attempts"]}
    log.warning(
        "mail_failed" if error.for_good else "mail_delayed",
        **said,
        error=reason.replace(row["to_address"], "[address]"),
    )
    mine = row["id"], row["attempts"]
    if error.for_good:
        await runtime.database.pool.execute(FAILED, *mine, reason)
    else:
        delay = delay_after(row["attempts"], random.random())  # noqa: S311  to spread, not to hide
        await runtime.database.pool.execute(LATER, *mine, delay, reason)


def _mail(row: "asyncpg.Record") -> Mail:
    return Mail(
        id=row["id"],
        to_address=row["to_address"],
        subject=row["subject"] or "",
        text=row["body_text"] or "",
        html=row["body_html"],
        unsubscribe_url=row["unsubscribe_url"],
        created_at=row["created_at"],
    )


async def deliver(settings: Settings, mail: Mail) -> None:
    """Hand a mail to the server; raises NotSent."""
    try:
        message, recipient = compose(mail, settings), wire_address(mail.to_address)
    except (ValueError, Invalid) as error:
        raise NotSent(f"It is no mail: {error}", for_good=True) from error
    client, reached, accepted = _client(settings), False, False
    try:
        async with asyncio.timeout(COMMANDS * settings.smtp_timeout_seconds):
            await client.connect()
            reached = True
            await client.send_message(message, sender=sender_of(settings).addr_spec, recipients=[recipient])
            accepted = True
    except (SMTPException, OSError, ValueError) as error:
        answers = reached and not isinstance(error, OSError)
        raise NotSent(_words(error), for_good=reached and is_final(error), answers=answers) from error
    finally:
        await _part(client, politely=accepted)


def _client(settings: Settings) -> SMTP:
    return SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username or None,
        password=settings.smtp_password or None,
        use_tls=settings.smtp_tls == "tls",
        start_tls=settings.smtp_tls == "starttls",
        timeout=settings.smtp_timeout_seconds,
        local_hostname=host_of(settings),
    )


async def _part(client: SMTP, *, politely: bool) -> None:
    """The mail was accepted or not; how the server says goodbye changes nothing."""
    try:
        if politely:
            with suppress(SMTPException, OSError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await client.quit()
    finally:
        client.close()


def is_final(error: Exception) -> bool:
    """Whether the server said 5xx about this mail, or cannot take its kind of address at all."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(_is_5xx(one) for one in error.recipients)
    if isinstance(error, SMTPSenderRefused | SMTPRecipientRefused | SMTPDataError):
        return _is_5xx(error)
    return isinstance(error, SMTPNotSupported)


def _is_5xx(error: SMTPResponseException) -> bool:
    return 500 <= error.code <= 599


def _words(error: Exception) -> str:
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        return _words(error.recipients[0])
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _harmless(settings: Settings, reason: str) -> str:
    """A server may say anything, in the worst case what we told it."""
    if settings.smtp_password:
        reason = reason.replace(settings.smtp_password, "[hidden]")
    printable = "".join(char if char.isprintable() else " " for char in reason)
    return redact(printable)[:LONGEST_ERROR]
