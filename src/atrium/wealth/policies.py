"""Who may see and change which rows of wealth.

Three callers besides administrators: an advisor holds the claim `advisor_id`, and `team_id` as well while the team
shares its books; a portal user holds `client_id`; a compliance officer holds the permission `wealth.oversee` and reads
everything. Which verbs a role has at all is said by its permissions (module.py).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import InstrumentedAttribute

from atrium.core.access import Policy, caller, clause, everyone, held_by, protect
from atrium.wealth.models.clients import Client, ClientRelationship, Household, Note
from atrium.wealth.models.insights import GrowthScan, Opportunity
from atrium.wealth.models.orders import Order
from atrium.wealth.models.organisation import Advisor, Branch, Team

OVERSEE = "wealth.oversee"
ADVISOR, TEAM, SELF = "advisor_id", "team_id", "client_id"

OF_OWN_ADVISOR = frozenset({"id", "user_id", "branch_id", "title", "status", "created_at", "updated_at"})
CONTACT = (
    "preferred_name",
    "email",
    "phone",
    "preferred_channel",
    "address_line1",
    "address_line2",
    "city",
    "region",
    "postal_code",
    "country_of_residence",
    "marketing_opt_in",
    "do_not_contact",
)
DECIDED_ABOVE_THE_ADVISOR = (
    "advisor_id",
    "user_id",
    "kyc_status",
    "kyc_risk_rating",
    "kyc_review_due_on",
    "is_pep",
)
WRITTEN_BY_PORTAL_USERS = (
    "client_order_id",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "expire_on",
    "quantity",
    "notional",
    "limit_price",
    "stop_price",
    "currency",
    "basis",
    "notes",
)


def book(column: InstrumentedAttribute[Any], **more: Any) -> Policy:
    """Rows whose column names the calling advisor, or an advisor of the team while it shares its books."""
    mates = select(Advisor.id).where(Advisor.team_id == caller(TEAM))
    stamps = {column.key: ADVISOR}
    own = held_by(column, ADVISOR, without=TEAM, **more)
    return own | clause(**{"claim": TEAM, "rows": column.in_(mates), "stamps": stamps, **more})


def clients_of_book(column: InstrumentedAttribute[Any], only: ColumnElement[bool] | None = None, **more: Any) -> Policy:
    """Rows whose column names a client of the calling advisor's book, narrowed by `only`."""
    mates = select(Advisor.id).where(Advisor.team_id == caller(TEAM))
    own = column.in_(_clients(Client.advisor_id == caller(ADVISOR)))
    team = column.in_(_clients(Client.advisor_id.in_(mates)))
    return clause(claim=ADVISOR, without=TEAM, **_narrowed(own, only, more)) | clause(
        claim=TEAM, **_narrowed(team, only, more)
    )


def _clients(rows: ColumnElement[bool]) -> Any:
    return select(Client.id).where(rows, Client.deleted_at.is_(None))


def _narrowed(rows: ColumnElement[bool], only: ColumnElement[bool] | None, more: dict[str, Any]) -> dict[str, Any]:
    """A clause over `rows`; a condition given as `writes` narrows what is written within them."""
    writes = more.get("writes", True)
    return {
        **more,
        "rows": rows if only is None else and_(rows, only),
        "writes": writes if isinstance(writes, bool) else and_(rows, writes),
    }


def all_but(model: type, shown: Iterable[str]) -> frozenset[str]:
    columns: Iterable[str] = model.__table__.columns.keys()  # type: ignore[attr-defined]
    return frozenset(columns) - frozenset(shown)


oversight = everyone(OVERSEE)

protect(Branch, everyone("wealth.branches.read"))
protect(Team, everyone("wealth.teams.read"))
protect(
    Advisor,
    clause(claim=ADVISOR, writes=Advisor.id == caller(ADVISOR), unlocked=("title",))
    | clause(
        claim=SELF,
        rows=Advisor.id.in_(select(Client.advisor_id).where(Client.id == caller(SELF))),
        writes=False,
        hidden=all_but(Advisor, OF_OWN_ADVISOR),
    )
    | oversight,
)
protect(
    Household,
    book(Household.advisor_id, locked=("advisor_id",))
    | clause(
        claim=SELF,
        rows=Household.id.in_(select(Client.household_id).where(Client.id == caller(SELF))),
        writes=False,
        hidden=("notes",),
    )
    | oversight,
)
protect(
    Client,
    book(Client.advisor_id, locked=DECIDED_ABOVE_THE_ADVISOR)
    | clause(claim=SELF, rows=Client.id == caller(SELF), unlocked=CONTACT)
    | oversight,
)
protect(
    ClientRelationship,
    clients_of_book(ClientRelationship.client_id)
    | clause(claim=SELF, rows=ClientRelationship.client_id == caller(SELF), writes=False)
    | oversight,
)
protect(
    Note,
    clients_of_book(
        Note.client_id,
        (Note.visibility != "private") | (Note.author_id == caller("user_id")),
        writes=Note.author_id == caller("user_id"),
    )
    | clause(claim=SELF, rows=and_(Note.client_id == caller(SELF), Note.visibility == "client"), writes=False)
    | oversight,
)
protect(
    Order,
    book(Order.advisor_id, stamps={})
    | clause(
        claim=SELF,
        rows=Order.client_id == caller(SELF),
        writes=and_(Order.client_id == caller(SELF), Order.basis == "unsolicited"),
        unlocked=WRITTEN_BY_PORTAL_USERS,
        stamps={"client_id": SELF},
    )
    | oversight,
)
protect(GrowthScan, held_by(GrowthScan.advisor_id, ADVISOR, writes=False, stamps={}) | oversight)
protect(Opportunity, book(Opportunity.advisor_id, stamps={}) | oversight)
