"""The demo accounts: one for every role, and a second one where two users must not see each other's rows."""

from typing import NamedTuple

from sqlalchemy import select

from atrium.core.identity.models import Role, User, UserRole
from atrium.core.identity.services.accounts import create_account
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
    roles = set(await work.session.scalars(select(Role.code)))
    missing = [account for account in ACCOUNTS if account.email not in known]
    for account in missing:
        await create_account(
            work,
            email=account.email,
            username=account.username,
            name=account.name,
            password=account.password,
            roles=[account.role] if account.role in roles else [],
            any_password=True,
        )
    await _grant_late_roles(work)
    return f"core: {len(missing)} demo accounts made, {len(known)} were there"


async def _grant_late_roles(work: Work) -> None:
    """The role of an account that was made before the role existed."""
    for account in ACCOUNTS:
        found = await work.session.execute(
            select(User.id, Role.id)
            .join(Role, Role.code == account.role)
            .where(User.email == account.email, ~select(UserRole.id).where(UserRole.user_id == User.id).exists())
        )
        for user_id, role_id in found:
            work.session.add(UserRole(user_id=user_id, role_id=role_id, is_primary=True))
    await work.session.flush()
