"""Hand-written and generated SQL: functions and triggers, declared beside what they belong to.

`declare` takes CREATE statements; migrations compare the declared ones with the database (core.db.migrations), so
that a
changed trigger is found like a changed column.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION\s+(\w+)\.(\w+)\s*\(([^)]*)\)", re.IGNORECASE)
TRIGGER = re.compile(r"CREATE (?:CONSTRAINT )?TRIGGER\s+(\w+)\s.*?\sON\s+(\w+)\.(\w+)", re.IGNORECASE | re.DOTALL)
DEFERRED = re.compile(r"CREATE CONSTRAINT TRIGGER.*\bDEFERRABLE\b", re.IGNORECASE | re.DOTALL)
BODY = re.compile(r"\$\$(.*)\$\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Routine:
    """A function (`table` empty) or a trigger on a table."""

    schema: str
    name: str
    table: str
    sql: str
    drop: str

    @classmethod
    def read(cls, sql: str) -> Self:
        sql = sql.strip()
        if found := FUNCTION.match(sql):
            schema, name, arguments = found.groups()
            arguments = " ".join(arguments.split())
            return cls(schema, name, "", sql, f"DROP FUNCTION IF EXISTS {schema}.{name}({arguments})")
        if found := TRIGGER.match(sql):
            name, schema, table = found.groups()
            return cls(schema, name, table, sql, f"DROP TRIGGER IF EXISTS {name} ON {schema}.{table}")
        raise ValueError(f"neither CREATE OR REPLACE FUNCTION schema.name(…) nor CREATE TRIGGER … ON: {sql[:80]}")

    @property
    def body(self) -> str:
        """The source of a function as pg_proc.prosrc has it; triggers are compared by name."""
        found = BODY.search(self.sql)
        return found[1] if found else ""


_DECLARED: list[Routine] = []
_GENERATORS: list[Callable[[], Iterable[str]]] = []


def declare(*statements: str) -> None:
    _DECLARED.extend(Routine.read(sql) for sql in statements)


def generate(statements: Callable[[], Iterable[str]]) -> None:
    """SQL that can only be written once all models are known."""
    _GENERATORS.append(statements)


def routines() -> list[Routine]:
    """All of them, functions before the triggers that call them."""
    made = [Routine.read(sql) for statements in _GENERATORS for sql in statements()]
    return sorted([*_DECLARED, *made], key=lambda one: bool(one.table))


def deferred_tables() -> set[str]:
    """Tables with a trigger that may run at the end of a transaction."""
    late = (one for one in _DECLARED if one.table and DEFERRED.search(one.sql))
    return {f"{one.schema}.{one.table}" for one in late}


declare(
    """
CREATE OR REPLACE FUNCTION core.refuse() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the row would leave what its writer may write' USING ERRCODE = 'ATR01';
END $$
""",
    """
CREATE OR REPLACE FUNCTION core.refuse_row(_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the row would leave what its writer may write' USING ERRCODE = 'ATR01', DETAIL = _id;
END $$
""",
    """
CREATE OR REPLACE FUNCTION core.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'UPDATE' AND tg_argv[0] = 'erasure' THEN
        IF core.only_erases(to_jsonb(old), to_jsonb(new)) THEN
            RETURN new;
        END IF;
    ELSIF tg_op = 'DELETE' AND tg_argv[0] = 'retention' THEN
        IF EXISTS (SELECT FROM core.change_anchors WHERE cut_position >= old.position) THEN
            RETURN old;
        END IF;
    END IF;
    RAISE EXCEPTION '% only takes new rows', tg_table_name USING ERRCODE = 'ATR02';
END $$
""",
    """
CREATE OR REPLACE FUNCTION core.uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid()) PLACING
                substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$
""",
)
