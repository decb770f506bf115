"""A row of the outbox as a message of RFC 5322.

Neither an address nor a subject can hold a second header: both are checked when the row is written, and the message
refuses line breaks once more. Domains go out in their ASCII form (IDNA 2008); other characters before the @ need a
server with SMTPUTF8.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import urlsplit
from uuid import UUID

import idna

from atrium.core.config import Settings
from atrium.core.errors import Invalid

ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+@[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+")
LONGEST_ADDRESS = 254


@dataclass(frozen=True, slots=True)
class Mail:
    """What of a row makes the message."""

    id: UUID
    to_address: str
    subject: str
    text: str
    html: str | None
    unsubscribe_url: str | None
    created_at: datetime


def check_address(address: str) -> str:
    """One address and nothing else: no name, no second one, no line break."""
    address = address.strip(" ")
    if len(address) > LONGEST_ADDRESS or not ADDRESS.fullmatch(address) or not address.isprintable():
        raise Invalid("A mail goes to one address such as name@example.com.")
    return address


def wire_address(address: str) -> str:
    """The address as servers know it; raises Invalid for a domain that cannot be."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return f"{local}@{domain.lower()}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        raise Invalid(f"{domain} is not the name of a mail domain.") from None


def sender_of(settings: Settings) -> Address:
    """SMTP_FROM: an address, or a name with an address."""
    name, address = parseaddr(settings.smtp_from)
    return Address(name, addr_spec=wire_address(check_address(address)))


def compose(mail: Mail, settings: Settings) -> EmailMessage:
    """The message, the same for every attempt: who gets it twice can tell by its Message-ID."""
    sender = sender_of(settings)
    local, _, domain = wire_address(mail.to_address).rpartition("@")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text, cte="quoted-printable")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def host_of(settings: Settings) -> str:
    """How this side introduces itself to a mail server; looking up the machine's own name may take seconds."""
    return urlsplit(settings.public_url).hostname or "localhost"
