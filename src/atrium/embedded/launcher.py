"""Start the servers of a folder, or attach to those that somebody else started there."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import home, logs, processes
from .errors import EmbeddedError
from .postgres import Postgres
from .state import Lock, State
from .valkey import Valkey
from .watchdog import Watchdog

OTHERS_START_WITHIN = 90.0
OTHERS_REVIVE_WITHIN = 3.0
POLL = 0.05


@dataclass(frozen=True)
class Servers:
    """How to reach what runs for a folder; `started` says whether this process runs it."""

    database_url: str | None
    redis_url: str | None
    folder: Path
    started: bool


def _quiet(_line: str) -> None: ...


def start(
    folder: Path,
    *,
    postgres: bool = True,
    valkey: bool = True,
    say: Callable[[str], None] = _quiet,
    watchdog: Watchdog | None = None,
) -> "Embedded":
    """Have the servers of this folder running; the first caller owns them, later ones attach.

    A watchdog of the caller's also stops, and before the servers, whatever else it guards.
    """
    folder = folder.absolute()
    home.prepare_folder(folder)
    wanted = tuple(kind for kind, wish in ((Valkey, valkey), (Postgres, postgres)) if wish)
    embedded = Embedded(folder, wanted, say, watchdog)
    embedded.open()
    return embedded


def find_running(folder: Path) -> Servers | None:
    """The servers that run for this folder, whoever started them."""
    folder = folder.absolute()
    deadline = time.monotonic() + OTHERS_REVIVE_WITHIN
    try:
        while Lock.is_held(folder / "lock"):
            if found := _alive(folder, State.load(folder)):
                return found
            if time.monotonic() > deadline:
                break
            time.sleep(POLL)
    except PermissionError as error:
        raise EmbeddedError(
            f"The servers of {folder} belong to another user: {error.filename} cannot be read."
        ) from error
    return None


def is_in_use(folder: Path) -> bool:
    return Lock.is_held(folder.absolute() / "lock")


class Embedded:
    """The servers of a folder; leaving the context stops those that this object started."""

    def __init__(
        self,
        folder: Path,
        wanted: tuple[type[Valkey | Postgres], ...],
        say: Callable[[str], None],
        watchdog: Watchdog | None,
    ) -> None:
        self.folder = folder
        self._wanted = wanted
        self._say = say
        self._lock = Lock(folder / "lock")
        self._servers: list[Valkey | Postgres] = []
        self._lent_watchdog = watchdog
        self._watchdog = watchdog or Watchdog()
        self._state = State()

    @property
    def urls(self) -> Servers:
        return _servers(self.folder, self._state, started=self._lock.is_mine)

    @property
    def postgres_pid(self) -> int | None:
        return self._state.postgres.pid if self._state.postgres else None

    @property
    def valkey_pid(self) -> int | None:
        return self._state.valkey.pid if self._state.valkey else None

    @property
    def cluster(self) -> str | None:
        """Differs whenever the database was made anew, so that what was done to it can be remembered."""
        return self._state.postgres.cluster if self._state.postgres else None

    def open(self) -> None:
        deadline = time.monotonic() + OTHERS_START_WITHIN
        while not self._acquire():
            if found := find_running(self.folder):
                return self._attach(found)
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Another process has been starting the servers of {self.folder} for too long.")
        try:
            self._launch()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"The servers of {self.folder} cannot be started: {error}.") from error
        except BaseException:
            self.stop()
            raise
        return None

    def check(self) -> list[str]:
        """The names of the servers that have died."""
        if not self._lock.is_mine:
            return self._attached_dead()
        self._watchdog.check()
        for server in self._servers:
            logs.limit(server.log)
        return [server.name for server in self._servers if server.is_dead]

    def revive(self) -> list[str]:
        """Start the dead ones again where they were, so that every address stays true."""
        dead = self.check()
        if not dead:
            return dead
        if not self._lock.is_mine:
            self.open()
            return dead
        fallen = [server for server in self._servers if server.name in dead]
        for server in fallen:
            server.forget()
            server.launch()
        try:
            for server in fallen:
                server.settle(self._say, may_move=False)
        finally:
            self._state.save(self.folder)
        return dead

    def stop(self) -> None:
        """Stop cleanly what was started here; what was only attached to stays."""
        if not self._lock.is_mine:
            return
        try:
            processes.stop([server.target for server in self._servers if not server.is_dead])
            for server in self._servers:
                server.forget()
            if self._servers:
                self._state.owner = None
                self._state.save(self.folder)
            if not self._lent_watchdog:
                self._watchdog.close()
        finally:
            self._servers = []
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _acquire(self) -> bool:
        try:
            return self._lock.acquire()
        except PermissionError as error:
            raise EmbeddedError(f"The servers of {self.folder} belong to another user.") from error

    def _launch(self) -> None:
        """Valkey starts while PostgreSQL makes its cluster."""
        self._state = State.load(self.folder).at_rest()
        place = home.find_home(self.folder, self._say)
        for kind in self._wanted:
            server = kind(self.folder, place, getattr(self._state, kind.name), self._watchdog)
            server.prepare()
            self._servers.append(server)
            server.launch()
        for server in self._servers:
            server.settle(self._say, may_move=True)
            setattr(self._state, server.name, server.state)
        self._state.owner = os.getpid()
        self._state.save(self.folder)

    def _attach(self, found: Servers) -> None:
        missing = [
            kind.title
            for kind, url in ((Postgres, found.database_url), (Valkey, found.redis_url))
            if kind in self._wanted and url is None
        ]
        self._state = State.load(self.folder)
        if missing:
            raise EmbeddedError(
                f"The servers of {self.folder} were started without {' and '.join(missing)} "
                f"by process {self._state.owner}; stop that first."
            )

    def _attached_dead(self) -> list[str]:
        names = [kind.name for kind in self._wanted]
        return [name for name in names if not _is_running(State.load(self.folder), name)]


def _alive(folder: Path, state: State) -> Servers | None:
    """All that the owner started, or nothing: while one is being revived, the caller waits."""
    started = [name for name in ("postgres", "valkey") if (server := getattr(state, name)) and server.pid]
    if not started or not all(_is_running(state, name) for name in started):
        return None
    return _servers(folder, state, started=False)


def _is_running(state: State, name: str) -> bool:
    server = getattr(state, name)
    return bool(server and server.pid and processes.is_running(server.pid))


def _servers(folder: Path, state: State, *, started: bool) -> Servers:
    postgres, valkey = state.postgres, state.valkey
    return Servers(
        database_url=Postgres.url_of(postgres) if postgres and postgres.pid else None,
        redis_url=Valkey.url_of(valkey) if valkey and valkey.pid else None,
        folder=folder,
        started=started,
    )
