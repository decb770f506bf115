"""PostgreSQL: make a cluster, start it, and know when it is ready."""

import os
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from . import ports, processes
from .binaries import find_postgres
from .errors import EmbeddedError
from .processes import Target
from .server import Server
from .state import ServerState

BUILTIN_LOCALE_SINCE = 17
SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    # No socket file: nothing to find room for below the 107 bytes that the system allows its path.
    "unix_socket_directories": "",
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
    # What was promised to a client survives a power cut, here as in production.
    "fsync": "on",
    "synchronous_commit": "on",
}


class Postgres(Server):
    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[int] = signal.SIGINT  # "fast": SIGTERM would wait for the clients to leave
    stop_within: ClassVar[float] = 30.0
    passing: ClassVar[tuple[str, ...]] = ("postmaster.pid", "pre-existing shared memory block")

    @staticmethod
    def url_of(state: ServerState) -> str:
        return f"postgresql://atrium:{state.password}@{ports.LOOPBACK}:{state.port}/atrium"

    def prepare(self) -> None:
        self._program = find_postgres(self.home.account)
        data = self.home.path / f"pg{self._program.major}"
        known = self._remembered if self._remembered and self._remembered.data == str(data) else None
        self._end_predecessor(data)
        self.state = ServerState(
            port=self._free_port(),
            password=known.password if known else secrets.token_hex(24),
            data=str(data),
            cluster=known.cluster if known else secrets.token_hex(8),
        )
        if not data.exists():
            self._make_cluster(data)
        elif not known:
            self._single_user(data, f"ALTER ROLE atrium PASSWORD '{self.state.password}'")

    def command(self) -> Sequence[str | Path]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [self._program.path, "-D", self.state.data, "-p", str(self.state.port), *settings]

    def is_ready(self) -> bool:
        """As pg_ctl does: the postmaster writes its pid on the first line and how far it is on the eighth."""
        lines = _pid_file(Path(self.state.data))
        return lines[:1] == [str(self.state.pid)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def _make_cluster(self, data: Path) -> None:
        """Under another name until it is complete: a killed attempt must not look like data."""
        draft = self.home.path / f"{data.name}.new"
        shutil.rmtree(draft, ignore_errors=True)
        self.home.make(draft.name)
        password = draft.with_name(f"{data.name}.password")
        try:
            self._write_password(password)
            owner = ("-U", "atrium", f"--pwfile={password}", "--auth=scram-sha-256")
            self._run("initdb", "-D", draft, "-E", "UTF8", *self._locale(), *owner)
        finally:
            password.unlink(missing_ok=True)
        self._single_user(draft, "CREATE DATABASE atrium")
        draft.rename(data)

    def _write_password(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.state.password + "\n")
        if os.geteuid() != self.home.account.uid:
            os.chown(path, self.home.account.uid, self.home.account.gid)

    def _locale(self) -> tuple[str, ...]:
        if self._program.major < BUILTIN_LOCALE_SINCE:
            return ("--locale=C",)
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")

    def _single_user(self, data: Path, statement: str) -> None:
        """Before anybody can connect, and without the password."""
        self._run("postgres", "--single", "-D", data, "postgres", stdin=statement + "\n")

    def _run(self, name: str, *arguments: str | Path, stdin: str = "") -> None:
        done = self.home.account.run([self._program.beside(name), *arguments], stdin)
        if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            raise EmbeddedError(f"{name} could not prepare {self.home.path}:\n{done.stderr.strip()[-1500:]}")

    def _end_predecessor(self, data: Path) -> None:
        lines = _pid_file(data)
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        if not processes.is_running(pid):
            return
        if str(data) in processes.command_of(pid):
            processes.stop([Target(pid, self.stop_signal, self.stop_within, stage=1)])
        else:
            # After a crash of the machine a stranger can have the pid, and PostgreSQL would refuse to start.
            (data / "postmaster.pid").unlink()


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
