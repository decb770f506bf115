"""The parameters of a question."""

from typing import Annotated

import msgspec
from msgspec import Meta

from atrium.wealth.models.clients import CLIENT_STATUSES, RISK_PROFILES


class WhichClients(msgspec.Struct):
    """Clients of one status, risk profile, or both, as people say it."""

    status: Annotated[str, Meta(description=", ".join(CLIENT_STATUSES), max_length=40)] | None = None
    risk_profile: Annotated[str, Meta(description=", ".join(RISK_PROFILES), max_length=40)] | None = None


class Named(msgspec.Struct):
    """Part of a client's name."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


class PerhapsNamed(msgspec.Struct):
    """A client's name, if it is about one."""

    name: Annotated[str, Meta(max_length=200)] | None = None


class Within(msgspec.Struct):
    """How many days ahead to look."""

    days: Annotated[int, Meta(ge=1, le=366)] = 30


class Top(msgspec.Struct):
    """How many to name."""

    count: Annotated[int, Meta(ge=1, le=50)] = 5
