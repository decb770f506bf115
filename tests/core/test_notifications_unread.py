import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from tests.core.factories import Account, Login, a_login, an_account, sql
from tests.core.test_notifications import a_notification
from websockets.asyncio.client import ClientConnection, connect

from atrium.app import create_app
from atrium.core import clock
from atrium.core.config import Settings
from atrium.core.notifications import jobs
from atrium.core.notifications.services import push_count
from atrium.core.runtime import Runtime

PATH = "/api/v1/notifications"


@pytest.fixture
async def owner(runtime: Runtime) -> Account:
    return await an_account(runtime)


@pytest.fixture
async def login(client: httpx.AsyncClient, owner: Account) -> Login:
    return await a_login(client, owner)


@asynccontextmanager
async def sockets(server: str, login: Login, count: int = 2) -> AsyncIterator[list[ClientConnection]]:
    url = f"{server.replace('http', 'ws')}/ws/notifications?token={login.answer['access_token']}"
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connect(url, proxy=None)) for _ in range(count)]
        for socket in opened:
            assert (await read(socket))["event"] == "connected"
        yield opened


async def read(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        found: dict[str, Any] = json.loads(await socket.recv())
        return found


async def test_every_socket_of_the_user_hears_of_every_change_with_the_count(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    first = await a_notification(runtime, owner.id)
    async with sockets(server, login) as opened:
        second = await a_notification(runtime, owner.id)
        third = await a_notification(runtime, owner.id)
        await client.post(f"{PATH}/{first}/read", headers=login.headers)
        await client.post(f"{PATH}/{first}/read", headers=login.headers)
        await client.delete(f"{PATH}/{second}", headers=login.headers)
        await opened[0].send(json.dumps({"type": "read", "all": True}))
        heard = [[await read(socket) for _ in range(7)] for socket in opened]

    assert heard[0] == heard[1]
    assert [frame["type"] for frame in heard[0][:4:2]] == ["notification", "notification"]
    assert [frame["notification"]["id"] for frame in heard[0][:4:2]] == [second, third]
    assert [heard[0][place] for place in (1, 3, 4, 5, 6)] == [
        {"type": "notification.unread", "unread_count": 2},
        {"type": "notification.unread", "unread_count": 3},
        {"type": "notification.read", "notification_id": first, "unread_count": 2},
        {"type": "notification.deleted", "notification_id": second, "unread_count": 1},
        {"type": "notification.read", "all": True, "unread_count": 0},
    ]


async def test_another_users_sockets_hear_nothing(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    stranger = await a_login(client, await an_account(runtime))
    async with sockets(server, stranger, 1) as (socket,):
        await a_notification(runtime, owner.id)
        await client.post(f"{PATH}/read-all", headers=login.headers)
        await socket.send(json.dumps({"type": "ping"}))
        assert (await read(socket))["type"] == "pong"


async def test_the_last_count_is_the_right_one_however_changes_race(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    told = [await a_notification(runtime, owner.id) for _ in range(12)]
    async with sockets(server, login) as opened:
        await asyncio.gather(
            *(client.post(f"{PATH}/{one}/read", headers=login.headers) for one in told[:8]),
            *(client.delete(f"{PATH}/{one}", headers=login.headers) for one in told[8:10]),
        )
        heard = [[(await read(socket))["unread_count"] for _ in range(10)] for socket in opened]

    assert heard[0] == heard[1]
    assert heard[0][-1] == 2
    assert heard[0] == sorted(heard[0], reverse=True)


async def test_a_count_that_waits_for_another_is_taken_when_its_turn_comes(
    runtime: Runtime, server: str, owner: Account, login: Login
) -> None:
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('core.notifications:' || $1, 0))"
    async with sockets(server, login, 1) as (socket,):
        async with runtime.database.pool.acquire() as connection, connection.transaction():
            await connection.execute(lock, str(owner.id))
            early = asyncio.create_task(push_count(runtime, owner.id, {"type": "notification.unread"}))
            late = asyncio.create_task(a_notification(runtime, owner.id))
            assert (await read(socket))["type"] == "notification"
        await asyncio.gather(early, late)
        counts = [(await read(socket))["unread_count"] for _ in range(2)]

    assert counts == [1, 1]


async def test_sockets_of_two_processes_hear_the_same(
    settings: Settings, runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    """The second process has its own connections; only PostgreSQL and Redis are shared."""
    other = create_app(settings)
    async with sockets(server, login, 1) as (socket,), other.lifespan():
        transport = httpx.ASGITransport(other)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as elsewhere:
            one = await a_notification(other.state.runtime, owner.id)
            await elsewhere.post(f"{PATH}/{one}/read", headers=login.headers)
        heard = [await read(socket) for _ in range(3)]

    assert [frame["type"] for frame in heard] == ["notification", "notification.unread", "notification.read"]
    assert [frame["unread_count"] for frame in heard[1:]] == [1, 0]


async def test_what_has_expired_is_not_there(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    soon = await a_notification(runtime, owner.id, expires_at=clock.now() + timedelta(hours=1))
    gone = await a_notification(runtime, owner.id, expires_at=clock.now() - timedelta(seconds=1))

    listed = (await client.get(PATH, headers=login.headers)).json()
    assert [item["id"] for item in listed["items"]] == [soon]
    assert listed["total"] == 1
    assert (await client.get(f"{PATH}/unread-count", headers=login.headers)).json() == {"unread_count": 1}
    assert (await client.post(f"{PATH}/{gone}/read", headers=login.headers)).status_code == 404
    assert (await client.delete(f"{PATH}/{gone}", headers=login.headers)).status_code == 404
    assert (await client.post(f"{PATH}/read-all", headers=login.headers)).json() == {"updated": 1}
    assert await sql(runtime, "SELECT read_at FROM core.notifications WHERE id = :id", id=gone) == [(None,)]


async def aged(runtime: Runtime, table: str, row_id: str, days: int) -> None:
    statement = f"UPDATE core.{table} SET created_at = now() - make_interval(days => :days) WHERE id = :id"
    await sql(runtime, statement, id=row_id, days=days)


async def left(runtime: Runtime, owner: Account) -> set[str]:
    return {
        str(row.id) for row in await sql(runtime, "SELECT id FROM core.notifications WHERE user_id = :id", id=owner.id)
    }


async def test_what_is_old_or_expired_is_forgotten(
    runtime: Runtime, owner: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await a_notification(runtime, owner.id, expires_at=clock.now() + timedelta(hours=1))
    await a_notification(runtime, owner.id, expires_at=clock.now() - timedelta(seconds=1))
    for days in (366, 400, 364):
        old = await a_notification(runtime, owner.id)
        await aged(runtime, "notifications", old, days)
    monkeypatch.setattr(jobs, "BATCH", 1)

    await jobs.prune(runtime)

    assert await left(runtime, owner) == {kept, old}


async def test_nothing_is_too_old_where_everything_is_kept(runtime: Runtime, owner: Account) -> None:
    old = await a_notification(runtime, owner.id)
    await aged(runtime, "notifications", old, 4000)
    forever = msgspec.structs.replace(runtime.settings, notification_retention_days=0, mail_retention_days=0)

    await jobs.prune(_with(runtime, forever))

    assert await left(runtime, owner) == {old}


@pytest.mark.parametrize(
    ("status", "days", "stays"), [("sent", 91, False), ("failed", 91, False), ("sent", 89, True), ("queued", 400, True)]
)
async def test_mails_that_are_done_with_are_forgotten(
    runtime: Runtime, owner: Account, status: str, days: int, stays: bool
) -> None:
    row_id = str(clock.new_id())
    statement = (
        "INSERT INTO core.outbox_messages (id, to_address, template, status) VALUES (:id, 'a@b.c', 'x', :status)"
    )
    await sql(runtime, statement, id=row_id, status=status)
    await aged(runtime, "outbox_messages", row_id, days)

    await jobs.prune(runtime)

    found = await sql(runtime, "DELETE FROM core.outbox_messages WHERE id = :id RETURNING id", id=row_id)
    assert bool(found) is stays


def _with(runtime: Runtime, settings: Settings) -> Runtime:
    return dataclasses.replace(runtime, settings=settings)
