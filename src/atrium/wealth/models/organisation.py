"""The firm: branches, teams and advisors."""

from datetime import date
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, MappedColumn

import atrium.core.identity.models  # noqa: F401  the users that keys here refer to
from atrium.core.db.columns import Money, check, field
from atrium.core.db.entity import Entity, JsonList
from atrium.core.db.routines import declare


def currency() -> MappedColumn[str]:
    """The ISO 4217 code that the row's amounts are read with."""
    return field(length=3, pattern="^[A-Z]{3}$", default="USD")


class Branch(Entity, table="wealth.branches"):
    """An office or legal entity of the firm."""

    __table_args__ = (
        check("char_length(country) = 2", "country", "must be a two-letter country code", ("country",)),
        Index("ix_branches_is_active", "is_active"),
    )

    code: Mapped[str] = field(length=20, unique=True)
    name: Mapped[str] = field(length=200)
    legal_entity: Mapped[str | None] = field(length=200)
    address_line1: Mapped[str | None] = field(length=200)
    city: Mapped[str | None] = field(length=100)
    region: Mapped[str | None] = field(length=100)
    postal_code: Mapped[str | None] = field(length=20)
    country: Mapped[str] = field(length=2)
    timezone: Mapped[str] = field(length=64, default="UTC")
    base_currency: Mapped[str] = currency()
    is_active: Mapped[bool] = field(default=True)


class Team(Entity, table="wealth.teams"):
    """Advisors of a branch; with `share_book` each of them works on the clients of all."""

    __table_args__ = (Index("uq_teams_branch_id_name", "branch_id", "name", unique=True),)

    branch_id: Mapped[UUID] = field(references="wealth.branches.id", index=False)
    name: Mapped[str] = field(length=200)
    share_book: Mapped[bool] = field(default=False)
    is_active: Mapped[bool] = field(default=True)


class Advisor(Entity, table="wealth.advisors"):
    """The advisor profile of a user: the key of every row scope here."""

    __table_args__ = (
        check(
            "terminated_on IS NULL OR hired_on IS NULL OR terminated_on >= hired_on",
            "employment",
            "must not be before hired_on",
            ("terminated_on",),
        ),
        Index("ix_advisors_team_status", "team_id", "status"),
        Index("ix_advisors_branch_status", "branch_id", "status"),
    )

    user_id: Mapped[UUID] = field(references="core.users.id", unique=True)
    branch_id: Mapped[UUID | None] = field(references="wealth.branches.id", index=False)
    team_id: Mapped[UUID | None] = field(references="wealth.teams.id", index=False)
    advisor_code: Mapped[str] = field(length=20, unique=True)
    title: Mapped[str | None] = field(length=120)
    crd_number: Mapped[str | None] = field(length=20)
    licenses: Mapped[JsonList] = field(default=[])
    licensed_regions: Mapped[JsonList] = field(default=[])
    is_team_lead: Mapped[bool] = field(default=False)
    discretionary_authority: Mapped[bool] = field(default=False)
    order_limit: Mapped[Money | None] = field(gt=0)
    currency: Mapped[str] = currency()
    client_capacity: Mapped[int | None] = field()
    status: Mapped[str] = field(choices=("active", "on_leave", "terminated"), default="active")
    hired_on: Mapped[date | None] = field()
    terminated_on: Mapped[date | None] = field()


# The token says which book its bearer sees; it must not outlive a change of that.
declare(
    """
CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_advisor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
    WHERE id IN (OLD.user_id, NEW.user_id);
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER expire_tokens AFTER UPDATE OF user_id, team_id, status ON wealth.advisors FOR EACH ROW
WHEN ((OLD.user_id, OLD.team_id, OLD.status) IS DISTINCT FROM (NEW.user_id, NEW.team_id, NEW.status))
EXECUTE FUNCTION wealth.expire_tokens_of_advisor()
""",
    """
CREATE TRIGGER expire_tokens_of_deleted AFTER DELETE ON wealth.advisors FOR EACH ROW
EXECUTE FUNCTION wealth.expire_tokens_of_advisor()
""",
    """
CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_team() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
    WHERE id IN (SELECT user_id FROM wealth.advisors WHERE team_id = NEW.id);
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER expire_tokens AFTER UPDATE OF share_book ON wealth.teams FOR EACH ROW
WHEN (OLD.share_book IS DISTINCT FROM NEW.share_book)
EXECUTE FUNCTION wealth.expire_tokens_of_team()
""",
)
