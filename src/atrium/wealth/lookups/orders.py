"""Questions about orders."""

from typing import Any

from sqlalchemy import any_, func, select
from sqlalchemy.dialects.postgresql import array

from atrium.core.lookups import Asking, Citation, Found
from atrium.wealth.lookups.questions import PerhapsNamed
from atrium.wealth.lookups.rows import NAME, Row, fetch, find_one, name_of, visible
from atrium.wealth.lookups.sentences import SHOWN, by_status, count, exact, money, opening, some, words
from atrium.wealth.models.clients import Client
from atrium.wealth.models.orders import OPEN, Order


async def count_orders(asking: Asking, _asked: Any) -> Found:
    statement = (
        select(Order.status, func.count().label("count"))
        .where(*visible(asking, Order))
        .group_by(Order.status)
        .order_by(func.count().desc(), Order.status)
    )
    rows = await fetch(asking, statement)
    total = sum(row["count"] for row in rows)
    text = f"{opening(asking, total)} {count(total, 'order')}"
    return Found(text + (f": {by_status(rows)}." if rows else "."), rows)


async def list_open_orders(asking: Asking, asked: PerhapsNamed) -> Found:
    statement, whose = open_orders(asking), ""
    if asked.name or asking.context.get("client_id"):
        row = await find_one(asking, asked.name)
        if isinstance(row, Found):
            return row
        statement, whose = statement.where(Order.client_id == row["id"]), f" for {name_of(row)}"
    rows = await fetch(asking, statement)
    if not rows:
        return Found(f"There are no open orders{whose}.")
    parts = some((_describe(row) for row in rows), len(rows))
    cited = [Citation("wealth.orders", str(row["id"]), row["order_number"]) for row in rows[:SHOWN]]
    verb = "is" if len(rows) == 1 else "are"
    return Found(f"There {verb} {count(len(rows), 'open order')}{whose}: {parts}.", rows, cited)


def open_orders(asking: Asking) -> Any:
    """Open orders, with the names of clients that the caller may read."""
    return (
        select(
            Order.id,
            Order.order_number,
            Order.side,
            Order.symbol,
            Order.quantity,
            Order.notional,
            Order.currency,
            Order.status,
            *NAME,
        )
        .join(Client, Client.id == Order.client_id)
        .where(*visible(asking, Order), *visible(asking, Client), Order.status == any_(array(OPEN)))
        .order_by(Order.created_at.desc(), Order.id.desc())
    )


def _describe(row: Row) -> str:
    amount = exact(row["quantity"]) if row["quantity"] is not None else f"{money(row['notional'])} {row['currency']}"
    return f"{row['side']} {amount} {row['symbol']} for {name_of(row)} ({words(row['status'])})"
