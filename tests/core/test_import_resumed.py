"""Imports whose worker dies, is asked to stop, or is taken for dead while it lives."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.core.transfer_house import finished, send, table
from tests.wealth.factories import Actor, an_advisor

from atrium.app import MODULES
from atrium.core.config import Settings
from atrium.core.jobs import rows
from atrium.core.jobs.run import attempt
from atrium.core.modules import open_runtime
from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working

ROOT = str(Path(__file__).parents[2])
ROWS = 12_000
DONE = "SELECT done_rows FROM core.transfers WHERE id = $1"
WRITTEN = """
SELECT count(*) AS rows, count(DISTINCT last_name) AS names, count(DISTINCT change.id) AS changes
FROM wealth.clients AS client LEFT JOIN core.changes AS change ON change.entity_id = client.id
WHERE client.advisor_id = $1
"""


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


def many() -> bytes:
    return table(("last_name", "city"), *((f"N{place}", "Haifa") for place in range(ROWS)))


async def _some_done(runtime: Runtime, import_id: str) -> int:
    async with asyncio.timeout(20):
        while not (done := await runtime.database.pool.fetchval(DONE, import_id)):
            await asyncio.sleep(0.01)
    return int(done)


async def _written(runtime: Runtime, advisor: Actor) -> tuple[int, int, int]:
    row: Any = await runtime.database.pool.fetchrow(WRITTEN, advisor.id)
    return row["rows"], row["names"], row["changes"]


async def test_another_worker_goes_on_where_a_killed_one_stopped(
    client: httpx.AsyncClient, runtime: Runtime, settings: Settings, advisor: Actor
) -> None:
    answer = await send(client, advisor, many())
    async with _worker_process(settings) as first:
        done = await _some_done(runtime, answer.json()["import_id"])
        first.kill()
        await first.wait()
    before = await _written(runtime, advisor)

    async with _worker_process(settings):
        task = await finished(client, advisor, answer, seconds=50)

    assert 0 < done <= before[0] < ROWS
    assert before[0] == await _done_by_then(before)
    assert (task["status"], task["attempts"]) == ("succeeded", 2)
    assert (task["result"]["created"], task["result"]["failed"]) == (ROWS, 0)
    assert await _written(runtime, advisor) == (ROWS, ROWS, ROWS)


async def _done_by_then(before: tuple[int, int, int]) -> int:
    """Batches are whole: as many rows, names and entries of the change log."""
    assert len(set(before)) == 1
    return before[2]


async def test_a_cancelled_import_stops_and_keeps_what_it_wrote(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    answer = await send(client, advisor, many())
    async with working(runtime, ["default"]):
        await _some_done(runtime, answer.json()["import_id"])
        stopped = await client.post(f"{answer.headers['location']}/cancel", headers=advisor.headers)
        task = await finished(client, advisor, answer)
    shown = (await client.get(f"/api/v1/imports/{answer.json()['import_id']}", headers=advisor.headers)).json()

    assert stopped.status_code == 200
    assert task["status"] == "cancelled"
    assert 0 < shown["rows"]["created"] == shown["rows"]["done"] < ROWS
    assert (await _written(runtime, advisor))[0] == shown["rows"]["created"]


async def test_a_worker_that_was_given_up_writes_nothing_more(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    answer = await send(client, advisor, many())
    task_id = answer.json()["task_id"]
    import_id = answer.json()["import_id"]
    living = asyncio.create_task(attempt(runtime, task_id))
    await _some_done(runtime, import_id)
    pool = runtime.database.pool
    await pool.execute("UPDATE core.transfers SET attempt = 2 WHERE id = $1", import_id)
    await living
    written = await _written(runtime, advisor)
    assert written == (await pool.fetchval(DONE, import_id),) * 3
    assert 0 < written[0] < ROWS

    stale = "UPDATE core.background_tasks SET heartbeat_at = now() - interval '1 hour' WHERE id = $1"
    await pool.execute(stale, task_id)
    await rows.rescue(runtime, 60)
    await attempt(runtime, task_id)

    task = await finished(client, advisor, answer)
    assert (task["status"], task["attempts"], task["result"]["created"]) == ("succeeded", 2, ROWS)
    assert await _written(runtime, advisor) == (ROWS, ROWS, ROWS)


@asynccontextmanager
async def _worker_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    quick = msgspec.structs.replace(settings, task_heartbeat_seconds=1, task_stale_seconds=2)
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, msgspec.json.encode(quick).decode(), env={**os.environ, "PYTHONPATH": ROOT}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _main(text: str) -> None:
    async with (
        open_runtime(msgspec.json.decode(text, type=Settings), MODULES) as runtime,
        working(runtime, ["default"]),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
