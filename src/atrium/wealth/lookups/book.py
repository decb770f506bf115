"""Questions about a whole book."""

from datetime import timedelta
from typing import Any

from sqlalchemy import any_, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import array

from atrium.core import clock
from atrium.core.lookups import Asking, Citation, Found
from atrium.wealth.lookups.questions import Top, WhichClients, Within
from atrium.wealth.lookups.rows import cite, clients, fetch, name_of, visible
from atrium.wealth.lookups.sentences import SHOWN, by_status, code_of, count, days_since, money, opening, some, words
from atrium.wealth.models.clients import SERVICE_TIERS, Client
from atrium.wealth.models.insights import ACTIVE, Opportunity
from atrium.wealth.rules.growth import SLA_DAYS, next_birthday


async def count_clients(asking: Asking, asked: WhichClients) -> Found:
    status, profile = code_of(asked.status), code_of(asked.risk_profile)
    statement = select(Client.status, func.count().label("count")).where(*visible(asking, Client))
    if status:
        statement = statement.where(Client.status == status)
    if profile:
        statement = statement.where(Client.risk_profile == profile)
    rows = await fetch(asking, statement.group_by(Client.status).order_by(func.count().desc(), Client.status))
    total = sum(row["count"] for row in rows)
    kind = " ".join(words(word) for word in (status, profile) if word)
    text = f"{opening(asking, total)} {count(total, f'{kind} client'.strip())}."
    if len(rows) > 1:
        text = f"{text[:-1]}: {by_status(rows)}."
    return Found(text, rows)


async def count_by_risk(asking: Asking, _asked: Any) -> Found:
    statement = (
        select(Client.risk_profile, func.count().label("count"))
        .where(*visible(asking, Client))
        .group_by(Client.risk_profile)
        .order_by(func.count().desc(), Client.risk_profile)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("You have no clients.")
    parts = ", ".join(f"{row['count']} {words(row['risk_profile'] or 'without a profile')}" for row in rows)
    return Found(f"Your clients by risk profile: {parts}.", rows)


async def list_due_reviews(asking: Asking, asked: Within) -> Found:
    until = clock.today() + timedelta(days=asked.days)
    statement = (
        clients(asking, Client.next_review_on)
        .where(Client.next_review_on <= until, Client.status != "closed")
        .order_by(Client.next_review_on, Client.id)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found(f"No review is overdue or due within {asked.days} days.")
    overdue = sum(row["next_review_on"] < clock.today() for row in rows)
    people = some((f"{name_of(row)} ({row['next_review_on']})" for row in rows), len(rows))
    text = f"{count(len(rows), 'review')} due within {asked.days} days, {overdue} of them overdue: {people}."
    return Found(text, rows, cite(rows[:SHOWN]))


async def list_lapsed_contacts(asking: Asking, _asked: Any) -> Found:
    """Clients whose last contact is longer ago than their service tier promises."""
    allowed = case(SLA_DAYS, value=Client.service_tier)
    latest = func.now() - allowed * literal_column("interval '1 day'")
    statement = (
        clients(asking, Client.last_contact_at, Client.service_tier)
        .where(Client.last_contact_at < latest, Client.status != "closed")
        .order_by(Client.last_contact_at, Client.id)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found(f"Every client was contacted within the days of the service tier ({_tiers()}).")
    people = some((f"{name_of(row)} ({days_since(row['last_contact_at'])} days)" for row in rows), len(rows))
    text = f"{count(len(rows), 'client')} without a contact for longer than the service tier promises: {people}."
    return Found(text, rows, cite(rows[:SHOWN]))


async def list_birthdays(asking: Asking, asked: Within) -> Found:
    statement = clients(asking, Client.date_of_birth).where(
        Client.date_of_birth.is_not(None), Client.status != "closed"
    )
    today = clock.today()
    ahead = [(next_birthday(row["date_of_birth"], today), row) for row in await fetch(asking, statement)]
    soon = sorted(
        ((day, row) for day, row in ahead if (day - today).days <= asked.days),
        key=lambda pair: (pair[0], str(pair[1]["id"])),
    )
    if not soon:
        return Found(f"No client has a birthday within {asked.days} days.")
    people = some(
        (f"{name_of(row)} turns {day.year - row['date_of_birth'].year} on {day}" for day, row in soon),
        len(soon),
    )
    rows = [row for _day, row in soon]
    text = f"{count(len(soon), 'birthday')} within {asked.days} days: {people}."
    return Found(text, rows, cite(rows[:SHOWN]))


async def list_opportunities(asking: Asking, asked: Top) -> Found:
    active = [*visible(asking, Opportunity), Opportunity.status == any_(array(ACTIVE))]
    statement = (
        select(Opportunity.id, Opportunity.title, Opportunity.score, Opportunity.category, Opportunity.due_on)
        .where(*active)
        .order_by(Opportunity.score.desc(), Opportunity.id)
        .limit(asked.count)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("There are no open opportunities. A growth scan looks for new ones.")
    total = (await fetch(asking, select(func.count().label("count")).select_from(Opportunity).where(*active)))[0][
        "count"
    ]
    parts = "; ".join(f"{row['title']} (score {row['score']})" for row in rows)
    cited = [Citation("wealth.opportunities", str(row["id"]), row["title"]) for row in rows]
    return Found(f"The top {len(rows)} of {count(total, 'open opportunity')}: {parts}.", rows, cited)


async def list_clients(asking: Asking, _asked: Any) -> Found:
    rows = await fetch(asking, clients(asking, Client.client_number).order_by(Client.last_name, Client.id))
    if not rows:
        return Found(f"{opening(asking, 0)} no clients.")
    people = some((f"{name_of(row)} ({row['client_number']})" for row in rows), len(rows))
    return Found(f"{opening(asking, len(rows))} {count(len(rows), 'client')}: {people}.", rows, cite(rows[:SHOWN]))


async def list_wealthiest(asking: Asking, asked: Top) -> Found:
    statement = (
        clients(asking, Client.net_worth, Client.currency)
        .where(Client.net_worth.is_not(None), Client.status != "closed")
        .order_by(Client.net_worth.desc(), Client.id)
        .limit(asked.count)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("No net worth is on record.")
    people = ", ".join(f"{name_of(row)} ({money(row['net_worth'])} {row['currency']})" for row in rows)
    return Found(f"The highest stated net worth: {people}.", rows, cite(rows))


async def sum_assets(asking: Asking, asked: Any) -> Found:
    """The nearest figure there is, and that it is not the one asked for."""
    found = await sum_net_worth(asking, asked)
    return Found(f"Assets under management are not on record here. {found.text}", found.rows)


async def sum_net_worth(asking: Asking, _asked: Any) -> Found:
    statement = (
        select(
            Client.currency,
            func.sum(Client.net_worth).label("total"),
            func.count(Client.net_worth).label("count"),
        )
        .where(*visible(asking, Client), Client.net_worth.is_not(None))
        .group_by(Client.currency)
        .order_by(Client.currency)
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("No net worth is on record.")
    parts = ", ".join(f"{money(row['total'])} {row['currency']} ({count(row['count'], 'client')})" for row in rows)
    return Found(f"Stated net worth of your clients: {parts}.", rows)


def _tiers() -> str:
    return ", ".join(f"{tier} {SLA_DAYS[tier]}" for tier in SERVICE_TIERS)
