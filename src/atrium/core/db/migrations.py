"""Alembic, told what it does not see by itself: which schemas are ours, domains, functions and triggers.

Declared routines (core.db.routines) are compared with the database like columns, so `make-migrations` writes them and
`check` finds a changed one.
"""

import asyncio
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import comparators, render, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import DispatchPriority
from sqlalchemy import Column, Connection, text
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.ext.asyncio import create_async_engine

from atrium.core.db.domains import domain_of, domains
from atrium.core.db.engines import SESSIONLESS, sqlalchemy_url
from atrium.core.db.routines import Routine, routines

SCHEMAS = ("core", "wealth")
VERSION_TABLE = "schema_version"
PARTITION = re.compile(r"changes_(\d{4}_\d{2}|default)")
"""Partitions come and go by themselves (core.changes.partitions); no migration knows them."""


def folder() -> Path:
    """Where the migrations are: beside the sources, or inside an installed wheel."""
    installed = Path(str(files("atrium"))) / "_db"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[4] / "db"


def config(url: str) -> Config:
    found = Config()
    found.set_main_option("script_location", str(folder() / "migrations").replace("%", "%%"))
    found.attributes["url"] = url
    return found


def upgrade(url: str, revision: str = "head") -> None:
    command.upgrade(config(url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    command.downgrade(config(url), revision)


def head() -> str:
    return ScriptDirectory.from_config(config("")).get_current_head() or ""


def current(url: str) -> str:
    """The revision of a database, empty when it has none."""
    return asyncio.run(_current(url))


async def _current(url: str) -> str:
    engine = create_async_engine(sqlalchemy_url(url), connect_args=SESSIONLESS)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda sync: (
                    MigrationContext.configure(sync, opts={"version_table": VERSION_TABLE}).get_current_revision() or ""
                )
            )
    finally:
        await engine.dispose()


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Ours are our schemas without partitions; whatever else lives in the database is left alone."""
    if kind == "table" and PARTITION.fullmatch(name or ""):
        return False
    return name in SCHEMAS if kind == "schema" else True


@Operations.register_operation("create_routine")
class CreateRoutine(MigrateOperation):
    def __init__(self, sql: str, drop: str) -> None:
        self.sql, self.drop = sql, drop

    @classmethod
    def create_routine(cls, operations: Operations, sql: str, drop: str) -> None:
        operations.invoke(cls(sql, drop))

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("create_routine", self.sql)

    def reverse(self) -> "DropRoutine":
        return DropRoutine(self.sql, self.drop)


@Operations.register_operation("drop_routine")
class DropRoutine(MigrateOperation):
    def __init__(self, sql: str, drop: str) -> None:
        self.sql, self.drop = sql, drop

    @classmethod
    def drop_routine(cls, operations: Operations, sql: str, drop: str) -> None:
        operations.invoke(cls(sql, drop))

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("drop_routine", self.drop)

    def reverse(self) -> CreateRoutine:
        return CreateRoutine(self.sql, self.drop)


@renderers.dispatch_for(CreateRoutine)
def _render_create(_context: AutogenContext, operation: CreateRoutine) -> str:
    return f'op.execute(\n    r"""\n{operation.sql}\n    """\n)'


@renderers.dispatch_for(DropRoutine)
def _render_drop(_context: AutogenContext, operation: DropRoutine) -> str:
    return f'op.execute("{operation.drop}")'


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare_routines(context: AutogenContext, upgrade_ops: UpgradeOps, _schemas: Any) -> None:
    connection = context.connection
    if connection is None:
        return
    functions = {
        (row.schema, row.name): _plain(row.body)
        for row in connection.execute(text(FUNCTIONS), {"schemas": list(SCHEMAS)})
    }
    triggers = {
        (row.schema, row.table_name, row.name) for row in connection.execute(text(TRIGGERS), {"schemas": list(SCHEMAS)})
    }
    _compare_domains(connection, upgrade_ops, context.metadata)
    declared = routines()
    for routine in declared:
        if routine.table:
            missing = (routine.schema, routine.table, routine.name) not in triggers
        else:
            missing = functions.get((routine.schema, routine.name)) != _plain(routine.body)
        if missing:
            upgrade_ops.ops.append(CreateRoutine(routine.sql, routine.drop))
    _drop_superfluous(upgrade_ops, declared, functions, triggers)


def _compare_domains(connection: Connection, upgrade_ops: UpgradeOps, metadata: Any) -> None:
    """By name, as CHECKs are: what a domain of that name asks is compared by the tests, against the whole catalogue."""
    wanted = {one.fullname: one for one in domains(metadata.tables.values())}
    there = {row.name for row in connection.execute(text(DOMAINS), {"schemas": list(SCHEMAS)})}
    made = (wanted[name] for name in sorted(wanted.keys() - there))
    upgrade_ops.ops[:0] = [CreateRoutine(one.sql, one.drop) for one in made]
    upgrade_ops.ops += [DropRoutine("", f"DROP DOMAIN {name}") for name in sorted(there - wanted.keys())]


def compare_type(_context: Any, _inspected_column: Any, column: Column[Any], inspected: Any, _type: Any) -> bool | None:
    """Whether the type differs, as far as domains are concerned; otherwise Alembic compares."""
    domain = domain_of(column)
    if not isinstance(inspected, DOMAIN):
        return True if domain else None
    return domain is None or f"{inspected.schema}.{inspected.name}" != domain.fullname


def render_item(kind: str, item: Any, context: AutogenContext) -> Any:
    """A column of a domain names it, and not its base type; nothing else is rendered otherwise."""
    if kind != "column" or (domain := domain_of(item)) is None:
        return False
    column = item._copy()  # noqa: SLF001  the public ways to copy a column are gone
    column.info = {}
    column.type = DOMAIN(domain.name, domain.base, schema=domain.schema, create_type=False)
    context.imports.add("from sqlalchemy.dialects import postgresql")
    return render._render_column(column, context)  # noqa: SLF001  Alembic's own way to write a column


def _plain(body: str) -> str:
    """A function's source, however a migration indents it."""
    return " ".join(body.split())


def _drop_superfluous(
    upgrade_ops: UpgradeOps,
    declared: list[Routine],
    functions: dict[tuple[str, str], str],
    triggers: set[tuple[str, str, str]],
) -> None:
    wanted = {(one.schema, one.table, one.name) for one in declared}
    for schema, table, name in sorted(triggers - wanted):
        upgrade_ops.ops.append(DropRoutine("", f"DROP TRIGGER IF EXISTS {name} ON {schema}.{table}"))
    for schema, name in sorted(set(functions) - {(schema, name) for schema, _table, name in wanted}):
        upgrade_ops.ops.append(DropRoutine("", f"DROP FUNCTION IF EXISTS {schema}.{name}"))


DOMAINS = """
    SELECT n.nspname || '.' || t.typname AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype = 'd' AND n.nspname = ANY(:schemas)
"""
FUNCTIONS = """
    SELECT n.nspname AS schema, p.proname AS name, p.prosrc AS body
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY(:schemas)
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
TRIGGERS = """
    SELECT n.nspname AS schema, c.relname AS table_name, t.tgname AS name
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(:schemas) AND NOT t.tgisinternal AND NOT c.relispartition
"""
