"""What `atrium up` was asked for, and the commands it runs."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .schema import identify

DEMO_FAILED = 3  # how `prepare` ends when the migrations went well and the demo data did not
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  compared with, not bound to
SOURCE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Options:
    port: int = 8000
    host: str = "127.0.0.1"
    workers: int = 1
    reload: bool = False
    demo: bool = True
    reset: bool = False
    folder: Path = Path(".atrium")

    @property
    def base_url(self) -> str:
        host = WILDCARDS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def _api(options: Options) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "atrium.asgi:app",
        "--host",
        options.host,
        "--port",
        str(options.port),
    ]
    command += ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log"]
    command += ["--ws-per-message-deflate", "false"]  # it costs more time and memory per socket than all else
    command += ["--log-level", "warning", "--timeout-graceful-shutdown", "10"]
    if options.reload:
        return [*command, "--reload", "--reload-dir", str(SOURCE)]
    return [*command, "--workers", str(options.workers)] if options.workers > 1 else command


def _worker(options: Options) -> list[str]:  # noqa: ARG001  the same signature as the other children
    return [sys.executable, "-m", "atrium.cli", "workers", "run"]


@dataclass(frozen=True)
class Program:
    """What is run; tests put small commands in its place."""

    identify: Callable[[str], str | None] = identify
    prepare: Sequence[str] = (sys.executable, "-m", "atrium.cli", "prepare")
    children: Mapping[str, Callable[[Options], Sequence[str]]] = field(
        default_factory=lambda: {"api": _api, "worker": _worker}
    )
    health: str = "/health/ready"
