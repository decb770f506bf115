"""Exports as files of a job, with signed links."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.core.transfer_house import (
    PATH,
    cells,
    exported,
    finished,
    get,
    send,
    table,
)
from tests.wealth.factories import (
    Actor,
    a_client,
    an_administrator,
    an_advisor,
    an_officer,
    some_clients,
)

from atrium.core import clock
from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working
from atrium.core.transfers import exports, links, queueing

ENTRY = "SELECT changes, entity_type, entity_id FROM core.changes WHERE actor_user_id = $1 AND action = 'export'"


@pytest.fixture(scope="module")
async def worker(runtime: Runtime) -> AsyncIterator[None]:
    async with working(runtime, ["default"]):
        yield


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


async def test_a_job_writes_the_same_file_for_a_signed_link(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None
) -> None:
    await some_clients(runtime, advisor, 2 * exports.FETCHED + 1, city="Haifa")
    await a_client(runtime, advisor, city="Eilat")

    result = await exported(client, advisor, city="Haifa", json={"order_by": "id", "fields": ["id", "city"]})
    shown = (await client.get(f"/api/v1/exports/{result['export_id']}", headers=advisor.headers)).json()
    streamed = await get(client, advisor, city="Haifa", order_by="id", fields="id,city")
    linked = await client.get(result["download_url"])
    borne = await client.get(f"/api/v1/exports/{result['export_id']}/download", headers=advisor.headers)

    assert (result["rows"], result["task"]["kind"]) == (2 * exports.FETCHED + 1, "export")
    assert linked.content == borne.content == streamed.content == (await client.get(shown["download_url"])).content
    assert (linked.status_code, int(linked.headers["content-length"])) == (200, shown["size_bytes"])
    assert linked.headers["content-disposition"].startswith('attachment; filename="clients-')
    assert (shown["status"], shown["rows"], shown["sha256"]) == ("succeeded", result["rows"], result["sha256"])
    entries = await runtime.database.pool.fetch(ENTRY, advisor.user_id)
    assert entries[0]["entity_id"] == UUID(result["export_id"])
    assert json.loads(entries[0]["changes"])["filter"] == [None, "city=Haifa&order_by=id&fields=id&fields=city"]


async def test_only_the_requester_and_the_link_reach_the_file(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None
) -> None:
    result = await exported(client, advisor)
    path, url = f"/api/v1/exports/{result['export_id']}", result["download_url"]

    for other in (await an_advisor(runtime), await an_officer(runtime), await an_administrator(runtime)):
        assert (await client.get(path, headers=other.headers)).status_code == 404
        assert (await client.get(f"{path}/download", headers=other.headers)).status_code == 404
    assert (await client.get(f"{path}/download")).status_code == 401
    assert (await client.get(path)).status_code == 401
    last = "A" if url[-2] != "A" else "B"
    for forged in (
        url[:-2] + last + url[-1],
        url.split(".")[0],
        url.replace("token=", "token=9"),
        f"{path}/download?token=",
    ):
        answer = await client.get(forged)
        assert (answer.status_code, answer.json()["code"]) == (403, "BAD_LINK"), forged


async def test_links_and_files_expire(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None
) -> None:
    result = await exported(client, advisor)
    export_id = UUID(result["export_id"])
    secret, path = runtime.settings.secret_key, f"/api/v1/exports/{export_id}/download"
    old = links.sign(secret, export_id, clock.now() - timedelta(seconds=1))
    nowhere = uuid4()
    missing = links.sign(secret, nowhere, clock.now() + timedelta(minutes=1))

    expired = await client.get(path, params={"token": old})
    absent = await client.get(f"/api/v1/exports/{nowhere}/download", params={"token": missing})
    await runtime.database.pool.execute("UPDATE core.transfers SET expires_at = now() WHERE id = $1", export_id)
    gone = await client.get(result["download_url"])
    shown = (await client.get(f"/api/v1/exports/{export_id}", headers=advisor.headers)).json()

    assert (expired.status_code, expired.json()["code"]) == (410, "LINK_EXPIRED")
    assert absent.status_code == 404
    assert (gone.status_code, gone.json()["code"], shown["download_url"]) == (410, "FILE_EXPIRED", None)


async def test_a_file_that_is_not_finished_is_not_handed_out(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None
) -> None:
    result = await exported(client, advisor)
    unfinished = "UPDATE core.transfers SET completed_at = NULL, sha256 = NULL WHERE id = $1"
    await runtime.database.pool.execute(unfinished, UUID(result["export_id"]))

    early = await client.get(result["download_url"])
    shown = (await client.get(f"/api/v1/exports/{result['export_id']}", headers=advisor.headers)).json()

    assert (early.status_code, early.json()["code"]) == (409, "NOT_FINISHED")
    assert shown["download_url"] is None


async def test_an_export_that_is_tried_again_has_nothing_twice(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_clients(runtime, advisor, 4 * exports.FETCHED)
    pieces = exports.Snapshot.pieces
    broken: list[int] = []

    async def breaking(snapshot: exports.Snapshot) -> AsyncIterator[bytes]:
        async for piece in pieces(snapshot):
            if snapshot.done > 2 * exports.FETCHED and not broken:
                broken.append(snapshot.done)
                raise RuntimeError("broken in the middle")
            yield piece

    monkeypatch.setattr(exports.Snapshot, "pieces", breaking)
    monkeypatch.setattr("atrium.core.transfers.chunks.CHUNK_BYTES", 10_000)
    answer = await client.post(f"{PATH}/export", headers=advisor.headers)
    retry = "UPDATE core.background_tasks SET run_after = now() WHERE id = $1 AND attempts = 1 AND status = 'queued'"

    async with working(runtime, ["default"]):
        async with asyncio.timeout(20):
            while await runtime.database.pool.execute(retry, UUID(answer.json()["task_id"])) == "UPDATE 0":
                await asyncio.sleep(0.05)
        task = await finished(client, advisor, answer)

    assert (task["status"], task["attempts"], len(broken)) == ("succeeded", 2, 1)
    rows = cells(await client.get(task["result"]["download_url"]))
    assert len({row["id"] for row in rows}) == len(rows) == 4 * exports.FETCHED


async def test_a_cancelled_export_hands_nothing_out(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_client(runtime, advisor)
    pieces = exports.Snapshot.pieces

    async def endless(snapshot: exports.Snapshot) -> AsyncIterator[bytes]:
        async for piece in pieces(snapshot):
            yield piece
        while True:
            await asyncio.sleep(0.05)
            yield b"."

    monkeypatch.setattr(exports.Snapshot, "pieces", endless)
    monkeypatch.setattr("atrium.core.jobs.run.GRACE_SECONDS", 0.1)
    answer = await client.post(f"{PATH}/export", headers=advisor.headers)
    task_id = UUID(answer.json()["task_id"])
    running = "SELECT progress_total FROM core.background_tasks WHERE id = $1"
    async with asyncio.timeout(10):
        while await runtime.database.pool.fetchval(running, task_id) is None:
            await asyncio.sleep(0.02)

    await client.post(f"{answer.headers['location']}/cancel", headers=advisor.headers)
    task = await finished(client, advisor, answer)
    shown = (await client.get(f"/api/v1/exports/{answer.json()['export_id']}", headers=advisor.headers)).json()

    assert (task["status"], shown["status"], shown["download_url"]) == ("cancelled", "cancelled", None)
    assert await runtime.database.pool.fetch(ENTRY, advisor.user_id) == []


async def test_nobody_fills_the_database_with_unfinished_files(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runtime.database.pool.execute(
        "INSERT INTO core.transfers (id, requested_by, kind, resource, format, filename, expires_at) "
        "SELECT core.uuid7(), $1, 'import', '/x', 'csv', '', now() + interval '1 day' FROM generate_series(1, $2)",
        advisor.user_id,
        queueing.MOST_OPEN,
    )

    started = (
        await client.post(f"{PATH}/export", headers=advisor.headers),
        await send(client, advisor, table(("city",))),
    )

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in started] == [(429, "60")] * 2


async def test_the_token_of_a_link_is_in_no_log(
    server: str, runtime: Runtime, advisor: Actor, worker: None, client: httpx.AsyncClient, capfd: Any
) -> None:
    result = await exported(client, advisor)
    async with httpx.AsyncClient(base_url=server) as requests:
        assert (await requests.get(result["download_url"])).status_code == 200

    written = capfd.readouterr()
    assert result["download_url"].rpartition(".")[2] not in written.out + written.err
