import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from atrium import embedded
from atrium.embedded.processes import is_running

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Owner:
    """A process of its own that runs the servers of a folder."""

    process: subprocess.Popen[str]
    database_url: str
    redis_url: str
    started: bool
    pids: list[int]

    @property
    def is_stopped(self) -> bool:
        return not any(is_running(pid) for pid in self.pids)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(claim: Callable[[], object], within: float = 10.0) -> None:
        deadline = time.monotonic() + within
        while not claim():
            assert time.monotonic() < deadline, f"not true within {within} s"
            time.sleep(0.02)

    return wait


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other accounts may enter, which pytest's own temporary folder is not."""
    folder = Path(tempfile.mkdtemp(prefix="atrium-test-"))
    folder.chmod(0o755)
    yield folder
    for found in folder.rglob(".atrium"):
        embedded.erase(found)
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def servers() -> Iterator[embedded.Embedded]:
    """For tests that leave the servers as they found them."""
    with open_folder() as folder, embedded.start(folder / ".atrium") as started:
        yield started


@pytest.fixture(scope="session")
def grown() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / ".atrium"


@pytest.fixture
def folder(grown: Path) -> Iterator[Path]:
    """One for all, with the data of earlier tests: making a cluster takes longer than most tests."""
    for log in (grown / "log").glob("*"):
        log.unlink()
    yield grown
    deadline = time.monotonic() + 10
    while embedded.is_in_use(grown) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not embedded.is_in_use(grown)


@pytest.fixture
def own() -> Iterator[Callable[..., Owner]]:
    """Start servers from another process, which the test may kill."""
    begun: list[subprocess.Popen[str]] = []

    def begin(folder: Path) -> Owner:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "owner.py"), str(folder)], stdout=subprocess.PIPE, text=True
        )
        begun.append(process)
        assert process.stdout
        return Owner(process, **json.loads(process.stdout.readline()))

    yield begin
    for process in begun:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.fixture
def query() -> Callable[..., object]:
    def ask(url: str | None, sql: str) -> object:
        async def run() -> object:
            connection = await asyncpg.connect(url)
            try:
                answer: object = await connection.fetchval(sql)
                return answer
            finally:
                await connection.close()

        return asyncio.run(run())

    return ask
