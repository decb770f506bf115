"""Sessions: they begin with a password, go on by refresh tokens that follow one another, and end by name."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, or_, select, text, update

from atrium.core import clock, limits
from atrium.core.changes.record import record
from atrium.core.errors import AtriumError, NotFound, Unauthenticated
from atrium.core.identity.errors import AccountLocked, LoginBadCredentials, RefreshInvalid, RefreshReused
from atrium.core.identity.limits import FAILURES, locks_of
from atrium.core.identity.mails import ACCOUNT_LOCKED
from atrium.core.identity.models import Session, User
from atrium.core.identity.rules import (
    Rotation,
    Standing,
    address_or_none,
    check_may_log_in,
    judge_refresh,
    may_hold_session,
    sha256,
    successor,
)
from atrium.core.identity.schemas import Login, SessionView
from atrium.core.identity.services.passwords import verify_password
from atrium.core.identity.services.roles import standing_of
from atrium.core.identity.tokens import tokens_of
from atrium.core.notifications.mail import send_mail
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, actor, transact, unit_of_work


@dataclass(frozen=True, slots=True)
class Origin:
    """From where somebody who has no token yet is asking."""

    ip: str | None = None
    user_agent: str | None = None
    request_id: str = ""


async def log_in(runtime: Runtime, origin: Origin, identifier: str, password: str) -> Login:
    """A new session for the right password; an unknown account takes the same time and gets the same words."""
    locks = locks_of(runtime)
    await limits.exact(runtime, "login", origin.ip, identifier)
    user = await find_user(runtime, identifier)
    account = str(user.id) if user else identifier
    if seconds := await locks.locked_for(account, origin.ip):
        raise AccountLocked(retry_after=seconds)
    stored = user.hashed_password if user and not user.is_system else None
    matches, better = await verify_password(password, stored)
    if user is None or not matches:
        await _refuse(runtime, origin, account, user)
        raise LoginBadCredentials
    answer = await transact(runtime, None, lambda work: _begin(work, origin, user.id, stored, better), action="login")
    await locks.forgive(account, origin.ip)
    return answer


async def find_user(runtime: Runtime, identifier: str) -> User | None:
    """The account of a username or else of an e-mail address."""
    async with runtime.database.sessions() as session:
        return await session.scalar(
            select(User)
            .where(or_(User.username == identifier, User.email == identifier), User.deleted_at.is_(None))
            .order_by((User.username == identifier).desc().nulls_last())
            .limit(1)
        )


async def _refuse(runtime: Runtime, origin: Origin, account: str, user: User | None) -> None:
    """Count a wrong password. The same statements run for an account that is not there, to take as long."""
    locked = await locks_of(runtime).failed(account, origin.ip)
    async with unit_of_work(runtime) as work:
        if not locked:
            await work.session.execute(text("SET LOCAL synchronous_commit = off"))
        await work.act_as(
            actor(None, request_id=origin.request_id, ip=address_or_none(origin.ip), action="login_failed")
        )
        await work.session.execute(
            update(User)
            .where(User.id == (user.id if user else clock.new_id()))
            .values(failed_login_count=User.failed_login_count + 1, updated_at=User.updated_at)
        )
        if locked and user is not None:
            await _tell_owner(work, origin, user)


async def _tell_owner(work: Work, origin: Origin, user: User) -> None:
    await record(
        work,
        module="core",
        action="account_locked",
        entity_type="core.users",
        entity_id=user.id,
        changes={"ip": [None, origin.ip]},
    )
    await send_mail(
        work,
        ACCOUNT_LOCKED,
        to=user.email,
        context={"failures": FAILURES, "ip": origin.ip or "an unknown address"},
        user_id=user.id,
    )


async def _begin(work: Work, origin: Origin, user_id: UUID, verified: str | None, better: str | None) -> Login:
    now = clock.now()
    user = await work.session.scalar(select(User).where(User.id == user_id).with_for_update())
    if user is None or user.hashed_password != verified:
        raise LoginBadCredentials
    standing = await standing_of(work, user.id)
    check_may_log_in(user, standing, now)
    await act_as_user(work, origin, user, standing, action="login")
    values: dict[str, Any] = {"last_login_at": now, "failed_login_count": 0, "updated_at": User.updated_at}
    if better:
        values["hashed_password"] = better
    await work.session.execute(update(User).where(User.id == user.id).values(values))
    return await begin_session(work, user, standing, origin)


async def act_as_user(work: Work, origin: Origin, user: User, standing: Standing, *, action: str) -> None:
    """What follows in the transaction is this user's doing, although no token said so."""
    principal = tokens_of(work.runtime).principal(user.id, user.token_version, standing)
    work.caller = Caller(principal, origin.request_id, address_or_none(origin.ip))
    await work.act_as(work.caller.actor(action))


