"""What the API acknowledged, to be compared with what the change log says happened."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from tests.processes.cluster import Cluster, wait_until
from tests.wealth.factories import Actor

WRITERS = 4
RECORDS = 3
PAUSE = 0.02
CHAIN = """
SELECT k.position, c.entity_id::text AS record, c.version
FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
WHERE c.actor_user_id = $1 AND c.entity_type = 'wealth.clients'
ORDER BY k.position
"""
SHAPE = """
SELECT count(*) AS links, count(DISTINCT change_id) AS changes, min(position) AS first, max(position) AS last,
    (SELECT count(*) FROM core.changes) AS logged
FROM core.change_chain
"""


class Ledger:
    """The versions of records that answers confirmed, and how many requests had none."""

    def __init__(self) -> None:
        self.confirmed: list[tuple[str, int]] = []
        self.unanswered = 0

    async def grown(self, count: int, seconds: float = 15) -> None:
        """So many more writes were confirmed."""
        goal = len(self.confirmed) + count
        await wait_until(lambda: len(self.confirmed) >= goal, seconds)

    def missing(self, seen: list[tuple[str, int]]) -> set[tuple[str, int]]:
        return set(self.confirmed) - set(seen)


def out_of_order(seen: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those that came after a later version of the same record; who sees one twice sees it in a run of its own."""
    latest: dict[str, int] = defaultdict(int)
    wrong = []
    for record, version in seen:
        if version < latest[record]:
            wrong.append((record, version))
        latest[record] = max(latest[record], version)
    return wrong


@asynccontextmanager
async def writing(cluster: Cluster, actor: Actor, ledger: Ledger, *, pause: float = PAUSE) -> AsyncIterator[None]:
    """Writers that make clients and change them, by turns over all API processes, whatever dies meanwhile.

    No two have a record in common, so each record's versions are confirmed in their order.
    """
    over = asyncio.Event()
    writers = [asyncio.create_task(_write(cluster, actor, ledger, place, pause, over)) for place in range(WRITERS)]
    try:
        yield
        over.set()
        await asyncio.gather(*writers)
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)


async def _write(cluster: Cluster, actor: Actor, ledger: Ledger, place: int, pause: float, over: asyncio.Event) -> None:
    doors = [api.client(actor.headers) for api in cluster.apis]
    records: list[str] = []
    number = place
    while not over.is_set():
        number += 1
        door = doors[number % len(doors)]
        body = {"phone": f"+1555{number:07}"}
        try:
            if len(records) < RECORDS:
                named = {"first_name": "Lea", "last_name": f"Writer {place}-{number}", **body}
                answer = await door.post("/api/v1/clients", json=named)
            else:
                answer = await door.put(f"/api/v1/clients/{records[number % RECORDS]}", json=body)
        except httpx.TransportError:
            ledger.unanswered += 1
        else:
            if answer.status_code < 500:
                found = _made(answer)
                if len(records) < RECORDS:
                    records.append(found["id"])
                ledger.confirmed.append((found["id"], found["version"]))
            else:
                ledger.unanswered += 1
        await asyncio.sleep(pause)
    for door in doors:
        await door.aclose()


def _made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def is_relayed(cluster: Cluster) -> bool:
    return bool(await cluster.value("SELECT NOT EXISTS (SELECT FROM core.change_queue)"))


async def require_chain(cluster: Cluster, actor: Actor, ledger: Ledger) -> None:
    """Every place of the chain is taken once, by all that was logged; every confirmed write is in it once, in order."""
    await wait_until(lambda: is_relayed(cluster), 15)
    (shape,) = await cluster.fetch(SHAPE)
    assert shape["first"] == 1
    assert shape["last"] == shape["links"] == shape["changes"] == shape["logged"]
    await wait_until(lambda: _is_published(cluster, shape["last"]), 15)
    seen = [(row["record"], row["version"]) for row in await cluster.fetch(CHAIN, actor.user_id)]
    assert ledger.missing(seen) == set()
    assert [one for one, times in Counter(seen).items() if times > 1] == []
    assert out_of_order(seen) == []


async def _is_published(cluster: Cluster, head: int) -> bool:
    """Whether the stream has come to the chain's head, without a gap since it began."""
    async with cluster.redis() as redis:
        entries: Any = await redis.xrange(f"{cluster.environ['REDIS_PREFIX']}:changes")
    positions = [int(entry.partition(b"-")[0]) for entry, _ in entries]
    assert positions == list(range(positions[0], positions[0] + len(positions))) if positions else True
    return bool(positions) and positions[-1] >= head
