"""What a change of a client brings with it, and how a client is called."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atrium.core.access import Principal
from atrium.core.errors import AtriumError
from atrium.wealth.errors import ClientHasOpenOrders


def update(values: dict[str, Any], _principal: Principal, _now: datetime) -> dict[str, Any]:
    """A risk profile that somebody enters is declared, whatever an assessment found before."""
    return {**values, "risk_profile_source": "declared"} if "risk_profile" in values else values


def has_open_orders(_row: Mapping[str, Any]) -> AtriumError:
    return ClientHasOpenOrders("The client has open orders: cancel them first.")


def full_name(first_name: str | None, last_name: str | None, entity_name: str | None) -> str:
    return " ".join(part for part in (first_name, last_name) if part) or entity_name or "Unnamed client"
