"""`atrium up` with small commands in place of the API and the worker."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atrium import embedded
from atrium.embedded import ports
from atrium.embedded.processes import is_running
from atrium.up import Options
from atrium.up.child import serious_line
from atrium.up.signals import SAME_WISH
from atrium.up.terminal import page

SUPERVISOR = Path(__file__).parent / "programs" / "supervisor.py"
GIVEN = {"DATABASE_URL": "postgresql://elsewhere/db", "REDIS_URL": "redis://elsewhere/0"}


class Up:
    """A supervisor in a process of its own, and what it wrote."""

    def __init__(
        self, place: Path, folder: Path, port: int, environ: dict[str, str], *, worker: str, reset: bool
    ) -> None:
        self.folder = folder
        self.notes = place / "notes"
        self.output = place / f"output.{port}"
        arguments = {"folder": str(self.folder), "port": port, "notes": str(self.notes)}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    str(SUPERVISOR),
                    json.dumps({**arguments, "worker": worker, "reset": reset}),
                ],
                env={"PATH": os.defpath, **environ},
                cwd=place,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{port}"

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    @property
    def family(self) -> dict[int, str]:
        """The commands of all processes that this supervisor began, however they are related by now."""
        listing = subprocess.run(["ps", "-axwwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
        found = {}
        for line in listing.stdout.splitlines():
            pid, parent, state, command = line.split(maxsplit=3)
            ours = int(parent) == self.process.pid or str(self.folder) in command or str(self.notes) in command
            if ours and int(pid) != self.process.pid and not state.startswith("Z"):
                found[int(pid)] = command
        return found

    def child(self, name: str) -> int:
        return next(pid for pid, command in self.family.items() if f"programs/{name}.py" in command)


@pytest.fixture
def up(place: Path, folder: Path) -> Iterator[Callable[..., Up]]:
    begun: list[Up] = []
    free = ports.candidates(place, "api")

    def begin(
        port: int | None = None,
        *,
        at: Path = folder,
        worker: str = "works",
        reset: bool = False,
        **environ: str,
    ) -> Up:
        begun.append(Up(place, at, port or next(free), environ, worker=worker, reset=reset))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.terminate()
        one.process.wait(timeout=30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_everything_starts_in_order_and_the_page_says_where(
    up: Callable[..., Up], eventually: Callable[..., None]
) -> None:
    running = up(**GIVEN)
    eventually(lambda: "Begin anew" in running.said)

    assert running.noted == ["migrated postgresql://elsewhere/db", "demo loaded"]
    assert f"{running.url}/docs" in running.said
    assert "admin@test.com" in running.said
    assert f"{running.folder}/log" in running.said
    assert (running.folder / "secret").stat().st_mode & 0o777 == 0o600
    eventually(lambda: "api: warning a warning of the api" in running.said)
    assert "chatter" not in running.said


def test_terminate_drains_the_children_first(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    running = up()
    eventually(lambda: "Begin anew" in running.said)

    running.process.terminate()

    assert running.process.wait(timeout=20) == 0
    assert {"api drained", "worker drained"} <= set(running.noted)
    assert not running.family
    assert "database system is shut down" in (running.folder / "log/postgres.log").read_text()


def test_a_second_signal_cuts_the_drain_short(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    running = up(worker="stubborn", **GIVEN)
    eventually(lambda: "Begin anew" in running.said)
    worker = running.child("worker")

    running.process.terminate()
    time.sleep(SAME_WISH + 0.1)
    running.process.terminate()

    assert running.process.wait(timeout=5) == 0
    assert not is_running(worker)


def test_a_crashed_child_is_restarted(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    running = up(**GIVEN)
    eventually(lambda: "Begin anew" in running.said)
    first = running.child("api")

    os.kill(first, signal.SIGKILL)

    eventually(lambda: "api: was ended by SIGKILL; starts again in 0.5 s" in running.said)
    eventually(lambda: answers(running.url))
    assert running.child("api") != first


def test_a_child_that_never_starts_explains_itself(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    running = up(worker="fails", **GIVEN)

    eventually(lambda: "worker: has ended 3 times in a row" in running.said)

    assert "    the reason of the worker" in running.said
    assert answers(running.url)


def test_killed_servers_come_back_where_they_were(
    up: Callable[..., Up], eventually: Callable[..., None], query: Callable[..., object]
) -> None:
    running = up()
    eventually(lambda: "Begin anew" in running.said)
    before = embedded.find_running(running.folder)
    state = json.loads((running.folder / "state.json").read_text())
    assert before

    os.kill(state["postgres"]["pid"], signal.SIGKILL)
    os.kill(state["valkey"]["pid"], signal.SIGKILL)

    eventually(lambda: len(re.findall("(PostgreSQL|Valkey).* answers again", running.said)) >= 1)
    eventually(lambda: embedded.find_running(running.folder) == before)
    assert query(before.database_url, "SELECT 1") == 1


def test_a_killed_supervisor_leaves_nothing_behind(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    running = up()
    eventually(lambda: "Begin anew" in running.said)
    family = running.family
    assert len(family) >= len(("api", "worker", "postgres", "valkey", "watchdog"))

    running.process.kill()
    running.process.wait()

    eventually(lambda: not any(is_running(pid) for pid in family))
    assert {"api drained", "worker drained"} <= set(running.noted)
    assert "database system is shut down" in (running.folder / "log/postgres.log").read_text()


def test_a_second_up_says_where_the_first_one_runs(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    first = up(**GIVEN)
    eventually(lambda: "Begin anew" in first.said)

    second = up(**GIVEN)

    assert second.process.wait(timeout=10) == 1
    assert f"{first.url} (process {first.process.pid})" in second.said
    assert f"kill {first.process.pid}" in second.said
    assert answers(first.url)


def test_a_taken_port_is_named_with_a_way_out(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = up(port, **GIVEN)

        assert refused.process.wait(timeout=10) == 1

    assert f"Port {port} on 127.0.0.1 cannot be had" in refused.said
    assert "atrium up --port" in refused.said
    assert refused.noted == []


def test_demo_data_is_loaded_once_per_database_and_again_after_a_reset(
    folder: Path, up: Callable[..., Up], eventually: Callable[..., None]
) -> None:
    (folder / "demo").unlink(missing_ok=True)

    for reset, loaded in ((False, 1), (False, 1), (True, 2)):
        running = up(reset=reset)
        eventually(lambda: "Begin anew" in running.said)  # noqa: B023  awaited here
        running.process.terminate()
        assert running.process.wait(timeout=20) == 0

        assert running.noted.count("demo loaded") == loaded


def test_a_reset_spares_what_runs_and_what_is_elsewhere(up: Callable[..., Up], eventually: Callable[..., None]) -> None:
    elsewhere = up(reset=True, **GIVEN)
    assert elsewhere.process.wait(timeout=10) == 1
    assert "DATABASE_URL names another server" in elsewhere.said

    running = up()
    eventually(lambda: "Begin anew" in running.said)
    refused = up(reset=True)

    assert refused.process.wait(timeout=10) == 1
    assert f"Atrium is already running in {running.folder}" in refused.said
    assert running.process.poll() is None


def test_the_address_file_of_the_project_counts(
    place: Path, up: Callable[..., Up], eventually: Callable[..., None]
) -> None:
    (place / ".env").write_text("DATABASE_URL=postgresql://from-file/db\nREDIS_URL='redis://from-file/0'\n")

    running = up()
    eventually(lambda: "Begin anew" in running.said)

    assert running.noted[0] == "migrated postgresql://from-file/db"
    assert embedded.find_running(running.folder) is None


def test_the_page_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    text = page(Options(port=8123), tmp_path, with_demo=True)

    script = text[text.index("  TOKEN=") : text.index("Logs ")].replace("curl", "true")
    assert subprocess.run(["sh", "-eu", "-c", script], check=False).returncode == 0
    assert "risk_profile=aggressive" in script


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "error", "event": "it broke"}', "error it broke"),
        ('{"level": "info", "event": "all is well"}', None),
        ("ERROR:    Exception in ASGI application", "ERROR:    Exception in ASGI application"),
        ("Traceback (most recent call last):", None),
        ("[1, 2]", None),
    ],
)
def test_only_serious_lines_reach_the_terminal(line: str, shown: str | None) -> None:
    assert serious_line(line) == shown
