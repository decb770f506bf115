"""Wealth, as the application sees it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select

from atrium.core.chat.subjects import ConversationSubject, subject_id
from atrium.core.modules import Module, Role
from atrium.wealth import jobs, resources
from atrium.wealth.controllers import GrowthScanController, OpportunityController, OrderController
from atrium.wealth.lookups import catalogue
from atrium.wealth.models.clients import Client
from atrium.wealth.models.conversations import ClientConversation
from atrium.wealth.models.organisation import Advisor
from atrium.wealth.policies import OVERSEE

READ_BY_STAFF = (
    "wealth.branches.read",
    "wealth.teams.read",
    "wealth.growth_scans.read",
    "wealth.opportunities.read",
    "wealth.book.ask",
)
READ_BY_ALL = (
    "wealth.advisors.read",
    "wealth.clients.read",
    "wealth.households.read",
    "wealth.relationships.read",
    "wealth.notes.read",
    "wealth.orders.read",
)
PERMISSIONS = {
    OVERSEE: "Read everything in wealth",
    "wealth.orders.cancel": "Cancel an order",
    "wealth.orders.submit": "Send an order to be traded",
    "wealth.growth_scans.create": "Scan a book",
    "wealth.book.ask": "Ask the assistant about the clients of a book",
}

ROLES = (
    Role(
        "wealth_advisor",
        "Wealth advisor",
        rank=20,
        grants=(
            *READ_BY_STAFF,
            *READ_BY_ALL,
            "wealth.advisors.update",
            "wealth.clients.create",
            "wealth.clients.update",
            "wealth.clients.delete",
            "wealth.households.write",
            "wealth.relationships.write",
            "wealth.notes.write",
            "wealth.orders.create",
            "wealth.orders.update",
            "wealth.orders.delete",
            "wealth.orders.cancel",
            "wealth.orders.submit",
            "wealth.growth_scans.create",
            "wealth.opportunities.update",
        ),
    ),
    Role("compliance_officer", "Compliance officer", rank=30, grants=(OVERSEE, *READ_BY_STAFF, *READ_BY_ALL)),
    Role(
        "client",
        "Client",
        rank=10,
        grants=(
            *READ_BY_ALL,
            "wealth.clients.update",
            "wealth.orders.create",
            "wealth.orders.update",
            "wealth.orders.cancel",
        ),
    ),
)

CLAIMS = """
    SELECT a.id AS advisor_id, t.id AS team_id, c.id AS client_id
    FROM (SELECT $1::uuid AS user_id) u
    LEFT JOIN wealth.advisors a ON a.user_id = u.user_id AND a.status = 'active'
    LEFT JOIN wealth.teams t ON t.id = a.team_id AND t.share_book
    LEFT JOIN wealth.clients c ON c.user_id = u.user_id AND c.deleted_at IS NULL
"""


async def claims(connection: "asyncpg.Connection[Any]", user_id: UUID) -> Mapping[str, UUID]:
    """Whose book a user works on, whose team's, and which client a portal user is."""
    row = await connection.fetchrow(CLAIMS, user_id)
    return {name: value for name, value in (row or {}).items() if value is not None}


CONVERSATIONS = ConversationSubject(
    module="wealth",
    link=ClientConversation,
    field="client_id",
    parent=Client,
    kinds=("client_advisor",),
    people=select(Client.user_id)
    .where(Client.id == subject_id())
    .union_all(select(Advisor.user_id).join(Client, Client.advisor_id == Advisor.id).where(Client.id == subject_id())),
)

module = Module(
    "wealth",
    "Wealth advisory",
    resources=resources.ALL,
    controllers=(OrderController, OpportunityController, GrowthScanController),
    jobs=(jobs.growth_scan,),
    roles=ROLES,
    permissions=PERMISSIONS,
    claims=claims,
    subjects=(CONVERSATIONS,),
    lookups=catalogue.ALL,
)
