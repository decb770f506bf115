"""What is sent to be imported, and what of it is refused."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from tests.core.transfer_house import (
    CSV,
    PATH,
    clients_of,
    finished,
    imported,
    send,
    table,
)
from tests.wealth.factories import Actor, an_advisor

from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working


@pytest.fixture(scope="module")
async def worker(runtime: Runtime) -> AsyncIterator[None]:
    async with working(runtime, ["default"]):
        yield


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


@pytest.mark.parametrize(
    ("content", "params", "status", "said"),
    [
        (b"", {}, 422, "empty"),
        (b"\r\n\r\n", {}, 422, "empty"),
        (b"last_name,last_name\r\na,b\r\n", {}, 422, "twice"),
        (b"last_name,,city\r\na,b,c\r\n", {}, 422, "no name"),
        (b"last_name,shoe_size\r\na,44\r\n", {}, 422, "shoe_size"),
        (b"city\r\nHaifa\r\n", {"dry_run": "false", "key": "city"}, 422, "key"),
        (b"city\r\nHaifa\r\n", {"key": "client_number"}, 422, "client_number: there is no such column"),
        ("last_name\r\nשלם\r\n".encode("cp1255"), {}, 422, "UTF-8"),
        ("last_name\r\nx\r\n".encode("utf-16"), {}, 422, "UTF-8"),
        ("last_name\r\nx\r\n".encode("utf-16-le"), {}, 422, "UTF-16"),
        (b'last_name\r\n"never closed\r\n', {"dry_run": "true"}, 422, "not closed"),
        (b'last_name\r\n"a"b\r\n', {"dry_run": "true"}, 422, "Row 2"),
        (b"last_name\r\nx\r\n", {"color": "red"}, 422, "color"),
        (b"last_name\r\nx\r\n", {"format": "xml"}, 422, "format"),
        (b"last_name\r\nx\r\n", {"partial": "perhaps"}, 422, "partial"),
        (b"last_name\r\nx\r\n", {"delimiter": "|"}, 422, "delimiter"),
    ],
)
async def test_a_file_that_cannot_be_meant_is_refused_at_once(
    client: httpx.AsyncClient, advisor: Actor, content: bytes, params: dict[str, Any], status: int, said: str
) -> None:
    answer = await send(client, advisor, content, **params)

    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unknown_column_is_refused_with_what_may_have_been_meant(
    client: httpx.AsyncClient, advisor: Actor
) -> None:
    answer = await send(client, advisor, table(("Last Name", "networth"), ("A", "1")))

    assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_FIELD")
    assert {name: meant[0] for name, meant in answer.json()["suggestions"].items()} == {
        "Last Name": "last_name",
        "networth": "net_worth",
    }
    assert "last_name" in answer.json()["allowed"]


@pytest.mark.usefixtures("worker")
async def test_what_breaks_in_the_middle_of_a_file_is_found_before_anything_is_written(
    client: httpx.AsyncClient, advisor: Actor
) -> None:
    rows = table(("last_name",), *((f"N{place}",) for place in range(30_000)))

    async def pieces(tail: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(rows), 50_000):
            yield rows[start : start + 50_000]
        yield tail

    for tail in ("שלום\r\n".encode("cp1255"), b'"a"b\r\n', b'"never closed'):
        answer = await client.post(f"{PATH}/import", content=pieces(tail), headers={**advisor.headers, **CSV})
        task = await finished(client, advisor, answer)
        assert (task["status"], task["error"]["code"]) == ("failed", "UNREADABLE_FILE"), task
    assert await clients_of(client, advisor) == []


@pytest.mark.usefixtures("worker")
async def test_nul_and_rows_of_another_width_are_errors_of_their_rows(
    client: httpx.AsyncClient, advisor: Actor
) -> None:
    content = b"last_name,city\r\nA\0B,x\r\nC,x,y\r\nD\r\n\r\nE,Haifa\r\n"

    shown = await imported(client, advisor, await send(client, advisor, content))

    assert [(error["row"], error["column"]) for error in shown["errors"]] == [(1, "last_name"), (2, None), (3, None)]
    assert [row["last_name"] for row in await clients_of(client, advisor)] == ["E"]


async def test_the_type_and_size_of_an_upload_are_judged(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = await send(client, advisor, b"x", kind={"Content-Type": "image/png"})
    small = msgspec.structs.replace(runtime.settings, max_import_bytes=1000)
    monkeypatch.setattr(runtime, "settings", small)
    large = await send(client, advisor, table(("last_name",), *(("x" * 90,) for _ in range(20))))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"last_name\r\n"
        for _ in range(200):
            yield b"abcdefgh\r\n"

    unannounced = await client.post(f"{PATH}/import", content=pieces(), headers={**advisor.headers, **CSV})

    assert (strange.status_code, large.status_code, unannounced.status_code) == (415, 413, 413)
    count = "SELECT count(*) FROM core.transfers WHERE requested_by = $1"
    assert await runtime.database.pool.fetchval(count, advisor.user_id) == 0


@pytest.mark.usefixtures("worker")
async def test_a_form_carries_one_file_and_may_be_larger_than_other_bodies(
    client: httpx.AsyncClient, advisor: Actor, runtime: Runtime
) -> None:
    content = table(("last_name", "occupation"), *((f"N{place:05}", "x" * 100) for place in range(15_000)))
    assert len(content) > runtime.settings.max_body_bytes
    url, headers = f"{PATH}/import", advisor.headers

    answer = await client.post(url, headers=headers, files={"file": ("people.csv", content, "text/csv")})
    shown = await imported(client, advisor, answer)
    two = await client.post(
        url,
        headers=headers,
        files=[("file", ("a.csv", b"last_name\r\nx\r\n")), ("file", ("b.csv", b"last_name\r\nx\r\n"))],
    )
    field = await client.post(
        url, headers=headers, files={"file": ("a.csv", b"last_name\r\nx\r\n")}, data={"dry_run": "true"}
    )
    broken = await client.post(
        url,
        headers={**headers, "Content-Type": "multipart/form-data; boundary=abc"},
        content=b'--abc\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nlast_name\r\nx',
    )

    assert (shown["filename"], shown["rows"]["created"]) == ("people.csv", 15_000)
    assert (two.status_code, field.status_code, broken.status_code) == (422, 422, 400), (
        two.text,
        field.text,
        broken.text,
    )


async def test_an_upload_that_is_cut_leaves_nothing(server: str, advisor: Actor, runtime: Runtime) -> None:
    host, port = server.removeprefix("http://").split(":")
    count = "SELECT count(*) FROM core.transfers WHERE requested_by = $1"
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {PATH}/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 1000000\r\n"
        f"Authorization: {advisor.headers['Authorization']}\r\n\r\nlast_name\r\n"
    )
    writer.write(head.encode() + b"x\r\n" * 100_000)
    await writer.drain()
    async with asyncio.timeout(10):
        while await runtime.database.pool.fetchval(count, advisor.user_id) == 0:
            await asyncio.sleep(0.02)

    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()

    async with asyncio.timeout(10):
        while await runtime.database.pool.fetchval(count, advisor.user_id):
            await asyncio.sleep(0.02)
    del reader
