"""Proof of the log: walk the chain from its beginning, its anchor or a day, and judge every change against it.

Page by page, each a statement of its own: memory stays the same however long the log is, and no transaction stays
open that would keep PostgreSQL from tidying up behind the relay.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from atrium.core.changes.chain import START, Keyring, Link, values_of
from atrium.core.changes.erasure import Erasure
from atrium.core.changes.partitions import anchor_content
from atrium.core.runtime import Runtime

PAGE = 2000
HOUR_SECONDS = 3600
EXAMPLES = 10
"""Faults of one kind that are written out; the rest are counted."""

LINKS = f"""
    SELECT k.*, c.id IS NOT NULL AS is_there, CASE WHEN c.id IS NOT NULL THEN {values_of("c")} END AS change
    FROM core.change_chain k LEFT JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
    WHERE k.position > $1 ORDER BY k.position LIMIT $2
"""
ANCHORS = "SELECT * FROM core.change_anchors ORDER BY month"
BEYOND = """
    SELECT count(*) FROM core.change_chain k WHERE k.position > (
        SELECT r.position FROM core.change_relay r WHERE r.name = 'chain')
"""
BEFORE = "SELECT position, hash FROM core.change_chain WHERE relayed_at < $1 ORDER BY position DESC LIMIT 1"
HEAD = "SELECT position, hash FROM core.change_relay WHERE name = 'chain'"
ERASURES = "SELECT * FROM core.change_erasures WHERE id > $1 ORDER BY id LIMIT $2"
ERASED = "SELECT * FROM core.change_erasures WHERE change_id = $1"
STRANGERS = f"""
    SELECT count(*) AS count, (array_agg(c.id))[:{EXAMPLES}] AS some FROM core.changes c
    WHERE ($1::timestamptz IS NULL OR c.occurred_at >= $1)
    AND NOT EXISTS (SELECT FROM core.change_chain k WHERE k.change_id = c.id)
    AND NOT EXISTS (SELECT FROM core.change_queue q WHERE q.change_id = c.id)
    AND NOT EXISTS (SELECT FROM core.change_anchors a WHERE c.occurred_at >= a.month AND c.occurred_at < a.until)
"""
QUEUED = """
    SELECT count(*) AS changes, coalesce(extract(epoch FROM clock_timestamp() - min(q.occurred_at)), 0)::float8 AS age,
        count(*) FILTER (WHERE c.id IS NULL) AS missing
    FROM core.change_queue q LEFT JOIN core.changes c ON c.id = q.change_id AND c.occurred_at = q.occurred_at
