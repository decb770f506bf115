"""A command that is kept running."""

import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from atrium.embedded import logs, processes
from atrium.embedded.processes import Target
from atrium.embedded.watchdog import Watchdog

from .terminal import say

DRAIN_WITHIN = 15.0
PAUSES = (0.5, 1.0, 2.0, 4.0, 10.0)
STEADY_AFTER = 20.0
EXPLAIN_AFTER = 3
EXPLAIN_EVERY = 6
SHOWN_PER_TICK = 5
SERIOUS = ("warning", "error", "critical")


class Child:
    """A command that is kept running, its output in a log."""

    def __init__(self, name: str, command: Sequence[str], log: Path, watchdog: Watchdog) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._watchdog = watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._due_at = 0.0
        self._crashes = 0
        self._began_at = 0
        self._read_to = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def target(self) -> Target:
        return Target(self.pid or 0, signal.SIGTERM, DRAIN_WITHIN, stage=0)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environ: Mapping[str, str], *, listens: bool = False) -> None:
        with logs.open_log(self.log) as log:
            self._began_at = self._read_to = log.tell()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
        self._started_at = time.monotonic()
        self._watchdog.guard(self.target)

    def tend(self, environ: Mapping[str, str]) -> None:
        """Notice a death, start again when the pause is over, show what is serious."""
        now = time.monotonic()
        if self._process and (code := self._process.poll()) is not None:
            self._bury(code, now)
        elif self._process is None and now >= self._due_at:
            self.start(environ)
        self._show_serious_lines()
        logs.limit(self.log)

    def reap(self) -> None:
        """Call once it has stopped."""
        if self._process:
            self._watchdog.release(self._process.pid)
            self._process.wait()
            self._process = None

    def _bury(self, code: int, now: float) -> None:
        quick = now - self._started_at < STEADY_AFTER
        self._crashes = self._crashes + 1 if quick else 1
        pause = PAUSES[min(self._crashes, len(PAUSES)) - 1]
        if self._process:
            processes.kill_group(self._process.pid)
        self.reap()
        self._due_at = now + pause
        say(f"  {self.name}: {how_it_ended(code)}; starts again in {pause:g} s")
        if self._crashes >= EXPLAIN_AFTER and (self._crashes - EXPLAIN_AFTER) % EXPLAIN_EVERY == 0:
            say(f"  {self.name}: has ended {self._crashes} times in a row; the end of {self.log}:")
            self.show_last_lines()

    def tell(self, text: str) -> None:
        """All that it will hear; one that has ended hears nothing."""
        if self._process and self._process.stdin:
            with suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(text.encode())

    def wait(self) -> int:
        return self._process.wait() if self._process else 0

    def last_lines(self, count: int = 12) -> list[str]:
        return logs.last_lines(self.log, count, since=self._began_at)

    def show_last_lines(self) -> None:
        for line in self.last_lines():
            say(f"    {line}")

    def _show_serious_lines(self) -> None:
        size = self.log.stat().st_size if self.log.exists() else 0
        if size < self._read_to:
            self._read_to = 0
        if size == self._read_to:
            return
        with self.log.open("rb") as file:
            file.seek(self._read_to)
            text = file.read(100_000)
        complete = text[: text.rfind(b"\n") + 1]
        self._read_to += len(complete)
        serious = [line for raw in complete.decode(errors="replace").splitlines() if (line := serious_line(raw))]
        for line in serious[:SHOWN_PER_TICK]:
            say(f"  {self.name}: {line}")
        if len(serious) > SHOWN_PER_TICK:
            say(f"  {self.name}: and {len(serious) - SHOWN_PER_TICK} more in {self.log}")


def serious_line(raw: str) -> str | None:
    """What a person should see of a log line, if anything."""
    try:
        entry = json.loads(raw)
    except ValueError:
        return raw.strip() if raw.lower().startswith(tuple(f"{level}:" for level in SERIOUS)) else None
    if not isinstance(entry, dict) or str(entry.get("level", "")).lower() not in SERIOUS:
        return None
    parts = [entry.get(key) for key in ("level", "event", "message", "error")]
    return " ".join(" ".join(str(part).split()) for part in parts if part)[:300]


def how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
