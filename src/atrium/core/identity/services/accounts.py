"""Accounts: made, verified, and given new passwords. One-time tokens are mailed; only their hash is kept."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from atrium.core import clock, limits
from atrium.core.access import ADMIN
from atrium.core.errors import Duplicate, Invalid, Unauthenticated
from atrium.core.identity.errors import (
    AccountLocked,
    LoginBadCredentials,
    RegisterInvalidPassword,
    RegisterUserAlreadyExists,
    ResetPasswordBadToken,
    ResetPasswordInvalidPassword,
    VerifyUserAlreadyVerified,
    VerifyUserBadToken,
)
from atrium.core.identity.limits import locks_of
from atrium.core.identity.mails import PASSWORD_CHANGED, REGISTER_EXISTING, RESET_PASSWORD, VERIFY_EMAIL
from atrium.core.identity.models import OneTimeToken, Role, Session, User, UserRole
from atrium.core.identity.rules import USERNAME, check_email, check_new_password, may_hold_session, sha256
from atrium.core.identity.schemas import PasswordChange, PasswordReset, Registration
from atrium.core.identity.services.passwords import hash_password, verify_password
from atrium.core.identity.services.roles import get_role, standing_of
from atrium.core.identity.services.sessions import Origin, act_as_user, end_sessions, user_view
from atrium.core.notifications.mail import send_mail
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, Work, unit_of_work

LIFETIMES = {"verify_email": timedelta(hours=48), "reset_password": timedelta(hours=1)}
LINKS = {"verify_email": "/verify-email?token={}", "reset_password": "/reset-password?token={}"}
MAILS = {"verify_email": VERIFY_EMAIL, "reset_password": RESET_PASSWORD}


async def create_account(
    work: Work,
    *,
    email: str,
    password: str | None,
    name: str,
    roles: Sequence[str] = (),
    username: str | None = None,
    phone: str | None = None,
    is_verified: bool = True,
    any_password: bool = False,
) -> User:
    """A new account with its roles, the first of them primary; without a password nobody can log in to it.

    `any_password` is for demo data, whose passwords are known to everybody.
    """
    email = check_email(email)
    if username is not None and not USERNAME.fullmatch(username):
        raise Invalid.at("username", "takes 2 to 50 of the characters a-z 0-9 _ . -")
    if password is not None and not any_password:
        check_new_password(password, email, Invalid)
    hashed = await hash_password(password) if password is not None else None
    return await _insert(
        work,
        email=email,
        username=username,
        name=name,
        phone_e164=phone,
        hashed_password=hashed,
        is_verified=is_verified and hashed is not None,
        roles=[await get_role(work, code) for code in roles],
    )


async def _insert(work: Work, *, roles: Sequence[Role], is_verified: bool, **values: Any) -> User:
    now = clock.now()
    user = User(
        id=clock.new_id(),
        is_verified=is_verified,
        verified_at=now if is_verified else None,
        is_superuser=any(role.code == ADMIN for role in roles),
        password_changed_at=now if values.get("hashed_password") else None,
        **values,
    )
    work.session.add(user)
    await work.session.flush()
    for place, role in enumerate(roles):
        work.session.add(UserRole(user_id=user.id, role_id=role.id, is_primary=place == 0))
    await work.session.flush()
    await work.session.refresh(user)
    return user


async def create_user(
    runtime: Runtime,
    *,
    email: str,
    name: str,
    password: str,
    roles: Sequence[str] = (),
    username: str | None = None,
) -> User:
    """An account made by an operator: verified, and under the password rules."""
    try:
        async with unit_of_work(runtime, action="create_user") as work:
            return await create_account(work, email=email, password=password, name=name, roles=roles, username=username)
    except IntegrityError:
        raise Duplicate(f"There is an account with the e-mail address {email} or this username.") from None


async def get_account(work: Work, email: str) -> User:
    user = await work.session.scalar(select(User).where(User.email == email, User.deleted_at.is_(None)))
    if user is None:
        raise Invalid(f"There is no account {email}.")
    return user


async def register(runtime: Runtime, origin: Origin, data: Registration) -> dict[str, Any] | None:
    """The new account, or None where the answer must not tell whether there was one before."""
    settings = runtime.settings
    email = check_email(data.email)
    if not data.accept_terms:
        raise Invalid.at("accept_terms", "must be true")
    check_new_password(data.password, email, RegisterInvalidPassword)
    await limits.exact(runtime, "register", origin.ip)
    hashed = await hash_password(data.password)
    try:
        async with unit_of_work(runtime, action="register") as work:
            view = await _register(work, data, email, hashed)
    except IntegrityError:
        if not settings.hides_existing_accounts:
            raise RegisterUserAlreadyExists from None
        await _tell_existing(runtime, email)
        return None
    return None if settings.hides_existing_accounts else view


async def _register(work: Work, data: Registration, email: str, hashed: str) -> dict[str, Any]:
    role = await work.session.scalar(select(Role).where(Role.code == data.account_type, Role.self_register))
    if role is None:
        raise Invalid.at("account_type", "cannot be registered here")
    user = await _insert(
        work,
        email=email,
        name=data.name,
        phone_e164=data.phone,
        hashed_password=hashed,
        is_verified=False,
        roles=[role],
    )
    await _mail_token(work, user, "verify_email")
    return user_view(work.runtime, user, await standing_of(work, user.id))


async def _tell_existing(runtime: Runtime, email: str) -> None:
    async with unit_of_work(runtime) as work:
        user = await work.session.scalar(select(User).where(User.email == email))
        if user is not None:
            await send_mail(work, REGISTER_EXISTING, to=user.email, context={"name": user.name}, user_id=user.id)


async def _mail_token(work: Work, user: User, purpose: str) -> None:
    """Mail a new one-time token, unless this account got enough of them within the hour."""
    now, limit = clock.now(), work.runtime.settings.verification_rate_per_hour
    mailed = await work.session.scalar(
        select(func.count())
        .select_from(OneTimeToken)
        .where(
            OneTimeToken.user_id == user.id,
            OneTimeToken.purpose == purpose,
            OneTimeToken.created_at > now - timedelta(hours=1),
        )
    )
    if limit and (mailed or 0) >= limit:
        return
    token = secrets.token_urlsafe(32)
    work.session.add(
        OneTimeToken(
            user_id=user.id,
            purpose=purpose,
            token_sha256=sha256(token),
            email=user.email,
            expires_at=now + LIFETIMES[purpose],
        )
    )
    link = work.runtime.settings.public_url.rstrip("/") + LINKS[purpose].format(token)
    await send_mail(
        work,
        MAILS[purpose],
        to=user.email,
        context={"name": user.name, "link": link},
        user_id=user.id,
        useful_for=LIFETIMES[purpose],
    )


async def limit_mails(runtime: Runtime, origin: Origin, purpose: str, email: str) -> None:
    await limits.exact(runtime, purpose, origin.ip, email)


async def request_token(runtime: Runtime, purpose: str, email: str) -> None:
    """Mail a link if there is such an account. Called once the answer is out, so its time tells nothing."""
    async with unit_of_work(runtime) as work:
        user = await work.session.scalar(select(User).where(User.email == email.strip()))
        if user is None or not may_hold_session(user, clock.now()):
            return
        if purpose == "verify_email" and user.is_verified:
            return
        await _mail_token(work, user, purpose)


async def verify_email(runtime: Runtime, origin: Origin, token: str) -> dict[str, Any]:
    async with unit_of_work(runtime, action="verify_email") as work:
        found = await _find_token(work, "verify_email", token, lock=True)
        user = await work.session.get(User, found.user_id, with_for_update=True) if found else None
        if found is None or user is None or user.deleted_at or user.email.casefold() != (found.email or "").casefold():
            raise VerifyUserBadToken
        if user.is_verified:
            raise VerifyUserAlreadyVerified
        if not _is_usable(found, clock.now()):
            raise VerifyUserBadToken
        standing = await standing_of(work, user.id)
        await act_as_user(work, origin, user, standing, action="verify_email")
        found.consumed_at = user.verified_at = clock.now()
        user.is_verified = True
        await work.session.flush()
        return user_view(runtime, user, standing)


async def _find_token(work: Work, purpose: str, token: str, *, lock: bool) -> OneTimeToken | None:
    statement = select(OneTimeToken).where(OneTimeToken.token_sha256 == sha256(token), OneTimeToken.purpose == purpose)
    return await work.session.scalar(statement.with_for_update() if lock else statement)


def _is_usable(token: OneTimeToken, now: datetime) -> bool:
    return token.consumed_at is None and (token.expires_at is None or token.expires_at > now)


async def reset_password(runtime: Runtime, origin: Origin, data: PasswordReset) -> None:
    """A new password for whoever reads the mailbox; all sessions end."""
    async with unit_of_work(runtime) as work:
        await _reset_user(work, data.token, data.password)
    hashed = await hash_password(data.password)
    async with unit_of_work(runtime) as work:
        user = await _reset_user(work, data.token, data.password, lock=True)
        standing = await standing_of(work, user.id)
        await act_as_user(work, origin, user, standing, action="reset_password")
        await work.session.execute(
            update(OneTimeToken)
            .where(OneTimeToken.user_id == user.id, OneTimeToken.purpose == "reset_password")
            .where(OneTimeToken.consumed_at.is_(None))
            .values(consumed_at=clock.now())
        )
        user.token_version += 1
        await _set_password(work, user, hashed)
        await end_sessions(work, Session.user_id == user.id, reason="password reset")
    await locks_of(runtime).forgive(str(user.id), origin.ip)


async def _reset_user(work: Work, token: str, password: str, *, lock: bool = False) -> User:
    """The account of a usable reset token, once the password suits it."""
    found = await _find_token(work, "reset_password", token, lock=lock)
    if found is None or not _is_usable(found, clock.now()):
        raise ResetPasswordBadToken
    user = await work.session.get(User, found.user_id, with_for_update=lock)
    if user is None or not may_hold_session(user, clock.now()):
        raise ResetPasswordBadToken
    check_new_password(password, user.email, ResetPasswordInvalidPassword)
    return user


async def _set_password(work: Work, user: User, hashed: str) -> None:
    user.hashed_password, user.password_changed_at, user.failed_login_count = hashed, clock.now(), 0
    await work.session.flush()
    await send_mail(work, PASSWORD_CHANGED, to=user.email, context={"name": user.name}, user_id=user.id)


async def change_password(runtime: Runtime, caller: Caller, data: PasswordChange) -> None:
    """A new password for somebody who knows the old one; the other sessions end.

    Wrong guesses count like failed logins.
    """
    locks, user_id = locks_of(runtime), caller.principal.user_id
    await limits.exact(runtime, "login", caller.ip, str(user_id))
    if seconds := await locks.locked_for(str(user_id), caller.ip):
        raise AccountLocked(retry_after=seconds)
    user = await _load(runtime, user_id)
    stored = user.hashed_password
    matches, _ = await verify_password(data.current_password, stored)
    if not matches:
        await locks.failed(str(user_id), caller.ip)
        raise LoginBadCredentials("The current password is not right.")
    check_new_password(data.new_password, user.email, Invalid, "new_password")
    hashed = await hash_password(data.new_password)
    async with unit_of_work(runtime, caller, action="change_password") as work:
        locked = await work.session.get(User, user_id, with_for_update=True)
        if locked is None or locked.hashed_password != stored:
            raise LoginBadCredentials("The current password is not right.")
        await _set_password(work, locked, hashed)
        others = Session.family_id.is_distinct_from(caller.principal.session_id)
        await end_sessions(work, Session.user_id == user_id, others, reason="password change")


async def _load(runtime: Runtime, user_id: UUID) -> User:
    async with runtime.database.sessions() as session:
        user = await session.get(User, user_id)
    if user is None:
        raise Unauthenticated
    return user
