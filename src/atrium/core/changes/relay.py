"""The relay: takes the queue, chains it in the order of its sequence, and tells the world through a Redis stream.

Any number of workers run it. Who works holds a row of `core.change_relay` for the length of one transaction, so a
killed worker holds nothing. Chaining does not wait for Redis: what was not published is published later, from the
position that the second row remembers.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from redis.exceptions import RedisError, ResponseError

from atrium.core import clock
from atrium.core.changes.chain import START, Key, Keyring, Link, values_of
from atrium.core.runtime import Runtime

log = structlog.get_logger()
BATCH = 2000
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.05
TROUBLE_SECONDS = 1.0
HEAD_SECONDS = 300
REDIS_SECONDS = 5
STREAM_LENGTH = 100_000
"""Roughly how many changes the stream keeps; who was away longer reads the rest out of the database."""

HELD = "SELECT position, hash FROM core.change_relay WHERE name = $1 FOR UPDATE SKIP LOCKED"
WAITING = "SELECT EXISTS (SELECT FROM core.change_queue)"
TAKE = f"""
    WITH taken AS (
        DELETE FROM core.change_queue
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM core.change_queue ORDER BY sequence LIMIT $1))
        RETURNING sequence, change_id, occurred_at
    )
    SELECT t.sequence, t.change_id, t.occurred_at,
        EXISTS (SELECT FROM core.change_chain k WHERE k.change_id = t.change_id) AS is_chained,
        CASE WHEN c.id IS NOT NULL THEN {values_of("c")} END AS change
    FROM taken t LEFT JOIN core.changes c ON c.id = t.change_id AND c.occurred_at = t.occurred_at
    ORDER BY t.sequence
"""
APPEND = """
    INSERT INTO core.change_chain (position, change_id, sequence, occurred_at, relayed_at, key_id, digest, hash)
    SELECT position, change_id, sequence, occurred_at, $5, $6, digest, hash
    FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::timestamptz[], $7::bytea[], $8::bytea[])
        AS link (position, change_id, sequence, occurred_at, digest, hash)
"""
ADVANCE = "UPDATE core.change_relay SET position = $2, hash = $3, moved_at = $4 WHERE name = $1"
UNPUBLISHED = """
    SELECT k.position, k.change_id, k.occurred_at, c.module, c.action, c.entity_type, c.entity_id, c.client_id,
        c.version
    FROM core.change_chain k LEFT JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
    WHERE k.position > $1 ORDER BY k.position LIMIT $2
"""
STATE = """
    SELECT (SELECT count(*) FROM core.change_queue) AS queued,
        coalesce((SELECT extract(epoch FROM clock_timestamp() - min(occurred_at)) FROM core.change_queue), 0)::float8
            AS lag_seconds,
        coalesce((SELECT position FROM core.change_relay WHERE name = 'chain'), 0) AS position,
        coalesce((SELECT position FROM core.change_relay WHERE name = 'stream'), 0) AS published