"""

ANCHORED = ("month", "until", "changes", "first_position", "last_position", "cut_position", "cut_hash")
LINKED = ("position", "change_id", "sequence", "occurred_at", "relayed_at", "digest")

MISSING = "missing: chained, but no longer in the log"
ALTERED = "altered: not what was chained"
BROKEN = "broken link: altered, put in another place or put in by somebody without the key"
CUT_OUT = "cut out of the chain"
CUT_OFF = "cut off: the chain ends before its head"
FOREIGN = "foreign: in the log, but neither chained nor queued"
UNKNOWN_KEY = "bound with a key that is not known here (AUDIT_KEYS_RETIRED)"
UNSIGNED_ERASURE = "erasure without a valid signature"
UNSIGNED_ANCHOR = "anchor of a dropped month without a valid signature"
VANISHED = "missing: queued, but no longer in the log"
OTHER_HEAD = "not the head that was logged"


@dataclass(slots=True)
class Report:
    """What a walk proved and what it found."""

    first: int = 0
    last: int = 0
    head: bytes = START
    proven: int = 0
    erased: int = 0
    erasures: int = 0
    months_dropped: int = 0
    gone_with_them: int = 0
    since: datetime | None = None
    queued: int = 0
    queue_age: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        return not self.faults

    def fault(self, kind: str, example: object, count: int = 1) -> None:
        self.faults[kind] += count
        shown = self.examples.setdefault(kind, [])
        if len(shown) < EXAMPLES:
            shown.append(str(example))


async def verify(runtime: Runtime, *, since: datetime | None = None, head: tuple[int, str] | None = None) -> Report:
    """Judge the log; `since` takes the chain before that moment on trust, `head` is one that was logged."""
    walk = Walk(runtime, Report(since=since))
    await walk.begin()
    async for row in walk.links():
        await walk.judge(row)
        if head and row["position"] == head[0] and row["hash"].hex() != head[1]:
            walk.report.fault(OTHER_HEAD, f"position {head[0]}")
    await walk.judge_end(head)
    await walk.judge_erasures()
    await walk.find_strangers()
    return walk.report


class Walk:
    """Where one verification stands."""

    def __init__(self, runtime: Runtime, report: Report) -> None:
        self.pool, self.keys, self.report = runtime.database.pool, Keyring.of(runtime.settings), report
        self.position, self.before = 0, START
        self._dropped: list[asyncpg.Record] = []
        self._head: asyncpg.Record | None = None

    async def begin(self) -> None:
        """At the cut that the newest signed anchor names, or where `since` begins."""
        for row in await self._read_anchors():
            self.report.fault(UNSIGNED_ANCHOR, f"{row['month']:%Y-%m}")
        self.report.months_dropped = len(self._dropped)
        self.report.gone_with_them = sum(row["changes"] for row in self._dropped)
        self._jump()
        if self.report.since:
            trusted = await self.pool.fetchrow(BEFORE, self.report.since)
            if trusted is not None and trusted["position"] > self.position:
                self.position, self.before = trusted["position"], trusted["hash"]
        self.report.first = self.position + 1
        self.report.head = self.before

    async def _read_anchors(self) -> "list[asyncpg.Record]":
        """Keep the signed ones, return the others."""
        rows = await self.pool.fetch(ANCHORS)
        signed = [
            self.keys.is_signed(row["key_id"], row["signature"], b"anchor", anchor_content(*(row[n] for n in ANCHORED)))
            for row in rows
        ]
        self._dropped = [row for row, is_signed in zip(rows, signed, strict=True) if is_signed]
        return [row for row, is_signed in zip(rows, signed, strict=True) if not is_signed]

    def _jump(self) -> None:
        for row in self._dropped:
            if row["cut_position"] > self.position:
                self.position, self.before = row["cut_position"], row["cut_hash"]

    async def links(self) -> "AsyncIterator[asyncpg.Record]":
        """The chain up to the head of this moment: what comes meanwhile is for the next time."""
        self._head = await self.pool.fetchrow(HEAD)
        position = self.position
        while rows := await self.pool.fetch(LINKS, position, PAGE):
            for row in rows:
                if self._head is not None and row["position"] > self._head["position"] >= self.position:
                    return
                yield row
            position = rows[-1]["position"]

    async def judge(self, row: "asyncpg.Record") -> None:
        """One link and the change that it stands for."""
        if row["position"] != self.position + 1:
            await self._judge_gap(row["position"])
        link = Link(*(row[name] for name in LINKED))
        key = self.keys.known.get(row["key_id"])
        if key is None:
            self.report.fault(UNKNOWN_KEY, f"position {link.position} (key {row['key_id']})")
        elif key.link(self.before, link) != row["hash"]:
            self.report.fault(BROKEN, f"position {link.position}, change {link.change_id}")
        elif not row["is_there"]:
            await self._judge_missing(link)
        elif key.digest(row["change"]) == link.digest:
            self.report.proven += 1
        elif await self._is_erased(link, key.digest(row["change"])):
            self.report.erased += 1
        else:
            self.report.fault(ALTERED, f"position {link.position}, change {link.change_id}")
        self.position, self.before = link.position, row["hash"]
        self.report.last, self.report.head = self.position, self.before

    async def _judge_gap(self, found: int) -> None:
        await self._read_anchors()
        self._jump()  # a month may have been dropped meanwhile
        if found > self.position + 1:
            span = f"positions {self.position + 1} to {found - 1}"
            self.report.fault(CUT_OUT, span, found - self.position - 1)

    async def _judge_missing(self, link: Link) -> None:
        if not self._went_with_its_month(link):
            await self._read_anchors()
            if not self._went_with_its_month(link):
                self.report.fault(MISSING, f"position {link.position}, change {link.change_id}")

    def _went_with_its_month(self, link: Link) -> bool:
        return any(row["month"] <= link.occurred_at < row["until"] for row in self._dropped)

    async def _is_erased(self, link: Link, digest: bytes) -> bool:
        """Whether signed erasures lead from the digest that was chained to that of what is there now."""
        rows = await self.pool.fetch(ERASED, link.change_id)
        steps = {row["before"]: row["after"] for row in rows if self._is_signed(row)}
        seen = link.digest
        while (seen := steps.pop(seen, b"")) and seen != digest:
            pass
        return bool(seen)

    def _is_signed(self, row: "asyncpg.Record") -> bool:
        content = Erasure(*(row[one.name] for one in fields(Erasure))).content()
        return self.keys.is_signed(row["key_id"], row["signature"], b"erasure", content)

    async def judge_end(self, logged: tuple[int, str] | None) -> None:
        head = self._head
        if head is not None and head["position"] > self.position:
            span = f"positions {self.position + 1} to {head['position']}"
            self.report.fault(CUT_OFF, span, head["position"] - self.position)
        elif head is not None and head["position"] == self.position and head["hash"] not in (None, self.before):
            self.report.fault(BROKEN, f"position {self.position}: the relay remembers another head")
        elif head is None and self.position:
            self.report.fault(CUT_OFF, "the relay remembers no head")
        if beyond := await self.pool.fetchval(BEYOND):
            self.report.fault(BROKEN, "behind the head", beyond)
        if logged and logged[0] > self.position:
            span = f"the head at position {logged[0]} was logged, the chain ends at {self.position}"
            self.report.fault(CUT_OFF, span, logged[0] - self.position)

    async def judge_erasures(self) -> None:
        after = UUID(int=0)
        while rows := await self.pool.fetch(ERASURES, after, PAGE):
            for row in rows:
                self.report.erasures += 1
                if not self._is_signed(row):
                    self.report.fault(UNSIGNED_ERASURE, f"change {row['change_id']}, {row['erased_at']:%Y-%m-%d}")
            after = rows[-1]["id"]

    async def find_strangers(self) -> None:
        """The other direction: what stands in the log and came past the triggers."""
        async with self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL statement_timeout = 0")
            found = (await connection.fetch(STRANGERS, self.report.since, timeout=HOUR_SECONDS))[0]
            queued = (await connection.fetch(QUEUED))[0]
        for place, change_id in enumerate(found["some"] or ()):
            self.report.fault(FOREIGN, f"change {change_id}", 1 if place else found["count"] - len(found["some"]) + 1)
        self.report.queued, self.report.queue_age = queued["changes"], queued["age"]
        if queued["missing"]:
            self.report.fault(VANISHED, "see core.change_queue", queued["missing"])
