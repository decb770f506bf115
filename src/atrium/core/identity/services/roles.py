"""Which roles there are, what they allow and who holds them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Self
from uuid import UUID

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from atrium.core import clock, modules
from atrium.core.access import ADMIN, Principal
from atrium.core.errors import Invalid, NotFound
from atrium.core.identity.models import ROLE_MODULES, Permission, Role, RolePermission, User, UserRole
from atrium.core.identity.rules import Standing, may_hold_session
from atrium.core.identity.tokens import tokens_of
from atrium.core.modules import Module
from atrium.core.runtime import Runtime
from atrium.core.services import Work, unit_of_work

CATALOGUE_LOCK = 7_310_001  # any number that nothing else in the database locks


@dataclass(slots=True)
class Catalogue:
    """What the manifests of all modules declare together."""

    roles: dict[str, tuple[str, modules.Role]] = field(default_factory=dict)
    permissions: dict[str, tuple[str, str]] = field(default_factory=dict)
    grants: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, declared: Iterable[Module]) -> Self:
        found = cls()
        for module in declared:
            for code, description in module.all_permissions().items():
                found.permissions.setdefault(code, (module.name, description))
            for role in module.roles:
                home = module.name if module.name in ROLE_MODULES else "platform"
                found.roles.setdefault(role.code, (home, role))
                found.grants |= {(role.code, code) for code in role.grants}
        unknown = sorted({code for _, code in found.grants} - found.permissions.keys())
        if unknown:
            raise ValueError(f"roles grant permissions that no module declares: {', '.join(unknown)}")
        return found


async def synchronise(runtime: Runtime, declared: Iterable[Module]) -> None:
    """Bring new roles and permissions of the manifests into the database.

    What is there stays as it is, since administrators edit roles at run time: only a new role or permission gets
    the grants of the manifests.
    """
    wanted = Catalogue.of(declared)
    async with unit_of_work(runtime, action="synchronise") as work:
        if await _is_complete(work.session, wanted):
            return
        await work.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CATALOGUE_LOCK})
        await _complete(work.session, wanted)


async def _is_complete(session: AsyncSession, wanted: Catalogue) -> bool:
    roles = set(await session.scalars(select(Role.code)))
    permissions = dict((await session.execute(select(Permission.code, Permission.description))).all())
    described = {code: description for code, (_, description) in wanted.permissions.items()}
    return wanted.roles.keys() <= roles and described.items() <= permissions.items()


async def _complete(session: AsyncSession, wanted: Catalogue) -> None:
    known_roles = set(await session.scalars(select(Role.code)))
    known_permissions = dict((await session.execute(select(Permission.code, Permission.description))).all())
    for code, (module, role) in wanted.roles.items():
        if code not in known_roles:
            session.add(
                Role(code=code, module=module, name=role.name, rank=role.rank, self_register=role.self_register)
            )
    for code, (module, description) in wanted.permissions.items():
        if code not in known_permissions:
            session.add(Permission(code=code, module=module, description=description))
        elif known_permissions[code] != description:
            await session.execute(update(Permission).where(Permission.code == code).values(description=description))
    await session.flush()
    new = [(role, code) for role, code in wanted.grants if role not in known_roles or code not in known_permissions]
    if new:
        await _grant(session, new)


async def _grant(session: AsyncSession, pairs: Iterable[tuple[str, str]]) -> None:
    roles = dict((await session.execute(select(Role.code, Role.id))).all())
    permissions = dict((await session.execute(select(Permission.code, Permission.id))).all())
    rows = [
        {"id": clock.new_id(), "role_id": roles[role], "permission_id": permissions[code]}
        for role, code in sorted(pairs)
    ]
    await session.execute(insert(RolePermission).on_conflict_do_nothing(), rows)


async def standing_of(work: Work, user_id: UUID) -> Standing:
    """The roles in force and the ids that modules add, read in the work's transaction."""
    now = clock.now()
    rows = await work.session.execute(
        select(Role.code, Role.module, UserRole.expires_at)
        .join(Role, Role.id == UserRole.role_id)
        .where(UserRole.user_id == user_id, or_(UserRole.expires_at.is_(None), UserRole.expires_at > now))
        .order_by(UserRole.is_primary.desc(), UserRole.created_at, UserRole.id)
    )
    held = rows.all()
    ends = [until for _, _, until in held if until is not None]
    return Standing(
        roles=tuple(code for code, _, _ in held),
        modules=frozenset(module for _, module, _ in held),
        claims=await _claims(work, user_id),
        until=min(ends, default=None),
    )


