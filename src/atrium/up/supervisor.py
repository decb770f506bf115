"""Start everything in order, keep it running, stop it in order."""

import http.client
import json
import os
import secrets
import time
import traceback
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

from .child import Child, how_it_ended
from .options import Options, Program
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
                self._start_servers()
                self._migrate()
                self._load_demo()
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
        if any(wanted.values()):
            with step(" and ".join(TITLES[name] for name, wish in wanted.items() if wish)):
                self.servers = embedded.start(self.folder, **wanted, say=detail, watchdog=self.watchdog)
            self._name_servers()
        if "SECRET_KEY" not in self.environ:
            self.environ["SECRET_KEY"] = self._secret()
        self.environ.setdefault("PUBLIC_URL", self.options.base_url)
        self.environ["PYTHONUNBUFFERED"] = "1"

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

    def _migrate(self) -> None:
        with step("Migrations"):
            try:
                self.program.migrate(self.environ["DATABASE_URL"])
            except Exception as error:
                log = self.folder / "log" / "migrate.log"
                log.write_text(traceback.format_exc())
                raise CannotStart(f"The migrations failed, see {log}:\n{type(error).__name__}: {error}") from error

    def _load_demo(self) -> None:
        if not self.options.demo:
            return
        if self.environ.get("ENVIRONMENT", self.environ.get("APP_ENV")) == "production":
            say("  Demo data is not loaded in production.")
            return
        # A database of one's own may have been emptied meanwhile, which only the command itself can see.
        marker, loaded = self.folder / "demo", self._demo_stamp()
        if loaded and marker.exists() and marker.read_text() == loaded:
            self.demo_is_loaded = True
            return
        with step("Demo data"):
            self.demo_is_loaded = self._run_demo()
        if self.demo_is_loaded and loaded:
            marker.write_text(loaded)

    def _demo_stamp(self) -> str | None:
        return f"{version('atrium')} {self.servers.cluster}" if self.servers and self.servers.cluster else None

    def _run_demo(self) -> bool:
        demo = Child("demo", self.program.demo, self.folder / "log" / "demo.log", self.watchdog)
        demo.start(self.environ)
        try:
            code = demo.wait()
        finally:
            if demo.is_running:
                processes.stop([demo.target])
            demo.reap()
        if code != 0:
            say(f"  The demo data was not loaded ({how_it_ended(code)}); the end of {demo.log}:")
            demo.show_last_lines()
        return code == 0

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


def _not_empty(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value}
