"""What clients of the API can do with each table by themselves."""

from typing import Any, Literal

from sqlalchemy import any_, not_, or_, select
from sqlalchemy.dialects.postgresql import array

import atrium.core.identity.policies  # noqa: F401  whom a key to a user may name
from atrium.core.resources.relations import many, one
from atrium.core.resources.resource import Resource
from atrium.wealth import policies  # noqa: F401  declares who may see and change the rows
from atrium.wealth.models.clients import Client, ClientRelationship, Household, Note, search_text
from atrium.wealth.models.insights import GrowthScan, Opportunity
from atrium.wealth.models.orders import OPEN, ORDER_TYPES, SIDES, Order
from atrium.wealth.models.organisation import Advisor, Branch, Team
from atrium.wealth.rules import clients as client_rules
from atrium.wealth.rules import notes as note_rules
from atrium.wealth.rules import orders as order_rules

Conditions = tuple[tuple[str, str, Any], ...]
TRUE = ("true", "1", "yes")


def is_open(text: str) -> Conditions:
    """`open=true`: orders that may still trade."""
    return (("status", "in" if text.lower() in TRUE else "nin", list(OPEN)),)


def has_portal_user(text: str) -> Conditions:
    return (("user_id", "notnull" if text.lower() in TRUE else "isnull", None),)


HAS_NO_OPEN_ORDERS = not_(
    select(Order.id).where(Order.client_id == Client.id, Order.status == any_(array(OPEN))).exists()
)

clients = Resource(
    Client,
    path="/api/v1/clients",
    tag="wealth-clients",
    read="wealth.clients.read",
    create="wealth.clients.create",
    update="wealth.clients.update",
    delete="wealth.clients.delete",
    relations={
        "advisor": one("advisor_id"),
        "household": one("household_id"),
        "orders": many("wealth.orders.client_id"),
        "notes": many("wealth.notes.client_id"),
        "opportunities": many("wealth.opportunities.client_id"),
        "relationships": many("wealth.client_relationships.client_id"),
    },
    filters=(
        "advisor_id",
        "household_id",
        "client_number",
        "type",
        "status",
        "segment",
        "service_tier",
        "first_name",
        "last_name",
        "entity_name",
        "email",
        "phone",
        "city",
        "country_of_residence",
        "date_of_birth",
        "risk_profile",
        "kyc_status",
        "kyc_risk_rating",
        "kyc_review_due_on",
        "net_worth",
        "next_review_on",
        "last_contact_at",
        "do_not_contact",
        "source",
        "created_at",
        "updated_at",
    ),
    sorts=(
        "last_name",
        "first_name",
        "entity_name",
        "client_number",
        "status",
        "net_worth",
        "created_at",
        "updated_at",
        "last_contact_at",
        "next_review_on",
        "kyc_review_due_on",
    ),
    search=search_text,
    presets={"has_portal_user": has_portal_user},
    on_create=client_rules.update,
    on_update=client_rules.update,
    delete_if=(HAS_NO_OPEN_ORDERS, client_rules.has_open_orders),
    upsert=("client_number",),
    restores="wealth.clients.restore",
    example={
        "first_name": "Nadia",
        "last_name": "Rosen",
        "email": "nadia@example.com",
        "risk_profile": "moderate",
    },
)

households = Resource(
    Household,
    path="/api/v1/households",
    tag="wealth-clients",
    read="wealth.households.read",
    write="wealth.households.write",
    relations={"advisor": one("advisor_id"), "clients": many("wealth.clients.household_id")},
    filters=("advisor_id", "name", "service_tier", "status", "aggregate_billing", "created_at"),
    sorts=("name", "status", "service_tier", "created_at"),
    search=("name",),
    example={"name": "Rosen family"},
)

relationships = Resource(
    ClientRelationship,
    path="/api/v1/clients/{client_id}/relationships",
    tag="wealth-clients",
    read="wealth.relationships.read",
    write="wealth.relationships.write",
    relations={"client": one("client_id"), "related_client": one("related_client_id")},
    filters=("kind", "related_client_id", "name", "created_at"),
    sorts=("kind", "name", "created_at"),
    search=("name",),
    example={"kind": "spouse", "name": "Daniel Rosen"},
)

notes = Resource(
    Note,
    path="/api/v1/notes",
    also=("/api/v1/clients/{client_id}/notes",),
    tag="wealth-communications",
    read="wealth.notes.read",
    write="wealth.notes.write",
    fulltext=("body",),
    relations={"client": one("client_id")},
    filters=("client_id", "author_id", "category", "visibility", "is_pinned", "created_at"),
    sorts=("created_at", "category", "is_pinned"),
    search=("body",),
    on_create=note_rules.create,
    restores=True,
    example={"body": "Called about the new house.", "category": "call"},
)