async def _claims(work: Work, user_id: UUID) -> Mapping[str, UUID]:
    claims: dict[str, UUID] = {}
    sources = tokens_of(work.runtime).claim_sources
    if sources:
        connection = await work.connection()
        for source in sources:
            claims |= await source(connection, user_id)
    return MappingProxyType(claims)


async def principal_for(runtime: Runtime, user_id: UUID) -> Principal:
    """A user as a caller with the roles of this moment, for jobs and whatever else has no token."""
    tokens = tokens_of(runtime)
    if tokens.stale:
        await tokens.load()
    async with unit_of_work(runtime) as work:
        user = await work.session.get(User, user_id)
        if user is None or not (user.is_system or may_hold_session(user, clock.now())):
            raise NotFound("This account does not exist or is not active.")
        return tokens.principal(user.id, user.token_version, await standing_of(work, user.id))


@asynccontextmanager
async def catalogued(runtime: Runtime) -> AsyncIterator[None]:
    """Part of every process: the declared roles exist, and whoever needs a user's roles can ask for them."""
    await synchronise(runtime, runtime.parts["modules"])
    runtime.principals = partial(principal_for, runtime)
    yield


async def grant_role(
    work: Work, user: User, code: str, *, granted_by: UUID | None = None, expires_at: datetime | None = None
) -> None:
    """Give a role; the first one becomes the primary one. Tokens that do not know of it end."""
    role = await get_role(work, code)
    held = set(await work.session.scalars(select(UserRole.role_id).where(UserRole.user_id == user.id)))
    if role.id in held:
        return
    work.session.add(
        UserRole(
            user_id=user.id,
            role_id=role.id,
            is_primary=not held,
            granted_by=granted_by,
            expires_at=expires_at,
        )
    )
    await _roles_changed(work, user, is_superuser=user.is_superuser or code == ADMIN)


async def revoke_role(work: Work, user: User, code: str) -> None:
    """Take a role away; the oldest of the others becomes primary if it was."""
    role = await get_role(work, code)
    grants = select(UserRole).where(UserRole.user_id == user.id).order_by(UserRole.created_at, UserRole.id)
    held = list(await work.session.scalars(grants))
    gone = next((one for one in held if one.role_id == role.id), None)
    if gone is None:
        raise NotFound(f"The account does not hold the role {code}.")
    await work.session.delete(gone)
    await work.session.flush()
    rest = [one for one in held if one is not gone]
    if gone.is_primary and rest:
        rest[0].is_primary = True
    await _roles_changed(work, user, is_superuser=user.is_superuser and code != ADMIN)


async def _roles_changed(work: Work, user: User, *, is_superuser: bool) -> None:
    user.is_superuser = is_superuser
    await work.session.flush()
    await end_access_tokens(work, user.id)
    await work.session.refresh(user)


async def end_access_tokens(work: Work, user_id: UUID) -> None:
    """What a user's tokens say is no longer so (a role, an advisor): within five seconds they must be refreshed."""
    await work.session.execute(update(User).where(User.id == user_id).values(token_version=User.token_version + 1))


async def get_role(work: Work, code: str) -> Role:
    role = await work.session.scalar(select(Role).where(Role.code == code))
    if role is None:
        known = sorted(await work.session.scalars(select(Role.code)))
        raise Invalid(f"There is no role {code}.", allowed=known)
    return role


async def list_holders(runtime: Runtime) -> list[tuple[str, str, bool, list[str]]]:
    """(e-mail, name, active, roles) of every account that is somebody's."""
    async with runtime.database.sessions() as session:
        rows = await session.execute(
            select(User.email, User.name, User.is_active, func.array_remove(func.array_agg(Role.code), None))
            .outerjoin(UserRole, UserRole.user_id == User.id)
            .outerjoin(Role, Role.id == UserRole.role_id)
            .where(User.deleted_at.is_(None), ~User.is_system)
            .group_by(User.id)
            .order_by(User.email)
        )
        return [(email, name, active, sorted(roles)) for email, name, active, roles in rows]
