"""Bodies of the verbs that are not plain create and update."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from atrium.wealth.rules.growth import CODES

Reason = Annotated[str, Meta(min_length=1, max_length=2000)]


class CancelOrder(msgspec.Struct, forbid_unknown_fields=True):
    reason: Reason | None = None


class SubmitOrder(msgspec.Struct, forbid_unknown_fields=True):
    acknowledge_warnings: bool = False


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A step that takes no parameters."""


class SnoozeOpportunity(msgspec.Struct, forbid_unknown_fields=True):
    until: date


class DismissOpportunity(msgspec.Struct, forbid_unknown_fields=True):
    reason: Reason


class GrowthScanRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A scan of the whole book unless it names a client or some of the rules."""

    advisor_id: UUID | None = None
    client_id: UUID | None = None
    rules: Annotated[list[Literal[CODES]], Meta(max_length=len(CODES))] = []  # type: ignore[valid-type]

    @property
    def scope(self) -> str:
        return "client" if self.client_id else "rule_subset" if self.rules else "full"
