"""Idempotency-Key: a POST that is sent again happens once and answers alike."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.core.factories import sql
from tests.core.servers import free_port
from tests.wealth.factories import Actor, a_client, an_advisor, an_order, some_clients

from atrium.core.config import Settings
from atrium.core.identity.tokens import tokens_of
from atrium.core.replays import middleware, statements
from atrium.core.replays.statements import prune
from atrium.core.runtime import Runtime

PATH = "/api/v1/clients"
BULK = f"{PATH}/bulk"


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


class Process:
    """The application in a process of its own, over the same database."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.url, self.log = f"http://127.0.0.1:{(port := free_port())}", folder / "log"
        known = {
            "DATABASE_URL": settings.database_url,
            "DATABASE_POOLER": settings.database_pooler,
            "REDIS_URL": settings.redis_url,
            "REDIS_PREFIX": settings.redis_prefix,
            "SECRET_KEY": settings.secret_key,
            "ENVIRONMENT": "test",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "atrium.asgi:app", "--port", str(port)],
                stderr=log,
                stdout=log,
                cwd=folder,
                env={**os.environ, **known},
            )
        deadline = time.monotonic() + 40
        while True:
            try:
                httpx.get(f"{self.url}/health/live")
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def process(tmp_path: Path, settings: Settings) -> Iterator[Process]:
    started = Process(tmp_path, settings)
    yield started
    started.kill()


def keyed(actor: Actor, key: str | None = None) -> dict[str, str]:
    return {**actor.headers, "Idempotency-Key": key or uuid4().hex}


async def clients_of(runtime: Runtime, advisor: Actor) -> int:
    found = await sql(runtime, "SELECT count(*) FROM wealth.clients WHERE advisor_id = :id", id=advisor.id)
    count: int = found[0][0]
    return count


async def keys_of(runtime: Runtime, actor: Actor) -> list[Any]:
    return await sql(
        runtime,
        "SELECT response_status, response_body, locked_until FROM core.idempotency_keys WHERE user_id = :id",
        id=actor.user_id,
    )


def same(one: httpx.Response, other: httpx.Response) -> bool:
    names = ("content-type", "etag", "location")
    return (one.status_code, one.content, [one.headers.get(name) for name in names]) == (
        other.status_code,
        other.content,
        [other.headers.get(name) for name in names],
    )


async def test_a_create_that_is_sent_again_answers_the_same_and_makes_nothing(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    headers, body = keyed(advisor), {"last_name": "Rosen", "net_worth": "12.3400"}

    first = await client.post(PATH, headers=headers, json=body)
    await client.put(first.headers["location"], headers=advisor.headers, json={"last_name": "Levi"})
    again = await client.post(PATH, headers=headers, json=body)

    assert (first.status_code, first.headers.get("idempotent-replay")) == (201, None), first.text
    assert again.headers["idempotent-replay"] == "true"
    assert same(first, again)
    assert await clients_of(runtime, advisor) == 1


async def test_without_the_header_nothing_is_kept(client: httpx.AsyncClient, advisor: Actor, runtime: Runtime) -> None:
    for path, body in ((PATH, {"last_name": "Rosen"}), (BULK, [{"last_name": "Rosen"}])):
        assert (await client.post(path, headers=advisor.headers, json=body)).is_success

    assert await keys_of(runtime, advisor) == []


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, path: str
) -> None:
    headers = keyed(advisor)
    bodies: list[Any] = [{"last_name": "Rosen"}, {"last_name": "Levi"}]
    if path == BULK:
        bodies = [[body] for body in bodies]

    first = await client.post(path, headers=headers, json=bodies[0])
    other = await client.post(path, headers=headers, json=bodies[1])
    query = await client.post(path, headers=headers, json=bodies[0], params={"partial": "true"})

    assert first.is_success, first.text
    for answer in (other, query):
        assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED"), answer.text
    assert await clients_of(runtime, advisor) == 1


