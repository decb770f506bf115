"""What a new order must look like, and which step an order may take from which status (FIX 4.4 order states)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from atrium.core.access import Principal
from atrium.core.errors import AtriumError, FieldError, Invalid, InvalidTransition
from atrium.wealth.errors import OrderNotEditable
from atrium.wealth.models.orders import SIDES, Order
from atrium.wealth.rules.callers import acts_as_client
from atrium.wealth.rules.steps import StateTable, Step

EDITABLE = ("draft", "pending")


TABLE = StateTable(
    "An order",
    (
        Step("confirm", ("draft",), "pending", "wealth.orders.create"),
        Step("cancel", ("draft", "pending", "pending_review", "approved"), "cancelled", "wealth.orders.cancel"),
        # Pre-trade checks decide whether a pending order may go out; until they exist none may.
        Step("submit", (), "approved", "wealth.orders.submit"),
    ),
)


def take(order: Order, action: str, principal: Principal, now: datetime, reason: str | None = None) -> bool:
    """Take the step; False when the order is already where it leads. Raises InvalidTransition."""
    step = TABLE.next(order.status, action, principal)
    if step is None:
        return False
    order.status = step.to
    if step.to == "cancelled":
        order.cancel_reason, order.closed_at = reason, now
    return True


def create(values: dict[str, Any], principal: Principal, now: datetime) -> dict[str, Any]:
    """A new order as it is stored: pending, or a draft; `order_type` buy or sell means a market order of that side.

    Its advisor is not chosen here: the database copies the client's.
    """
    order = {**values, "placed_by": principal.user_id, "symbol": values["symbol"].strip().upper()}
    order["status"] = "draft" if order.pop("draft", False) else "pending"
    errors = list(_read_side(order))
    errors += _shape(order, now)
    if acts_as_client(principal):
        errors += _self_directed(order)
    if errors:
        raise Invalid("; ".join(f"{error.loc[-1]}: {error.msg}" for error in errors) + ".", errors=errors)
    return order


def _self_directed(order: dict[str, Any]) -> Iterator[FieldError]:
    """A client places orders of its own accord and at once."""
    if order.setdefault("basis", "unsolicited") != "unsolicited":
        yield FieldError(("body", "basis"), "an order that a client places is unsolicited")
    if order["status"] == "draft":
        yield FieldError(("body", "draft"), "clients place orders without a draft")


def update(values: dict[str, Any], _principal: Principal, _now: datetime) -> dict[str, Any]:
    symbol = values.get("symbol")
    return {**values, "symbol": symbol.strip().upper()} if symbol is not None else values


def _read_side(order: dict[str, Any]) -> Iterator[FieldError]:
    kind = order.get("order_type")
    if kind not in SIDES:
        return
    if order.get("side", kind) != kind:
        yield FieldError(("body", "side"), f"contradicts order_type {kind}")
    order["side"], order["order_type"] = kind, "market"


def _shape(order: Mapping[str, Any], now: datetime) -> Iterator[FieldError]:
    """What the table would refuse as well, said about every field at once."""
    kind = order.get("order_type", "market")
    if order.get("client_id") is None:
        yield FieldError(("body", "client_id"), "is required", "missing")
    if not order["symbol"]:
        yield FieldError(("body", "symbol"), "must not be empty")
    given = [name for name in ("quantity", "notional") if order.get(name) is not None]
    if len(given) != 1:
        yield FieldError(("body", given[-1] if given else "quantity"), "give either quantity or notional")
    for name in ("quantity", "notional", "limit_price", "stop_price"):
        amount: Decimal | None = order.get(name)
        if amount is not None and amount <= 0:
            yield FieldError(("body", name), "must be greater than 0")
    for name, kinds in (("limit_price", ("limit", "stop_limit")), ("stop_price", ("stop", "stop_limit"))):
        yield from _belongs(order, name, needed=kind in kinds, to=f"{kinds[0]} and {kinds[1]} orders")
    expires = order.get("time_in_force", "day") == "gtd"
    yield from _belongs(order, "expire_on", needed=expires, to="orders good till a date")
    if expires and order.get("expire_on") is not None and order["expire_on"] < now.date():
        yield FieldError(("body", "expire_on"), "must not be in the past")


def _belongs(order: Mapping[str, Any], name: str, *, needed: bool, to: str) -> Iterator[FieldError]:
    given = order.get(name) is not None
    if given and not needed:
        yield FieldError(("body", name), f"belongs to {to} only")
    elif needed and not given:
        yield FieldError(("body", name), "is required for this kind of order", "missing")


def not_editable(row: Mapping[str, Any]) -> AtriumError:
    status = row["status"]
    return OrderNotEditable(f"An order can be edited while it is a draft or pending; this one is {_words(status)}.")


def not_deletable(row: Mapping[str, Any]) -> AtriumError:
    """Only drafts disappear; what was once placed is cancelled and stays on record."""
    status = row["status"]
    allowed = ["cancel"] if status in TABLE.step("cancel").origins else []
    text = f"Only a draft can be deleted; this order is {_words(status)}."
    return InvalidTransition(text, origin=status, to="deleted", allowed=allowed)


def _words(status: str) -> str:
    return status.replace("_", " ")
