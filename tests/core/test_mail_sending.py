import asyncio
import datetime as dt
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.core.factories import sql
from tests.core.mail_house import (
    LETTER,
    PASSWORD,
    MailServer,
    a_mail,
    a_mail_server,
    make_due,
    only_password,
    only_row,
    outbox,
    through,
    until,
)

from atrium.core.config import InvalidSettings, Settings
from atrium.core.errors import Conflict, Invalid
from atrium.core.http import logging
from atrium.core.notifications.mail import send_mail
from atrium.core.notifications.rules import MOST_ATTEMPTS, delay_after
from atrium.core.notifications.sending import keep_mailing, send_due
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.stopping import stop
from atrium.core.tasks.worker import working


@pytest.fixture(scope="module")
def mail_settings(settings: Settings, new_database: Any, as_application: Callable[[str], str]) -> Settings:
    url = new_database("mail")
    return msgspec.structs.replace(settings, database_url=as_application(url), database_direct_url=url)


@pytest.fixture
async def boxed(mail_settings: Settings) -> AsyncIterator[Runtime]:
    """Its outbox is empty, and there is no mail server."""
    async with Runtime.open(mail_settings) as runtime:
        await sql(runtime, "DELETE FROM core.outbox_messages")
        yield runtime


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with a_mail_server() as server:
        yield server


@pytest.fixture
def house(boxed: Runtime, server: MailServer) -> Runtime:
    return through(boxed, server.port)


async def test_a_mail_arrives_with_both_parts_once(house: Runtime, server: MailServer) -> None:
    await a_mail(house, to="dana@example.com", subject="Grüße, שלום & more")

    assert await send_due(house) is True
    assert await send_due(house) is True

    (message,), row = server.accepted, await only_row(house)
    text, html = message.iter_parts()
    assert (row.status, row.attempts, row.last_error, row.next_attempt_at) == ("sent", 1, None, None)
    assert row.sent_at is not None
    assert server.recipients == ["dana@example.com"]
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in (text, html)] == ["text/plain", "text/html"]
    assert message["Subject"] == "Grüße, שלום & more"
    assert (message["From"], message["To"]) == ("Atrium <no-reply@example.com>", "dana@example.com")
    assert message["Message-ID"] == f"<{row.id}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "List-Unsubscribe" not in message
    assert text.get_content().splitlines() == [
        "Dear Dana,",
        "",
        "look here (https://atrium.example/x?token=secret-of-the-link).",
        "",
        "- one",
        "- two",
    ]


async def test_without_a_server_the_outbox_is_the_mail_box(boxed: Runtime) -> None:
    await a_mail(boxed)

    await keep_mailing(boxed)

    row = await only_row(boxed)
    assert (row.status, row.attempts) == ("queued", 0)
    assert "https://atrium.example/x?token=secret-of-the-link" in row.body_text


async def test_mail_of_a_rolled_back_transaction_never_exists(house: Runtime, server: MailServer) -> None:
    async def fail() -> None:
        async with unit_of_work(house) as work:
            await send_mail(work, LETTER, to="a@example.com", context={"subject": "x", "name": "x", "link": "x"})
            raise Conflict

    with pytest.raises(Conflict):
        await fail()
    await send_due(house)

    assert (await outbox(house), server.accepted) == ([], [])


@pytest.mark.parametrize("step", ["to_recipient", "to_data"])
async def test_a_busy_server_is_tried_again_after_growing_pauses(house: Runtime, server: MailServer, step: str) -> None:
    await a_mail(house)
    setattr(server, step, "451 4.3.0 try again later")
    waited = []
    for _ in range(3):
        await make_due(house)
        assert await send_due(house) is True
        row = await only_row(house)
        waited.append((row.next_attempt_at - row.updated_at).total_seconds())
        assert (row.status, row.last_error) == ("queued", "451 4.3.0 try again later")
    assert row.attempts == 3
    assert [low <= seconds <= high for seconds, low, high in zip(waited, (47, 95, 191), (73, 145, 289), strict=True)]
    assert waited[0] < waited[1] < waited[2]

    setattr(server, step, "250 OK")
    await send_due(house)
    assert server.accepted == []
    await make_due(house)
    await send_due(house)

    row = await only_row(house)
    assert (row.status, row.attempts, row.last_error, len(server.accepted)) == ("sent", 4, None, 1)


