"""Who runs the servers of a folder (`lock`) and how they are reached (`state.json`)."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

RETRY = 0.02


@dataclass
class ServerState:
    """What survives a restart, so that the address and the password stay; `pid` only while it runs."""

    port: int
    password: str
    data: str
    cluster: str
    pid: int | None = None


@dataclass
class State:
    owner: int | None = None
    postgres: ServerState | None = None
    valkey: ServerState | None = None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """An unreadable file counts as none: ports and passwords are then made anew."""
        try:
            found = json.loads((folder / "state.json").read_text())
            return cls(found["owner"], *(_server(found[name]) for name in ("postgres", "valkey")))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return cls()

    def at_rest(self) -> Self:
        """Without the pids that a killed owner left in the file."""
        for server in (self.postgres, self.valkey):
            if server:
                server.pid = None
        return self

    def save(self, folder: Path) -> None:
        draft = folder / f"state.json.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=2)
        draft.replace(folder / "state.json")


def _server(found: dict[str, object] | None) -> ServerState | None:
    return ServerState(**found) if found else None  # type: ignore[arg-type]


class Lock:
    """An advisory lock that the kernel gives back however its holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, seconds: float = 0.2) -> bool:
        """Wait a little: `is_held` takes the lock for an instant to find out."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    return False
                time.sleep(RETRY)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                self._descriptor = descriptor
                return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def is_mine(self) -> bool:
        return self._descriptor is not None

    @staticmethod
    def is_held(path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
