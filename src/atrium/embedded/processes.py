"""Watch and stop processes that need not be our children.

Run as a script this file is the watchdog: it reads on stdin whom to stop, one list per line, and stops them
when the pipe closes. It therefore imports nothing but the standard library, and nothing of this package.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

POLL = 0.02
KILLED_WITHIN = 5.0
HAS_PROC = Path("/proc/self/stat").exists()


class Target(NamedTuple):
    """A process, what asks it to go, the seconds it may take, and its turn: lower stages go first."""

    pid: int
    signal: int
    patience: float
    stage: int


def is_running(pid: int) -> bool:
    """False for a zombie too: a server that died and was not reaped yet keeps its pid but serves nobody."""
    return _state(pid) not in ("", "Z", "X")


def command_of(pid: int) -> str:
    """The command line, to tell a process of ours from a stranger that got the same pid later."""
    if not HAS_PROC:
        return _ps(pid, "command=")
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_until_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """The processes that still run after that time."""
    deadline = time.monotonic() + seconds
    running = [pid for pid in pids if is_running(pid)]
    while running and time.monotonic() < deadline:
        time.sleep(POLL)
        running = [pid for pid in running if is_running(pid)]
    return running


def stop(targets: Iterable[Target]) -> None:
    """Ask stage by stage, wait, and kill what remains of each process group."""
    remaining = sorted(targets, key=lambda target: target.stage)
    for stage in sorted({target.stage for target in remaining}):
        _stop_stage([target for target in remaining if target.stage == stage])


def kill_group(pid: int) -> None:
    """Kill what a session leader left behind: the workers of a killed API server would keep its port."""
    if pid > 1:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _stop_stage(targets: list[Target]) -> None:
    for target in targets:
        _send(target.pid, target.signal)
    deadline = time.monotonic() + max((target.patience for target in targets), default=0)
    wait_until_gone([target.pid for target in targets], deadline - time.monotonic())
    for target in targets:
        kill_group(target.pid)
    wait_until_gone([target.pid for target in targets], KILLED_WITHIN)


def _send(pid: int, number: int) -> None:
    if pid > 1:  # lower ones mean whole groups, ours among them
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _state(pid: int) -> str:
    """One letter, or nothing for a pid that does not exist."""
    if pid <= 0:
        return ""
    if not HAS_PROC:
        return _ps(pid, "stat=")[:1]
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return ""


def _ps(pid: int, column: str) -> str:
    asked = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _guard() -> None:
    """Outlive the parent, whatever kills it, and then stop what it was running."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    targets: list[Target] = []
    for line in sys.stdin:
        if line.endswith("\n"):
            targets = [Target(*fields) for fields in json.loads(line)]
    stop(targets)


if __name__ == "__main__":
    _guard()
