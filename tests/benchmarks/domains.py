"""An update of a table with twenty rules, as CHECKs and as domains: `python -m tests.benchmarks.domains`.

One connection updates a row of either table in turns; what is measured is the CPU time of its backend, so that the
disk has no part in it. Exits with 1 when domains are not cheaper.
"""

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import asyncpg

from atrium import embedded

RULES = 20
VALUES = "'{conservative,moderately_conservative,moderate,moderately_aggressive,aggressive}'::text[]"
UPDATE = "UPDATE bench.{table} SET phone = $1, c1 = 'moderate' WHERE id = 1 RETURNING id"


def tables() -> list[str]:
    columns = [f"c{number}" for number in range(RULES)]
    checks = ", ".join(f"{name} text CHECK ({name} = ANY ({VALUES}))" for name in columns)
    typed = ", ".join(f"{name} bench.{name}" for name in columns)
    return [
        "CREATE SCHEMA bench",
        *(f"CREATE DOMAIN bench.{name} AS text CHECK (VALUE = ANY ({VALUES}))" for name in columns),
        f"CREATE TABLE bench.checks (id int PRIMARY KEY, phone text, {checks}) WITH (fillfactor = 50)",
        f"CREATE TABLE bench.domains (id int PRIMARY KEY, phone text, {typed}) WITH (fillfactor = 50)",
        *(f"INSERT INTO bench.{name} (id, c0) VALUES (1, 'moderate')" for name in ("checks", "domains")),
    ]


def cpu_us(process: int) -> float:
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1000


async def compare(url: str, rounds: int, statements: int) -> dict[str, float]:
    """Microseconds of the backend per update, the median of all rounds."""
    connection = await asyncpg.connect(url)
    try:
        for sql in tables():
            await connection.execute(sql)
        await connection.execute("SET synchronous_commit = off")
        taken: dict[str, list[float]] = {"checks": [], "domains": []}
        backend = connection.get_server_pid()
        for number in range(rounds):
            for name in sorted(taken, reverse=bool(number % 2)):
                prepared = await connection.prepare(UPDATE.format(table=name))
                begin = cpu_us(backend)
                for one in range(statements):
                    await prepared.fetch(str(one))
                taken[name].append((cpu_us(backend) - begin) / statements)
        return {name: median(found) for name, found in taken.items()}
    finally:
        await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.domains", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--statements", type=int, default=500)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-domains-")))
        stack.callback(embedded.erase, folder)
        servers = stack.enter_context(embedded.start(folder, valkey=False))
        found = asyncio.run(compare(servers.urls.database_url or "", options.rounds, options.statements))
    print(", ".join(f"{name} {taken:.0f} us per update" for name, taken in found.items()))
    return int(found["domains"] >= found["checks"])


if __name__ == "__main__":
    sys.exit(main())
