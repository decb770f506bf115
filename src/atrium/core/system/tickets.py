"""How an administrator's login reaches a browser page: a ticket that works once, then a cookie for `/saq` alone.

Both are random words whose hash is kept in Redis. The cookie is judged anew on every request against the database, so a
revoked session or a lost role ends it at once.
"""

import hmac
import secrets
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar.datastructures import Cookie

from atrium.core.access import Principal
from atrium.core.runtime import Runtime

COOKIE = "atrium_monitor"
PATH = "/saq"
TICKET_LASTS = 60
COOKIE_LASTS = 8 * 3600
STILL_ADMINISTRATOR = """
    SELECT true FROM core.users u
    WHERE u.id = $1 AND u.is_active AND u.deleted_at IS NULL
    AND (u.is_superuser OR EXISTS (
        SELECT FROM core.user_roles g JOIN core.roles r ON r.id = g.role_id
        WHERE g.user_id = u.id AND r.code = 'admin' AND (g.expires_at IS NULL OR g.expires_at > now())))
    AND ($2::uuid IS NULL OR EXISTS (
        SELECT FROM core.sessions s
        WHERE s.family_id = $2 AND s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > now()))
"""


class Holder(msgspec.Struct, frozen=True):
    """Whose ticket or cookie it is."""

    user_id: UUID
    session_id: UUID | None


async def issue(runtime: Runtime, principal: Principal) -> str:
    return await _keep(runtime, "ticket", Holder(principal.user_id, principal.session_id), TICKET_LASTS)


async def redeem(runtime: Runtime, ticket: str, *, secure: bool) -> Cookie | None:
    """The cookie that a ticket buys, once."""
    kept: Any = await runtime.redis.getdel(_key(runtime, "ticket", ticket))
    holder = _read(kept)
    if holder is None or not await _is_administrator(runtime, holder):
        return None
    word = await _keep(runtime, "cookie", holder, COOKIE_LASTS)
    return Cookie(
        key=COOKIE, value=word, path=PATH, max_age=COOKIE_LASTS, httponly=True, samesite="strict", secure=secure
    )


async def admits(runtime: Runtime, cookie: str) -> bool:
    kept: Any = await runtime.redis.get(_key(runtime, "cookie", cookie))
    holder = _read(kept)
    return holder is not None and await _is_administrator(runtime, holder)


def is_own_page(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a writing request with the cookie comes from our page: the cookie also travels from sibling hosts."""
    if site not in (None, "same-origin", "none"):
        return False
    return origin is None or hmac.compare_digest(origin.partition("://")[2].encode(), host.encode())


async def _keep(runtime: Runtime, kind: str, holder: Holder, seconds: int) -> str:
    word = secrets.token_urlsafe(32)
    await runtime.redis.set(_key(runtime, kind, word), msgspec.json.encode(holder), ex=seconds)
    return word


def _key(runtime: Runtime, kind: str, word: str) -> str:
    return runtime.key("monitor", kind, sha256(word.encode()).hexdigest())


def _read(kept: bytes | None) -> Holder | None:
    return msgspec.json.decode(kept, type=Holder) if kept else None


async def _is_administrator(runtime: Runtime, holder: Holder) -> bool:
    return bool(await runtime.database.pool.fetchval(STILL_ADMINISTRATOR, holder.user_id, holder.session_id))
