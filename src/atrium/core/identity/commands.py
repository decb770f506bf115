"""`atrium users …`: accounts from the command line. The group runs its work through `ctx.obj["run"]`."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import click

from atrium.core.errors import AtriumError
from atrium.core.identity.services.accounts import create_user, get_account
from atrium.core.identity.services.roles import grant_role, list_holders
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work


@click.group("users")
def users() -> None:
    """Accounts and their roles."""


def _run(context: click.Context, work: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Run against the configured database; what can be expected to fail is a sentence, not a stack."""
    try:
        return context.obj["run"](work)
    except AtriumError as error:
        allowed = error.members.get("allowed")
        hint = f" One of: {', '.join(allowed)}." if allowed else ""
        raise click.ClickException(error.detail + hint) from None


@users.command("create")
@click.argument("email")
@click.option("--name", help="The person's name; the part before the @ if left out.")
@click.option("--username", help="A short name to log in with.")
@click.option("--role", "roles", multiple=True, help="A role code; may be given several times, the first is primary.")
@click.option("--password", help="Asked for if left out.")
@click.option("--generate", is_flag=True, help="Make a password and print it once.")
@click.pass_context
def create(
    context: click.Context,
    email: str,
    name: str | None,
    username: str | None,
    roles: tuple[str, ...],
    password: str | None,
    generate: bool,
) -> None:
    """Create a verified account, for example the first administrator: create you@example.com --role admin"""
    if generate:
        password = secrets.token_urlsafe(15)
    elif password is None:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    chosen = str(password)

    async def work(runtime: Runtime) -> None:
        await create_user(
            runtime,
            email=email,
            name=name or email.partition("@")[0],
            password=chosen,
            roles=roles,
            username=username,
        )

    _run(context, work)
    click.echo(f"{email} is ready" + (f" with the roles {', '.join(roles)}." if roles else "."))
    if generate:
        click.echo(f"Password: {chosen}")


@users.command("promote")
@click.argument("email")
@click.argument("role")
@click.pass_context
def promote(context: click.Context, email: str, role: str) -> None:
    """Give an account a further role; its tokens are renewed at the next request."""

    async def work(runtime: Runtime) -> None:
        async with unit_of_work(runtime, action="grant_role") as unit:
            await grant_role(unit, await get_account(unit, email), role)

    _run(context, work)
    click.echo(f"{email} holds the role {role}.")


@users.command("list")
@click.pass_context
def list_users(context: click.Context) -> None:
    """Every account with its roles."""
    for email, name, active, roles in _run(context, list_holders):
        click.echo(f"{email}\t{name}\t{'active' if active else 'inactive'}\t{', '.join(roles) or '-'}")