async def test_a_key_belongs_to_its_caller_and_its_path(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    other, key = await an_advisor(runtime), uuid4().hex

    for actor in (advisor, other):
        for path, body in ((PATH, {"last_name": "Rosen"}), ("/api/v1/households", {"name": "Rosen"})):
            answer = await client.post(path, headers=keyed(actor, key), json=body)
            assert (answer.status_code, answer.headers.get("idempotent-replay")) == (201, None)
    assert (await clients_of(runtime, advisor), await clients_of(runtime, other)) == (1, 1)


@pytest.mark.parametrize("key", ["x" * 256, "a\tb", " ", "é"])
async def test_a_key_that_cannot_be_kept_is_refused(client: httpx.AsyncClient, advisor: Actor, key: str) -> None:
    headers = {**advisor.headers, "Idempotency-Key": key.encode()}

    for path, body in ((PATH, {"last_name": "x"}), (BULK, [])):
        answer = await client.post(path, headers=headers, json=body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_failures_are_not_kept(client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, path: str) -> None:
    headers = keyed(advisor)
    bodies: list[Any] = [{"last_name": 7}, {"first_name": "Only"}, {"last_name": "x", "household_id": str(uuid4())}]
    good: Any = {"last_name": "Rosen"}
    if path == BULK:
        bodies, good = [[body] for body in bodies], [good]

    for body in bodies:
        assert (await client.post(path, headers=headers, json=body)).status_code == 422
        assert await keys_of(runtime, advisor) == []
    corrected = await client.post(path, headers=headers, json=good)

    assert (corrected.is_success, corrected.headers.get("idempotent-replay")) == (True, None)


async def test_a_create_whose_repetition_would_clash_is_answered_not_refused(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    order = {"client_id": str(await a_client(runtime, advisor)), "symbol": "AAPL", "quantity": 1}
    body = {**order, "client_order_id": uuid4().hex}
    headers = keyed(advisor)

    first = await client.post("/api/v1/orders", headers=headers, json=body)
    again = await client.post("/api/v1/orders", headers=headers, json=body)

    assert first.status_code == 201, first.text
    assert same(first, again)
    assert again.headers["idempotent-replay"] == "true"


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_of_ten_at_once_one_makes_it(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, path: str
) -> None:
    headers, body = keyed(advisor), {"last_name": "Rosen"}

    answers = await asyncio.gather(
        *(client.post(path, headers=headers, json=[body] if path == BULK else body) for _ in range(10))
    )

    fresh = [one for one in answers if one.is_success and "idempotent-replay" not in one.headers]
    assert len(fresh) == 1
    for answer in answers:
        if answer.is_success:
            assert same(answer, fresh[0])
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, "REQUEST_STILL_RUNNING")
            assert answer.headers["retry-after"].isdigit()
    assert await clients_of(runtime, advisor) == 1


async def test_every_verb_can_be_repeated(client: httpx.AsyncClient, advisor: Actor, runtime: Runtime) -> None:
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    calls: list[tuple[str, Any]] = [
        (f"/api/v1/orders/{order}/cancel", {"reason": "Changed her mind."}),
        (BULK, [{"last_name": "Rosen"}]),
        ("/api/v1/insights/growth-scan", {"rules": ["KYC_GAP"]}),
        ("/api/v1/chat/conversations", {"kind": "assistant", "title": "x"}),
        ("/api/v1/notifications/read-all", None),
    ]

    for path, body in calls:
        headers = keyed(advisor)
        given = {} if body is None else {"json": body}
        first = await client.post(path, headers=headers, **given)
        again = await client.post(path, headers=headers, **given)
        assert first.is_success, f"{path}: {first.text}"
        assert again.headers.get("idempotent-replay") == "true", f"{path}: {again.text}"
        assert same(first, again), path


async def test_who_may_no_longer_do_it_gets_no_kept_answer(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    calls: list[tuple[str, Any]] = [
        (PATH, {"last_name": "Rosen"}),
        (BULK, [{"last_name": "Rosen"}]),
        (f"/api/v1/orders/{order}/cancel", {}),
    ]
    key = uuid4().hex
    for path, body in calls:
        assert (await client.post(path, headers=keyed(advisor, key), json=body)).is_success
    tokens = tokens_of(runtime)
    before = dict(tokens._roles)
    lesser = frozenset(one for one in before["wealth_advisor"] if one.endswith(".read"))
    tokens._set_roles({**before, "wealth_advisor": lesser}, tokens._everything)
    try:
        for path, body in calls:
            answer = await client.post(path, headers=keyed(advisor, key), json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), path
    finally:
        tokens._set_roles(before, tokens._everything)
    for path, body in calls:
        answer = await client.post(path, headers={"Idempotency-Key": key}, json=body)
        assert answer.status_code == 401
        answer = await client.post(path, headers=keyed(advisor, key), json=body)
        assert answer.headers["idempotent-replay"] == "true"


async def test_answers_with_secrets_are_never_kept(client: httpx.AsyncClient, advisor: Actor, runtime: Runtime) -> None:
    answer = await client.post("/api/v1/auth/logout", headers=keyed(advisor))

    assert answer.is_success
    assert await keys_of(runtime, advisor) == []


async def test_an_answer_that_is_too_large_is_not_kept_whole(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "LARGEST", 2000)
    headers, body = keyed(advisor), [{"last_name": f"Rosen {place}"} for place in range(10)]

    first = await client.post(BULK, headers=headers, json=body)
    again = await client.post(BULK, headers=headers, json=body)

    assert len(first.json()["created"]) == 10
    assert (again.status_code, again.json()["code"]) == (409, "ANSWER_NOT_KEPT")
    assert await clients_of(runtime, advisor) == 10
    assert [row[1] for row in await keys_of(runtime, advisor)] == [None]


@pytest.mark.parametrize("path", [PATH, BULK])
async def test_after_a_day_a_key_is_new_again(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, path: str
) -> None:
    headers, body = keyed(advisor), {"last_name": "Rosen"}
    for _ in range(2):
        answer = await client.post(path, headers=headers, json=[body] if path == BULK else body)
        assert (answer.is_success, answer.headers.get("idempotent-replay")) == (True, None)
        await sql(
            runtime,
            "UPDATE core.idempotency_keys SET expires_at = now() - interval '1 second' WHERE user_id = :id",
            id=advisor.user_id,
        )

    assert await clients_of(runtime, advisor) == 2
    await prune(runtime)
    assert await keys_of(runtime, advisor) == []


async def test_a_claim_lives_as_long_as_its_verb(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row that the verb waits for is locked longer than a claim lasts."""
    monkeypatch.setattr(statements, "LOCKED_FOR", timedelta(seconds=0.6))
    chosen = (await some_clients(runtime, advisor, 1))[0]
    order = await an_order(runtime, advisor, chosen)
    headers, path = keyed(advisor), f"/api/v1/orders/{order}/cancel"

    async with runtime.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM wealth.orders WHERE id = $1 FOR UPDATE", order)
        first = asyncio.create_task(client.post(path, headers=headers, json={}))
        await asyncio.sleep(1.5)
        during = await client.post(path, headers=headers, json={})
    answer = await first
    after = await client.post(path, headers=headers, json={})

    assert (during.status_code, during.json()["code"]) == (409, "REQUEST_STILL_RUNNING")
    assert (answer.status_code, after.headers.get("idempotent-replay")) == (200, "true")


async def test_the_claim_of_a_killed_process_is_taken_over(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    headers, path = keyed(advisor), BULK
    await sql(
        runtime,
        "INSERT INTO core.idempotency_keys (id, user_id, key, method, path, request_sha256, locked_until, expires_at) "
        "VALUES (gen_random_uuid(), :id, :key, 'POST', :path, '', now() + interval '1 second', "
        "now() + interval '1 day')",
        id=advisor.user_id,
        key=headers["Idempotency-Key"],
        path=path,
    )

    blocked = await client.post(path, headers=headers, json=[{"last_name": "Rosen"}])
    await asyncio.sleep(1.1)
    taken = await client.post(path, headers=headers, json=[{"last_name": "Rosen"}])
    again = await client.post(path, headers=headers, json=[{"last_name": "Rosen"}])

    assert (blocked.status_code, blocked.headers["retry-after"]) == (409, "1")
    assert (taken.status_code, again.headers.get("idempotent-replay")) == (200, "true")
    assert await clients_of(runtime, advisor) == 1


async def running(runtime: Runtime, actor: Actor) -> None:
    """Until a claim of the actor's stands."""
    for _ in range(100):
        if any(row[0] is None for row in await keys_of(runtime, actor)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nothing was claimed")


async def cancels_of(runtime: Runtime, order: Any) -> int:
    found = await sql(
        runtime, "SELECT count(*) FROM core.changes WHERE entity_id = :id AND to_status = 'cancelled'", id=order
    )
    count: int = found[0][0]
    return count


async def test_two_processes_carry_it_out_once(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, process: Process
) -> None:
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    path, headers, body = f"/api/v1/orders/{order}/cancel", keyed(advisor), {"reason": "Changed her mind."}

    async with httpx.AsyncClient(base_url=process.url, timeout=20) as other:
        async with runtime.database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM wealth.orders WHERE id = $1 FOR UPDATE", order)
            first = asyncio.create_task(other.post(path, headers=headers, json=body))
            await running(runtime, advisor)
            here = await client.post(path, headers=headers, json=body)
        there = await first
        again = [await one.post(path, headers=headers, json=body) for one in (client, other)]

    assert (here.status_code, here.json()["code"]) == (409, "REQUEST_STILL_RUNNING")
    assert there.status_code == 200, there.text
    assert all(same(one, there) and one.headers["idempotent-replay"] == "true" for one in again)
    assert await cancels_of(runtime, order) == 1


async def test_a_process_that_is_killed_before_it_answers_leaves_the_key_to_others(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, process: Process
) -> None:
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    path, headers, body = f"/api/v1/orders/{order}/cancel", keyed(advisor), {"reason": "Changed her mind."}

    async with httpx.AsyncClient(base_url=process.url, timeout=20) as other:
        async with runtime.database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM wealth.orders WHERE id = $1 FOR UPDATE", order)
            first = asyncio.create_task(other.post(path, headers=headers, json=body))
            await running(runtime, advisor)
            process.kill()
        with pytest.raises(httpx.TransportError):
            await first
    early = await client.post(path, headers=headers, json=body)
    left = await sql(
        runtime,
        "UPDATE core.idempotency_keys SET locked_until = now() WHERE user_id = :id RETURNING "
        "locked_until > now() - interval '1 minute'",
        id=advisor.user_id,
    )
    taken = await client.post(path, headers=headers, json=body)

    assert (early.status_code, len(left)) == (409, 1)
    assert (taken.status_code, taken.json()["status"]) == (200, "cancelled")
    assert await cancels_of(runtime, order) == 1


async def test_what_was_done_is_not_done_again_when_nobody_lived_to_answer(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    calls: list[tuple[str, Any]] = [
        (BULK, [{"last_name": "Rosen"}]),
        (f"/api/v1/orders/{order}/cancel", {"reason": "Changed her mind."}),
    ]

    class Killed(BaseException):
        pass

    async def die(*_: Any) -> None:
        raise Killed

    for path, body in calls:
        headers = keyed(advisor)
        with monkeypatch.context() as patched:
            patched.setattr(statements, "keep", die)
            with pytest.raises(Killed):
                await client.post(path, headers=headers, json=body)
        early = await client.post(path, headers=headers, json=body)
        await sql(
            runtime,
            "UPDATE core.idempotency_keys SET locked_until = now() WHERE user_id = :id AND locked_until IS NOT NULL",
            id=advisor.user_id,
        )
        later = await client.post(path, headers=headers, json=body)
        assert (early.status_code, early.json()["code"]) == (409, "REQUEST_STILL_RUNNING"), path
        assert (later.status_code, later.json()["code"]) == (409, "ANSWER_NOT_KEPT"), path

    assert await cancels_of(runtime, order) == 1
    assert await clients_of(runtime, advisor) == 2
