"""A page with the orders of each client against SQL written by hand: `python -m tests.benchmarks.include`.

Both servers do the same job over the same rows: token, filter, count, page, and the newest orders of every client in
it. The other one is `bare`: no framework, one statement through asyncpg. Exits with 1 below the bound.
"""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from typing import Any

from . import books
from .__main__ import prepare
from .checks import decode
from .load import RELATED, Samples, measure, render
from .servers import Server

BOUND = 0.6
ORDERS = 8
GROW = (
    "SET session_replication_role = replica",
    "TRUNCATE wealth.orders CASCADE",
    f"""
    INSERT INTO wealth.orders (id, client_id, advisor_id, symbol, quantity, placed_by, order_number, created_at)
    SELECT gen_random_uuid(), clients.id, advisor_id, 'AAPL', n, advisors.user_id, clients.client_number || '-' || n,
        now() - n * interval '1 hour'
    FROM wealth.clients JOIN wealth.advisors ON advisors.id = advisor_id, generate_series(1, {ORDERS}) n
    """,
    "TRUNCATE bench.orders",
    "INSERT INTO bench.orders SELECT * FROM wealth.orders",
    *books.TIDY,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.include", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        url, running = prepare(stack)
        atrium, bare = running[:2]
        asyncio.run(books.execute(url, GROW))
        if asked(atrium) != asked(bare):
            print("The two answer different things.")
            return 1
        samples: Samples = {("include", server.name): [] for server in (atrium, bare)}
        for server in (atrium, bare):
            measure(server, "include", 1)
        for number in range(options.rounds):
            for server in (atrium, bare) if number % 2 else (bare, atrium):
                samples["include", server.name].append(measure(server, "include", options.seconds))
    print(render(samples))
    rates = {name: sorted(one.rate for one in found)[len(found) // 2] for (_, name), found in samples.items()}
    ratio = rates["atrium"] / rates["bare"]
    print(f"\n{ratio:.2f} of hand-written SQL, at least {BOUND} is asked for.")
    return int(ratio < BOUND)


def asked(server: Server) -> list[Any]:
    """The orders of every client of the page in their order, and what is said of each; times are spelt differently."""
    answer = server.call("GET", RELATED["include"][1])
    if answer.is_error:
        raise SystemExit(f"{server.name} answers {answer.status_code}: {answer.text[:500]}")
    items = decode(answer.content)["items"]
    server.clients = [str(item["id"]) for item in items]
    return [(item["id"], [(order["id"], sorted(order)) for order in item["orders"]]) for item in items]


if __name__ == "__main__":
    sys.exit(main())
