"""Migrations on a database of their own: up from nothing, nothing left to generate, down to nothing, up again.

Run it as `python -m tests.migrations_check`.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

import asyncpg
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from atrium import embedded
from atrium.core.db import migrations

LEFT = """
SELECT n.nspname || '.' || c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
UNION ALL
SELECT n.nspname || '.' || t.typname
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY($1) AND t.typtype = 'd'
UNION ALL
SELECT n.nspname || '.' || p.proname || '()'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY($1) AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1
"""


def check(url: str) -> None:
    """Raises SystemExit with a sentence when the migrations and the models do not belong together."""
    heads = ScriptDirectory.from_config(migrations.config(url)).get_heads()
    if len(heads) != 1:
        raise SystemExit(f"The migrations have {len(heads)} heads: {', '.join(heads) or 'none'}.")
    migrations.upgrade(url)
    try:
        command.check(migrations.config(url))
    except CommandError as error:
        raise SystemExit(f"The models differ from what the migrations make: {str(error)[:2000]}") from None
    migrations.downgrade(url)
    if left := asyncio.run(find_left(url)):
        raise SystemExit(f"The downgrade leaves {', '.join(left)}.")
    migrations.upgrade(url)
    if (current := migrations.current(url)) != heads[0]:
        raise SystemExit(f"The second upgrade ends at {current or 'nothing'} instead of {heads[0]}.")


async def find_left(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["name"] for row in await connection.fetch(LEFT, list(migrations.SCHEMAS))]
    finally:
        await connection.close()


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrium-migrations-")))
        stack.callback(embedded.erase, folder)  # root's data may be kept outside of it
        servers = stack.enter_context(embedded.start(folder, valkey=False))
        check(servers.urls.database_url or "")
    print("up, check, down and up again: well")


if __name__ == "__main__":
    main()
