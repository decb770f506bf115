"""The SQL that writes the change log and its queue, generated per table from the column marks.

Naming the columns beats a generic trigger twice: private columns never enter the log, and an UPDATE costs about half.
INSERT logs a whole statement at once out of its transition table. `{field: [old, new]}`; scope columns stand in every
entry, so that a reader can tell whose record it was even after it moved.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import Column, Table

import atrium.core.changes.chain
import atrium.core.changes.erasure
import atrium.core.changes.partitions  # noqa: F401  whose tables and functions belong to the log
from atrium.core.changes.models import Change
from atrium.core.db.columns import Mark
from atrium.core.db.entity import Row
from atrium.core.db.routines import declare, generate

UNLOGGED = frozenset({"id", "created_at", "updated_at", "version"})
ARGUMENTS = 90  # a function call takes a hundred arguments

CONTEXT = "coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb"
DRAWN = "_sequence := nextval('core.changes_sequence'); _now := clock_timestamp();"
COLUMNS = (
    "id, sequence, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, "
    "from_status, to_status, reason, changes, version, request_id, ip, occurred_at"
)


def statements() -> Iterator[str]:
    """CREATE statements for every mapped table that logs or only appends."""
    for mapper in sorted(Row.registry.mappers, key=lambda one: str(one.local_table)):
        model, table = mapper.class_, mapper.local_table
        if model.audited:
            yield from _audit(table)  # type: ignore[arg-type]
        if model.appends_only:
            yield from _append_only(table, "'erasure'" if model is Change else "")  # type: ignore[arg-type]


def _append_only(table: Table, exception: str = "") -> Iterator[str]:
    """`exception` names the one thing that core.refuse_change lets pass."""
    yield (
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table.fullname} "
        f"FOR EACH ROW EXECUTE FUNCTION core.refuse_change({exception})"
    )
    yield f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table.fullname} EXECUTE FUNCTION core.refuse_change()"


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
    names = [one.name for one in columns]
    differing = _texts(f"CASE WHEN new.{one} IS DISTINCT FROM old.{one} THEN {_pair(one)} END" for one in names)
    kept = _texts([*(_pair(one.name) for one in columns if one.info.get("scope")), "_changes"])
    gone = _texts(_pair(one, new="NULL") for one in names)
    status = "CASE WHEN new.status IS DISTINCT FROM old.status THEN {}.status END"
    moved = (status.format("old"), status.format("new")) if "status" in table.columns else ("NULL", "NULL")
    drawn = ("_id", "_sequence", "_now")
    removed = _values(table, "old", "delete", "('{' || _changes || '}')::jsonb", ("NULL", "NULL"), drawn)
    changed = _values(table, "new", "update", f"('{{' || {kept} || '}}')::jsonb", moved, drawn)
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := {CONTEXT};
    _changes text;
    _sequence bigint;
    _id uuid;
    _now timestamptz;
BEGIN
    IF tg_op = 'DELETE' THEN
        _changes := {gone};
        {DRAWN}
        _id := core.change_id(_sequence, _now);
        INSERT INTO core.changes ({COLUMNS}) VALUES ({removed});
    ELSE
        _changes := {differing};
        IF _changes = '' THEN
            RETURN NULL;
        END IF;
        {DRAWN}
        _id := core.change_id(_sequence, _now);
        INSERT INTO core.changes ({COLUMNS}) VALUES ({changed});
    END IF;
    INSERT INTO core.change_queue (sequence, change_id, occurred_at) VALUES (_sequence, _id, _now);
    RETURN NULL;
END $$
"""


def _insert_function(table: Table, name: str) -> str:
    given = _texts(
        f"""'"{one}":[null,' || to_json(made.{one})::text || ']'""" for one in (column.name for column in logged(table))
    )
    status = ("NULL", "made.status" if "status" in table.columns else "NULL")
    drawn = ("core.change_id(_sequence, _now)", "_sequence", "_now")
    values = _values(table, "made", "create", f"('{{' || {given} || '}}')::jsonb", status, drawn)
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _context jsonb := {CONTEXT};
BEGIN
    WITH logged AS (
        INSERT INTO core.changes ({COLUMNS}) SELECT {values}
        FROM (SELECT made.*, nextval('core.changes_sequence') AS _sequence, clock_timestamp() AS _now FROM made) made
        RETURNING sequence, id, occurred_at
    )
    INSERT INTO core.change_queue (sequence, change_id, occurred_at) SELECT sequence, id, occurred_at FROM logged;
    RETURN NULL;
END $$
"""


def _pair(name: str, *, new: str = "") -> str:
    """The text of one member of the JSON object: what was and what is."""
    return f"""'"{name}":' || json_build_array(old.{name}, {new or "new." + name})::text"""


def _texts(members: Iterable[str]) -> str:
    """One text of any number of members, those that are NULL left out.

    Text is put together in a third of the time that jsonb takes to be built, merged and stripped of nulls; and
    stripping would reach into JSON columns.
    """
    parts = list(members)
    while len(parts) > ARGUMENTS:
        slices = (parts[start : start + ARGUMENTS] for start in range(0, len(parts), ARGUMENTS))
        parts = [f"nullif(concat_ws(',', {', '.join(one)}), '')" for one in slices]
    return f"concat_ws(',', {', '.join(parts) or 'NULL'})"


def _values(
    table: Table, row: str, action: str, changes: str, status: tuple[str, str], drawn: tuple[str, str, str]
) -> str:
    """What goes into COLUMNS; `status` is from and to, `drawn` are id, sequence and moment of the change."""
    client = f"{row}.client_id" if "client_id" in table.columns else f"{row}.id" if table.name == "clients" else "NULL"
    version = f"{row}.version" if "version" in table.columns else "NULL"
    row_id, sequence, moment = drawn
    return ", ".join(
        (
            row_id,
            sequence,
            "(_context->>'user')::uuid",
            "_context->>'role'",
            f"'{table.schema}'",
            f"coalesce(_context->>'action', '{action}')",
            f"'{table.schema}.{table.name}'",
            f"{row}.id",
            client,
            *status,
            "_context->>'reason'",
            changes,
            version,
            "_context->>'request'",
            "(_context->>'ip')::inet",
            moment,
        )
    )


declare(
    # A UUIDv7 that is unique by its sequence; true randomness would cost as much as an index of the log.
    """
CREATE OR REPLACE FUNCTION core.change_id(_sequence bigint, _now timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (
        lpad(to_hex((date_part('epoch', _now) * 1000)::bigint), 12, '0') || to_hex(28672 + (random() * 4095)::integer)
        || to_hex(32768 + (random() * 16383)::integer)
        || lpad(to_hex(_sequence & 281474976710655), 12, '0'))::uuid
$$
""",
)
generate(statements)
