"""What PostgreSQL refused, as the error a caller can act on: constraint names lead to fields."""

import re
from collections.abc import Iterable
from typing import Any

import asyncpg
from sqlalchemy import CheckConstraint, Table
from sqlalchemy.exc import DBAPIError

from atrium.core.db.domains import domain_of
from atrium.core.errors import AtriumError, Conflict, DependencyDown, Duplicate, FieldError, Forbidden, Invalid
from atrium.core.statements.writes import OUT_OF_SCOPE

CONNECTION_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError, TimeoutError, OSError)
RETRYABLE = ("40001", "40P01")
ROW_ID = re.compile(r"(?<=^Failing row contains \()[0-9a-f-]{36}|^[0-9a-f-]{36}$")


def database_error(error: BaseException) -> asyncpg.PostgresError | None:
    """Asyncpg's own error, also out of SQLAlchemy's wrapping."""
    if isinstance(error, asyncpg.PostgresError):
        return error
    original = getattr(error, "orig", None) if isinstance(error, DBAPIError) else None
    return original.__cause__ if original and isinstance(original.__cause__, asyncpg.PostgresError) else None


def failing_row(error: BaseException) -> str:
    """The id of the row that a CHECK, NOT NULL or the policy refused, where PostgreSQL names it."""
    detail = str(getattr(database_error(error), "detail", None) or "")
    found = ROW_ID.search(detail)
    return found[0] if found else ""


def explain(error: BaseException, tables: Iterable[Table]) -> AtriumError | None:
    """The public error, or None when it is nobody's fault but ours."""
    found = database_error(error)
    if found is None:
        lost = isinstance(error, CONNECTION_LOST) or (isinstance(error, DBAPIError) and error.connection_invalidated)
        return DependencyDown("The database is not reachable at the moment. Try again shortly.") if lost else None
    state = str(found.sqlstate or "")
    if state == OUT_OF_SCOPE:
        return Forbidden("The record would leave what you may write.", code="OUT_OF_SCOPE")
    if state.startswith(("08", "57P", "53")):
        return DependencyDown("The database is not reachable at the moment. Try again shortly.")
    if state in RETRYABLE:
        return Conflict("Somebody changed the same records at the same moment. Try again.")
    if state == "57014":
        return DependencyDown("The query took too long and was stopped. Narrow it down.", code="QUERY_TIMEOUT")
    name = str(getattr(found, "constraint_name", None) or "")
    table = next((one for one in tables if one.name == getattr(found, "table_name", None)), None)
    if state.startswith("23"):
        return _constraint(state, name, table, found, tables)
    if state.startswith("22"):
        return Invalid("A value is too long, too large or not of the right form for its field.")
    return None


def _constraint(
    state: str, name: str, table: Table | None, error: asyncpg.PostgresError, tables: Iterable[Table]
) -> AtriumError:
    fields = _fields(name, table) or [str(getattr(error, "column_name", None) or "")]
    where = [field for field in fields if field]
    if state == "23505":
        errors = [FieldError(("body", field), "is already taken", "unique") for field in where]
        return Duplicate(f"{' and '.join(where) or 'This'} is already taken.", errors=errors)
    if state == "23502":
        return Invalid.at(where[0] if where else "body", "must not be null", "missing")
    if state in ("23503", "23001"):
        if "still referenced" in str(error) or state == "23001":
            return Conflict("Other records still refer to this one; it cannot be deleted.", code="STILL_REFERENCED")
        return Invalid.at(where[0] if where else "body", "not found", "not_found")
    if found := _broken_rule(error, tables):
        column, message = found
        return Invalid(f"{column}: {message}", errors=[FieldError(("body", column), message, "check")])
    if state == "23P01":
        return Conflict("It overlaps with another record.")
    message = _message(name, table)
    errors = [FieldError(("body", field), message, "check") for field in where]
    return Invalid(f"{', '.join(where) or 'The record'}: {message}", errors=errors)


def _broken_rule(error: asyncpg.PostgresError, tables: Iterable[Table]) -> tuple[str, str] | None:
    """The column whose domain refused a value, and its rule in words; such an error names no table and no column."""
    name = f"{getattr(error, 'schema_name', None)}.{getattr(error, 'data_type_name', None)}"
    for column in (column for table in tables for column in table.columns):
        domain = domain_of(column)
        if domain is not None and domain.fullname == name:
            broken = str(getattr(error, "constraint_name", None))
            return column.name, next(one.message for one in domain.rules if domain.constraint(one) == broken)
    return None


def _named(name: str, table: Table | None) -> Any:
    if table is None:
        return None
    both = [*table.constraints, *table.indexes]
    return next((one for one in both if str(getattr(one, "name", None) or "") == name), None)


def _fields(name: str, table: Table | None) -> list[str]:
    found = _named(name, table)
    if isinstance(found, CheckConstraint):
        if found.info.get("fields"):
            return list(found.info["fields"])
        words = set(re.findall(r"[a-z_0-9]+", str(found.sqltext)))
        return [column.name for column in table.columns if column.name in words] if table is not None else []
    return [column.name for column in found.columns] if found is not None else []


def _message(name: str, table: Table | None) -> str:
    found = _named(name, table)
    if found is not None and found.info.get("message"):
        return str(found.info["message"])
    rule = str(found.sqltext) if isinstance(found, CheckConstraint) else name
    return f"does not satisfy: {rule}"
