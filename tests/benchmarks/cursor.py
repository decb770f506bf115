"""A page deep down a list against the first one: `python -m tests.benchmarks.cursor`.

A million clients, an officer who sees them all, `count=none`. Each page goes the whole way that a request takes behind
the door: read, compiled, run, rendered. Exits with 1 when a page costs more than one and a half times the first one.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from atrium import embedded
from atrium.app import MODULES
from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.db import migrations
from atrium.core.modules import open_runtime
from atrium.core.query.cursors import write_cursor
from atrium.core.runtime import Runtime
from atrium.core.services import Caller
from atrium.wealth.resources import clients

from . import books

DEPTHS = (300_000, 900_000)
ORDERS = ("-created_at", "next_review_on", "kyc_review_due_on")
BOUND = 1.5
GROW = (
    "SET session_replication_role = replica",
    "INSERT INTO core.users (id, email, name) VALUES (gen_random_uuid(), 'cursor@example.com', 'Cursor')",
    "INSERT INTO wealth.advisors (id, user_id, advisor_code) SELECT gen_random_uuid(), id, 'CURSOR' FROM core.users",
    # Every fifth client has no date of review: the last two hundred thousand rows of a list that is ordered by it.
    """
    INSERT INTO wealth.clients (id, advisor_id, last_name, first_name, email, net_worth, next_review_on,
        kyc_review_due_on, created_at)
    SELECT gen_random_uuid(), advisors.id, 'Client ' || n, 'Nadia', format('client-%s@example.com', n), n,
        CASE WHEN n % 5 > 0 THEN date '2026-01-01' + n % 3000 END,
        CASE WHEN n % 5 > 0 THEN date '2026-01-01' + n % 300 END,
        timestamptz '2026-01-01' - n * interval '1 minute'
    FROM wealth.advisors, generate_series(1, {rows}) n
    """,
    "VACUUM ANALYZE",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cursor", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-cursor-")))
        stack.callback(embedded.erase, folder)
        urls = stack.enter_context(embedded.start(folder)).urls
        migrations.upgrade(urls.database_url or "")
        print(f"Making {options.rows:,} clients", flush=True)
        asyncio.run(books.execute(urls.database_url or "", [sql.format(rows=options.rows) for sql in GROW]))
        settings = Settings(database_url=urls.database_url or "", redis_url=urls.redis_url or "", slow_query_ms=0)
        return asyncio.run(compare(settings, options.rows, options.rounds))


async def compare(settings: Settings, rows: int, rounds: int) -> int:
    officer = Principal(uuid4(), "compliance_officer", frozenset({"compliance_officer"}), frozenset(PERMISSIONS))
    worst = 0.0
    print(f"\n| order | first page ms | {' | '.join(f'row {depth:,} ms | ratio' for depth in DEPTHS)} | indexes |")
    print("|---|--:" + "|--:" * 2 * len(DEPTHS) + "|---|")
    async with open_runtime(settings, MODULES) as runtime:
        for order in ORDERS:
            asked = f"order_by={order}&count=none&limit=20"
            deep = [asked + "&cursor=" + await cursor_at(runtime, officer, asked, depth) for depth in DEPTHS]
            first, *others = await measure(runtime, officer, [asked, *deep], rounds)
            ratios = [other / first for other in others]
            worst = max(worst, *ratios)
            cells = [f"{other:.2f} | {ratio:.2f}" for other, ratio in zip(others, ratios, strict=True)]
            used = sorted({name for one in deep for name in await indexes_of(runtime, officer, one)})
            print(f"| {order} | {first:.2f} | {' | '.join(cells)} | {', '.join(used)} |", flush=True)
    print(f"\nThe worst is {worst:.2f} of at most {BOUND}.")
    return int(worst > BOUND)


PERMISSIONS = ("wealth.clients.read", "wealth.oversee")


async def cursor_at(runtime: Runtime, officer: Principal, asked: str, depth: int) -> str:
    """The cursor behind that many rows, as the walk that leads there would get it."""
    prepared = clients._lists.prepare(asked, clients.policy.kind(officer), (), officer)
    columns = [order.column for order in prepared.query.shape.order]
    ways = ", ".join(
        f"{order.column} {'DESC' if order.descending else 'ASC'} NULLS LAST" for order in prepared.query.shape.order
    )
    sql = f"SELECT {', '.join(columns)} FROM wealth.clients WHERE deleted_at IS NULL ORDER BY {ways} OFFSET $1 LIMIT 1"
    row = await runtime.database.pool.fetchrow(sql, depth - 1)
    assert row is not None
    return write_cursor(prepared.mark, list(row))


async def measure(runtime: Runtime, officer: Principal, asked: list[str], rounds: int) -> list[float]:
    """Milliseconds; in turns, and the lower quartile: whatever else the machine does only ever adds to it."""
    taken: list[list[float]] = [[] for _ in asked]
    for number in range(rounds + 20):
        for place, query_string in enumerate(asked):
            began = time.perf_counter()
            page = await clients.page(runtime, Caller(officer), query_string, {})
            if number >= 20:
                taken[place].append((time.perf_counter() - began) * 1000)
            if page.rows != 20:
                raise SystemExit(f"{query_string} answers {page.rows} rows.")
    return [statistics.quantiles(one, n=4)[0] for one in taken]


async def indexes_of(runtime: Runtime, officer: Principal, asked: str) -> list[str]:
    """The indexes that EXPLAIN names; a table that is read whole or sorted is told as such."""
    prepared = clients._lists.prepare(asked, clients.policy.kind(officer), (), officer)
    sql = f"EXPLAIN (FORMAT JSON) {prepared.compiled.sql}"
    rows = await runtime.database.pool.fetch(sql, *prepared.compiled.arguments(prepared.values, officer))
    found: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan":
            found.append(f"all of {node['Relation Name']}")
        found.extend([node["Index Name"]] if "Index Name" in node else [])
        for child in node.get("Plans", ()):
            walk(child)

    walk(json.loads(rows[0][0])[0]["Plan"])
    return found


if __name__ == "__main__":
    sys.exit(main())
