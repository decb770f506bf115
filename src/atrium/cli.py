"""The command line: Litestar's with our application set, and what an operator needs besides.

`up` and `doctor` must work when the application cannot be built, so they are found before Litestar loads it.
"""

import asyncio
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import rich_click as click

from atrium.core.config import InvalidSettings

if TYPE_CHECKING:
    from atrium.core.runtime import Runtime

Result = TypeVar("Result")
ALONE = ("up", "doctor", "demo", "prepare", "users", "audit")


@click.command()
@click.option("--port", default=8000, show_default=True, help="Port of the API.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--workers", default=1, show_default=True, help="API processes.")
@click.option("--reload", is_flag=True, help="Restart the API when its sources change.")
@click.option("--no-demo", is_flag=True, help="Do not load the demo data.")
@click.option("--reset", is_flag=True, help="Delete the embedded data first.")
def up(port: int, host: str, workers: int, reload: bool, no_demo: bool, reset: bool) -> None:
    """Start everything: servers, migrations, demo data, API and worker."""
    from atrium.up import Options
    from atrium.up import up as run_up

    options = Options(port=port, host=host, workers=workers, reload=reload, demo=not no_demo, reset=reset)
    sys.exit(run_up(options))


@click.command()
def doctor() -> None:
    """Check settings, servers, versions, migrations, clock and disk, and say what to do."""
    from atrium.core.system.doctor import examine, render
    from atrium.environment import load_settings

    findings = asyncio.run(examine(load_settings()))
    click.echo(render(findings))
    sys.exit(1 if any(finding.level == "fail" for finding in findings) else 0)


@click.group()
def demo() -> None:
    """Demo accounts and data."""


@demo.command("load")
def demo_load() -> None:
    """Load what is missing of the demo data; never in production."""
    from atrium.environment import load_settings

    if load_settings().is_production:
        raise click.ClickException("The demo data has well-known passwords; it is never loaded in production.")
    run(_load_demo)


async def _load_demo(runtime: "Runtime") -> None:
    from atrium.core.services import unit_of_work

    for seed in _seeds():
        async with unit_of_work(runtime, action="demo") as work:
            click.echo(await seed.load(work))


@click.command(hidden=True)
@click.option("--demo", "wants_demo", is_flag=True, help="Load the demo data, too.")
def prepare(wants_demo: bool) -> None:
    """For `atrium up`: migrate and load demo data in the servers that a line of JSON on stdin names.

    One process for both, because loading the application takes longer than either; it does so before it reads.
    """
    import atrium.app  # noqa: F401  see above
    from atrium.core.db.migrations import upgrade
    from atrium.environment import load_settings
    from atrium.up.options import DEMO_FAILED

    if not (line := sys.stdin.readline()):
        return
    os.environ.update(json.loads(line))
    settings = load_settings()
    upgrade(settings.owner_url)
    if wants_demo and not settings.is_production:
        try:
            run(_load_demo)
        except Exception:  # noqa: BLE001  the application works without
            traceback.print_exc()
            sys.exit(DEMO_FAILED)


def _seeds() -> list[ModuleType]:
    """db/seeds/core.py first, then those of the modules."""
    from atrium.core.db.migrations import folder

    paths = sorted((folder() / "seeds").glob("*.py"), key=lambda path: (path.stem != "core", path.stem))
    return [_load(path) for path in paths if not path.stem.startswith("_")]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"atrium_seeds_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{path.name} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(act: Callable[["Runtime"], Awaitable[Result]]) -> Result:
    """Run a command's coroutine with a runtime like that of the API."""
    from atrium.app import MODULES
    from atrium.core.modules import open_runtime
    from atrium.environment import load_settings

    settings = load_settings()
    if not settings.database_url or not settings.redis_url:
        raise click.ClickException("No servers: set DATABASE_URL and REDIS_URL, or run `atrium up` in this folder.")

    async def inside() -> Result:
        async with open_runtime(settings, MODULES) as runtime:
            return await act(runtime)

    return asyncio.run(inside())


@click.command("grant")
@click.argument("role", required=False)
@click.option("--create", is_flag=True, help="Make the role first, or give it a password: DATABASE_URL's or a new one.")
def database_grant(role: str | None, create: bool) -> None:
    """Let ROLE do to rows what the application does, and nothing that only the owner of the tables should.

    ROLE is by default the one that DATABASE_URL names beside the owner of DATABASE_DIRECT_URL, else atrium_app.
    """
    from atrium.core.db.grants import CannotGrant, grant
    from atrium.environment import load_settings

    try:
        for line in asyncio.run(grant(load_settings(), role, create=create)):
            click.echo(line)
    except CannotGrant as error:
        raise click.ClickException(str(error)) from None


def _require_database() -> None:
    from atrium.environment import load_settings

    if not load_settings().owner_url:
        click.echo("No database: set DATABASE_URL, or run `atrium up` in this folder.", err=True)
        sys.exit(2)


def main() -> None:
    os.environ.setdefault("LITESTAR_APP", "atrium.asgi:app")
    try:
        _dispatch(sys.argv[1:])
    except InvalidSettings as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _dispatch(arguments: list[str]) -> None:
    alone = click.RichGroup(name="atrium", commands={"up": up, "doctor": doctor, "demo": demo, "prepare": prepare})
    if arguments[:1] == ["users"]:
        from atrium.core.identity.commands import users

        alone.add_command(users)
    if arguments[:1] == ["audit"]:
        from atrium.core.changes.commands import audit

        alone.add_command(audit)
    if arguments[:1] and arguments[0] in ALONE:
        alone(arguments, obj={"run": run}, prog_name="atrium")
        return
    if arguments[:1] == ["database"]:
        from advanced_alchemy.extensions.litestar.cli import database_group

        database_group.add_command(database_grant)
        if "--help" not in arguments:
            _require_database()
    from litestar.cli.main import litestar_group

    from atrium.core.changes.commands import audit
    from atrium.core.identity.commands import users

    for command in (up, doctor, demo, users, audit):
        litestar_group.add_command(command)  # type: ignore[arg-type]
    litestar_group(arguments, prog_name="atrium")


if __name__ == "__main__":
    main()
