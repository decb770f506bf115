"""`atrium up` with small commands in place of the real ones."""

import json
import sys
from pathlib import Path

from atrium.up import Options, Program, up

PROGRAMS = Path(__file__).parent
arguments = json.loads(sys.argv[1])
notes = arguments["notes"]


def identify(database_url: str) -> str | None:
    return database_url if f"migrated {database_url}" in read() else None


def read() -> str:
    return Path(notes).read_text() if Path(notes).exists() else ""


def api(options: Options) -> list[str]:
    return [sys.executable, "-S", str(PROGRAMS / "api.py"), str(options.port), notes]


def worker(options: Options) -> list[str]:
    return [sys.executable, "-S", str(PROGRAMS / "worker.py"), notes, arguments["worker"]]


program = Program(
    identify=identify,
    prepare=[sys.executable, "-S", str(PROGRAMS / "prepare.py"), notes],
    children={"api": api, "worker": worker},
)
options = Options(port=arguments["port"], folder=Path(arguments["folder"]), reset=arguments["reset"])
sys.exit(up(options, program))
