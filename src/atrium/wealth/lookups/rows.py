"""Rows that the caller may read, and the clients a question is about."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ClauseElement, ColumnElement, Select, and_, or_, select, true

from atrium.core.access import policy_of
from atrium.core.lookups import Asking, Citation, Found
from atrium.core.query.conditions import escape_like
from atrium.core.statements.compiled import compile_statement
from atrium.wealth import policies  # noqa: F401  declares which rows an answer may rest on
from atrium.wealth.models.clients import Client, search_text
from atrium.wealth.rules.clients import full_name

MOST_NAMED = 10
NAME = (Client.first_name, Client.last_name, Client.entity_name)
Row = dict[str, Any]


def visible(asking: Asking, model: Any) -> list[ColumnElement[bool]]:
    """The rows of a table that the caller may read."""
    policy = policy_of(model)
    rows = policy.rows(policy.kind(asking.principal))
    found = [] if rows is None else [rows]
    return [*found, model.deleted_at.is_(None)] if hasattr(model, "deleted_at") else found


async def fetch(asking: Asking, statement: ClauseElement) -> list[Row]:
    compiled = compile_statement(statement)
    found = await asking.runtime.database.pool.fetch(compiled.sql, *compiled.arguments({}, asking.principal))
    return [dict(row) for row in found]


def clients(asking: Asking, *columns: Any) -> Select[Any]:
    return select(Client.id, *NAME, *columns).where(*visible(asking, Client))


def details(asking: Asking) -> Select[Any]:
    return clients(
        asking,
        Client.client_number,
        Client.status,
        Client.service_tier,
        Client.email,
        Client.phone,
        Client.city,
        Client.risk_profile,
        Client.kyc_status,
        Client.kyc_review_due_on,
        Client.next_review_on,
        Client.last_contact_at,
    )


async def find_by_name(asking: Asking, name: str) -> list[Row]:
    """Clients whose name has all the words, or whose number it is."""
    words = and_(true(), *(search_text.ilike(f"%{escape_like(word)}%") for word in name.split()))
    named = or_(words, Client.client_number == name.strip().upper())
    return await fetch(asking, details(asking).where(named).order_by(Client.last_name, Client.id).limit(MOST_NAMED))


async def find_one(asking: Asking, name: str | None) -> Row | Found:
    """The client meant, by name or by the conversation; else the answer that asks back."""
    if name:
        rows = await find_by_name(asking, name)
        if len(rows) > 1:
            people = ", ".join(f"{name_of(row)} ({row['client_number']})" for row in rows)
            return Found(f"Which one do you mean: {people}?", rows, cite(rows))
        return rows[0] if rows else unknown(name)
    client_id = asking.context.get("client_id")
    if client_id is None:
        return Found("Say which client you mean.")
    rows = await fetch(asking, details(asking).where(Client.id == UUID(str(client_id))))
    return rows[0] if rows else Found("That client is not in your book.")


def unknown(name: str) -> Found:
    return Found(f"I can look up clients only, and none that you may see is called {name}.")


def name_of(row: Row) -> str:
    return full_name(row["first_name"], row["last_name"], row["entity_name"])


def cite(rows: Iterable[Row]) -> list[Citation]:
    return [Citation("wealth.clients", str(row["id"]), name_of(row)) for row in rows]
