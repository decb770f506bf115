"""What the person at the terminal reads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .options import Options

ADDRESSES = """\
Atrium    {url}
  docs    {url}/docs  and  {url}/redoc
  jobs    {url}/saq
  health  {url}/health
"""
ACCOUNTS = """\
Accounts
  admin@test.com          test123
  advisor@example.com     demo-password
  compliance@example.com  demo-password
  client@example.com      demo-password

"""
EXAMPLES = """\
Try it
  TOKEN=$(curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' \\
    -d '{{"email": "advisor@example.com", "password": "demo-password"}}' \\
    | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl -s "{url}/api/v1/clients?page=1&limit=20&risk_profile=aggressive" -H "Authorization: Bearer $TOKEN"
  curl -s -X POST {url}/api/v1/insights/growth-scan -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{}}'
"""
ENDING = """\
Logs        {logs}
Stop        Ctrl-C
Begin anew  atrium up --reset{port}
"""


def say(line: str = "") -> None:
    # The terminal may be gone (its window was closed): that must not keep us from stopping in order.
    with suppress(OSError, ValueError):
        print(line, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    say(f"  {title:<24} {time.monotonic() - begin:5.1f} s")


def detail(line: str) -> None:
    say(f"  {line}")


def page(options: Options, folder: Path, *, with_demo: bool) -> str:
    """What somebody who sees Atrium for the first time needs: where it is, how to try it, how to end it."""
    parts = [ADDRESSES, ACCOUNTS + EXAMPLES if with_demo else "", ENDING]
    port = "" if options.port == Options.port else f" --port {options.port}"
    return "\n".join(part for part in parts if part).format(
        url=options.base_url, logs=_shown(folder / "log"), port=port
    )


def _shown(path: Path) -> str:
    """Relative to where the reader is, where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
