"""Whose note it is."""

from datetime import datetime
from typing import Any

from atrium.core.access import Principal


def create(values: dict[str, Any], principal: Principal, _now: datetime) -> dict[str, Any]:
    return {**values, "author_id": principal.user_id}
