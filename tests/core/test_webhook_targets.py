"""Where webhooks may lead: every address of a name is looked at, at each attempt, and no other is connected to."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.core.webhook_house import Receiver, a_receiver

from atrium.core.config import InvalidSettings, Settings
from atrium.core.webhooks import sending, targets
from atrium.core.webhooks.sending import post
from atrium.core.webhooks.targets import TargetRefused, Targets, TargetUnreachable, check_url, is_public

LOOPBACK = Settings(environment="test", webhook_allowed_networks=("127.0.0.0/8",))
INSIDE = (
    "0.0.0.0",  # noqa: S104  a target, nothing binds to it
    *("10.1.2.3", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.8.8.8", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.7", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.9", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1"),
    *("5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2a00:1450::1%eth0"),
)
OUTSIDE = (
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1"),
    *("2a00:1450:4001:80b::200e", "2606:4700::1111"),
)


class Names:
    """A resolver that answers what the test says, in turn; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("text", INSIDE)
def test_an_address_that_is_not_of_the_public_internet_is_refused(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_public_address_is_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", INSIDE)
async def test_a_name_that_leads_there_is_refused_even_beside_a_public_address(text: str) -> None:
    guarded = Targets(Settings(), Names(["8.8.8.8", text]))

    with pytest.raises(TargetRefused):
        await guarded.check("https://example.com/")


async def test_networks_of_ones_own_are_opened_by_the_setting_and_no_others() -> None:
    settings = Settings(webhook_allowed_networks=("10.1.0.0/16", "fd00:1::/32"))

    await Targets(settings, Names(["10.1.2.3", "fd00:1::7", "::ffff:10.1.2.3"])).check("https://example.com/")
    for text in ("10.2.0.1", "fd00:2::1", "127.0.0.1", "::ffff:10.2.0.1"):
        with pytest.raises(TargetRefused):
            await Targets(settings, Names([text])).check("https://example.com/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::ffff:7f00:1]"])
async def test_other_ways_to_write_loopback_lead_there_too(host: str) -> None:
    with pytest.raises((TargetRefused, TargetUnreachable)):
        await Targets(Settings()).check(f"http://{host}/")


def test_production_sends_over_tls_only() -> None:
    production = msgspec.structs.replace(Settings(), environment="production")

    assert check_url("https://example.com/a?b=c", production).target == b"/a?b=c"
    with pytest.raises(TargetRefused, match="https://"):
        check_url("http://example.com/", production)


def test_a_setting_that_is_no_network_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"WEBHOOK_ALLOWED_NETWORKS: ten, 10.0.0.0/40 is no network"):
        Settings.from_env({"WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8,ten,10.0.0.0/40"})


async def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    async with a_receiver() as receiver:
        names = Names(["127.0.0.1"])
        answer = await post(Targets(LOOPBACK, names), f"http://hooks.example:{receiver.port}/in", {}, b"{}")

    assert answer.status == 200
    assert names.asked == [("hooks.example", receiver.port)]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_a_name_that_turns_inwards_after_it_was_checked_leads_nowhere() -> None:
    async with a_receiver() as receiver:
        guarded = Targets(Settings(environment="test"), Names(["8.8.8.8"], ["127.0.0.1"]))
        url = f"http://rebinding.example:{receiver.port}/"

        await guarded.check(url)
        answer = await post(guarded, url, {}, b"{}")

    assert answer.status is None
    assert answer.error == "Nothing is sent there: it leads to 127.0.0.1, which is no public address."
    assert receiver.received == []


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with a_receiver() as receiver:
        guarded = Targets(LOOPBACK, Names(["127.0.0.9", "127.0.0.1"]))

        answer = await post(guarded, f"http://hooks.example:{receiver.port}/", {}, b"{}")

    assert answer.status == 200


async def test_no_redirect_is_followed() -> None:
    async with a_receiver(status=302) as receiver:
        receiver.headers = b"location: http://127.0.0.1:%d/inside\r\n" % receiver.port
        answer = await post(Targets(LOOPBACK), receiver.url, {}, b"{}")

    assert (answer.status, answer.is_accepted) == (302, False)
    assert len(receiver.received) == 1


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with a_receiver() as receiver:
        answer = await post(Targets(LOOPBACK), receiver.url, {}, b"{}")

    assert answer.status == 200


async def test_a_target_that_hangs_is_left_after_the_time_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.2)
    async with a_receiver(hangs=True) as receiver:
        answer = await post(Targets(LOOPBACK), receiver.url, {}, b"{}")

    assert (answer.status, answer.error) == (None, "No answer within 0.2 seconds.")
    assert 150 < (answer.duration_ms or 0) < 5000


async def test_a_name_that_is_never_resolved_is_left_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.2)

    async def hang(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(targets, "CHECK_SECONDS", 0.1)
    answer = await post(Targets(LOOPBACK, hang), "http://hooks.example/", {}, b"{}")
    with pytest.raises(TargetUnreachable, match="not resolved"):
        await Targets(LOOPBACK, hang).check("http://hooks.example/")

    assert answer.error == "No answer within 0.2 seconds."


async def test_a_status_counts_though_the_rest_of_the_answer_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.3)
    async with a_receiver(drips=True) as receiver:
        answer = await post(Targets(LOOPBACK), receiver.url, {}, b"{}")

    assert (answer.status, answer.excerpt, answer.error) == (200, "thanks", None)


async def test_an_answer_without_an_end_is_read_to_its_beginning_only() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                await writer.drain()
                sent += 1024
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await post(Targets(LOOPBACK), f"http://127.0.0.1:{port}/", {}, b"{}")
    server.close()

    assert (answer.status, answer.excerpt) == (200, "x" * 2048)
    assert (answer.duration_ms or 0) < 5000


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nbroken", b"\x16\x03\x01"])
async def test_what_is_no_answer_is_told_as_such(said: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await post(Targets(LOOPBACK), f"http://127.0.0.1:{port}/", {}, b"{}")
    server.close()

    assert answer.status is None
    assert answer.error


async def test_a_closed_port_is_told_as_such() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = await post(Targets(LOOPBACK), f"http://127.0.0.1:{closed.getsockname()[1]}/", {}, b"{}")

    assert answer.error
    assert "ConnectError" in answer.error


async def test_a_certificate_that_is_not_the_names_is_refused(tmp_path: Path) -> None:
    tls, port, server = await _a_tls_server(tmp_path)
    answer = await post(Targets(LOOPBACK, Names(["127.0.0.1"])), f"https://hooks.example:{port}/", {}, b"{}")
    trusted = await post(Targets(LOOPBACK, Names(["127.0.0.1"]), tls), f"https://hooks.example:{port}/", {}, b"{}")
    other = await post(Targets(LOOPBACK, Names(["127.0.0.1"]), tls), f"https://else.example:{port}/", {}, b"{}")
    server.close()

    assert "CERTIFICATE_VERIFY_FAILED" in (answer.error or "")
    assert trusted.status == 200
    assert "CERTIFICATE_VERIFY_FAILED" in (other.error or "")


async def _a_tls_server(folder: Path) -> Any:
    """With a certificate for hooks.example that only the returned context trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem + private)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem")
    server = await asyncio.start_server(Receiver().serve, "127.0.0.1", 0, ssl=serving)
    trusting = ssl.create_default_context(cadata=pem.decode())
    return trusting, server.sockets[0].getsockname()[1], server
