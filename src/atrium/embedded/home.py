"""Where the data lives and which account owns it.

PostgreSQL refuses to run as root. Root therefore hands the servers to an account that exists anyway, and
never opens its own folders to it: where the account cannot reach the folder, the data gets a place of its
own.
"""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .errors import EmbeddedError

ACCOUNTS = ("postgres", "nobody")
# The first survives a reboot and is never swept; the others are for a root without a writable /var/lib.
ELSEWHERE = (Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir()))  # noqa: S108  made private by _own_folder
LINK = "data"


class Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]
    umask: int


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def identity(self) -> Identity:
        """Arguments for Popen: nothing to change unless we are root."""
        if os.geteuid() == self.uid:
            return {"umask": 0o077}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def can_enter(self, folder: Path) -> bool:
        """Asked of the system by becoming the account, so that access lists count too."""
        return self.run(["/bin/sh", "-c", 'test -x "$0"', str(folder)]).returncode == 0

    def run(self, command: Sequence[str | Path], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment(),
            **self.identity,
        )


@dataclass(frozen=True)
class Home:
    """A folder that the account can reach; `make` gives it folders of its own inside."""

    path: Path
    account: Account

    def make(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != self.account.uid:
            os.chown(folder, self.account.uid, self.account.gid)
        return folder


def environment() -> dict[str, str]:
    """For the servers: neither our secrets nor a caller's PGDATA, PGOPTIONS or locale."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def prepare_folder(folder: Path) -> None:
    """Make the folder of the lock and the state; root's is passable for the account of the data inside."""
    try:
        mode = 0o711 if os.geteuid() == 0 else 0o700
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # also when another process is making it at this moment
            folder.mkdir(mode)
            folder.chmod(mode)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission to write")
        (folder / "log").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"The folder {folder} cannot be used: {error.strerror}.") from error


def find_home(folder: Path, say: Callable[[str], None]) -> Home:
    link = folder / LINK
    account = _account(_owner_of_data(link.resolve() if link.is_symlink() else folder))
    if link.is_symlink():
        home = Home(link.resolve(), account)
        if not home.path.is_dir():
            raise EmbeddedError(
                f"The data of {folder} is gone: {home.path} does not exist. Remove {link} to begin anew."
            )
        return home
    if account.can_enter(folder):
        return Home(folder, account)
    if any(folder.glob("pg[0-9]*")):
        raise EmbeddedError(
            f"The account {account.name} cannot reach its data in {folder} now: a folder above is closed."
        )
    home = Home(Path(tempfile.mkdtemp(prefix=f"{folder.parent.name}-", dir=shared_folder(account))), account)
    home.path.chmod(0o711)
    link.symlink_to(home.path)
    say(f"{folder} is closed to the account {account.name}, so the data is kept in {home.path}")
    return home


def shared_folder(account: Account) -> Path:
    """A folder of root's outside anybody's home, which the account may pass but not list or change."""
    for base in ELSEWHERE:
        folder = base / "atrium"
        try:
            folder.mkdir(mode=0o711, exist_ok=True)
            _own_folder(folder)
        except OSError:
            continue
        if account.can_enter(folder):
            return folder
    raise EmbeddedError(
        f"No folder was found that the account {account.name} can reach: not {' '.join(map(str, ELSEWHERE))}."
    )


def erase(folder: Path) -> None:
    """Delete the data and the memory of ports and passwords; whatever else is in the folder stays."""
    link = folder / LINK
    if link.is_symlink():
        if any(link.resolve().is_relative_to(base / "atrium") for base in ELSEWHERE):
            shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    for pattern in ("pg[0-9]*", "valkey[0-9]*", "log"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    (folder / "state.json").unlink(missing_ok=True)


def _own_folder(folder: Path) -> None:
    """Refuse a folder that somebody else prepared: in /tmp anyone may choose the name first."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(13, "belongs to somebody else", str(folder))
    folder.chmod(0o711)


def _owner_of_data(home: Path) -> int | None:
    owners = {path.stat().st_uid for path in home.glob("pg[0-9]*")} - {0}
    return min(owners, default=None)


def _account(owner: int | None) -> Account:
    uid = os.geteuid()
    if uid != 0:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise EmbeddedError(
                f"The user id {uid} has no entry in /etc/passwd, and PostgreSQL wants its user to have one. "
                "Run as another user, or name a server in DATABASE_URL."
            ) from None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return _account_for_root(owner)


def _account_for_root(owner: int | None) -> Account:
    """Who owns the data already, else an account made for this, else the one that owns nothing."""
    entries = {entry.pw_uid: entry for entry in pwd.getpwall()}
    wanted = [entries[owner]] if owner in entries else []
    wanted += [entry for name in ACCOUNTS for entry in entries.values() if entry.pw_name == name]
    for entry in wanted:
        account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        try:
            account.run(["/bin/sh", "-c", ":"])
        except OSError:
            continue
        return account
    raise EmbeddedError(
        "PostgreSQL does not run as root, and this root can become neither of the accounts "
        f"{' and '.join(ACCOUNTS)}. Run as an ordinary user, or name a server in DATABASE_URL."
    )
