import secrets
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from tests.core.factories import PASSWORD, Account, a_login, a_role, an_account, mailed, mailed_token, sql

from atrium.core.access import ADMIN
from atrium.core.errors import Invalid, RateLimited
from atrium.core.identity.commands import users
from atrium.core.identity.schemas import Registration
from atrium.core.identity.services import accounts, create_account, principal_for, synchronise
from atrium.core.identity.services.sessions import Origin
from atrium.core.modules import Module, Role
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

AUTH = "/api/v1/auth"


@pytest.fixture(autouse=True)
async def marketplace_roles(runtime: Runtime) -> None:
    roles = (
        Role("homeowner", "Homeowner", self_register=True),
        Role("service_provider", "Provider", self_register=True),
    )
    await synchronise(runtime, [Module("marketplace", "Marketplace", roles=roles)])


def registration(**over: Any) -> dict[str, Any]:
    known = {"email": f"new-{secrets.token_hex(6)}@example.com", "password": f"Long-{secrets.token_hex(8)}"}
    return known | {"name": "Checker", "account_type": "homeowner", "accept_terms": True} | over


async def test_registration_needs_the_mailed_token_before_the_first_login(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    body = registration(account_type="service_provider", phone="+972525550101")
    made = await client.post(f"{AUTH}/register", json=body)
    assert made.status_code == 201
    assert made.json()["is_verified"] is False
    assert made.json()["role"] == "service_provider"
    login = {"email": body["email"], "password": body["password"]}
    refused = await client.post(f"{AUTH}/login", json=login)
    assert (refused.status_code, refused.json()["code"]) == (403, "LOGIN_USER_NOT_VERIFIED")
    again = await client.post(f"{AUTH}/register", json=body | {"email": body["email"].upper()})
    assert (again.status_code, again.json()["code"]) == (409, "REGISTER_USER_ALREADY_EXISTS")
    bad = await client.post(f"{AUTH}/verify", json={"token": secrets.token_urlsafe(32)})
    assert (bad.status_code, bad.json()["code"]) == (400, "VERIFY_USER_BAD_TOKEN")
    token = await mailed_token(runtime, body["email"], "verify_email")
    verified = await client.post(f"{AUTH}/verify", json={"token": token})
    assert (verified.status_code, verified.json()["is_verified"]) == (200, True)
    twice = await client.post(f"{AUTH}/verify", json={"token": token})
    assert (twice.status_code, twice.json()["code"]) == (409, "VERIFY_USER_ALREADY_VERIFIED")
    assert (await client.post(f"{AUTH}/login", json=login)).json()["role"] == "service_provider"


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"account_type": "staff"}, "VALIDATION_ERROR"),
        ({"account_type": "admin"}, "VALIDATION_ERROR"),
        ({"accept_terms": False}, "VALIDATION_ERROR"),
        ({"email": "no address"}, "VALIDATION_ERROR"),
        ({"phone": "052"}, "VALIDATION_ERROR"),
        ({"name": ""}, "VALIDATION_ERROR"),
        ({"roles": ["admin"]}, "UNKNOWN_FIELD"),
        ({"password": "short"}, "REGISTER_INVALID_PASSWORD"),
        ({"password": "Password123"}, "REGISTER_INVALID_PASSWORD"),
        ({"email": "the.same.words@example.com", "password": "The.Same.Words"}, "REGISTER_INVALID_PASSWORD"),
        ({"password": "x" * 257}, "PASSWORD_TOO_LONG"),
    ],
)
async def test_what_cannot_be_registered(client: httpx.AsyncClient, over: dict[str, Any], code: str) -> None:
    answer = await client.post(f"{AUTH}/register", json=registration(**over))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"]


async def test_in_the_safe_mode_nobody_learns_whether_an_address_is_known(runtime: Runtime) -> None:
    settings = msgspec.structs.replace(runtime.settings, register_enumeration_safe=True)
    safe = replace(runtime, settings=settings)
    body = msgspec.convert(registration(), Registration)
    assert await accounts.register(safe, Origin(), body) is None
    assert await accounts.register(safe, Origin(), body) is None
    assert len(await mailed(runtime, body.email, "verify_email")) == 1
    assert len(await mailed(runtime, body.email, "register_existing")) == 1


