"""The demo accounts: one for every role, and a second one where two users must not see each other's rows."""

import asyncio
from typing import NamedTuple

from sqlalchemy import select

from atrium.core import clock
from atrium.core.access import ADMIN
from atrium.core.identity.models import Role, User, UserRole
from atrium.core.identity.services.passwords import hash_password
from atrium.core.services import Work

PASSWORD = "demo-password"  # noqa: S105  known to everybody; production refuses demo data


class Account(NamedTuple):
    email: str
    name: str
    role: str | None
    password: str = PASSWORD
    username: str | None = None


ACCOUNTS = (
    Account("admin@test.com", "Ada Levin", "admin", "test123", "admin"),
    Account("cfo@example.com", "Carla Ferro", "cfo", "demo", "cfo"),
    Account("advisor@example.com", "Amir Dahan", "wealth_advisor"),
    Account("advisor2@example.com", "Beatrice Klein", "wealth_advisor"),
    Account("compliance@example.com", "Conrad Okafor", "compliance_officer"),
    Account("client@example.com", "Nadia Rosen", "client"),
    Account("homeowner@example.com", "Hanna Berg", "homeowner"),
    Account("homeowner2@example.com", "Hugo Marin", "homeowner"),
    Account("provider@example.com", "Pavel Novak", "service_provider"),
    Account("provider2@example.com", "Paula Reyes", "service_provider"),
    Account("staff@example.com", "Simon Adler", "staff"),
    Account("staffadmin@example.com", "Selma Aydin", "staff_admin"),
    Account("agent@example.com", "Alma Keller", "agent"),
    Account("agent2@example.com", "Anton Weiss", "agent"),
    Account("manager@example.com", "Mira Katz", "crm_manager"),
    Account("crmadmin@example.com", "Cyrus Amini", "crm_admin"),
    Account("assistant@example.com", "Ana Sousa", "assistant"),
    Account("analyst@example.com", "Arne Lund", "analyst"),
    Account("viewer@example.com", "Vera Ilic", "viewer"),
    Account("biadmin@example.com", "Bela Nagy", "bi_admin"),
    Account("assessor@example.com", "Astrid Holm", None),
    Account("participant@example.com", "Pedro Alves", None),
)


async def load(work: Work) -> str:
    """Make the accounts that are missing; one whose role no module declares yet has none."""
    known = set(await work.session.scalars(select(User.email).where(User.email.in_([one.email for one in ACCOUNTS]))))
    missing = [account for account in ACCOUNTS if account.email not in known]
    # Hashing is slow on purpose: one hash for each password, not for each account.
    passwords = sorted({account.password for account in missing})
    hashes = await asyncio.gather(*(hash_password(password) for password in passwords))
    work.session.add_all(_user(account, dict(zip(passwords, hashes, strict=True))) for account in missing)
    await work.session.flush()
    await _grant_missing_roles(work)
    return f"core: {len(missing)} demo accounts made, {len(known)} were there"


def _user(account: Account, hashes: dict[str, str]) -> User:
    now = clock.now()
    return User(
        email=account.email,
        username=account.username,
        name=account.name,
        hashed_password=hashes[account.password],
        password_changed_at=now,
        is_verified=True,
        verified_at=now,
        is_superuser=account.role == ADMIN,
    )


async def _grant_missing_roles(work: Work) -> None:
    """The role of an account that is new, or was made before the role existed."""
    wanted = {account.email: account.role for account in ACCOUNTS}
    held = select(UserRole.id).where(UserRole.user_id == User.id).exists()
    users = (await work.session.execute(select(User.email, User.id).where(User.email.in_(wanted), ~held))).all()
    roles = dict((await work.session.execute(select(Role.code, Role.id))).tuples().all())
    work.session.add_all(
        UserRole(user_id=user_id, role_id=roles[role], is_primary=True)
        for email, user_id in users
        if (role := wanted[email]) in roles
    )
    await work.session.flush()
