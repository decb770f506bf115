"""Start everything in order, keep it running, stop it in order."""

import http.client
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from atrium import embedded
from atrium.core.config import read_env_file
from atrium.embedded import Embedded, EmbeddedError, ports, processes
from atrium.embedded.state import Lock
from atrium.embedded.watchdog import Watchdog

from .bytecode import with_bytecode
from .child import Child, how_it_ended
from .options import DEMO_FAILED, Options, Program
from .signals import Interrupted, Signals
from .terminal import detail, page, say, step

TICK = 0.1
SLOW_START = 20.0
REVIVE_AGAIN_AFTER = 10.0
TITLES = {"postgres": "PostgreSQL", "valkey": "Valkey"}


class CannotStart(Exception):
    """A sentence for the person at the terminal."""


def up(options: Options, program: Program | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run until a signal asks to stop; the answer is the exit code. Call it from the main thread."""
    given = os.environ if environ is None else environ
    supervisor = Supervisor(
        options, program or Program(), {**_not_empty(read_env_file(Path(".env"))), **_not_empty(given)}
    )
    try:
        return supervisor.run()
    except (CannotStart, EmbeddedError) as error:
        say(str(error))
        return 1
    except Interrupted:
        say("Stopped before everything was up.")
        return 130


class Supervisor:
    def __init__(self, options: Options, program: Program, environ: Mapping[str, str]) -> None:
        self.options = options
        self.program = program
        self.environ = dict(environ)
        self.folder = options.folder.absolute()
        self.signals = Signals()
        self.watchdog = Watchdog()
        self.lock = Lock(self.folder / "up.lock")
        self.servers: Embedded | None = None
        self.children: list[Child] = []
        self.preparing: Child | None = None
        self.demo_is_loaded = False
        self.revive_at = 0.0

    def run(self) -> int:
        begin = time.monotonic()
        embedded.prepare_folder(self.folder)
        self._claim()
        self.signals.install()
        try:
            with self.signals.interrupting():
                self._require_port()
                if self.options.reset:
                    self._reset()
                self._complete_environment()
                self._start_servers()
                self._prepare()
            self._start_children()
            self._supervise(begin)
        finally:
            self._stop()
        return 0

    def _claim(self) -> None:
        if not self.lock.acquire():
            raise CannotStart(self._who_runs())
        self.lock.path.write_text(json.dumps({"pid": os.getpid(), "url": self.options.base_url}))

    def _who_runs(self) -> str:
        try:
            running = json.loads(self.lock.path.read_text())
            where, pid = running["url"], running["pid"]
        except (OSError, ValueError, KeyError):
            return f"Atrium is already starting in {self.folder}."
        return (
            f"Atrium is already running in {self.folder}: {where} (process {pid}).\n"
            f"Stop it with Ctrl-C in its terminal or with: kill {pid}"
        )

    def _require_port(self) -> None:
        host, port = self.options.host, self.options.port
        if ports.is_free(port, host):
            return
        other = next((number for number in range(port + 1, port + 100) if ports.is_free(number, host)), None)
        hint = f" Choose another one, for instance: atrium up --port {other}" if other else ""
        raise CannotStart(f"Port {port} on {host} cannot be had: another program uses it, or it is not allowed.{hint}")

    def _reset(self) -> None:
        for variable in ("DATABASE_URL", "REDIS_URL"):
            if self.environ.get(variable):
                raise CannotStart(
                    f"--reset deletes only the data of {self.folder}, but {variable} names another server."
                )
        if embedded.is_in_use(self.folder):
            raise CannotStart(f"--reset cannot delete what is in use: the servers of {self.folder} are running.")
        embedded.erase(self.folder)
        (self.folder / "demo").unlink(missing_ok=True)
        say(f"The data in {self.folder} was deleted.")

    def _start_servers(self) -> None:
        wanted = {
            name: not self.environ.get(variable)
            for name, variable in (("postgres", "DATABASE_URL"), ("valkey", "REDIS_URL"))
        }
        if wanted["postgres"] and not (self.folder / "state.json").exists():
            # A new database needs it in any case, and it loads the application while the database is made.
            self.preparing = self._begin_preparing()
        if any(wanted.values()):
            with step(" and ".join(TITLES[name] for name, wish in wanted.items() if wish)):
                self.servers = embedded.start(self.folder, **wanted, say=detail, watchdog=self.watchdog)
            self._name_servers()

    def _complete_environment(self) -> None:
        if "SECRET_KEY" not in self.environ:
            self.environ["SECRET_KEY"] = self._secret()
        self.environ.setdefault("PUBLIC_URL", self.options.base_url)
        self.environ["PYTHONUNBUFFERED"] = "1"
        self.environ = with_bytecode(self.environ, self.folder / "bytecode")

    def _name_servers(self) -> None:
        if self.servers:
            urls = self.servers.urls
            named = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url}
            self.environ.update({name: url for name, url in named.items() if url})

    def _secret(self) -> str:
        """Kept, so that tokens stay valid over a restart."""
        path = self.folder / "secret"
        with suppress(FileNotFoundError):
            if secret := path.read_text().strip():
                return secret
        secret = secrets.token_urlsafe(48)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secret)
        return secret

    def _prepare(self) -> None:
        """Migrations and demo data, unless the database says that it has them."""
        demo, identity = self._wants_demo, self.program.identify(self.environ["DATABASE_URL"])
        marker = self.folder / "demo"
        # What was loaded stays loaded, or deleted by somebody who wanted it so, as long as the database is the same.
        self.demo_is_loaded = demo and bool(identity) and _read(marker) == _stamp(identity)
        if self.options.demo and not demo:
            say("  Demo data is not loaded in production.")
        if identity and self.demo_is_loaded is demo and not self.preparing:
            return
        with step("Migrations and demo data" if demo else "Migrations"):
            self.demo_is_loaded = self._end_preparing(self.preparing or self._begin_preparing())
        if self.demo_is_loaded and (identity := self.program.identify(self.environ["DATABASE_URL"])):
            marker.write_text(_stamp(identity))

    @property
    def _wants_demo(self) -> bool:
        return self.options.demo and self.environ.get("ENVIRONMENT", self.environ.get("APP_ENV")) != "production"

    def _begin_preparing(self) -> Child:
        command = [*self.program.prepare, *(["--demo"] if self._wants_demo else [])]
        child = Child("prepare", command, self.folder / "log" / "prepare.log", self.watchdog)
        child.start(self.environ, listens=True)
        return child

    def _end_preparing(self, child: Child) -> bool:
        """Whether there is demo data now; without a schema nothing goes on."""
        try:
            child.tell(json.dumps({name: self.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}) + "\n")
            code = child.wait()
        finally:
            if child.is_running:
                processes.stop([child.target])
            child.reap()
        if code not in (0, DEMO_FAILED):
            reason = "".join(child.last_lines(1)) or how_it_ended(code)
            raise CannotStart(f"The migrations failed, see {child.log}:\n{reason}")
        if code == DEMO_FAILED:
            say(f"  The demo data was not loaded; the end of {child.log}:")
            child.show_last_lines()
        return self._wants_demo and code == 0

    def _start_children(self) -> None:
        self._require_port()
        for name, command in self.program.children.items():
            child = Child(name, command(self.options), self.folder / "log" / f"{name}.log", self.watchdog)
            self.children.append(child)
            child.start(self.environ)

    def _supervise(self, begin: float) -> None:
        answered = False
        complain_at = time.monotonic() + SLOW_START
        while not self.signals.received:
            self._tend_servers()
            for child in self.children:
                child.tend(self.environ)
            if not answered:
                answer = self._ask_health()
                answered = answer == "200"
                if answered:
                    say(f"Ready after {time.monotonic() - begin:.1f} s.\n")
                    say(page(self.options, self.folder, with_demo=self.demo_is_loaded))
                elif time.monotonic() > complain_at:
                    say(f"  {self.options.base_url}{self.program.health} is not ready yet: {answer}")
                    complain_at += SLOW_START
            time.sleep(TICK)

    def _ask_health(self) -> str:
        address = urlsplit(self.options.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
        try:
            connection.request("GET", self.program.health)
            answer = connection.getresponse()
            body = answer.read(300).decode(errors="replace")
            return str(answer.status) if answer.status == 200 else f"{answer.status} {body}"
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        finally:
            connection.close()

    def _tend_servers(self) -> None:
        self.watchdog.check()
        if not self.servers or time.monotonic() < self.revive_at:
            return
        dead = self.servers.check()
        if not dead:
            return
        names = " and ".join(TITLES[name] for name in dead)
        begin, before = time.monotonic(), self.servers.urls
        say(f"  {names} died; starting again with the same data")
        try:
            self.servers.revive()
        except EmbeddedError as error:
            say(f"  {error}")
            self.revive_at = time.monotonic() + REVIVE_AGAIN_AFTER
            return
        say(f"  {names} answers again after {time.monotonic() - begin:.1f} s")
        if (before.database_url, before.redis_url) != (
            self.servers.urls.database_url,
            self.servers.urls.redis_url,
        ):
            self._name_servers()
            processes.stop(child.target for child in self.children if child.is_running)

    def _stop(self) -> None:
        """Who uses the servers goes before the servers; another signal makes it short."""
        begin = time.monotonic()
        if self.children:
            say("\nStopping: letting requests and jobs finish.")
        try:
            with self.signals.interrupting():
                processes.stop(child.target for child in self.children if child.is_running)
        except Interrupted:
            for child in self.children:
                processes.kill_group(child.pid or 0)
        for child in self.children:
            child.reap()
        if self.servers:
            self.servers.stop()
        # What was being started when the signal came is known to the watchdog alone.
        processes.stop(self.watchdog.targets)
        self.watchdog.close()
        if self.children:
            say(f"Stopped after {time.monotonic() - begin:.1f} s.")
        self.lock.release()


def _stamp(identity: str | None) -> str:
    return f"{version('atrium')} {identity}"


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _not_empty(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value}
