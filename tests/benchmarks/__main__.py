"""Prepare, check, measure, report."""

import argparse
import asyncio
import importlib.util
import json
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from atrium import embedded
from atrium.core.db import migrations
from atrium.embedded.watchdog import Watchdog

from . import books, checks, servers
from .load import OPERATIONS, Samples, measure, render


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Compare Atrium with other servers."
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (default 3)")
    parser.add_argument("--only", default=",".join(OPERATIONS), help="operations, by default all: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every single measurement")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(OPERATIONS):
        parser.error(f"no such operation: {', '.join(sorted(unknown))}")
    if not shutil.which("wrk"):
        parser.exit(2, "The load generator wrk is missing: install it with apt, brew or from github.com/wg/wrk.\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        place, running = prepare(stack)
        faults = [report_faults(server, running[0], place) for server in running]
        if any(faults):
            return 1
        samples = measure_all(running, names, options.rounds, options.seconds, place)
    print(render(samples))
    if options.json:
        plain = [
            {"operation": operation, "server": server, "round": number, **asdict(sample)}
            for (operation, server), found in samples.items()
            for number, sample in enumerate(found, 1)
        ]
        options.json.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return 0


def prepare(stack: ExitStack) -> tuple[str, list[servers.Server]]:
    """PostgreSQL with the books in it, and the servers on top; Atrium comes first, the others imitate it."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-benchmark-")))
    stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
    watchdog = Watchdog()
    stack.callback(watchdog.close)
    urls = stack.enter_context(embedded.start(folder, watchdog=watchdog)).urls
    url, starter = urls.database_url or "", servers.Starter(folder, urls, watchdog)
    print(f"Preparing {books.ADVISORS} books of {books.CLIENTS} clients", flush=True)
    migrations.upgrade(url)
    starter.load_demo_data()
    asyncio.run(books.execute(url, books.GROW))
    atrium = stack.enter_context(starter.start("atrium"))
    starter.log_in(atrium)
    columns = checks.columns_of(atrium)
    asyncio.run(books.execute(url, books.MIRROR))
    running = [atrium, stack.enter_context(starter.start("bare", columns))]
    if importlib.util.find_spec("fastapi"):
        running.append(stack.enter_context(starter.start("fastapi", columns)))
    else:
        print("FastAPI is left out; it comes with a group: uv run --group bench python -m tests.benchmarks", flush=True)
    return url, running


def report_faults(server: servers.Server, atrium: servers.Server, url: str) -> list[str]:
    faults = checks.find_faults(server, atrium, asyncio.run(books.execute(url, [books.STRANGER])))
    print(f"{server.name}: {'; '.join(faults) or 'does the whole job'}", flush=True)
    return faults


def measure_all(running: list[servers.Server], names: list[str], rounds: int, seconds: int, url: str) -> Samples:
    """Round by round, every server in turn, so that what slows the machine down slows all of them."""
    samples: Samples = {(name, server.name): [] for name in names for server in running}
    for name in names:
        for server in running:
            measure(server, name, 1)
    for number in range(rounds):
        asyncio.run(books.execute(url, books.TIDY))
        first = number % len(running)
        for name in names:
            for server in running[first:] + running[:first]:
                samples[name, server.name].append(measure(server, name, seconds))
            rates = [f"{server.name} {samples[name, server.name][-1].rate:,.0f}" for server in running]
            print(f"round {number + 1} of {rounds}, {name}: {', '.join(rates)}", flush=True)
    return samples


if __name__ == "__main__":
    sys.exit(main())
