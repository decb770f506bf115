"""Log files that servers append to and that never fill the disk."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

LIMIT = 10_000_000


def open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    limit(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)


def limit(path: Path) -> None:
    """Move what was written to `.1` once it is too much; writers append, so they go on at the beginning."""
    if path.exists() and path.stat().st_size > LIMIT:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def last_lines(path: Path, count: int = 8, since: int = 0) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - 20_000))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
