"""What the migrations make is what the models declare, down to the texts of CHECKs, predicates and functions.

Alembic compares neither of those; two databases are compared by their catalogues instead (hard-won: a changed CHECK, a
changed predicate of a partial index and a changed trigger all escape autogenerate).
"""

import ast
import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import atrium.app  # noqa: F401  knows every table
from atrium.core.db import migrations
from atrium.core.db.engines import sqlalchemy_url
from atrium.core.db.entity import Row
from atrium.core.db.routines import routines

OURS = "n.nspname = ANY($1) AND c.relname <> 'schema_version' AND NOT c.relispartition"
CATALOGUE: dict[str, str] = {
    "columns": f"""
        SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text,
            a.attcollation::regcollation::text
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE {OURS} AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": f"""
        SELECT n.nspname, c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid), k.convalidated
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS}""",
    "indexes": f"""
        SELECT n.nspname, c.relname, i.relname, pg_get_indexdef(i.oid)
        FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}""",
    "triggers": f"""
        SELECT n.nspname, c.relname, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS} AND NOT t.tgisinternal""",
    "domains": """
        SELECT n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod), t.typnotnull, k.conname,
            pg_get_constraintdef(k.oid)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_constraint k ON k.contypid = t.oid
        WHERE n.nspname = ANY($1)""",
    "sequences": """
        SELECT schemaname, sequencename, data_type::text, start_value, min_value, max_value, increment_by, cycle
        FROM pg_sequences WHERE schemaname = ANY($1)""",
    "functions": """
        SELECT n.nspname, p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), l.lanname,
            p.provolatile::text, p.prosecdef, regexp_replace(p.prosrc, '\\s+', ' ', 'g')
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
        WHERE n.nspname = ANY($1)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "extensions": "SELECT extname FROM pg_extension WHERE $1::text[] IS NOT NULL",
}


async def catalogue(url: str) -> dict[str, set[tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        return {
            what: {tuple(row) for row in await connection.fetch(sql, list(migrations.SCHEMAS))}
            for what, sql in CATALOGUE.items()
        }
    finally:
        await connection.close()


async def create_all(url: str, extensions: set[tuple[Any, ...]]) -> None:
    engine = create_async_engine(sqlalchemy_url(url))
    async with engine.begin() as connection:
        for (extension,) in sorted(extensions):
            await connection.execute(text(f'CREATE EXTENSION IF NOT EXISTS "{extension}"'))
        for schema in migrations.SCHEMAS:
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        await connection.run_sync(Row.metadata.create_all)
        for routine in routines():
            await connection.exec_driver_sql(routine.sql)
    await engine.dispose()


@pytest.fixture(scope="module")
def both(new_database: Any) -> tuple[dict[str, set[tuple[Any, ...]]], dict[str, set[tuple[Any, ...]]]]:
    """(migrated, declared)."""
    migrated = asyncio.run(catalogue(new_database("migrated")))
    url = new_database("declared", template=None)
    asyncio.run(create_all(url, migrated["extensions"]))
    return migrated, asyncio.run(catalogue(url))


@pytest.mark.parametrize("what", CATALOGUE)
def test_a_migrated_database_is_what_the_models_declare(what: str, both: Any) -> None:
    migrated, declared = both

    assert migrated[what] - declared[what] == set()
    assert declared[what] - migrated[what] == set()
    assert migrated[what]


def _revisions() -> list[Any]:
    return list(ScriptDirectory.from_config(migrations.config("")).walk_revisions())


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(migrations.config("")).get_heads()) == 1


@pytest.mark.parametrize("revision", _revisions(), ids=lambda one: one.revision)
def test_every_revision_can_be_undone(revision: Any) -> None:
    tree = ast.parse(Path(revision.path).read_text(encoding="utf-8"))
    found = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}

    for name in ("upgrade", "downgrade"):
        done = [one for one in found[name].body if not isinstance(one, ast.Pass) and not _is_text(one)]
        assert done, f"{revision.path}: {name} does nothing"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