async def test_registrations_are_limited_per_address(runtime: Runtime) -> None:
    limited = replace(runtime, settings=msgspec.structs.replace(runtime.settings, register_rate_per_hour=2))
    origin = Origin(ip=f"2001:db8::{secrets.token_hex(2)}")
    for _ in range(2):
        await accounts.register(limited, origin, msgspec.convert(registration(), Registration))
    with pytest.raises(RateLimited):
        await accounts.register(limited, origin, msgspec.convert(registration(), Registration))


async def test_a_further_verification_mail(client: httpx.AsyncClient, runtime: Runtime) -> None:
    body = registration()
    await client.post(f"{AUTH}/register", json=body)
    answers = [
        await client.post(f"{AUTH}/request-verify-token", json={"email": email})
        for email in (body["email"], "nobody-at-all@example.com")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    first, second = await mailed(runtime, body["email"], "verify_email")
    assert first != second


async def test_an_account_gets_only_so_many_mails_an_hour(runtime: Runtime) -> None:
    limited = replace(runtime, settings=msgspec.structs.replace(runtime.settings, verification_rate_per_hour=2))
    account = await an_account(runtime)
    for _ in range(4):
        await accounts.request_token(limited, "reset_password", account.email)
    assert len(await mailed(runtime, account.email, "reset_password")) == 2


async def test_a_reset_ends_all_sessions_and_the_token_works_once(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    before = await a_login(client, account)
    answers = [
        await client.post(f"{AUTH}/forgot-password", json={"email": email})
        for email in (account.email, "nobody-at-all@example.com")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    token, fresh = await mailed_token(runtime, account.email, "reset_password"), f"Fresh-{secrets.token_hex(8)}"
    weak = await client.post(f"{AUTH}/reset-password", json={"token": token, "password": "short"})
    assert (weak.status_code, weak.json()["code"]) == (422, "RESET_PASSWORD_INVALID_PASSWORD")
    done = await client.post(f"{AUTH}/reset-password", json={"token": token, "password": fresh})
    assert (done.status_code, done.json()) == (200, {"message": "Password updated"})
    again = await client.post(f"{AUTH}/reset-password", json={"token": token, "password": fresh})
    assert (again.status_code, again.json()["code"]) == (400, "RESET_PASSWORD_BAD_TOKEN")
    old = await client.post(f"{AUTH}/login", json={"email": account.email, "password": account.password})
    assert old.status_code == 401
    refreshed = await client.post(f"{AUTH}/refresh", json={"refresh_token": before.answer["refresh_token"]})
    assert refreshed.status_code == 401
    assert (await client.get(f"{AUTH}/me", headers=before.headers)).status_code == 401
    await a_login(client, Account(account.id, account.email, fresh))
    assert len(await mailed(runtime, account.email, "password_changed")) == 1


async def test_an_expired_reset_token_is_bad(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    await client.post(f"{AUTH}/forgot-password", json={"email": account.email})
    token = await mailed_token(runtime, account.email, "reset_password")
    await sql(
        runtime,
        "UPDATE core.one_time_tokens SET expires_at = now() - interval '1 s' WHERE user_id = :id",
        id=account.id,
    )
    answer = await client.post(f"{AUTH}/reset-password", json={"token": token, "password": "long enough, really"})
    assert answer.json()["code"] == "RESET_PASSWORD_BAD_TOKEN"


async def test_a_token_serves_its_purpose_only(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    await client.post(f"{AUTH}/forgot-password", json={"email": account.email})
    token = await mailed_token(runtime, account.email, "reset_password")
    assert (await client.post(f"{AUTH}/verify", json={"token": token})).json()["code"] == "VERIFY_USER_BAD_TOKEN"


async def test_a_changed_password_ends_the_other_sessions(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    one, two = await a_login(client, account), await a_login(client, account)
    wrong = {"current_password": "not this one", "new_password": "another long password"}
    assert (await client.post(f"{AUTH}/change-password", json=wrong, headers=one.headers)).status_code == 401
    weak = {"current_password": PASSWORD, "new_password": "short"}
    refused = await client.post(f"{AUTH}/change-password", json=weak, headers=one.headers)
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "new_password"])
    right = {"current_password": PASSWORD, "new_password": "another long password"}
    assert (await client.post(f"{AUTH}/change-password", json=right, headers=one.headers)).status_code == 200
    assert (await client.get(f"{AUTH}/me", headers=one.headers)).status_code == 200
    assert (await client.get(f"{AUTH}/me", headers=two.headers)).status_code == 401
    await a_login(client, Account(account.id, account.email, "another long password"))


async def test_new_roles_and_permissions_arrive_and_edits_stay(runtime: Runtime) -> None:
    mark = secrets.token_hex(4)
    role, one, two = f"role_{mark}", f"tests.{mark}.read", f"tests.{mark}.write"
    first = Module("wealth", "W", roles=(Role(role, "A role", 5, (one,)),), permissions={one: "Read"})
    await synchronise(runtime, [first])
    await synchronise(runtime, [first])
    assert await grants(runtime, role) == {one}
    await sql(
        runtime, "DELETE FROM core.role_permissions g USING core.roles r WHERE r.id = role_id AND r.code = :c", c=role
    )
    grown = Module(
        "wealth", "W", roles=(Role(role, "A role", 5, (one, two)),), permissions={one: "Read more", two: "Write"}
    )
    await synchronise(runtime, [grown])
    assert await grants(runtime, role) == {two}
    described = await sql(runtime, "SELECT description FROM core.permissions WHERE code = :code", code=one)
    assert described[0][0] == "Read more"


async def test_a_grant_of_an_unknown_permission_is_refused_at_start(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match=r"tests\.typo\.read"):
        await synchronise(runtime, [Module("crm", "C", roles=(Role("x", "X", 1, ("tests.typo.read",)),))])


async def grants(runtime: Runtime, role: str) -> set[str]:
    rows = await sql(
        runtime,
        "SELECT p.code FROM core.role_permissions g JOIN core.roles r ON r.id = g.role_id "
        "JOIN core.permissions p ON p.id = g.permission_id WHERE r.code = :role",
        role=role,
    )
    return {row[0] for row in rows}


async def test_an_administrator_holds_everything(client: httpx.AsyncClient, runtime: Runtime) -> None:
    await a_role(runtime, "tests.anything.read")
    answer = (await a_login(client, await an_account(runtime, roles=[ADMIN]))).answer
    assert answer["user"]["is_superuser"] is True
    principal = await principal_for(runtime, answer["user"]["id"])
    assert principal.may("tests.something.that.nobody.declared")


async def test_an_account_takes_only_roles_that_exist(runtime: Runtime) -> None:
    with pytest.raises(Invalid, match="no role astronaut"):
        await an_account(runtime, roles=["astronaut"])


async def test_accounts_of_operators_are_under_the_password_rules(runtime: Runtime) -> None:
    async with unit_of_work(runtime) as work:
        with pytest.raises(Invalid, match="tried first"):
            await create_account(work, email="a@example.com", name="A", password="password123")


def test_users_are_created_and_listed_from_the_command_line() -> None:
    asked: list[Any] = []
    runner = CliRunner()
    made = runner.invoke(
        users, ["create", "root@example.com", "--role", "admin", "--generate"], obj={"run": asked.append}
    )
    assert made.exit_code == 0, made.output
    assert "Password: " in made.output
    listed = runner.invoke(users, ["list"], obj={"run": lambda _: [("a@example.com", "A", True, ["admin"])]})
    assert listed.output == "a@example.com\tA\tactive\tadmin\n"
    assert len(asked) == 1