"""


@dataclass(frozen=True, slots=True)
class RelayState:
    """How many changes wait and for how long the oldest does; how far the chain and the stream are."""

    queued: int
    lag_seconds: float
    position: int
    published: int


async def relay_state(runtime: Runtime) -> RelayState:
    row = await runtime.database.pool.fetchrow(STATE)
    return RelayState(**dict(row or {}))


def stream_key(runtime: Runtime) -> str:
    """The Redis stream of changes; the id of an entry is `<position>-0`."""
    return runtime.key("changes")


async def keep_relaying(runtime: Runtime) -> None:
    """Chain and publish until cancelled."""
    chained = asyncio.Event()

    async def chain() -> bool:
        if not await runtime.database.pool.fetchval(WAITING) or not await chain_batch(runtime):
            return False
        chained.set()
        return True

    async def publish() -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):  # wait_for of Python 3.11 may lose a cancellation
                await chained.wait()
        chained.clear()
        while await publish_batch(runtime):
            pass
        return True

    works = (
        _keep(chain, "changes_not_chained"),
        _keep(publish, "changes_not_published", pause=0),
        _keep_logging_the_head(runtime),
    )
    await asyncio.gather(*works)  # a group of tasks would pass on only the first cancellation


async def _keep(act: Callable[[], Awaitable[bool]], trouble: str, pause: float = BUSY_SECONDS) -> None:
    """Again and again, less often while there is nothing to do; one line for a trouble however long it lasts."""
    wait, in_trouble = pause, False
    while True:
        try:
            wait = pause if await act() else min(wait * 1.5, IDLE_SECONDS)
            in_trouble = False
        except Exception as error:  # noqa: BLE001  the servers may be away; the queue keeps what is due
            if not in_trouble:
                log.warning(trouble, error=repr(error))
            wait, in_trouble = TROUBLE_SECONDS, True
        await asyncio.sleep(wait)


async def chain_batch(runtime: Runtime, limit: int = BATCH) -> int:
    """Move the oldest of the queue into the chain; returns how many, 0 also while another worker does it."""
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        held = await connection.fetchrow(HELD, "chain")
        if held is None:
            return 0
        rows = await connection.fetch(TAKE, limit)
        fresh = {row["change_id"]: row for row in reversed(rows) if not row["is_chained"]}
        if len(fresh) < len(rows):
            log.warning("changes_queued_twice", count=len(rows) - len(fresh))
        if fresh:
            key = Keyring.of(runtime.settings).key
            await _append(connection, key, held["position"], held["hash"] or START, [*reversed(fresh.values())])
        return len(rows)


async def _append(connection: Any, key: Key, position: int, before: bytes, rows: "Sequence[asyncpg.Record]") -> None:
    """Link the rows to the head and make the last one the head."""
    now, links, hashes = clock.now(), [], []
    for place, row in enumerate(rows, position + 1):
        link = Link(place, row["change_id"], row["sequence"], row["occurred_at"], now, key.digest(row["change"]))
        before = key.link(before, link)
        links.append(link)
        hashes.append(before)
    columns = [[getattr(link, name) for link in links] for name in ("position", "change_id", "sequence", "occurred_at")]
    await connection.execute(APPEND, *columns, now, key.id, [link.digest for link in links], hashes)
    await connection.execute(ADVANCE, "chain", links[-1].position, before, now)


async def publish_batch(runtime: Runtime, limit: int = BATCH) -> int:
    """Add what is chained and not published to the stream; 0 when there is nothing, or another worker does it."""
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        held = await connection.fetchrow(HELD, "stream")
        if held is None:
            return 0
        rows = await connection.fetch(UNPUBLISHED, held["position"], limit)
        if not rows:
            return 0
        async with asyncio.timeout(REDIS_SECONDS):
            await _add(runtime, held["position"], rows)
        await connection.execute(ADVANCE, "stream", rows[-1]["position"], None, clock.now())
        return len(rows)


async def _add(runtime: Runtime, published: int, rows: "Sequence[asyncpg.Record]") -> None:
    """Redis refuses an entry that it has, so a batch that is sent twice is there once."""
    stream = stream_key(runtime)
    adding = runtime.redis.pipeline(transaction=False)
    for row in rows:
        adding.xadd(stream, entry(row), id=f"{row['position']}-0", maxlen=STREAM_LENGTH, approximate=True)
    answers = await adding.execute(raise_on_error=False)
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    if faults := [one for one in refused if not (isinstance(one, ResponseError) and "equal or smaller" in str(one))]:
        raise faults[0]
    if refused and await _is_of_another_log(runtime, rows[-1]["position"]):
        log.warning("change_stream_begun_anew", published=published)
        await runtime.redis.delete(stream)
        raise RedisError("the stream was further than the log; it begins anew")


async def _is_of_another_log(runtime: Runtime, position: int) -> bool:
    """A database that was restored or made anew is behind what Redis remembers of the one before."""
    newest: Any = await runtime.redis.xrevrange(stream_key(runtime), count=1)
    return bool(newest) and int(newest[0][0].partition(b"-")[0]) > position


def entry(row: "asyncpg.Record") -> dict[Any, Any]:
    """What a subscriber needs to decide whether it cares; what changed it reads under its own rights."""
    said = {
        "id": row["change_id"],
        "at": clock.stamp(row["occurred_at"]),
        **{name: row[name] for name in ("module", "action", "entity_type", "entity_id", "client_id", "version")},
    }
    return {name: str(value) for name, value in said.items() if value is not None}


async def _keep_logging_the_head(runtime: Runtime) -> None:
    """Outside of the database, where nobody who changes the database reaches: `audit verify --head` compares."""
    logged = 0
    while True:
        with contextlib.suppress(Exception):
            logged = await log_head(runtime, logged)
        await asyncio.sleep(HEAD_SECONDS)


async def log_head(runtime: Runtime, logged: int = 0) -> int:
    """Log the head if the chain grew past `logged`; returns its position."""
    head = await runtime.database.pool.fetchrow("SELECT position, hash FROM core.change_relay WHERE name = 'chain'")
    if head is None or head["position"] <= logged:
        return logged
    log.info("audit_head", position=head["position"], hash=head["hash"].hex())
    return int(head["position"])
