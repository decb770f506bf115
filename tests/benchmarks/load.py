"""What is measured, one measurement by wrk with what it cost the server, and the table of all of them."""

import json
import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .servers import Server

LIST = "/api/v1/clients?page=1&limit=20&risk_profile=aggressive"
# {id} stands for a client of the caller, {n} for a number that never repeats.
OPERATIONS = {
    "list": ("GET", LIST, ""),
    "get": ("GET", "/api/v1/clients/{id}", ""),
    "update": ("PUT", "/api/v1/clients/{id}", '{"phone": "+1555{n}", "city": "City {n}", "net_worth": 100{n}.25}'),
    "create_order": (
        "POST",
        "/api/v1/orders",
        '{"client_id": "{id}", "symbol": "AAPL", "quantity": 10, "order_type": "market"}',
    ),
}
# Of python -m tests.benchmarks.include; not every server knows it.
RELATED = {"include": ("GET", LIST + "&include=orders", "")}
SCRIPT = Path(__file__).with_name("load.lua")
HAS_PROC = Path("/proc/self/stat").exists()
HEADER = (
    "\n| operation | server | requests/s | p50 ms | p99 ms | CPU ms/request | of bare | of FastAPI |"
    "\n|---|---|--:|--:|--:|--:|--:|--:|"
)
first_numbers = count(1_000_000, 1_000_000)


@dataclass(frozen=True)
class Sample:
    """Requests per second; milliseconds; milliseconds of CPU per request where the system tells."""

    rate: float
    p50: float
    p99: float
    cpu: float | None


Samples = dict[tuple[str, str], list[Sample]]


def measure(server: Server, operation: str, seconds: int) -> Sample:
    method, path, body = (OPERATIONS | RELATED)[operation]
    environ = {"METHOD": method, "TARGET": path, "BODY": body, "TOKEN": server.token, "PATH": os.environ["PATH"]}
    environ |= {"CLIENTS": ",".join(server.clients), "FIRST": str(next(first_numbers))}
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--timeout", "15s", "-s", str(SCRIPT), server.url]
    before = cpu_seconds(server.pid)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=seconds + 60, check=False)
    spent = cpu_seconds(server.pid) - before
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"wrk failed on {server.name}:\n{done.stdout[-500:]}{done.stderr[-500:]}")
    result = json.loads(found[1])
    if result["failed"] or not result["requests"]:
        raise SystemExit(f"{server.name} failed {result['failed']} of {result['requests']} times at {operation}.")
    return Sample(
        rate=result["requests"] / result["microseconds"] * 1e6,
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        cpu=spent / result["requests"] * 1000 if HAS_PROC else None,
    )


def cpu_seconds(pid: int) -> float:
    """Of a process and its descendants; 0 where there is no /proc."""
    if not HAS_PROC:
        return 0
    # The name in parentheses may hold anything; the numbers come after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)


def render(samples: Samples) -> str:
    """Medians; the ratios compare requests per second."""
    lines = [HEADER]
    rates = {key: statistics.median(sample.rate for sample in found) for key, found in samples.items()}
    for (operation, server), found in samples.items():
        p50, p99 = (statistics.median(getattr(sample, name) for sample in found) for name in ("p50", "p99"))
        spent = [sample.cpu for sample in found if sample.cpu is not None]
        cells = [f"{p50:.2f}", f"{p99:.2f}", f"{statistics.median(spent):.3f}" if spent else ""]
        for other in ("bare", "fastapi"):
            rate = rates.get((operation, other))
            cells.append(f"{rates[operation, server] / rate:.2f}" if rate else "")
        lines.append(f"| {operation} | {server} | {rates[operation, server]:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)
