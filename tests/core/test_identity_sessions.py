import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from tests.core.factories import Login, a_login, a_role, allow, an_account, sql

from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.errors import AtriumError, DependencyDown, Unauthenticated
from atrium.core.identity.rules import Standing
from atrium.core.identity.services.accounts import get_account
from atrium.core.identity.services.roles import grant_role, principal_for, revoke_role
from atrium.core.identity.tokens import Tokens, tokens_of, watching
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

AUTH = "/api/v1/auth"


@pytest.fixture
async def login(client: httpx.AsyncClient, runtime: Runtime) -> Login:
    return await a_login(client, await an_account(runtime))


@pytest.fixture
async def other_process(settings: Settings) -> AsyncIterator[Tokens]:
    """The authenticator of another process on the same database."""
    async with Runtime.open(settings) as runtime, watching(runtime):
        assert isinstance(runtime.authenticator, Tokens)
        yield runtime.authenticator


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": token})


async def refused_within_five_seconds(tokens: Tokens, token: str) -> bool:
    for _ in range(50):
        try:
            tokens.authenticate(token)
        except Unauthenticated:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_me_is_the_user_of_the_login(client: httpx.AsyncClient, login: Login) -> None:
    for prefix in ("/api/v1", "/api"):
        answer = await client.get(f"{prefix}/auth/me", headers=login.headers)
        assert answer.json() == login.answer["user"]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer nonsense", "Bearer a.b.c", "Basic {token}", "{token}"])
async def test_anything_but_a_bearer_token_is_401(client: httpx.AsyncClient, login: Login, value: str) -> None:
    headers = {"Authorization": value.format(token=login.answer["access_token"])} if value else {}
    answer = await client.get(f"{AUTH}/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_may_be_spelt_in_any_case(client: httpx.AsyncClient, login: Login) -> None:
    headers = {"Authorization": f"bEaReR {login.answer['access_token']}"}
    assert (await client.get(f"{AUTH}/me", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "refresh"},
        {"exp": 1},
        {"sub": "nobody"},
        {"sid": None},
        {"roles": None},
        {"ver": "x"},
        {"advisor_id": 5},
    ],
)
async def test_a_signed_token_with_odd_claims_is_401(
    client: httpx.AsyncClient, login: Login, settings: Settings, change: dict[str, Any]
) -> None:
    sent = jwt.decode(login.answer["access_token"], settings.secret_key, ["HS256"]) | change
    token = jwt.encode(sent, settings.secret_key, "HS256")
    answer = await client.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("secret", ["", "another-secret-that-is-also-long-enough"])
