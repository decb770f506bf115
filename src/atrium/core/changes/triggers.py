"""The SQL that writes the change log, generated per table from its column marks.

Naming the columns beats a generic trigger twice: private columns never enter the log, and an UPDATE costs about half.
INSERT logs a whole statement at once out of its transition table. `{field: [old, new]}`; scope columns stand in every
entry, so that a reader can tell whose record it was even after it moved.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Column, Table

from atrium.core.db.columns import Mark
from atrium.core.db.entity import Row
from atrium.core.db.routines import generate

UNLOGGED = frozenset({"id", "created_at", "updated_at", "version"})
PAIRS = 40  # jsonb_build_object takes a hundred arguments

CONTEXT = "coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb"
COLUMNS = (
    "id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, "
    "from_status, to_status, reason, changes, version, request_id, ip"
)


DIFFERENCE = """
    IF new.{name} IS DISTINCT FROM old.{name} THEN
        _diff := _diff || jsonb_build_object('{name}', jsonb_build_array(old.{name}, new.{name}));
    END IF;"""


def statements() -> Iterator[str]:
    """CREATE statements for every mapped table that logs or only appends."""
    for mapper in sorted(Row.registry.mappers, key=lambda one: str(one.local_table)):
        model, table = mapper.class_, mapper.local_table
        if model.audited:
            yield from _audit(table)  # type: ignore[arg-type]
        if model.appends_only:
            yield from _append_only(table)  # type: ignore[arg-type]


def _append_only(table: Table) -> Iterator[str]:
    for what, when in (("change", "BEFORE UPDATE OR DELETE"), ("truncate", "BEFORE TRUNCATE")):
        each = "FOR EACH ROW " if what == "change" else ""
        yield (f"CREATE TRIGGER refuse_{what} {when} ON {table.fullname} {each}EXECUTE FUNCTION core.refuse_change()")


def _audit(table: Table) -> Iterator[str]:
    name = f"core.log_{table.schema}_{table.name}"
    yield _change_function(table, f"{name}_change")
    yield _insert_function(table, f"{name}_insert")
    yield (
        f"CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON {table.fullname} "
        f"FOR EACH ROW EXECUTE FUNCTION {name}_change()"
    )
    yield (
        f"CREATE TRIGGER log_insert AFTER INSERT ON {table.fullname} REFERENCING NEW TABLE AS made "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}_insert()"
    )
    yield f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table.fullname} EXECUTE FUNCTION core.refuse_change()"


def logged(table: Table) -> list[Column[object]]:
    hidden = (Mark.PRIVATE,)
    return [one for one in table.columns if one.name not in UNLOGGED and one.info.get("mark") not in hidden]


def _change_function(table: Table, name: str) -> str:
    columns = logged(table)
    differing = "\n".join(DIFFERENCE.format(name=one.name) for one in columns)
    scope = [one.name for one in columns if one.info.get("scope")]
    kept = _object([f"'{one}', jsonb_build_array(old.{one}, new.{one})" for one in scope])
    gone = _object([f"'{one.name}', jsonb_build_array(old.{one.name}, NULL)" for one in columns])
    moved = "status" in table.columns
    status = "CASE WHEN new.status IS DISTINCT FROM old.status THEN {}.status END"
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := {CONTEXT};
    _diff jsonb := '{{}}';
BEGIN
    IF tg_op = 'DELETE' THEN
        INSERT INTO core.changes ({COLUMNS}) VALUES ({
        _values(table, "old", "delete", f"jsonb_strip_nulls({gone})", "NULL", "NULL")
    });
        RETURN NULL;
    END IF;
{differing}
    IF _diff = '{{}}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO core.changes ({COLUMNS}) VALUES ({
        _values(
            table,
            "new",
            "update",
            f"{kept} || _diff" if scope else "_diff",
            status.format("old") if moved else "NULL",
            status.format("new") if moved else "NULL",
        )
    });
    RETURN NULL;
END $$
"""


def _insert_function(table: Table, name: str) -> str:
    pairs = [
        f"'{one.name}', CASE WHEN made.{one.name} IS NOT NULL THEN jsonb_build_array(NULL, made.{one.name}) END"
        for one in logged(table)
    ]
    status = "made.status" if "status" in table.columns else "NULL"
    values = _values(table, "made", "create", f"jsonb_strip_nulls({_object(pairs)})", "NULL", status)
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := {CONTEXT};
BEGIN
    INSERT INTO core.changes ({COLUMNS}) SELECT {values} FROM made;
    RETURN NULL;
END $$
"""


def _values(table: Table, row: str, action: str, changes: str, origin: str, to: str) -> str:
    client = f"{row}.client_id" if "client_id" in table.columns else f"{row}.id" if table.name == "clients" else "NULL"
    version = f"{row}.version" if "version" in table.columns else "NULL"
    return ", ".join(
        (
            "core.uuid7()",
            "(_context->>'user')::uuid",
            "_context->>'role'",
            f"'{table.schema}'",
            f"coalesce(_context->>'action', '{action}')",
            f"'{table.schema}.{table.name}'",
            f"{row}.id",
            client,
            origin,
            to,
            "_context->>'reason'",
            changes,
            version,
            "_context->>'request'",
            "(_context->>'ip')::inet",
        )
    )


def _object(pairs: Sequence[str]) -> str:
    """One JSON object of any number of pairs."""
    if not pairs:
        return "'{}'::jsonb"
    parts = (pairs[start : start + PAIRS] for start in range(0, len(pairs), PAIRS))
    return " || ".join(f"jsonb_build_object({', '.join(part)})" for part in parts)


generate(statements)