async def begin_session(work: Work, user: User, standing: Standing, origin: Origin) -> Login:
    """A new family with its first refresh token."""
    token, family = secrets.token_urlsafe(32), clock.new_id()
    _add_token(work, user.id, family, token, origin, clock.now())
    await work.session.flush()
    return _answer(work, user, standing, family, token)


def _add_token(work: Work, user_id: UUID, family: UUID, token: str, origin: Origin, now: datetime) -> Session:
    row = Session(
        id=clock.new_id(),
        user_id=user_id,
        family_id=family,
        token_sha256=sha256(token),
        issued_at=now,
        expires_at=now + timedelta(days=work.runtime.settings.refresh_token_expire_days),
        ip=address_or_none(origin.ip),
        user_agent=(origin.user_agent or "")[:400] or None,
    )
    work.session.add(row)
    return row


def _answer(work: Work, user: User, standing: Standing, family: UUID, refresh_token: str) -> Login:
    tokens = tokens_of(work.runtime)
    access_token, seconds = tokens.issue(user.id, user.token_version, standing, family, clock.now())
    return Login(
        access_token=access_token,
        refresh_token=refresh_token,
        expires_in=seconds,
        role=standing.role,
        user=user_view(work.runtime, user, standing),
    )


def user_view(runtime: Runtime, user: User, standing: Standing) -> dict[str, Any]:
    """The `user` of login and of GET /auth/me, with whatever ids modules add."""
    roles = frozenset(standing.roles)
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "name": user.name,
        "role": standing.role,
        "roles": standing.roles,
        "permissions": sorted(tokens_of(runtime).permissions_of(roles)),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_verified": user.is_verified,
        **standing.claims,
    }


async def get_me(runtime: Runtime, caller: Caller) -> dict[str, Any]:
    async with unit_of_work(runtime, caller) as work:
        user = await work.session.get(User, caller.principal.user_id)
        if user is None:
            raise Unauthenticated
        return user_view(runtime, user, await standing_of(work, user.id))


async def refresh(runtime: Runtime, origin: Origin, token: str) -> Login:
    """The next pair of tokens. A reuse ends the family for good, so its error is raised after the commit."""
    outcome = await transact(runtime, None, lambda work: _refresh(work, origin, token), action="refresh")
    if isinstance(outcome, AtriumError):
        raise outcome
    return outcome


async def _refresh(work: Work, origin: Origin, token: str) -> Login | AtriumError:
    now = clock.now()
    row = await work.session.scalar(select(Session).where(Session.token_sha256 == sha256(token)).with_for_update())
    decision = judge_refresh(row, now) if row else Rotation.INVALID
    if row is None or decision is Rotation.INVALID:
        return RefreshInvalid()
    if decision is Rotation.REUSED:
        await end_sessions(work, Session.family_id == row.family_id, reason="reuse")
        return RefreshReused()
    user = await work.session.get_one(User, row.user_id)
    if not may_hold_session(user, now):
        return RefreshInvalid()
    following = successor(token, work.runtime.settings.secret_key)
    if decision is Rotation.TWIN:
        if not await _is_live(work, following, now):
            return RefreshInvalid()
    else:
        new = _add_token(work, user.id, row.family_id, following, origin, now)
        await work.session.flush()
        row.used_at, row.replaced_by_id = now, new.id
        await work.session.flush()
    return _answer(work, user, await standing_of(work, user.id), row.family_id, following)


