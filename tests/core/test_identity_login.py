import statistics
import time
from typing import Any

import bcrypt
import httpx
import jwt
import msgspec
import pytest
from tests.core.factories import PASSWORD, a_login, a_role, an_account, mailed, sql
from tests.core.servers import free_port

from atrium.core.config import Settings
from atrium.core.identity.limits import locks_of
from atrium.core.runtime import Runtime

LOGIN = "/api/v1/auth/login"
USER = {
    "id", "email", "username", "name", "role", "roles", "permissions", "is_active", "is_superuser", "is_verified",
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
@pytest.mark.parametrize("encoding", ["json", "data"])
async def test_both_mounts_take_json_and_the_form(
    client: httpx.AsyncClient, runtime: Runtime, prefix: str, encoding: str
) -> None:
    account = await an_account(runtime, username=f"u{time.time_ns()}")
    member = "email" if encoding == "json" else "username"
    body: dict[str, Any] = {encoding: {member: account.email, "password": PASSWORD}}
    answer = await client.post(f"{prefix}/auth/login", **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"].keys() >= USER
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 900


async def test_a_username_works_like_an_address_in_any_case(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime, username=f"cfo{time.time_ns()}")
    name = (await sql(runtime, "SELECT username FROM core.users WHERE id = :id", id=account.id))[0][0]
    for identifier in (name, name.upper(), account.email.upper()):
        answer = await client.post(LOGIN, json={"username": identifier, "password": PASSWORD})
        assert answer.json()["user"]["username"] == name


async def test_the_token_carries_the_documented_claims(
    client: httpx.AsyncClient, runtime: Runtime, settings: Settings
) -> None:
    role = await a_role(runtime, "tests.things.read")
    account = await an_account(runtime, roles=[role])
    answer = (await a_login(client, account)).answer
    sent = jwt.decode(answer["access_token"], settings.secret_key, ["HS256"])
    assert sent["sub"] == answer["user"]["id"] == str(account.id)
    assert sent["role"] == role
    assert sent["roles"] == [role]
    assert (sent["typ"], sent["ver"], sent["exp"] - sent["iat"]) == ("access", 0, 900)
    assert {"sid", "jti"} <= sent.keys()
    assert answer["user"]["permissions"] == ["tests.things.read"]


async def test_an_account_without_a_role_is_a_user(client: httpx.AsyncClient, runtime: Runtime) -> None:
    answer = (await a_login(client, await an_account(runtime))).answer
    assert (answer["role"], answer["user"]["roles"]) == ("user", [])


async def test_a_role_that_ends_soon_ends_the_token_too(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime, roles=[await a_role(runtime)])
    await sql(
        runtime, "UPDATE core.user_roles SET expires_at = now() + interval '60 s' WHERE user_id = :id", id=account.id
    )
    assert 50 < (await a_login(client, account)).answer["expires_in"] <= 60


async def test_an_ended_role_is_not_carried(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime, roles=[await a_role(runtime)])
    await sql(
        runtime, "UPDATE core.user_roles SET expires_at = now() - interval '1 s' WHERE user_id = :id", id=account.id
    )
    assert (await a_login(client, account)).answer["user"]["roles"] == []


async def test_unknown_account_and_wrong_password_get_the_same_words(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    account = await an_account(runtime)
    answers = [
        await client.post(LOGIN, json={"email": email, "password": "wrong-password"})
        for email in (account.email, "nobody-at-all@example.com")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    bodies = [answer.json() for answer in answers]
    assert {body["code"] for body in bodies} == {"LOGIN_BAD_CREDENTIALS"}
    assert bodies[0]["detail"] == bodies[1]["detail"]
    assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_unknown_account_and_wrong_password_take_the_same_time(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    account = await an_account(runtime)
    took: dict[str, list[float]] = {account.email: [], "nobody-at-all@example.com": []}
    for _ in range(7):
        for email, times in took.items():
            started = time.perf_counter()
            await client.post(LOGIN, json={"email": email, "password": "wrong-password"})
            times.append(time.perf_counter() - started)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"json": {"username": "cfo"}}, 422),
        ({"json": {"password": "x"}}, 422),
        ({"json": {"email": "a@example.com", "password": "x", "remember": True}}, 422),
        ({"json": {"email": "a@example.com", "password": 5}}, 422),
        ({"json": {"email": "a\0@example.com", "password": "x"}}, 422),
        ({"json": []}, 422),
        ({"data": {"username": "cfo"}}, 422),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"a:b", "headers": {"Content-Type": "text/plain"}}, 415),
    ],
)
async def test_unreadable_credentials(client: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    assert (await client.post(LOGIN, **body)).status_code == status


async def test_app_and_otp_are_accepted(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    body = {"email": account.email, "password": PASSWORD, "app": "crm", "otp": "123456"}
    assert (await client.post(LOGIN, json=body)).status_code == 200


async def test_an_inactive_account_is_told_so_only_with_its_password(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    account = await an_account(runtime)
    await sql(runtime, "UPDATE core.users SET is_active = false WHERE id = :id", id=account.id)
    right = await client.post(LOGIN, json={"email": account.email, "password": PASSWORD})
    wrong = await client.post(LOGIN, json={"email": account.email, "password": "wrong-password"})
    assert (right.status_code, right.json()["code"]) == (403, "USER_INACTIVE")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "LOGIN_BAD_CREDENTIALS")


async def test_an_account_without_password_cannot_log_in(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime, password=None)
    answer = await client.post(LOGIN, json={"email": account.email, "password": "anything"})
    assert answer.status_code == 401


async def test_a_bcrypt_hash_is_verified_and_upgraded(client: httpx.AsyncClient, runtime: Runtime) -> None:
    password = "x" * 71 + "yz, and what the old systems cut off"
    account = await an_account(runtime, password=password)
    old = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    await sql(runtime, "UPDATE core.users SET hashed_password = :old WHERE id = :id", old=old, id=account.id)
    await a_login(client, account)
    stored = (await sql(runtime, "SELECT hashed_password FROM core.users WHERE id = :id", id=account.id))[0][0]
    assert stored.startswith("$argon2id$")
    await a_login(client, account)


async def test_a_login_stands_in_the_change_log_and_is_no_change_of_the_record(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    account = await an_account(runtime)
    before = (await sql(runtime, "SELECT updated_at FROM core.users WHERE id = :id", id=account.id))[0][0]
    await a_login(client, account)
    after = (await sql(runtime, "SELECT updated_at FROM core.users WHERE id = :id", id=account.id))[0][0]
    rows = await sql(
        runtime,
        "SELECT actor_user_id, changes::text FROM core.changes WHERE entity_id = :id AND action = 'login'",
        id=account.id,
    )
    assert before == after
    assert [row[0] for row in rows] == [account.id]
    assert "argon2" not in rows[0][1]


async def test_ten_failures_lock_the_pair_and_no_other_network(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)

    async def attempt(ip: str, password: str) -> httpx.Response:
        transport = httpx.ASGITransport(client._transport.app, client=(ip, 1))  # type: ignore[attr-defined]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
            return await other.post(LOGIN, json={"email": account.email, "password": password})

    for _ in range(10):
        assert (await attempt("203.0.113.7", "wrong-password")).status_code == 401
    locked = await attempt("203.0.113.99", PASSWORD)
    assert (locked.status_code, locked.json()["code"]) == (423, "ACCOUNT_LOCKED")
    assert 0 < int(locked.headers["retry-after"]) <= 900
    assert (await attempt("198.51.100.7", PASSWORD)).status_code == 200
    assert len(await mailed(runtime, account.email, "account_locked")) == 1


async def test_an_account_that_is_not_there_locks_alike(client: httpx.AsyncClient) -> None:
    body = {"email": f"nobody-{time.time_ns()}@example.com", "password": "wrong-password"}
    codes = [(await client.post(LOGIN, json=body)).status_code for _ in range(11)]
    assert codes == [401] * 10 + [423]


async def test_an_administrator_may_lock_the_whole_account(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    await sql(runtime, "UPDATE core.users SET locked_until = now() + interval '1 hour' WHERE id = :id", id=account.id)
    answer = await client.post(LOGIN, json={"email": account.email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (423, "ACCOUNT_LOCKED")
    assert int(answer.headers["retry-after"]) > 3500


async def test_without_redis_the_locks_of_the_process_hold(settings: Settings) -> None:
    away = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with Runtime.open(away) as alone:
        locks = locks_of(alone)
        locked = [await locks.failed("somebody", "192.0.2.1") for _ in range(10)]
        assert locked == [False] * 9 + [True]
        assert 890 < await locks.locked_for("somebody", "192.0.2.200") <= 900
        assert await locks.locked_for("somebody", "192.0.3.1") == 0
        await locks.forgive("somebody", "192.0.2.1")
        assert await locks.locked_for("somebody", "192.0.2.1") == 0
