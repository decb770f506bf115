"""Decisions about accounts and sessions, without I/O."""

import base64
import gzip
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from uuid import UUID

from atrium.core.errors import FieldError, Invalid
from atrium.core.identity.errors import AccountLocked, LoginUserNotVerified, UserInactive
from atrium.core.identity.models import Session, User

REFRESH_GRACE = timedelta(seconds=10)
SHORTEST, LONGEST = 8, 256
NO_ROLE = "user"
EMAIL = re.compile(r"[^@\s\0]{1,64}@[^@\s\0.]+(\.[^@\s\0.]+)+")
USERNAME = re.compile(r"[a-z0-9_.-]{2,50}")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user is at this moment: the roles in force, the primary first, and the ids that modules add."""

    roles: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    claims: Mapping[str, UUID] = field(default_factory=lambda: MappingProxyType({}))
    until: datetime | None = None
    """When the first of these roles ends; no token may outlive it."""

    @property
    def role(self) -> str:
        return self.roles[0] if self.roles else NO_ROLE


def sha256(token: str) -> bytes:
    """How tokens are stored. They are random, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()


def successor(token: str, secret: str) -> str:
    """The refresh token that follows this one, derived so that two tabs that hold one get the same next one."""
    key = hashlib.sha256(b"atrium refresh\0" + secret.encode()).digest()
    return base64.urlsafe_b64encode(hmac.digest(key, token.encode(), "sha256")).rstrip(b"=").decode()


class Rotation(StrEnum):
    ROTATE = "rotate"
    TWIN = "twin"
    REUSED = "reused"
    INVALID = "invalid"


def judge_refresh(session: Session, now: datetime) -> Rotation:
    """What the use of a refresh token means. A used one that comes back after the grace was stolen by somebody."""
    if session.revoked_at is not None or session.expires_at <= now:
        return Rotation.INVALID
    if session.used_at is None:
        return Rotation.ROTATE
    return Rotation.TWIN if now - session.used_at <= REFRESH_GRACE else Rotation.REUSED


def may_hold_session(user: User, now: datetime) -> bool:
    locked = user.locked_until is not None and user.locked_until > now
    return user.is_active and user.deleted_at is None and not user.is_system and not locked


def check_may_log_in(user: User, standing: Standing, now: datetime) -> None:
    """Raises what a person with the right password is told. Only marketplace accounts must be verified."""
    if user.locked_until is not None and user.locked_until > now:
        raise AccountLocked(retry_after=max(1, int((user.locked_until - now).total_seconds())))
    if not may_hold_session(user, now):
        raise UserInactive
    if not user.is_verified and "marketplace" in standing.modules:
        raise LoginUserNotVerified


def password_problem(password: str, email: str) -> tuple[str, str] | None:
    """(kind, sentence) of what is wrong with a new password, or None."""
    if len(password) > LONGEST:
        return "too_long", f"has more than {LONGEST} characters"
    if len(password) < SHORTEST:
        return "too_short", f"has fewer than {SHORTEST} characters"
    if password.casefold() == email.partition("@")[0].casefold():
        return "like_email", "is the name in the e-mail address"
    if password.casefold() in common_passwords():
        return "common", "is one of the passwords that are tried first"
    return None


def check_new_password(password: str, email: str, refuse: type[Invalid], field: str = "password") -> None:
    if found := password_problem(password, email):
        kind, text = found
        code = "PASSWORD_TOO_LONG" if kind == "too_long" else ""
        raise refuse(f"The password {text}.", code=code, errors=[FieldError(("body", field), text, kind)])


@cache
def common_passwords() -> frozenset[str]:
    """The bundled list of passwords that attackers try first, in lower case; shorter ones are refused anyway."""
    packed = resources.files("atrium.core.identity").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(line for line in gzip.decompress(packed).decode().splitlines() if len(line) >= SHORTEST)


def check_email(email: str) -> str:
    """The address without blanks around it; whether it exists only a mail can tell."""
    email = email.strip()
    if len(email) > 254 or not EMAIL.fullmatch(email):
        raise Invalid.at("email", "must be an e-mail address such as name@example.com")
    return email


def network_of(ip: str | None) -> str:
    """The neighbourhood of an address that is locked together: /24 of IPv4, /64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))


def address_or_none(ip: str | None) -> str | None:
    """An address that an inet column takes; a test client or a Unix socket has none."""
    try:
        return str(ipaddress.ip_address(ip or ""))
    except ValueError:
        return None