async def _is_live(work: Work, token: str, now: datetime) -> bool:
    row = await work.session.scalar(select(Session).where(Session.token_sha256 == sha256(token)))
    return row is not None and row.revoked_at is None and row.expires_at > now


async def end_sessions(work: Work, *which: Any, reason: str) -> int:
    """Revoke the families that match; this process hears of it at once, the others within two seconds."""
    ended = await work.session.scalars(
        update(Session)
        .where(Session.revoked_at.is_(None), *which)
        .values(revoked_at=func.now(), revoke_reason=reason)
        .returning(Session.family_id)
        .execution_options(synchronize_session=False)
    )
    families = set(ended)
    tokens = tokens_of(work.runtime)

    async def tell() -> None:
        for family in families:
            tokens.session_ended(family)

    work.after_commit(tell)
    return len(families)


async def log_out(runtime: Runtime, caller: Caller, refresh_token: str | None) -> None:
    principal = caller.principal
    async with unit_of_work(runtime, caller, action="logout") as work:
        mine = Session.user_id == principal.user_id
        await end_sessions(work, mine, Session.family_id == principal.session_id, reason="logout")
        if refresh_token:
            family = select(Session.family_id).where(Session.token_sha256 == sha256(refresh_token))
            await end_sessions(work, mine, Session.family_id.in_(family), reason="logout")
        await record(work, module="core", action="logout", entity_type="core.users", entity_id=principal.user_id)


async def list_sessions(runtime: Runtime, caller: Caller, page: int, limit: int) -> tuple[list[SessionView], int]:
    """The caller's live sessions, the last used first: one row per family, the one that waits to be used."""
    first = Session.__table__.alias("first")
    began = select(func.min(first.c.issued_at)).where(first.c.family_id == Session.family_id).scalar_subquery()
    live = (
        Session.user_id == caller.principal.user_id,
        Session.revoked_at.is_(None),
        Session.used_at.is_(None),
        Session.expires_at > func.now(),
    )
    async with runtime.database.sessions() as session:
        total = await session.scalar(select(func.count()).select_from(Session).where(*live))
        rows = await session.execute(
            select(Session.family_id, began, Session.issued_at, func.host(Session.ip), Session.user_agent)
            .where(*live)
            .order_by(Session.issued_at.desc(), Session.id.desc())
            .limit(bindparam("size", limit))
            .offset(bindparam("skipped", (page - 1) * limit))
        )
        views = [
            SessionView(
                id=family,
                created_at=clock.stamp(created),
                last_used_at=clock.stamp(used),
                ip=ip,
                user_agent=agent,
                current=family == caller.principal.session_id,
            )
            for family, created, used, ip, agent in rows
        ]
    return views, total or 0


async def end_session(runtime: Runtime, caller: Caller, family: UUID) -> None:
    async with unit_of_work(runtime, caller, action="end_session") as work:
        mine = Session.user_id == caller.principal.user_id
        if not await end_sessions(work, mine, Session.family_id == family, reason="ended by its user"):
            raise NotFound
        await _record_end(work, caller.principal.user_id)


async def end_other_sessions(runtime: Runtime, caller: Caller) -> None:
    principal = caller.principal
    async with unit_of_work(runtime, caller, action="end_session") as work:
        others = Session.family_id.is_distinct_from(principal.session_id)
        await end_sessions(work, Session.user_id == principal.user_id, others, reason="ended by its user")
        await _record_end(work, principal.user_id)


async def _record_end(work: Work, user_id: UUID) -> None:
    await record(work, module="core", action="end_session", entity_type="core.users", entity_id=user_id)
