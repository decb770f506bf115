"""What PostgreSQL and Valkey have in common: a child process that listens on a port and writes a log."""

import contextlib
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from . import logs, ports, processes
from .errors import EmbeddedError
from .home import Home, environment
from .processes import Target
from .state import ServerState
from .watchdog import Watchdog

RETRY_FOR = 10.0
READY_WITHIN = 300.0
POLL = 0.01


class Server(ABC):
    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[int]
    stop_within: ClassVar[float]
    # What the log says when another attempt may succeed: the remains of a killed server take a moment to go.
    passing: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, home: Home, remembered: ServerState | None, watchdog: Watchdog) -> None:
        self.folder = folder
        self.home = home
        self.log = folder / "log" / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._remembered = remembered
        self._watchdog = watchdog
        self._log_begin = 0

    state: ServerState

    @abstractmethod
    def prepare(self) -> None:
        """Set `state`, make the data folder, and end what a killed predecessor left running."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def is_ready(self) -> bool: ...

    def configuration(self) -> bytes:
        """What the server reads on stdin, where no other account sees the password."""
        return b""

    @property
    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def target(self) -> Target:
        return Target(self.state.pid or 0, self.stop_signal, self.stop_within, stage=1)

    def launch(self) -> None:
        with logs.open_log(self.log) as log:
            self._log_begin = log.tell()
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.state.data,
                env=environment(),
                start_new_session=True,
                **self.home.account.identity,
            )
        self.state.pid = self.process.pid
        self._watchdog.guard(self.target)
        _feed(self.process, self.configuration())

    def settle(self, say: Callable[[str], None], *, may_move: bool) -> None:
        """Wait until it answers; try again if that may help, on another port if nobody knows this one yet."""
        retry_until = time.monotonic() + RETRY_FOR
        while not self._becomes_ready(say):
            reason = "\n".join(logs.last_lines(self.log, since=self._log_begin))
            port_taken = "address already in use" in reason.lower()
            if time.monotonic() > retry_until or not (port_taken or any(text in reason for text in self.passing)):
                raise EmbeddedError(self._failure(reason, port_taken=port_taken))
            if port_taken and may_move:
                self.state.port = self._free_port()
            else:
                time.sleep(0.1)
            self.launch()

    def stop(self) -> None:
        if not self.is_dead:
            processes.stop([self.target])
        self.forget()

    def forget(self) -> None:
        """Call once it has stopped."""
        if self.state.pid is not None:
            self._watchdog.release(self.state.pid)
            self.state.pid = None
        if self.process:
            self.process.wait()
            self.process = None

    def _becomes_ready(self, say: Callable[[str], None]) -> bool:
        begin = time.monotonic()
        announce = begin + 5
        while not self.is_ready():
            now = time.monotonic()
            if self.is_dead or now > begin + READY_WITHIN:
                self.stop()
                return False
            if now > announce:
                say(f"{self.title} is still getting ready, it may be recovering ({now - begin:.0f} s)")
                announce = now + 10
            time.sleep(POLL)
        return True

    def _free_port(self) -> int:
        remembered = self._remembered.port if self._remembered else None
        for port in ports.candidates(self.folder, self.name, remembered):
            return port
        raise EmbeddedError(f"No free port was found for {self.title} on {ports.LOOPBACK}.")

    def _failure(self, reason: str, *, port_taken: bool) -> str:
        if port_taken:
            return f"{self.title} cannot have port {self.state.port} back: another program took it."
        return f"{self.title} did not start. The end of {self.log}:\n{reason}"


def _feed(process: subprocess.Popen[bytes], text: bytes) -> None:
    if process.stdin:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(text)
