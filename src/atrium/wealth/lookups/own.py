"""What clients ask about themselves."""

from typing import Any

from sqlalchemy import select

from atrium.core.identity.models import User
from atrium.core.lookups import Asking, Found
from atrium.wealth.lookups.clients import describe
from atrium.wealth.lookups.rows import Row, cite, details, fetch, visible
from atrium.wealth.models.clients import Client
from atrium.wealth.models.organisation import Advisor
from atrium.wealth.policies import SELF

NOT_A_CLIENT = Found("This is for clients about themselves. Ask about one of your clients by name.")


async def describe_me(asking: Asking, _asked: Any) -> Found:
    row = await _own(asking)
    return await describe(asking, row) if row else NOT_A_CLIENT


async def my_next_review(asking: Asking, _asked: Any) -> Found:
    row = await _own(asking)
    if row is None:
        return NOT_A_CLIENT
    day = row["next_review_on"]
    return Found(f"Your next review is planned for {day}." if day else "No review is planned yet.", [row], cite([row]))


async def my_risk_profile(asking: Asking, _asked: Any) -> Found:
    row = await _own(asking)
    if row is None:
        return NOT_A_CLIENT
    profile = row["risk_profile"]
    text = f"Your risk profile is {profile.replace('_', ' ')}." if profile else "No risk profile is on record for you."
    return Found(text, [row], cite([row]))


async def my_advisor(asking: Asking, _asked: Any) -> Found:
    if SELF not in asking.principal.claims:
        return NOT_A_CLIENT
    statement = (
        select(User.name, Advisor.title)
        .join(Advisor, Advisor.user_id == User.id)
        .join(Client, Client.advisor_id == Advisor.id)
        .where(*visible(asking, Advisor), *visible(asking, Client))
    )
    rows = await fetch(asking, statement)
    if not rows:
        return Found("No advisor is assigned to you yet.")
    title = f", {rows[0]['title']}" if rows[0]["title"] else ""
    return Found(f"Your advisor is {rows[0]['name']}{title}.", rows)


async def _own(asking: Asking) -> Row | None:
    if SELF not in asking.principal.claims:
        return None
    rows = await fetch(asking, details(asking).where(Client.id == asking.principal.claims[SELF]))
    return rows[0] if rows else None