orders = Resource(
    Order,
    path="/api/v1/orders",
    tag="wealth-orders",
    read="wealth.orders.read",
    create="wealth.orders.create",
    update="wealth.orders.update",
    delete="wealth.orders.delete",
    relations={
        "client": one("client_id"),
        "advisor": one("advisor_id"),
        "parent": one("parent_order_id"),
        "children": many("wealth.orders.parent_order_id"),
    },
    filters=(
        "client_id",
        "advisor_id",
        "account_id",
        "portfolio_id",
        "security_id",
        "order_number",
        "client_order_id",
        "symbol",
        "side",
        "order_type",
        "time_in_force",
        "status",
        "basis",
        "notional",
        "quantity",
        "rebalance_run_id",
        "placed_by",
        "created_at",
    ),
    sorts=("created_at", "symbol", "status", "notional", "quantity", "order_number"),
    search=("symbol", "order_number"),
    presets={"open": is_open},
    accepts={"order_type": Literal[(*ORDER_TYPES, *SIDES)], "draft": bool},
    on_create=order_rules.create,
    on_update=order_rules.update,
    update_if=(or_(*(Order.status == status for status in order_rules.EDITABLE)), order_rules.not_editable),
    delete_if=(Order.status == "draft", order_rules.not_deletable),
    example={"symbol": "AAPL", "quantity": 10, "order_type": "market"},
)

branches = Resource(
    Branch,
    path="/api/v1/admin/branches",
    tag="wealth-admin",
    read="wealth.branches.read",
    write="wealth.branches.write",
    relations={"teams": many("wealth.teams.branch_id"), "advisors": many("wealth.advisors.branch_id")},
    filters=("code", "name", "city", "country", "is_active"),
    sorts=("code", "name", "created_at"),
    search=("code", "name"),
    upsert=("code",),
    example={"code": "TLV", "name": "Tel Aviv", "country": "IL"},
)

teams = Resource(
    Team,
    path="/api/v1/admin/teams",
    tag="wealth-admin",
    read="wealth.teams.read",
    write="wealth.teams.write",
    relations={"branch": one("branch_id"), "advisors": many("wealth.advisors.team_id")},
    filters=("branch_id", "name", "share_book", "is_active"),
    sorts=("name", "created_at"),
    search=("name",),
    example={"name": "North"},
)

advisors = Resource(
    Advisor,
    path="/api/v1/admin/advisors",
    tag="wealth-admin",
    read="wealth.advisors.read",
    create="wealth.advisors.write",
    update="wealth.advisors.update",
    delete="wealth.advisors.write",
    relations={
        "branch": one("branch_id"),
        "team": one("team_id"),
        "clients": many("wealth.clients.advisor_id"),
        "households": many("wealth.households.advisor_id"),
        "orders": many("wealth.orders.advisor_id"),
        "opportunities": many("wealth.opportunities.advisor_id"),
    },
    filters=("user_id", "branch_id", "team_id", "advisor_code", "status", "is_team_lead"),
    sorts=("advisor_code", "status", "created_at"),
    search=("advisor_code", "title"),
    upsert=("advisor_code",),
    example={"advisor_code": "A-100", "title": "Senior advisor"},
)

growth_scans = Resource(
    GrowthScan,
    path="/api/v1/insights/growth-scans",
    tag="wealth-insights",
    read="wealth.growth_scans.read",
    create=None,
    update=None,
    delete=None,
    relations={
        "advisor": one("advisor_id"),
        "client": one("client_id"),
        "opportunities": many("wealth.opportunities.growth_scan_id"),
    },
    filters=("advisor_id", "scope", "status", "client_id", "as_of", "created_at"),
    sorts=("created_at", "as_of"),
)

opportunities = Resource(
    Opportunity,
    path="/api/v1/insights/opportunities",
    tag="wealth-insights",
    read="wealth.opportunities.read",
    create=None,
    update="wealth.opportunities.update",
    delete=None,
    relations={
        "advisor": one("advisor_id"),
        "client": one("client_id"),
        "growth_scan": one("growth_scan_id"),
    },
    filters=(
        "advisor_id",
        "client_id",
        "growth_scan_id",
        "rule_code",
        "category",
        "score",
        "status",
        "due_on",
        "assigned_to",
        "created_at",
        "last_seen_at",
    ),
    sorts=("score", "due_on", "estimated_value", "created_at", "last_seen_at"),
    search=("title",),
    sort="-score",
)

ALL = (
    clients,
    households,
    relationships,
    notes,
    orders,
    branches,
    teams,
    advisors,
    growth_scans,
    opportunities,
)
