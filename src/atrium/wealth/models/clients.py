"""Clients, their households, the people around them, and notes about them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, Sequence, String, func, literal_column, text
from sqlalchemy.orm import Mapped
from sqlalchemy.sql.elements import ColumnElement

from atrium.core.db.columns import CREATE_ONLY, PRIVATE, SYSTEM, Money, Rate, check, field
from atrium.core.db.entity import Entity, Versioned
from atrium.core.db.routines import declare
from atrium.wealth.models.organisation import currency

SERVICE_TIERS = ("platinum", "gold", "silver", "bronze")
CLIENT_STATUSES = ("prospect", "onboarding", "active", "inactive", "closed")
RISK_PROFILES = ("conservative", "moderately_conservative", "moderate", "moderately_aggressive", "aggressive")
KYC_STATUSES = ("not_started", "in_progress", "approved", "expired", "rejected")
RELATIONSHIPS = (
    "spouse",
    "partner",
    "child",
    "parent",
    "sibling",
    "beneficiary",
    "contingent_beneficiary",
    "joint_owner",
    "trustee",
    "grantor",
    "power_of_attorney",
    "trusted_contact",
    "guardian",
    "beneficial_owner",
    "authorized_signer",
    "referrer",
    "accountant",
    "attorney",
)
NOTE_CATEGORIES = ("general", "meeting", "call", "personal", "planning", "compliance", "service")

client_numbers = Sequence("client_numbers", start=10_000_001, schema="wealth", metadata=Entity.metadata)

SEARCHED = "coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || coalesce(entity_name, '')"


class Household(Entity, table="wealth.households"):
    """Clients that are reported on, billed and served as one."""

    __table_args__ = (Index("ix_households_advisor_status", "advisor_id", "status"),)

    name: Mapped[str] = field(length=200)
    advisor_id: Mapped[UUID] = field(references="wealth.advisors.id", index=False, scope=True)
    service_tier: Mapped[str] = field(choices=SERVICE_TIERS, default="silver")
    aggregate_billing: Mapped[bool] = field(default=True)
    status: Mapped[str] = field(choices=("active", "inactive", "closed"), default="active")
    notes: Mapped[str | None] = field()


class Client(Versioned, Entity, table="wealth.clients"):
    """The person or entity advised, with the investor profile."""

    __table_args__ = (
        check(
            "CASE WHEN type IN ('individual', 'joint') THEN last_name IS NOT NULL ELSE entity_name IS NOT NULL END",
            "name",
            "a person needs a last_name, a trust or entity an entity_name",
            ("last_name", "entity_name"),
        ),
        check(
            "(status = 'closed') = (closed_on IS NOT NULL)",
            "closed_on",
            "a client is closed by a step of its own, not by an update",
            ("status",),
        ),
        Index("ix_clients_advisor_status", "advisor_id", "status", postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_clients_advisor_risk",
            "advisor_id",
            "risk_profile",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_clients_advisor_name", "advisor_id", "last_name", "first_name"),
        Index(
            "ix_clients_newest",
            "advisor_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        # The lists of those who see every book: the newest, and whose review is due.
        Index(
            "ix_clients_all_newest",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_clients_email", text("lower(email)")),
        Index("ix_clients_kyc_review_due_on", "kyc_review_due_on", "id"),
        Index("ix_clients_next_review_on", "next_review_on", "id"),
        Index("ix_clients_search", text(f"({SEARCHED}) gin_trgm_ops"), postgresql_using="gin"),
    )

    advisor_id: Mapped[UUID] = field(references="wealth.advisors.id", index=False, scope=True)
    household_id: Mapped[UUID | None] = field(references="wealth.households.id")
    user_id: Mapped[UUID | None] = field(references="core.users.id", unique=True)
    client_number: Mapped[str] = field(
        length=20, unique=True, default_sql="'C' || nextval('wealth.client_numbers')", mark=SYSTEM
    )
    type: Mapped[str] = field(choices=("individual", "joint", "trust", "entity"), default="individual")
    status: Mapped[str] = field(choices=CLIENT_STATUSES, default="prospect")
    is_household_head: Mapped[bool] = field(default=False)
    segment: Mapped[str | None] = field(choices=("mass_affluent", "affluent", "hnw", "uhnw"))
    service_tier: Mapped[str] = field(choices=SERVICE_TIERS, default="silver")
    first_name: Mapped[str | None] = field(length=100)
    last_name: Mapped[str | None] = field(length=100)
    entity_name: Mapped[str | None] = field(length=200)
    preferred_name: Mapped[str | None] = field(length=100)
    email: Mapped[str | None] = field(length=320)
    phone: Mapped[str | None] = field(length=40)
    preferred_channel: Mapped[str] = field(choices=("email", "phone", "sms", "post", "portal"), default="email")
    date_of_birth: Mapped[date | None] = field()
    tax_id_enc: Mapped[bytes | None] = field(mark=PRIVATE)
    tax_id_last4: Mapped[str | None] = field(length=4, mark=SYSTEM)
    nationality: Mapped[str | None] = field(length=2)
    country_of_residence: Mapped[str | None] = field(length=2)
    address_line1: Mapped[str | None] = field(length=200)
    address_line2: Mapped[str | None] = field(length=200)
    city: Mapped[str | None] = field(length=100)
    region: Mapped[str | None] = field(length=100)
    postal_code: Mapped[str | None] = field(length=20)
    marital_status: Mapped[str | None] = field(choices=("single", "married", "partnered", "divorced", "widowed"))
    dependents: Mapped[int | None] = field(ge=0)
    employment_status: Mapped[str | None] = field(
        choices=("employed", "self_employed", "retired", "student", "unemployed", "homemaker")
    )
    employer: Mapped[str | None] = field(length=200)
    occupation: Mapped[str | None] = field(length=120)
    retirement_year: Mapped[int | None] = field()
    annual_income: Mapped[Money | None] = field()
    net_worth: Mapped[Money | None] = field()
    liquid_net_worth: Mapped[Money | None] = field()
    held_away_assets: Mapped[Money | None] = field()
    currency: Mapped[str] = currency()
    tax_rate_st: Mapped[Rate | None] = field(ge=0, le=1)
    tax_rate_lt: Mapped[Rate | None] = field(ge=0, le=1)
    risk_profile: Mapped[str | None] = field(choices=RISK_PROFILES)
    risk_score: Mapped[int | None] = field(ge=0, le=100, mark=SYSTEM)
    risk_profile_source: Mapped[str] = field(choices=("declared", "assessed"), default="declared", mark=SYSTEM)
    investment_objective: Mapped[str | None] = field(
        choices=("preservation", "income", "balanced", "growth", "speculation")
    )
    investment_experience: Mapped[str | None] = field(choices=("none", "limited", "good", "extensive"))
    time_horizon_years: Mapped[int | None] = field(ge=0, le=80)
    liquidity_need: Mapped[str | None] = field(choices=("low", "medium", "high"))
    kyc_status: Mapped[str] = field(choices=KYC_STATUSES, default="not_started")
    kyc_risk_rating: Mapped[str | None] = field(choices=("low", "medium", "high"))
    kyc_review_due_on: Mapped[date | None] = field()
    is_pep: Mapped[bool] = field(default=False)
    next_review_on: Mapped[date | None] = field()
    last_contact_at: Mapped[datetime | None] = field()
    marketing_opt_in: Mapped[bool] = field(default=False)
    do_not_contact: Mapped[bool] = field(default=False)
    source: Mapped[str | None] = field(length=60)
    onboarded_on: Mapped[date | None] = field()
    closed_on: Mapped[date | None] = field(mark=SYSTEM)
    deleted_at: Mapped[datetime | None] = field(mark=SYSTEM)


def _searched(name: str) -> ColumnElement[str]:
    return func.coalesce(Client.__table__.c[name], literal_column("''", String()))


_BLANK: ColumnElement[str] = literal_column("' '", String())
search_text: ColumnElement[str] = (
    _searched("first_name") + _BLANK + _searched("last_name") + _BLANK + _searched("entity_name")
)
"""What a search looks in: the expression that `ix_clients_search` is built on."""


class ClientRelationship(Entity, table="wealth.client_relationships"):
    """Somebody who matters to a client: family, beneficiary, trustee, attorney, trusted contact …"""

    __table_args__ = (
        check(
            "related_client_id IS DISTINCT FROM client_id",
            "another",
            "must be another client",
            ("related_client_id",),
        ),
        check(
            "kind NOT IN ('beneficiary', 'contingent_beneficiary') OR share_pct IS NOT NULL",
            "share",
            "a beneficiary needs a share",
            ("share_pct",),
        ),
        Index("ix_client_relationships_client_kind", "client_id", "kind"),
    )

    client_id: Mapped[UUID] = field(references="wealth.clients.id", index=False, scope=True, mark=CREATE_ONLY)
    related_client_id: Mapped[UUID | None] = field(references="wealth.clients.id")
    account_id: Mapped[UUID | None] = field(mark=SYSTEM)
    kind: Mapped[str] = field(choices=RELATIONSHIPS)
    name: Mapped[str] = field(length=200)
    email: Mapped[str | None] = field(length=320)
    phone: Mapped[str | None] = field(length=40)
    date_of_birth: Mapped[date | None] = field()
    country: Mapped[str | None] = field(length=2)
    share_pct: Mapped[Rate | None] = field(ge=0, le=1)
    effective_from: Mapped[date | None] = field()
    effective_to: Mapped[date | None] = field()
    verified_at: Mapped[datetime | None] = field()


class Note(Entity, table="wealth.notes"):
    """What somebody wrote down about a client or a lead."""

    __table_args__ = (
        check(
            "num_nonnulls(client_id, lead_id) = 1",
            "one_subject",
            "must name one of client_id and lead_id",
            ("client_id", "lead_id"),
        ),
        check("char_length(body) BETWEEN 1 AND 20000", "body", "must have 1 to 20000 characters", ("body",)),
        Index(
            "ix_notes_client",
            "client_id",
            text("created_at DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_notes_lead", "lead_id", text("created_at DESC"), postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_notes_all_newest", text("created_at DESC"), text("id DESC"), postgresql_where=text("deleted_at IS NULL")
        ),
        Index("ix_notes_fulltext", text("to_tsvector('simple', coalesce(body, ''))"), postgresql_using="gin"),
    )

    client_id: Mapped[UUID | None] = field(references="wealth.clients.id", index=False, scope=True, mark=CREATE_ONLY)
    lead_id: Mapped[UUID | None] = field(mark=SYSTEM)
    meeting_id: Mapped[UUID | None] = field(mark=SYSTEM)
    author_id: Mapped[UUID] = field(references="core.users.id", mark=SYSTEM)
    category: Mapped[str] = field(choices=NOTE_CATEGORIES, default="general")
    body: Mapped[str] = field()
    visibility: Mapped[str] = field(choices=("private", "team", "compliance", "client"), default="team")
    is_pinned: Mapped[bool] = field(default=False)
    deleted_at: Mapped[datetime | None] = field(mark=SYSTEM)


# A portal user's token must not outlive the link; what carries the advisor of its client follows the client.
declare(
    """
CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
    WHERE id IN (OLD.user_id, NEW.user_id);
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER expire_tokens AFTER UPDATE OF user_id, deleted_at ON wealth.clients FOR EACH ROW
WHEN ((OLD.user_id, OLD.deleted_at) IS DISTINCT FROM (NEW.user_id, NEW.deleted_at))
EXECUTE FUNCTION wealth.expire_tokens_of_client()
""",
    """
CREATE OR REPLACE FUNCTION wealth.hand_over_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE wealth.orders SET advisor_id = NEW.advisor_id WHERE client_id = NEW.id;
    UPDATE wealth.opportunities SET advisor_id = NEW.advisor_id WHERE client_id = NEW.id;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER hand_over AFTER UPDATE OF advisor_id ON wealth.clients FOR EACH ROW
WHEN (OLD.advisor_id IS DISTINCT FROM NEW.advisor_id)
EXECUTE FUNCTION wealth.hand_over_client()
""",
)
