"""Valkey: start it on a data folder, and know when it is ready."""

import secrets
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from . import ports, processes
from .binaries import find_valkey
from .processes import Target
from .server import Server
from .state import ServerState

KEEPS_ITS_TITLE_SINCE = 7


class Valkey(Server):
    name: ClassVar[str] = "valkey"
    title: ClassVar[str] = "Valkey"
    stop_signal: ClassVar[int] = signal.SIGTERM
    stop_within: ClassVar[float] = 15.0

    @staticmethod
    def url_of(state: ServerState) -> str:
        return f"redis://:{state.password}@{ports.LOOPBACK}:{state.port}/0"

    def prepare(self) -> None:
        self._program = find_valkey(self.home.account)
        data = self.home.make(f"{self._program.path.name.removesuffix('-server')}{self._program.major}")
        known = self._remembered if self._remembered and self._remembered.data == str(data) else None
        self._end_predecessor(data)
        self.state = ServerState(
            port=self._free_port(),
            password=known.password if known else secrets.token_hex(24),
            data=str(data),
            cluster=known.cluster if known else secrets.token_hex(8),
        )

    def command(self) -> Sequence[str | Path]:
        return [self._program.path, "-", "--dir", self.state.data]

    def configuration(self) -> bytes:
        lines = [
            f"bind {ports.LOOPBACK}",
            f"port {self.state.port}",
            f"requirepass {self.state.password}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "pidfile server.pid",
        ]
        if self._program.major >= KEEPS_ITS_TITLE_SINCE:
            lines.append("set-proc-title no")
        return "\n".join([*lines, ""]).encode()

    def is_ready(self) -> bool:
        """Only ours knows the password, and it answers PING with an error while it loads."""
        try:
            with socket.create_connection((ports.LOOPBACK, self.state.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.state.password}\r\nPING\r\n".encode())
                answer = connection.makefile("rb")
                return [answer.readline(), answer.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def _end_predecessor(self, data: Path) -> None:
        """Two servers on one append-only file would ruin it."""
        try:
            pid = int((data / "server.pid").read_text())
        except (OSError, ValueError):
            return
        if processes.is_running(pid) and str(data) in processes.command_of(pid):
            processes.stop([Target(pid, self.stop_signal, self.stop_within, stage=1)])