async def test_a_token_signed_otherwise_is_401(
    client: httpx.AsyncClient, login: Login, settings: Settings, secret: str
) -> None:
    sent = jwt.decode(login.answer["access_token"], settings.secret_key, ["HS256"])
    token = jwt.encode(sent, secret, "HS256" if secret else "none")
    answer = await client.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_a_refresh_rotates_and_two_tabs_get_the_same_successor(client: httpx.AsyncClient, login: Login) -> None:
    old = login.answer["refresh_token"]
    answers = await asyncio.gather(*(refresh(client, old) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert old not in successors
    assert answers[0].json()["user"]["id"] == login.answer["user"]["id"]
    assert (await refresh(client, successors.pop())).status_code == 200


async def test_reuse_after_the_grace_ends_the_family(client: httpx.AsyncClient, runtime: Runtime, login: Login) -> None:
    old = login.answer["refresh_token"]
    new = (await refresh(client, old)).json()
    await sql(
        runtime,
        "UPDATE core.sessions SET used_at = used_at - interval '11 s' WHERE user_id = :id AND used_at IS NOT NULL",
        id=login.answer["user"]["id"],
    )
    reused = await refresh(client, old)
    assert (reused.status_code, reused.json()["code"]) == (401, "REFRESH_REUSED")
    assert (await refresh(client, new["refresh_token"])).json()["code"] == "REFRESH_INVALID"
    headers = {"Authorization": f"Bearer {new['access_token']}"}
    assert (await client.get(f"{AUTH}/me", headers=headers)).status_code == 401


async def test_what_is_no_refresh_token(client: httpx.AsyncClient, runtime: Runtime, login: Login) -> None:
    for bad in (login.answer["access_token"], "nonsense", ""):
        answer = await refresh(client, bad)
        assert (answer.status_code, answer.json()["code"]) == (401, "REFRESH_INVALID")
    bearer = {"Authorization": f"Bearer {login.answer['refresh_token']}"}
    assert (await client.get(f"{AUTH}/me", headers=bearer)).status_code == 401
    await sql(
        runtime,
        "UPDATE core.sessions SET issued_at = issued_at - interval '40 d', expires_at = now() - interval '1 s' "
        "WHERE user_id = :id",
        id=login.answer["user"]["id"],
    )
    assert (await refresh(client, login.answer["refresh_token"])).json()["code"] == "REFRESH_INVALID"


async def test_tokens_are_stored_as_hashes_only(runtime: Runtime, login: Login) -> None:
    rows = await sql(runtime, "SELECT s::text FROM core.sessions s WHERE user_id = :id", id=login.answer["user"]["id"])
    assert rows
    assert all(login.answer["refresh_token"] not in row[0] for row in rows)


async def test_logout_ends_the_session_and_its_refresh_token(
    client: httpx.AsyncClient, runtime: Runtime, login: Login
) -> None:
    answer = await client.post("/api/auth/logout", headers=login.headers)
    assert (answer.status_code, answer.json()) == (200, {"message": "Successfully logged out"})
    assert (await client.get(f"{AUTH}/me", headers=login.headers)).status_code == 401
    assert (await refresh(client, login.answer["refresh_token"])).status_code == 401
    assert (await client.post("/api/auth/logout")).status_code == 401
    rows = await sql(
        runtime,
        "SELECT actor_user_id::text FROM core.changes WHERE action = 'logout' AND entity_id = :id",
        id=login.answer["user"]["id"],
    )
    assert [row[0] for row in rows] == [login.answer["user"]["id"]]


async def test_logout_may_name_a_refresh_token_of_the_same_account_only(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    account = await an_account(runtime)
    one, two = await a_login(client, account), await a_login(client, account)
    stranger = await a_login(client, await an_account(runtime))
    named = {"refresh_token": two.answer["refresh_token"]}
    assert (await client.post(f"{AUTH}/logout", json=named, headers=stranger.headers)).status_code == 200
    assert (await client.get(f"{AUTH}/me", headers=two.headers)).status_code == 200
    assert (await client.post(f"{AUTH}/logout", json=named, headers=one.headers)).status_code == 200
    assert (await client.get(f"{AUTH}/me", headers=two.headers)).status_code == 401


async def test_sessions_are_listed_and_ended_one_by_one(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    one, two = await a_login(client, account), await a_login(client, account)
    await refresh(client, one.answer["refresh_token"])
    page = (await client.get(f"{AUTH}/sessions", headers=two.headers)).json()
    assert (page["total"], page["page"], page["pages"], page["next_cursor"]) == (2, 1, 1, None)
    assert page["items"][0].keys() == {"id", "created_at", "last_used_at", "ip", "user_agent", "current"}
    assert [row["current"] for row in page["items"]] == [False, True]
    assert page["items"][0]["last_used_at"] > page["items"][0]["created_at"]
    other = page["items"][0]["id"]
    stranger = await a_login(client, await an_account(runtime))
    assert (await client.delete(f"{AUTH}/sessions/{other}", headers=stranger.headers)).status_code == 404
    assert (await client.delete(f"{AUTH}/sessions/nonsense", headers=two.headers)).status_code == 404
    assert (await client.delete(f"{AUTH}/sessions/{other}", headers=two.headers)).status_code == 204
    assert (await client.get(f"{AUTH}/me", headers=one.headers)).status_code == 401
    assert (await client.get(f"{AUTH}/me", headers=two.headers)).status_code == 200


async def test_the_unversioned_list_is_a_bare_array(client: httpx.AsyncClient, login: Login) -> None:
    answer = await client.get("/api/auth/sessions", headers=login.headers)
    assert [row["current"] for row in answer.json()] == [True]
    assert answer.headers["x-total-count"] == "1"


@pytest.mark.parametrize("query", ["page=0", "limit=101", "limit=x", "colour=red"])
async def test_a_list_names_the_parameter_it_does_not_take(client: httpx.AsyncClient, login: Login, query: str) -> None:
    answer = await client.get(f"{AUTH}/sessions?{query}", headers=login.headers)
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_all_sessions_but_this_one_end(client: httpx.AsyncClient, runtime: Runtime) -> None:
    account = await an_account(runtime)
    one, two = await a_login(client, account), await a_login(client, account)
    assert (await client.delete(f"{AUTH}/sessions", headers=one.headers)).status_code == 204
    assert (await client.get(f"{AUTH}/me", headers=one.headers)).status_code == 200
    assert (await client.get(f"{AUTH}/me", headers=two.headers)).status_code == 401


async def test_a_logout_is_heard_by_another_process(
    client: httpx.AsyncClient, login: Login, other_process: Tokens
) -> None:
    token = login.answer["access_token"]
    assert str(other_process.authenticate(token).user_id) == login.answer["user"]["id"]
    await client.post(f"{AUTH}/logout", headers=login.headers)
    assert await refused_within_five_seconds(other_process, token)


async def test_a_changed_role_is_heard_by_another_process_and_a_refresh_brings_it(
    client: httpx.AsyncClient, runtime: Runtime, other_process: Tokens
) -> None:
    account = await an_account(runtime)
    role = await a_role(runtime, "tests.things.write")
    login = await a_login(client, account)
    async with unit_of_work(runtime) as work:
        await grant_role(work, await get_account(work, account.email), role)
    assert await refused_within_five_seconds(other_process, login.answer["access_token"])
    answer = (await refresh(client, login.answer["refresh_token"])).json()
    assert answer["user"]["permissions"] == ["tests.things.write"]
    assert other_process.authenticate(answer["access_token"]).may("tests.things.write")
    async with unit_of_work(runtime) as work:
        await revoke_role(work, await get_account(work, account.email), role)
    assert await refused_within_five_seconds(other_process, answer["access_token"])


async def test_a_permission_that_a_role_gets_is_held_without_a_new_token(
    client: httpx.AsyncClient, runtime: Runtime, other_process: Tokens
) -> None:
    role = await a_role(runtime)
    token = (await a_login(client, await an_account(runtime, roles=[role]))).answer["access_token"]
    assert not other_process.authenticate(token).may("tests.edited.read")
    await allow(runtime, role, "tests.edited.read")
    for _ in range(50):
        if other_process.authenticate(token).may("tests.edited.read"):
            return
        await asyncio.sleep(0.1)
    pytest.fail("five seconds later the permission is not there")


async def test_a_deactivated_account_is_out_and_stays_out(
    client: httpx.AsyncClient, runtime: Runtime, login: Login, other_process: Tokens
) -> None:
    await sql(
        runtime,
        "UPDATE core.users SET is_active = false, updated_at = now() WHERE id = :id",
        id=login.answer["user"]["id"],
    )
    assert await refused_within_five_seconds(other_process, login.answer["access_token"])
    assert (await refresh(client, login.answer["refresh_token"])).json()["code"] == "REFRESH_INVALID"


async def test_a_process_that_cannot_read_revocations_asks_per_request(
    client: httpx.AsyncClient, runtime: Runtime, login: Login
) -> None:
    tokens, token = Tokens(runtime), login.answer["access_token"]
    await tokens.load()
    tokens._read_at -= 6
    with pytest.raises(DependencyDown):
        tokens.authenticate(token)
    assert str((await tokens.authenticate_fresh(token)).user_id) == login.answer["user"]["id"]
    await client.post(f"{AUTH}/logout", headers=login.headers)
    with pytest.raises(Unauthenticated):
        await tokens.authenticate_fresh(token)


async def test_requests_go_on_while_revocations_cannot_be_read(
    client: httpx.AsyncClient, runtime: Runtime, login: Login
) -> None:
    tokens_of(runtime)._read_at -= 6
    assert (await client.get(f"{AUTH}/sessions", headers=login.headers)).status_code == 200


async def test_without_a_database_nobody_gets_in_on_old_knowledge(settings: Settings, login: Login) -> None:
    async with Runtime.open(settings) as lost:
        tokens = Tokens(lost)
        await tokens.load()
        tokens._read_at -= 6
        await lost.database.pool.close()
        with pytest.raises(DependencyDown):
            await tokens.authenticate_fresh(login.answer["access_token"])


async def test_an_ordinary_request_costs_no_query(runtime: Runtime, login: Login, settings: Settings) -> None:
    async with Runtime.open(settings) as lost:
        tokens = Tokens(lost)
        await tokens.load()
        await lost.database.pool.close()
        for _ in range(3):
            assert tokens.authenticate(login.answer["access_token"]).roles == frozenset()


async def test_remembered_tokens_are_bounded(runtime: Runtime, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atrium.core.identity.tokens.REMEMBERED", 8)
    tokens = Tokens(runtime)
    await tokens.load()
    principal = tokens.authenticate(login.answer["access_token"])
    for number in range(50):
        tokens._remember(str(number), principal)
        assert len(tokens._known) <= 8


async def test_a_remembered_token_still_expires(runtime: Runtime) -> None:
    tokens = Tokens(runtime)
    await tokens.load()
    account = await an_account(runtime)
    principal = await principal_for(runtime, account.id)
    token, _ = tokens.issue(
        account.id,
        principal.version,
        standing_until_now(),
        clock.new_id(),
        clock.now(),
    )
    assert tokens.authenticate(token).user_id == account.id
    await asyncio.sleep(1.1)
    with pytest.raises(Unauthenticated):
        tokens.authenticate(token)


def standing_until_now() -> Standing:
    return Standing(until=clock.now() + timedelta(seconds=1))


async def test_a_principal_for_jobs_has_the_roles_of_the_moment(runtime: Runtime) -> None:
    role = await a_role(runtime, "tests.jobs.run")
    account = await an_account(runtime, roles=[role])
    found = await principal_for(runtime, account.id)
    assert found.role == role
    assert set(found.permissions) == {"tests.jobs.run"}
    with pytest.raises(AtriumError):
        await principal_for(runtime, clock.new_id())


async def test_modules_add_their_ids_to_tokens(
    client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    advisor = clock.new_id()

    async def source(connection: Any, user_id: UUID) -> dict[str, UUID]:
        found = await connection.fetchval("SELECT email FROM core.users WHERE id = $1", user_id)
        return {"advisor_id": advisor} if found == account.email else {}

    account = await an_account(runtime)
    tokens = tokens_of(runtime)
    monkeypatch.setattr(tokens, "claim_sources", (source,))
    login = await a_login(client, account)
    assert login.answer["user"]["advisor_id"] == str(advisor)
    assert tokens.authenticate(login.answer["access_token"]).id_of("advisor_id") == advisor
    me = await client.get(f"{AUTH}/me", headers=login.headers)
    assert me.json() == login.answer["user"]
