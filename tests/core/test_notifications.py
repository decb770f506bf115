import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.core.factories import Account, Login, a_login, an_account
from websockets.asyncio.client import ClientConnection, connect

from atrium.core import clock
from atrium.core.errors import Conflict
from atrium.core.identity.mails import VERIFY_EMAIL
from atrium.core.notifications.mail import send_mail
from atrium.core.notifications.services import notify
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work

PATH = "/api/v1/notifications"


@pytest.fixture
async def owner(runtime: Runtime) -> Account:
    return await an_account(runtime)


@pytest.fixture
async def login(client: httpx.AsyncClient, owner: Account) -> Login:
    return await a_login(client, owner)


async def a_notification(runtime: Runtime, user_id: UUID, **over: Any) -> str:
    values = {"module": "wealth", "kind": "insight", "title": "Growth scan finished", **over}
    async with unit_of_work(runtime) as work:
        return str((await notify(work, user_id, **values)).id)


async def _ids(client: httpx.AsyncClient, login: Login, **params: Any) -> list[str]:
    answer = await client.get(PATH, params=params, headers=login.headers)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_the_inbox_is_a_list_newest_first_with_filters(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    old = await a_notification(runtime, owner.id, severity="warning")
    new = await a_notification(runtime, owner.id, kind="order")

    assert await _ids(client, login) == [new, old]
    assert await _ids(client, login, kind="order") == [new]
    assert await _ids(client, login, severity="warning") == [old]
    answer = await client.get(PATH, params={"limit": 1}, headers=login.headers)
    assert answer.json() | {"items": [], "next_cursor": ""} == {
        "items": [], "total": 2, "page": 1, "limit": 1, "pages": 2, "next_cursor": ""
    }  # fmt: skip


@pytest.mark.parametrize("query", ["unread=perhaps", "kind=nonsense", "title=x"])
async def test_a_wrong_filter_is_named(client: httpx.AsyncClient, login: Login, query: str) -> None:
    answer = await client.get(f"{PATH}?{query}", headers=login.headers)

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_reading_one_and_all_is_counted(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    one, other = [await a_notification(runtime, owner.id) for _ in range(2)]

    read = await client.post(f"{PATH}/{one}/read", headers=login.headers)
    again = await client.post(f"{PATH}/{one}/read", headers=login.headers)

    assert read.status_code == 200
    assert read.json()["read_at"] == again.json()["read_at"]
    assert await _ids(client, login, unread="true") == [other]
    assert await _ids(client, login, unread="false") == [one]
    assert (await client.get(f"{PATH}/unread-count", headers=login.headers)).json() == {"unread_count": 1}
    assert (await client.post(f"{PATH}/read-all", headers=login.headers)).json() == {"updated": 1}
    assert await _ids(client, login, unread="true") == []


async def test_nobody_else_sees_or_touches_it_not_even_an_administrator(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account
) -> None:
    row_id = await a_notification(runtime, owner.id)
    for roles in ((), ("admin",)):
        stranger = await a_login(client, await an_account(runtime, roles=roles))
        assert await _ids(client, stranger) == []
        assert (await client.post(f"{PATH}/{row_id}/read", headers=stranger.headers)).status_code == 404
        assert (await client.delete(f"{PATH}/{row_id}", headers=stranger.headers)).status_code == 404

    assert (await client.get(PATH)).status_code == 401


async def test_a_deleted_notification_is_gone(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    row_id = await a_notification(runtime, owner.id)

    assert (await client.delete(f"{PATH}/{row_id}", headers=login.headers)).status_code == 204
    assert (await client.delete(f"{PATH}/{row_id}", headers=login.headers)).status_code == 404
    assert (await client.delete(f"{PATH}/nonsense", headers=login.headers)).status_code == 404
    assert await _ids(client, login) == []


async def test_a_notification_arrives_on_the_socket_as_it_reads_over_rest(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    await a_notification(runtime, owner.id)
    async with _socket(server, login) as socket:
        hello = await _next(socket)
        row_id = await a_notification(runtime, owner.id, entity_type="wealth.orders", entity_id=clock.new_id())
        frame = await _next(socket)

    listed = (await client.get(PATH, headers=login.headers)).json()["items"][0]
    assert (hello["event"], hello["unread_count"]) == ("connected", 1)
    assert (frame["type"], frame["notification"]["id"]) == ("notification", row_id)
    assert frame["notification"] == listed


async def test_a_notification_of_a_failed_transaction_is_never_seen(
    runtime: Runtime, server: str, owner: Account, login: Login
) -> None:
    async def fail() -> None:
        async with unit_of_work(runtime) as work:
            await notify(work, owner.id, module="wealth", kind="order", title="Filled")
            raise Conflict

    async with _socket(server, login) as socket:
        await _next(socket)
        with pytest.raises(Conflict):
            await fail()
        await socket.send(json.dumps({"type": "ping"}))
        assert (await _next(socket))["type"] == "pong"


async def test_the_socket_marks_as_read(
    runtime: Runtime, client: httpx.AsyncClient, server: str, owner: Account, login: Login
) -> None:
    one = await a_notification(runtime, owner.id)
    async with _socket(server, login) as socket:
        await _next(socket)
        await socket.send(json.dumps({"type": "read", "notification_id": "nonsense", "id": "r"}))
        assert (await _next(socket)) | {"message": ""} == {
            "type": "error", "id": "r", "code": "NOT_FOUND", "message": ""
        }  # fmt: skip
        await socket.send(json.dumps({"type": "read", "id": "r"}))
        assert (await _next(socket))["code"] == "VALIDATION_ERROR"
        await socket.send(json.dumps({"type": "read", "notification_id": one}))
        assert await _next(socket) == {"type": "notification.read", "notification_id": one, "unread_count": 0}
        assert await _ids(client, login, unread="true") == []

        await a_notification(runtime, owner.id)
        assert (await _next(socket))["type"] == "notification"
        assert await _next(socket) == {"type": "notification.unread", "unread_count": 1}
        await socket.send(json.dumps({"type": "read", "all": True}))
        assert await _next(socket) == {"type": "notification.read", "all": True, "unread_count": 0}
        assert await _ids(client, login, unread="true") == []


async def test_the_socket_is_closed_with_4001_without_a_good_token(server: str) -> None:
    async with connect(server.replace("http", "ws") + "/ws/notifications?token=x.y.z", proxy=None) as socket:
        await socket.wait_closed()
        assert socket.close_code == 4001


async def test_a_logout_closes_the_socket_within_five_seconds(
    client: httpx.AsyncClient, server: str, login: Login
) -> None:
    async with _socket(server, login) as socket:
        await _next(socket)
        refresh = {"refresh_token": login.answer["refresh_token"]}
        answer = await client.post("/api/v1/auth/logout", json=refresh, headers=login.headers)
        assert answer.status_code < 300, answer.text
        async with asyncio.timeout(5):
            await socket.wait_closed()

    assert socket.close_code == 4001


async def test_the_outbox_is_for_administrators(
    runtime: Runtime, client: httpx.AsyncClient, owner: Account, login: Login
) -> None:
    async with unit_of_work(runtime) as work:
        link = {"name": "Dana", "link": "https://x/verify/abc"}
        await send_mail(work, VERIFY_EMAIL, to=owner.email, context=link, user_id=owner.id)
    admin = await a_login(client, await an_account(runtime, roles=("admin",)))

    answer = await client.get("/api/v1/admin/outbox", params={"to": owner.email}, headers=admin.headers)
    other = await client.get("/api/v1/admin/outbox?template=nothing&order_by=-created_at", headers=admin.headers)

    assert [(mail["subject"], mail["status"]) for mail in answer.json()["items"]] == [
        ("Confirm your e-mail address", "queued")
    ]
    assert "https://x/verify/abc" in answer.json()["items"][0]["body_text"]
    assert other.json()["items"] == []
    assert (await client.get("/api/v1/admin/outbox", headers=login.headers)).status_code == 403


@asynccontextmanager
async def _socket(server: str, login: Login) -> AsyncIterator[ClientConnection]:
    token = login.answer["access_token"]
    async with connect(f"{server.replace('http', 'ws')}/ws/notifications?token={token}", proxy=None) as socket:
        yield socket


async def _next(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await socket.recv())
    return found