@pytest.mark.parametrize("step", ["to_recipient", "to_data"])
async def test_a_mail_that_is_refused_for_good_fails_at_once(house: Runtime, server: MailServer, step: str) -> None:
    await a_mail(house)
    setattr(server, step, "550 5.1.1 there is nobody of this name")

    assert await send_due(house) is True

    row = await only_row(house)
    assert (row.status, row.attempts, row.next_attempt_at) == ("failed", 1, None)
    assert row.last_error == "550 5.1.1 there is nobody of this name"


async def test_one_recipient_that_is_refused_holds_nobody_up(house: Runtime, server: MailServer) -> None:
    await a_mail(house, to="first@example.com")
    server.to_recipient = "550 no"
    await send_due(house)
    server.to_recipient = "250 OK"
    await a_mail(house, to="second@example.com")

    await send_due(house)

    assert [(row.to_address, row.status) for row in await outbox(house)] == [
        ("first@example.com", "failed"),
        ("second@example.com", "sent"),
    ]


async def test_while_nobody_listens_only_one_mail_finds_out(boxed: Runtime, server: MailServer) -> None:
    house = through(boxed, 1)
    for number in range(3):
        await a_mail(house, to=f"{number}@example.com")

    assert await send_due(house) is False

    rows = await outbox(house)
    assert [row.attempts for row in rows] == [1, 0, 0]
    assert {row.status for row in rows} == {"queued"}
    await make_due(boxed)
    assert await send_due(through(boxed, server.port)) is True
    assert len(server.accepted) == 3


@pytest.mark.parametrize("greeting", [b"", b"220 hello\r\n"])
async def test_a_server_that_hangs_is_given_up(boxed: Runtime, greeting: bytes) -> None:
    writers = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    house = through(boxed, silent.sockets[0].getsockname()[1], smtp_timeout_seconds=1)
    await a_mail(house)
    began = time.monotonic()

    assert await send_due(house) is False

    row = await only_row(house)
    assert time.monotonic() - began < 5
    assert (row.status, row.attempts) == ("queued", 1)
    assert "imeout" in row.last_error
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    silent.close()
    await silent.wait_closed()


async def test_a_server_that_hangs_with_the_mail_in_hand_is_given_up(house: Runtime, server: MailServer) -> None:
    impatient = through(house, server.port, smtp_timeout_seconds=1)
    server.open.clear()
    await a_mail(impatient)

    await send_due(impatient)

    row = await only_row(house)
    assert (row.status, row.attempts) == ("queued", 1)


async def test_a_wrong_password_delays_and_fails_nobody(boxed: Runtime) -> None:
    async with a_mail_server(auth_required=True, auth_require_tls=False, authenticator=only_password) as server:
        wrong = through(boxed, server.port, smtp_username="atrium", smtp_password="a-wrong-password")
        await a_mail(wrong)

        assert await send_due(wrong) is False
        row = await only_row(wrong)
        assert (row.status, row.attempts) == ("queued", 1)
        assert row.last_error.startswith("535")

        await make_due(boxed)
        await send_due(through(boxed, server.port, smtp_username="atrium", smtp_password=PASSWORD))
        assert len(server.accepted) == 1


