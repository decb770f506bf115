"""The people and records of a practice, made new for each test."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select

from atrium.core.access import Principal
from atrium.core.identity.models import User
from atrium.core.identity.services import create_account, principal_for
from atrium.core.identity.services.roles import standing_of
from atrium.core.identity.services.sessions import Origin, begin_session
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, unit_of_work
from atrium.wealth.models.clients import Client
from atrium.wealth.models.insights import GrowthScan, Opportunity
from atrium.wealth.models.orders import Order
from atrium.wealth.models.organisation import Advisor, Branch, Team


@dataclass(frozen=True)
class Actor:
    """Somebody who is logged in."""

    user_id: UUID
    id: UUID
    """Of the advisor or client that the user is; else of the user."""
    headers: dict[str, str] = field(repr=False)

    async def caller(self, runtime: Runtime) -> Caller:
        return Caller(await self.principal(runtime))

    async def principal(self, runtime: Runtime) -> Principal:
        return await principal_for(runtime, self.user_id)


async def a_user(runtime: Runtime, *roles: str) -> UUID:
    email = f"user-{secrets.token_hex(8)}@example.com"
    async with unit_of_work(runtime) as work:
        return (await create_account(work, email=email, password=None, name="Dana Levi", roles=roles)).id


async def headers_for(runtime: Runtime, user_id: UUID) -> dict[str, str]:
    """A new session's bearer header."""
    async with unit_of_work(runtime) as work:
        user = await work.session.get_one(User, user_id)
        login = await begin_session(work, user, await standing_of(work, user_id), Origin())
        return {"Authorization": f"Bearer {login.access_token}"}


async def an_advisor(runtime: Runtime, *, team_id: UUID | None = None, **over: Any) -> Actor:
    user_id = await a_user(runtime, "wealth_advisor")
    async with unit_of_work(runtime) as work:
        values = {"advisor_code": f"A-{secrets.token_hex(6)}", "team_id": team_id, **over}
        advisor = Advisor(user_id=user_id, **values)
        work.session.add(advisor)
        await work.session.flush()
        advisor_id = advisor.id
    return Actor(user_id, advisor_id, await headers_for(runtime, user_id))


async def a_team(runtime: Runtime, *, share_book: bool = False) -> UUID:
    async with unit_of_work(runtime) as work:
        branch = Branch(code=secrets.token_hex(6), name="Haifa", country="IL")
        work.session.add(branch)
        await work.session.flush()
        team = Team(branch_id=branch.id, name="North", share_book=share_book)
        work.session.add(team)
        await work.session.flush()
        return team.id


async def an_officer(runtime: Runtime) -> Actor:
    user_id = await a_user(runtime, "compliance_officer")
    return Actor(user_id, user_id, await headers_for(runtime, user_id))


async def an_administrator(runtime: Runtime) -> Actor:
    user_id = await a_user(runtime, "admin")
    return Actor(user_id, user_id, await headers_for(runtime, user_id))


async def a_stranger(runtime: Runtime) -> Actor:
    """Somebody without any role in wealth."""
    user_id = await a_user(runtime)
    return Actor(user_id, user_id, await headers_for(runtime, user_id))


async def a_client(runtime: Runtime, advisor: Actor, **over: Any) -> UUID:
    return (await some_clients(runtime, advisor, 1, **over))[0]


async def some_clients(runtime: Runtime, advisor: Actor, count: int, **over: Any) -> Sequence[UUID]:
    """Clients about whom a growth scan has nothing to say unless a test gives it something."""
    values = {"first_name": "Nadia", "last_name": "Rosen", "kyc_status": "in_progress", **over}
    async with unit_of_work(runtime) as work:
        made = [Client(advisor_id=advisor.id, **values) for _ in range(count)]
        work.session.add_all(made)
        await work.session.flush()
        return [one.id for one in made]


async def a_portal_user(runtime: Runtime, advisor: Actor, **over: Any) -> Actor:
    """A client who logs in."""
    user_id = await a_user(runtime, "client")
    client_id = await a_client(runtime, advisor, user_id=user_id, **over)
    return Actor(user_id, client_id, await headers_for(runtime, user_id))


async def an_order(runtime: Runtime, advisor: Actor, client_id: UUID, **over: Any) -> UUID:
    """An order in any status, as no route makes it."""
    values = {"symbol": "AAPL", "quantity": 10, "placed_by": advisor.user_id, **over}
    async with unit_of_work(runtime) as work:
        order = Order(client_id=client_id, **values)
        work.session.add(order)
        await work.session.flush()
        return order.id


async def opportunities_of(runtime: Runtime, advisor: Actor) -> list[Opportunity]:
    async with unit_of_work(runtime) as work:
        found = select(Opportunity).where(Opportunity.advisor_id == advisor.id).order_by(Opportunity.created_at)
        return list(await work.session.scalars(found))


async def the_scan(runtime: Runtime, scan_id: str) -> GrowthScan:
    async with unit_of_work(runtime) as work:
        return await work.session.get_one(GrowthScan, UUID(scan_id))
