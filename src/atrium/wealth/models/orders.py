"""Orders, in the vocabulary of FIX 4.4."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, Sequence, text
from sqlalchemy.orm import Mapped

from atrium.core.db.columns import CREATE_ONLY, SYSTEM, Money, Price, Quantity, check, field
from atrium.core.db.entity import Entity, JsonList, Versioned
from atrium.core.db.routines import declare
from atrium.wealth.models.organisation import currency

ORDER_STATUSES = (
    "draft",
    "pending",
    "pending_review",
    "approved",
    "submitted",
    "working",
    "partially_filled",
    "filled",
    "pending_cancel",
    "pending_replace",
    "cancelled",
    "rejected",
    "expired",
)
TERMINAL = frozenset({"filled", "cancelled", "rejected", "expired"})
OPEN = tuple(status for status in ORDER_STATUSES if status not in TERMINAL and status != "draft")
ORDER_TYPES = ("market", "limit", "stop", "stop_limit")
SIDES = ("buy", "sell")

order_numbers = Sequence("order_numbers", start=10_000_001, schema="wealth", metadata=Entity.metadata)


class Order(Versioned, Entity, table="wealth.orders"):
    """An instruction to buy or sell for a client; `advisor_id` is the client's advisor, kept by triggers."""

    __table_args__ = (
        check(
            "num_nonnulls(quantity, notional) = 1",
            "amount",
            "give either quantity or notional",
            ("quantity", "notional"),
        ),
        check(
            "(order_type IN ('limit', 'stop_limit')) = (limit_price IS NOT NULL)",
            "limit_price",
            "belongs to limit and stop_limit orders, which need one",
            ("limit_price",),
        ),
        check(
            "(order_type IN ('stop', 'stop_limit')) = (stop_price IS NOT NULL)",
            "stop_price",
            "belongs to stop and stop_limit orders, which need one",
            ("stop_price",),
        ),
        check(
            "(time_in_force = 'gtd') = (expire_on IS NOT NULL)",
            "expire_on",
            "belongs to orders good till a date, which need one",
            ("expire_on",),
        ),
        check(
            "filled_quantity >= 0 AND (quantity IS NULL OR filled_quantity <= quantity)",
            "filled",
            "must be between nothing and the whole quantity",
            ("filled_quantity",),
        ),
        check("is_block OR client_id IS NOT NULL", "client", "is required", ("client_id",)),
        check(
            "status IN ('draft', 'pending', 'pending_review', 'cancelled', 'rejected')"
            " OR (security_id IS NOT NULL AND (account_id IS NOT NULL OR is_block))",
            "tradable",
            "an order needs a security and an account before it can go out",
            ("security_id", "account_id"),
        ),
        check(
            "status <> 'filled' OR avg_fill_price IS NOT NULL",
            "fill_price",
            "a filled order has an average price",
            ("avg_fill_price",),
        ),
        Index(
            "uq_orders_client_order_id",
            "placed_by",
            "client_order_id",
            unique=True,
            postgresql_where=text("client_order_id IS NOT NULL"),
        ),
        Index("ix_orders_client", "client_id", text("created_at DESC")),
        Index("ix_orders_advisor_status", "advisor_id", "status"),
        Index("ix_orders_newest", "advisor_id", text("created_at DESC"), text("id DESC")),
        Index("ix_orders_all_newest", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_orders_open",
            "account_id",
            "security_id",
            postgresql_where=text(
                "status IN ('pending', 'pending_review', 'approved', 'submitted', 'working', 'partially_filled',"
                " 'pending_cancel', 'pending_replace')"
            ),
        ),
        Index("ix_orders_broker_order_id", "broker_order_id"),
    )

    order_number: Mapped[str] = field(
        length=30, unique=True, default_sql="'O' || nextval('wealth.order_numbers')", mark=SYSTEM
    )
    client_order_id: Mapped[str | None] = field(length=48, mark=CREATE_ONLY)
    client_id: Mapped[UUID | None] = field(references="wealth.clients.id", index=False, scope=True, mark=CREATE_ONLY)
    portfolio_id: Mapped[UUID | None] = field(mark=SYSTEM)
    account_id: Mapped[UUID | None] = field(mark=SYSTEM)
    advisor_id: Mapped[UUID | None] = field(references="wealth.advisors.id", index=False, scope=True, mark=SYSTEM)
    security_id: Mapped[UUID | None] = field(mark=SYSTEM)
    symbol: Mapped[str] = field(length=32)
    side: Mapped[str] = field(choices=SIDES, default="buy")
    order_type: Mapped[str] = field(choices=ORDER_TYPES, default="market")
    time_in_force: Mapped[str] = field(choices=("day", "gtc", "ioc", "fok", "gtd", "opg", "cls"), default="day")
    expire_on: Mapped[date | None] = field()
    quantity: Mapped[Quantity | None] = field(gt=0)
    notional: Mapped[Money | None] = field(gt=0)
    limit_price: Mapped[Price | None] = field(gt=0)
    stop_price: Mapped[Price | None] = field(gt=0)
    currency: Mapped[str] = currency()
    status: Mapped[str] = field(choices=ORDER_STATUSES, default="pending", mark=SYSTEM)
    prior_status: Mapped[str | None] = field(length=32, mark=SYSTEM)
    filled_quantity: Mapped[Quantity] = field(default=0, mark=SYSTEM)
    avg_fill_price: Mapped[Price | None] = field(mark=SYSTEM)
    reserved_cash: Mapped[Money] = field(default=0, mark=SYSTEM)
    commission: Mapped[Money] = field(default=0, mark=SYSTEM)
    basis: Mapped[str] = field(choices=("advised", "unsolicited", "discretionary"), default="advised")
    capacity: Mapped[str] = field(choices=("agency", "principal"), default="agency")
    lot_method: Mapped[str | None] = field(choices=("fifo", "lifo", "hifo", "average", "specific"))
    lot_ids: Mapped[JsonList | None] = field()
    check_outcome: Mapped[str | None] = field(choices=("pass", "warn", "review", "fail"), mark=SYSTEM)
    is_block: Mapped[bool] = field(default=False, mark=SYSTEM)
    parent_order_id: Mapped[UUID | None] = field(references="wealth.orders.id", mark=SYSTEM)
    replaces_id: Mapped[UUID | None] = field(references="wealth.orders.id", mark=SYSTEM)
    recommendation_id: Mapped[UUID | None] = field(mark=SYSTEM)
    rebalance_run_id: Mapped[UUID | None] = field(mark=SYSTEM)
    broker_order_id: Mapped[str | None] = field(length=60, mark=SYSTEM)
    reject_reason: Mapped[str | None] = field(mark=SYSTEM)
    cancel_reason: Mapped[str | None] = field(mark=SYSTEM)
    placed_by: Mapped[UUID] = field(references="core.users.id", index=False, mark=SYSTEM)
    approved_by: Mapped[UUID | None] = field(references="core.users.id", index=False, mark=SYSTEM)
    submitted_at: Mapped[datetime | None] = field(mark=SYSTEM)
    acknowledged_at: Mapped[datetime | None] = field(mark=SYSTEM)
    filled_at: Mapped[datetime | None] = field(mark=SYSTEM)
    closed_at: Mapped[datetime | None] = field(mark=SYSTEM)
    notes: Mapped[str | None] = field()


# Whoever places an order (advisor, team mate, client, administrator), it is in the book of its client.
declare(
    """
CREATE OR REPLACE FUNCTION wealth.advise_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT advisor_id INTO NEW.advisor_id FROM wealth.clients WHERE id = NEW.client_id;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER advise BEFORE INSERT ON wealth.orders FOR EACH ROW WHEN (NEW.client_id IS NOT NULL)
EXECUTE FUNCTION wealth.advise_order()
""",
)
