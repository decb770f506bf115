"""Questions about know-your-customer reviews."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from atrium.core import clock
from atrium.core.lookups import Asking, Found
from atrium.wealth.lookups.questions import Within
from atrium.wealth.lookups.rows import cite, clients, fetch, name_of, visible
from atrium.wealth.lookups.sentences import SHOWN, count, some, words
from atrium.wealth.models.clients import Client


async def count_by_kyc(asking: Asking, _asked: Any) -> Found:
    statement = (
        select(Client.kyc_status, func.count().label("count"))
        .where(*visible(asking, Client), Client.status != "closed")
        .group_by(Client.kyc_status)
        .order_by(func.count().desc(), Client.kyc_status)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("There are no clients.")
    parts = ", ".join(f"{row['count']} {words(row['kyc_status'])}" for row in rows)
    return Found(f"Clients by KYC status: {parts}.", rows)


async def list_open_kyc(asking: Asking, _asked: Any) -> Found:
    """Clients whose KYC is not approved."""
    statement = (
        clients(asking, Client.kyc_status)
        .where(Client.kyc_status != "approved", Client.status != "closed")
        .order_by(Client.kyc_status, Client.last_name, Client.id)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("The KYC of every client is approved.")
    people = some((f"{name_of(row)} ({words(row['kyc_status'])})" for row in rows), len(rows))
    return Found(f"{count(len(rows), 'client')} without an approved KYC: {people}.", rows, cite(rows[:SHOWN]))


async def list_kyc_reviews(asking: Asking, asked: Within) -> Found:
    until = clock.today() + timedelta(days=asked.days)
    statement = (
        clients(asking, Client.kyc_review_due_on)
        .where(Client.kyc_review_due_on <= until, Client.status != "closed")
        .order_by(Client.kyc_review_due_on, Client.id)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found(f"No KYC review is overdue or due within {asked.days} days.")
    overdue = sum(row["kyc_review_due_on"] < clock.today() for row in rows)
    people = some((f"{name_of(row)} ({row['kyc_review_due_on']})" for row in rows), len(rows))
    text = f"{count(len(rows), 'KYC review')} due within {asked.days} days, {overdue} of them overdue: {people}."
    return Found(text, rows, cite(rows[:SHOWN]))
