"""Accounts for tests: each test makes its own, so that none stands in another's way."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from atrium.core import clock
from atrium.core.access import Principal
from atrium.core.identity.models import User
from atrium.core.identity.services import create_account
from atrium.core.identity.services.roles import standing_of
from atrium.core.identity.services.sessions import Origin, begin_session
from atrium.core.identity.tokens import tokens_of
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Account:
    id: UUID
    email: str
    password: str


@dataclass(frozen=True)
class Login:
    """What a login answered, and the header that its token goes into."""

    answer: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.answer['access_token']}"}


async def an_account(
    runtime: Runtime, *, roles: Sequence[str] = (), password: str | None = PASSWORD, **over: Any
) -> Account:
    """An account that nobody else uses."""
    email = over.pop("email", f"user-{secrets.token_hex(6)}@example.com")
    values = {"name": "Dana Levi", "any_password": True, **over}
    async with unit_of_work(runtime) as work:
        user = await create_account(work, email=email, password=password, roles=roles, **values)
    return Account(user.id, email, password or "")


async def a_login(client: httpx.AsyncClient, account: Account) -> Login:
    answer = await client.post("/api/v1/auth/login", json={"email": account.email, "password": account.password})
    assert answer.status_code == 200, answer.text
    return Login(answer.json())


async def headers_for(runtime: Runtime, user_id: UUID) -> dict[str, str]:
    """A new session's bearer header."""
    async with unit_of_work(runtime) as work:
        user = await work.session.get_one(User, user_id)
        login = await begin_session(work, user, await standing_of(work, user_id), Origin())
        return {"Authorization": f"Bearer {login.access_token}"}


def a_principal(*, roles: Sequence[str] = (), **claims: UUID) -> Principal:
    """A caller that no table knows."""
    return Principal(clock.new_id(), roles[0] if roles else "user", frozenset(roles), claims=claims)


async def a_role(runtime: Runtime, *permissions: str, module: str = "platform", self_register: bool = False) -> str:
    """A role of this test alone, with permissions that it may invent."""
    code = f"role_{secrets.token_hex(6)}"
    await sql(
        runtime,
        "INSERT INTO core.roles (id, code, module, name, rank, self_register) "
        "VALUES (gen_random_uuid(), :code, :module, :code, 1, :self_register)",
        code=code,
        module=module,
        self_register=self_register,
    )
    for permission in permissions:
        await allow(runtime, code, permission)
    return code


async def allow(runtime: Runtime, role: str, permission: str) -> None:
    """A role gets a permission while the application runs; this process need not wait for its next reading."""
    await sql(
        runtime,
        "INSERT INTO core.permissions (id, code, module, description) "
        "VALUES (gen_random_uuid(), :code, 'tests', :code) ON CONFLICT DO NOTHING",
        code=permission,
    )
    await sql(
        runtime,
        "INSERT INTO core.role_permissions (id, role_id, permission_id) SELECT gen_random_uuid(), r.id, p.id "
        "FROM core.roles r, core.permissions p WHERE r.code = :role AND p.code = :permission",
        role=role,
        permission=permission,
    )
    await tokens_of(runtime).load()


async def sql(runtime: Runtime, statement: str, **values: Any) -> list[Any]:
    """One statement of the test's own; its rows, if it has any."""
    async with unit_of_work(runtime) as work:
        found = await work.session.execute(text(statement), values)
        return list(found) if found.returns_rows else []  # type: ignore[attr-defined]


async def mailed(runtime: Runtime, email: str, template: str) -> list[str]:
    """The texts of the mails to this address, the newest first."""
    rows = await sql(
        runtime,
        "SELECT body_text FROM core.outbox_messages WHERE to_address = :email AND template = :template "
        "ORDER BY created_at DESC",
        email=email,
        template=template,
    )
    return [row[0] for row in rows]


async def mailed_token(runtime: Runtime, email: str, template: str) -> str:
    """The token in the newest of these mails."""
    mails = await mailed(runtime, email, template)
    return mails[0].partition("token=")[2].split()[0]