async def test_nothing_secret_is_logged(boxed: Runtime, server: MailServer, capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(msgspec.structs.replace(boxed.settings, log_level="DEBUG"))
    async with a_mail_server(auth_required=True, auth_require_tls=False, authenticator=only_password) as guarded:
        for password in ("a-wrong-password", PASSWORD):
            house = through(boxed, guarded.port, smtp_username="atrium", smtp_password=password)
            await a_mail(house)
            await make_due(house)
            await send_due(house)
    refusing = through(boxed, server.port, smtp_username="", smtp_password=PASSWORD)
    server.to_recipient = f"550 dana@example.com {PASSWORD} token=abc is not here"
    await a_mail(refusing)
    await send_due(refusing)

    lines = capsys.readouterr().err.splitlines()
    written = "\n".join(line for line in lines if '"mail.log"' not in line)  # the other side's
    errors = [row.last_error or "" for row in await outbox(boxed)]
    logging.configure(boxed.settings)
    assert '"mail_sent"' in written
    assert '"mail_delayed"' in written
    assert '"mail_failed"' in written
    for secret in (PASSWORD, "a-wrong-password", "secret-of-the-link", "dana@example.com", "token=abc"):
        assert secret not in written
    assert not any(PASSWORD in error or "token=abc" in error for error in errors)


async def test_a_killed_worker_leaves_the_mail_to_the_next_one(house: Runtime, server: MailServer) -> None:
    await a_mail(house)
    server.open.clear()
    names = ("database_url", "redis_url", "secret_key", "smtp_host", "smtp_port", "smtp_tls", "smtp_from")
    known = {name.upper(): str(getattr(house.settings, name)) for name in names}
    program = [sys.executable, "-m", "tests.core.mail_program"]
    with subprocess.Popen(program, env={**os.environ, **known}) as process:
        await until(server.arrived.is_set, 20)
        process.send_signal(signal.SIGKILL)
    server.open.set()

    row = await only_row(house)
    assert (row.status, row.attempts) == ("sending", 1)
    assert await send_due(house) is True
    assert (await only_row(house)).status == "sending", "the lease still runs"
    await make_due(house)
    await send_due(house)

    row = await only_row(house)
    assert (row.status, row.attempts) == ("sent", 2)
    await until(lambda: len(server.accepted) >= 1)
    assert {message["Message-ID"] for message in server.accepted} == {f"<{row.id}@example.com>"}


async def test_who_lost_the_lease_writes_nothing_down(house: Runtime, server: MailServer) -> None:
    await a_mail(house)
    server.open.clear()
    sending = asyncio.create_task(send_due(house))
    await until(server.arrived.is_set)
    await sql(house, "UPDATE core.outbox_messages SET attempts = 2")
    server.open.set()
    await sending

    row = await only_row(house)
    assert (row.status, row.attempts) == ("sending", 2)


async def test_many_workers_send_each_mail_once(house: Runtime, server: MailServer) -> None:
    for number in range(20):
        await a_mail(house, to=f"{number}@example.com")

    await asyncio.gather(*(send_due(house) for _ in range(5)))

    assert sorted(server.recipients) == sorted(f"{number}@example.com" for number in range(20))
    assert {row.status for row in await outbox(house)} == {"sent"}


async def test_the_loop_sends_what_is_written_and_ends_when_told(house: Runtime, server: MailServer) -> None:
    loop = asyncio.create_task(keep_mailing(house))
    await a_mail(house)
    await until(lambda: len(server.accepted) == 1)

    began = time.monotonic()
    await stop(loop)

    assert time.monotonic() - began < 1


async def test_a_worker_sends_mail(house: Runtime, server: MailServer) -> None:
    await a_mail(house)

    async with working(house, ["media"]):
        await until(lambda: len(server.accepted) == 1)


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ("expires_at = now() - interval '1 second'", "It could not be sent while it was of use."),
        (f"attempts = {MOST_ATTEMPTS}", "It was tried too often."),
    ],
)
async def test_there_is_an_end_to_trying(house: Runtime, server: MailServer, sign: str, reason: str) -> None:
    await a_mail(house)
    await sql(house, f"UPDATE core.outbox_messages SET {sign}")

    await send_due(house)

    row = await only_row(house)
    assert (row.status, row.last_error, server.accepted) == ("failed", reason, [])


async def test_a_mail_that_is_to_wait_waits(house: Runtime, server: MailServer) -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    await a_mail(house, not_before=tomorrow)

    await send_due(house)

    row = await only_row(house)
    assert (row.status, row.next_attempt_at, server.accepted) == ("queued", tomorrow, [])
    assert row.expires_at == tomorrow + dt.timedelta(days=3)


def test_pauses_double_up_to_four_hours_and_spread() -> None:
    middle = [delay_after(attempts, 0.5).total_seconds() / 60 for attempts in range(1, MOST_ATTEMPTS + 1)]

    assert middle[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert set(middle[8:]) == {240}
    assert delay_after(1, 0).total_seconds() == 48
    assert delay_after(1, 1).total_seconds() == 72


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "a@example.com b@example.com",
        "Dana <a@example.com>",
        "a@exa\u2028mple.com",
        "a@b@example.com",
        "@example.com",
        "nobody",
        "",
        "a@-bad-ü-.com",
        f"{'a' * 250}@example.com",
    ],
)
async def test_an_address_is_one_address(house: Runtime, address: str) -> None:
    with pytest.raises(Invalid):
        await a_mail(house, to=address)

    assert await outbox(house) == []


