"""The child that stops everything when its parent is killed without a chance to do so.

It holds the read end of a pipe whose only write end is ours, so it learns of our death on every platform,
and it has a session of its own, so a Ctrl-C does not reach it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import processes
from .processes import Target


class Watchdog:
    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def targets(self) -> list[Target]:
        return list(self._targets.values())

    def guard(self, target: Target) -> None:
        self._targets[target.pid] = target
        self._tell()

    def release(self, pid: int) -> None:
        if self._targets.pop(pid, None):
            self._tell()

    def check(self) -> None:
        """Replace the watchdog when somebody killed it."""
        if self._process and self._process.poll() is not None:
            self._tell()

    def close(self) -> None:
        """End it without harm to what it guarded."""
        self._targets.clear()
        if self._process and self._process.poll() is None:
            self._tell()
        self._hang_up()

    def _tell(self) -> None:
        # Each line replaces the one before, and a broken pipe means that nobody heard this one.
        line = json.dumps(self.targets).encode() + b"\n"
        if self._process is None or self._process.poll() is not None:
            self._spawn()
        try:
            os.write(self._pipe, line)
        except BrokenPipeError:
            self._spawn()
            os.write(self._pipe, line)

    def _spawn(self) -> None:
        self._hang_up()
        theirs, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(processes.__file__).resolve())],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._process:
            self._process.wait(timeout=10)
            self._process = None
