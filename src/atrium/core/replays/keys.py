"""A request that may come again: its key, what it asks, and who asks; and the answer that is kept for it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litestar import Response

from atrium.core.access import Principal
from atrium.core.errors import FieldError, Forbidden, Invalid
from atrium.core.replays.errors import AnswerNotKept, IdempotencyKeyReused, RequestStillRunning

HEADER = b"idempotency-key"
LONGEST_KEY = 255
LONGEST_PATH = 512
KEPT_HEADERS = ("content-type", "etag", "location")
SECRETS = ("/api/v1/auth/", "/api/auth/", "/api/v1/api-keys", "/api/v1/webhooks")
"""Answers below these are secrets and are never kept: tokens, second factors, keys, what messages are signed with."""
OWN = "keeps_own_answers"
"""The option of a route whose handler looks at the key itself."""


def key_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key that the request names; raises Invalid for one that cannot be kept."""
    for name, value in headers:
        if name == HEADER:
            text = value.decode("latin-1").strip()
            if not (0 < len(text) <= LONGEST_KEY and text.isascii() and text.isprintable()):
                wrong = f"must be 1 to {LONGEST_KEY} printable characters"
                errors = [FieldError(("header", "Idempotency-Key"), wrong)]
                raise Invalid(f"Idempotency-Key {wrong}.", errors=errors)
            return text
    return None


@dataclass(frozen=True, slots=True)
class Asked:
    """One use of a key."""

    user_id: UUID
    key: str
    method: str
    path: str

    @classmethod
    def of(cls, scope: Mapping[str, Any], principal: Principal) -> "Asked | None":
        """None without the header; a path that is longer than any of ours leads nowhere anyway."""
        key = key_in(scope["headers"])
        path = scope["path"].rstrip("/")
        if key is None or len(path) > LONGEST_PATH:
            return None
        return cls(principal.user_id, key, scope["method"], path)


def digest(query: bytes) -> Any:
    """What tells one request from another under the same key; the body is added as it comes."""
    return hashlib.sha256(query + b"\0")


def request_sha256(scope: Mapping[str, Any], body: bytes) -> bytes:
    found = digest(scope["query_string"])
    found.update(body)
    sha256: bytes = found.digest()
    return sha256


def standing_of(principal: Principal) -> str:
    """Whose rows the caller saw, as a text that changes when they do."""
    claims = ",".join(f"{name}={value}" for name, value in sorted(principal.claims.items()))
    return f"{int(principal.is_admin)};{claims}"


@dataclass(frozen=True, slots=True)
class Watched(Principal):
    """A caller of whom is remembered which permissions were asked, so that they can be asked again."""

    required: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, principal: Principal) -> "Watched":
        return cls(**{name: getattr(principal, name) for name in Principal.__slots__})

    def require(self, permission: str) -> None:
        Principal.require(self, permission)
        self.required.add(permission)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known about a key that was used."""

    id: UUID
    request_sha256: bytes
    status: int | None
    told: Mapping[str, Any]
    body: bytes | None
    lapsed: bool
    seconds_left: float

    def answer(self, request_sha256: bytes, principal: Principal) -> Response[bytes]:
        """The answer once more, for those who would still get it."""
        if self.request_sha256 != request_sha256:
            raise IdempotencyKeyReused
        self.require_rights(principal)
        if self.body is None:
            raise AnswerNotKept
        headers = {**self.told.get("headers", {}), "idempotent-replay": "true"}
        media_type = headers.pop("content-type", None)
        return Response(self.body, status_code=self.status or 200, headers=headers, media_type=media_type)

    def require_rights(self, principal: Principal) -> None:
        for permission in self.told.get("required", ()):
            principal.require(permission)
        if self.told.get("standing") != standing_of(principal):
            raise Forbidden("What you may see has changed since this Idempotency-Key was used.")

    def require_finished(self) -> None:
        """Without a status it runs; 0 says that it is done, though perhaps nobody lived to answer (core.services)."""
        if self.status is None or (self.status == 0 and self.seconds_left > 0):
            raise RequestStillRunning(retry_after=max(1, min(5, round(self.seconds_left))))
        if self.status == 0:
            raise AnswerNotKept


def told(headers: Mapping[str, str], required: Iterable[str], principal: Principal) -> dict[str, Any]:
    """What is kept beside status and body: chosen headers, and what the caller had to be allowed."""
    chosen = {name.lower(): value for name, value in headers.items() if name.lower() in KEPT_HEADERS}
    return {"headers": chosen, "required": sorted(required), "standing": standing_of(principal)}
