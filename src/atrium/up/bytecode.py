"""Byte code for the children where Python may not keep it beside the sources."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

LARGE = "sqlalchemy"


def with_bytecode(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a child that compiles no more than once.

    PYTHONDONTWRITEBYTECODE and packages of another user cost every process two seconds of compiling. Both are about
    the folders of the sources; ours is another one.
    """
    spec = find_spec(LARGE)
    kept = Path(spec.cached) if spec and spec.cached else None
    if kept is None or kept.exists() or "PYTHONPYCACHEPREFIX" in environ:
        return dict(environ)
    if "PYTHONDONTWRITEBYTECODE" not in environ and os.access(kept.parent.parent, os.W_OK):
        return dict(environ)
    others = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**others, "PYTHONPYCACHEPREFIX": str(folder)}
