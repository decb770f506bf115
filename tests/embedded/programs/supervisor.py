"""`atrium up` with small commands in place of the real ones."""

import json
import sys
from pathlib import Path

from atrium.up import Options, Program, up

PROGRAMS = Path(__file__).parent
arguments = json.loads(sys.argv[1])
notes = arguments["notes"]


def migrate(database_url: str) -> None:
    with Path(notes).open("a") as file:
        file.write(f"migrated {database_url}\n")


def api(options: Options) -> list[str]:
    return [sys.executable, "-S", str(PROGRAMS / "api.py"), str(options.port), notes]


def worker(options: Options) -> list[str]:
    return [sys.executable, "-S", str(PROGRAMS / "worker.py"), notes, arguments["worker"]]


program = Program(
    migrate=migrate,
    demo=[sys.executable, "-S", "-c", f"open({notes!r}, 'a').write('demo loaded\\n')"],
    children={"api": api, "worker": worker},
)
options = Options(port=arguments["port"], folder=Path(arguments["folder"]), reset=arguments["reset"])
sys.exit(up(options, program))
