from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from atrium.core.access import Principal
from atrium.core.errors import Invalid, InvalidTransition
from atrium.wealth.models.orders import ORDER_STATUSES, Order
from atrium.wealth.rules import orders

NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
GRANTS = frozenset({"wealth.orders.create", "wealth.orders.cancel", "wealth.orders.submit"})
ADVISOR = Principal(uuid4(), "wealth_advisor", frozenset({"wealth_advisor"}), GRANTS, {"advisor_id": uuid4()})
PORTAL = Principal(uuid4(), "client", frozenset({"client"}), GRANTS, {"client_id": uuid4()})
OFFICER = Principal(uuid4(), "compliance_officer", frozenset({"compliance_officer"}))

ALLOWED = {("draft", "confirm"), ("draft", "cancel"), ("pending", "cancel")} | {
    ("pending_review", "cancel"),
    ("approved", "cancel"),
}
TARGETS = {"confirm": "pending", "cancel": "cancelled", "submit": "approved"}


def body(**over: Any) -> dict[str, Any]:
    return {"client_id": uuid4(), "symbol": "aapl", "quantity": 10, **over}


@pytest.mark.parametrize("status", ORDER_STATUSES)
@pytest.mark.parametrize("action", TARGETS)
def test_every_step_from_every_status(status: str, action: str) -> None:
    order = Order(status=status)

    if status == TARGETS[action]:
        assert orders.take(order, action, ADVISOR, NOW) is False
    elif (status, action) in ALLOWED:
        assert orders.take(order, action, ADVISOR, NOW) is True
        assert order.status == TARGETS[action]
    else:
        with pytest.raises(InvalidTransition) as refused:
            orders.take(order, action, ADVISOR, NOW)
        assert refused.value.members["from"] == status == order.status
        assert refused.value.members["to"] == TARGETS[action]
        assert refused.value.members["allowed"] == [step for step in ("confirm", "cancel") if (status, step) in ALLOWED]


def test_a_cancelled_order_remembers_when_and_why() -> None:
    order = Order(status="pending")

    orders.take(order, "cancel", ADVISOR, NOW, "changed my mind")

    assert (order.cancel_reason, order.closed_at) == ("changed my mind", NOW)


def test_actions_are_those_that_the_caller_may_take() -> None:
    assert orders.TABLE.actions("draft", ADVISOR) == ["confirm", "cancel"]
    assert orders.TABLE.actions("draft", OFFICER) == []


@pytest.mark.parametrize(
    ("sent", "side", "order_type"),
    [
        ({}, None, None),
        ({"order_type": "market"}, None, "market"),
        ({"order_type": "buy"}, "buy", "market"),
        ({"order_type": "sell"}, "sell", "market"),
        ({"order_type": "sell", "side": "sell"}, "sell", "market"),
        ({"order_type": "limit", "limit_price": 101}, None, "limit"),
    ],
)
def test_order_type_may_say_the_side(sent: dict[str, Any], side: str | None, order_type: str | None) -> None:
    made = orders.create(body(**sent), ADVISOR, NOW)

    assert (made.get("side"), made.get("order_type")) == (side, order_type)
    assert (made["symbol"], made["status"], made["placed_by"]) == ("AAPL", "pending", ADVISOR.user_id)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"quantity": None}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"notional": 100}, "notional"),
        ({"quantity": None, "notional": -1}, "notional"),
        ({"symbol": "  "}, "symbol"),
        ({"client_id": None}, "client_id"),
        ({"order_type": "limit"}, "limit_price"),
        ({"limit_price": 5}, "limit_price"),
        ({"order_type": "limit", "limit_price": 0}, "limit_price"),
        ({"order_type": "stop"}, "stop_price"),
        ({"order_type": "stop_limit", "limit_price": 5}, "stop_price"),
        ({"stop_price": 5}, "stop_price"),
        ({"time_in_force": "gtd"}, "expire_on"),
        ({"time_in_force": "gtd", "expire_on": NOW.date().replace(day=14)}, "expire_on"),
        ({"expire_on": NOW.date()}, "expire_on"),
        ({"order_type": "buy", "side": "sell"}, "side"),
    ],
)
def test_a_senseless_order_names_the_field(sent: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        orders.create(body(**sent), ADVISOR, NOW)

    assert [error.loc for error in refused.value.errors] == [("body", field)]


def test_everything_wrong_with_an_order_is_said_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        orders.create({"symbol": "", "order_type": "stop_limit"}, ADVISOR, NOW)

    named = {error.loc[-1] for error in refused.value.errors}
    assert named == {"client_id", "symbol", "quantity", "limit_price", "stop_price"}


def test_a_draft_is_asked_for() -> None:
    assert orders.create(body(draft=True), ADVISOR, NOW)["status"] == "draft"


def test_a_client_places_unsolicited_orders_and_no_drafts() -> None:
    assert orders.create(body(), PORTAL, NOW)["basis"] == "unsolicited"
    for sent in ({"basis": "advised"}, {"draft": True}):
        with pytest.raises(Invalid):
            orders.create(body(**sent), PORTAL, NOW)


@pytest.mark.parametrize(("status", "allowed"), [("pending", ["cancel"]), ("filled", []), ("cancelled", [])])
def test_only_drafts_are_deleted(status: str, allowed: list[str]) -> None:
    refusal = orders.not_deletable({"status": status})

    assert (refusal.status, refusal.members["allowed"]) == (409, allowed)
