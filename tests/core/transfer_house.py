"""What the tests of imports and exports share: files, and tasks waited for."""

import asyncio
import csv
import io
from typing import Any

import httpx
from tests.wealth.factories import Actor

from atrium.core.transfers.formats import separated

PATH = "/api/v1/clients"

CSV = {"Content-Type": "text/csv"}

NDJSON = {"Content-Type": "application/x-ndjson"}


def table(*rows: tuple[Any, ...], delimiter: str = ",") -> bytes:
    return separated.write([[str(cell) for cell in row] for row in rows], delimiter)


async def send(
    client: httpx.AsyncClient,
    who: Actor,
    content: bytes,
    *,
    kind: dict[str, str] = CSV,
    path: str = PATH,
    **params: Any,
) -> httpx.Response:
    return await client.post(f"{path}/import", params=params, content=content, headers={**who.headers, **kind})


async def finished(
    client: httpx.AsyncClient, who: Actor, answer: httpx.Response, seconds: float = 30
) -> dict[str, Any]:
    """The task of an accepted import or export, once it has ended."""
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "queued"
    async with asyncio.timeout(seconds):
        while True:
            task: dict[str, Any] = (await client.get(answer.headers["location"], headers=who.headers)).json()
            if task["status"] in ("succeeded", "failed", "cancelled"):
                return task
            await asyncio.sleep(0.02)


async def imported(client: httpx.AsyncClient, who: Actor, answer: httpx.Response) -> dict[str, Any]:
    await finished(client, who, answer)
    found = await client.get(f"/api/v1/imports/{answer.json()['import_id']}", headers=who.headers)
    assert found.status_code == 200, found.text
    shown: dict[str, Any] = found.json()
    return shown


async def clients_of(client: httpx.AsyncClient, who: Actor, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(PATH, params={"limit": 100, "order_by": "last_name", **params}, headers=who.headers)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def get(client: httpx.AsyncClient, who: Actor, path: str = PATH, **params: Any) -> httpx.Response:
    return await client.get(f"{path}/export", params=params, headers=who.headers)


def cells(answer: httpx.Response, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), delimiter=delimiter))


async def exported(client: httpx.AsyncClient, who: Actor, **params: Any) -> dict[str, Any]:
    body = params.pop("json", None)
    answer = await client.post(f"{PATH}/export", params=params, json=body, headers=who.headers)
    task = await finished(client, who, answer)
    assert task["status"] == "succeeded", task
    return {**task["result"], "task": task}