@pytest.mark.parametrize("subject", ["Hi\r\nBcc: b@example.com", "Hi\nX-Header: y", "Hi\x00", "Hi\u2028there"])
async def test_a_subject_is_one_line(house: Runtime, subject: str) -> None:
    with pytest.raises(Invalid):
        await a_mail(house, subject=subject)

    assert await outbox(house) == []


@pytest.mark.parametrize(
    "harm", ["subject = E'Hi\\r\\nBcc: b@example.com'", "to_address = E'a@example.com\\r\\nBcc: b@example.com'"]
)
async def test_a_row_that_was_tampered_with_is_no_mail(house: Runtime, server: MailServer, harm: str) -> None:
    await a_mail(house)
    await sql(house, f"UPDATE core.outbox_messages SET {harm}".replace(":", "\\:"))

    await send_due(house)

    row = await only_row(house)
    assert (row.status, server.accepted) == ("failed", [])
    assert row.last_error.startswith("It is no mail")


async def test_a_domain_goes_out_in_its_ascii_form(house: Runtime, server: MailServer) -> None:
    await a_mail(house, to="dana@straße.example")

    await send_due(house)

    assert server.recipients == ["dana@xn--strae-oqa.example"]
    assert server.accepted[0]["To"] == "dana@xn--strae-oqa.example"


@pytest.mark.parametrize(("speaks_utf8", "status"), [(True, "sent"), (False, "failed")])
async def test_other_characters_before_the_at_need_a_server_that_takes_them(
    boxed: Runtime, speaks_utf8: bool, status: str
) -> None:
    async with a_mail_server(enable_SMTPUTF8=speaks_utf8) as server:
        house = through(boxed, server.port)
        await a_mail(house, to="jörg@example.com")
        await send_due(house)

        assert (await only_row(house)).status == status
        assert server.recipients == (["jörg@example.com"] if speaks_utf8 else [])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key with a certificate of its own for 127.0.0.1, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of the tests")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("mail") / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("mode", ["starttls", "tls"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_must_show_a_certificate_that_is_trusted(
    boxed: Runtime, certificate: Path, monkeypatch: pytest.MonkeyPatch, mode: str, trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options = {"tls_context": context, "require_starttls": True} if mode == "starttls" else {"ssl_context": context}
    async with a_mail_server(**options) as server:
        house = through(boxed, server.port, smtp_tls=mode)
        await a_mail(house)
        assert await send_due(house) is trusted

        assert len(server.accepted) == int(trusted)
        assert (await only_row(house)).status == ("sent" if trusted else "queued")


async def test_nothing_goes_out_in_the_clear_where_tls_is_asked_for(boxed: Runtime, server: MailServer) -> None:
    house = through(boxed, server.port, smtp_tls="starttls")
    await a_mail(house)

    assert await send_due(house) is False

    assert ((await only_row(house)).status, server.accepted) == ("queued", [])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SMTP_HOST": "mail"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail", "SMTP_FROM": "Atrium <a@b.c>\r\nBcc: x@y.z"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail", "SMTP_FROM": "a@b.c", "SMTP_USERNAME": "x"}, "SMTP_PASSWORD"),
        ({"SMTP_HOST": "mail", "SMTP_FROM": "a@b.c", "SMTP_TLS": "sometimes"}, "SMTP_TLS"),
        ({"SMTP_HOST": "mail", "SMTP_FROM": "a@b.c", "SMTP_PORT": "0"}, "SMTP_PORT"),
    ],
)
def test_settings_that_cannot_send_are_told_at_the_start(given: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSettings, match=named):
        Settings.from_env(given)


@pytest.mark.parametrize("sender", ["a@b.c", "Atrium <a@b.c>"])
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    assert Settings.from_env({"SMTP_HOST": "mail", "SMTP_FROM": sender}).smtp_from == sender
