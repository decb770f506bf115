"""What a socket costs that says nothing: the memory of one API process with five thousand of them.

`uv run python -m tests.benchmarks.idle_sockets` starts servers in a temporary folder; a user has at most five sockets,
so there are a thousand users. Ends with 1 when the process is larger than the bound.
"""

import argparse
import asyncio
import resource
import sys
import time

from tests.wealth.factories import Actor, a_stranger

from .listeners import Listener, Site, one_by_one, resident_mb, running, several, token_of

BOUND_MB = 250.0
PER_USER = 5
DOORS = ("/ws/changes", "/ws/notifications")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.idle_sockets", description=__doc__)
    parser.add_argument("--sockets", type=int, default=5000, help="how many (default 5000)")
    parser.add_argument("--seconds", type=int, default=30, help="how long they stay idle (default 30)")
    parser.add_argument("--door", choices=DOORS, default=DOORS[0])
    options = parser.parse_args()
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest, 4 * options.sockets + 1000), highest))
    with running(worker=False) as site:
        return asyncio.run(measure(site, options.sockets, options.seconds, options.door))


async def measure(site: Site, sockets: int, seconds: int, door: str) -> int:
    async with site.runtime() as runtime:
        people = await one_by_one(runtime, -(-sockets // PER_USER), a_stranger)
    await open_some(site, door, people[:1])  # loads what the first socket loads
    before = resident_mb(site.api)
    begun = time.monotonic()
    opened = await open_some(site, door, people)
    took = time.monotonic() - begun
    just_opened = resident_mb(site.api)
    await asyncio.sleep(seconds)
    after = resident_mb(site.api)
    lost = sum(bool(one.closed) for one in opened)
    print(f"{len(opened)} sockets at {door}, opened in {took:.0f} s, idle for {seconds} s, {lost} of them closed")
    print("| before MB | just opened MB | idle MB | kB per socket |\n|--:|--:|--:|--:|")
    print(f"| {before:.0f} | {just_opened:.0f} | {after:.0f} | {(after - before) * 1000 / len(opened):.1f} |")
    print(f"bound: {BOUND_MB:.0f} MB")
    for one in opened:
        one.close()
    return 0 if after <= BOUND_MB and not lost else 1


async def open_some(site: Site, door: str, people: list[Actor]) -> list[Listener]:
    """Each person's last place is kept free where the process is only warmed up."""
    tokens = [token_of(one) for one in people for _ in range(PER_USER if len(people) > 1 else 1)]
    remaining = iter(tokens)
    opened = await several(len(tokens), lambda: Listener.open(door, site.port, next(remaining)), at_once=20)
    if len(people) == 1:
        opened[0].close()
        await asyncio.sleep(1)
    return opened


if __name__ == "__main__":
    sys.exit(main())
