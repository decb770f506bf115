"""What a user says about notifications, and how it is answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from atrium.core.notifications.models import CLOCK

Clock = Annotated[str, Meta(pattern=CLOCK, examples=["22:00"])]
Severity = Literal["info", "success", "warning", "critical"]
Kind = Literal[
    "default", "order", "transfer", "kyc", "compliance", "corporate_action", "goal", "task", "campaign", "lead",
    "insight", "chat", "billing", "request", "quote", "booking", "review", "dispute", "match", "message", "assessment",
    "system",
]  # fmt: skip


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of the user's own clock in which no mail comes, unless it is critical."""

    begin: Clock = msgspec.field(name="from")
    end: Clock = msgspec.field(name="to")


class ChangedPreferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`email` names for each kind of notification the severities that are repeated by mail; null is the default."""

    email: dict[Kind, list[Severity] | None] | UnsetType | None = UNSET
    quiet_hours: Quiet | UnsetType | None = UNSET
    digest: Literal["none"] | UnsetType = UNSET


class QuietView(msgspec.Struct, frozen=True):
    """Hours of the user's own clock in which no mail comes, unless it is critical."""

    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class Preferences(msgspec.Struct, frozen=True):
    """What holds; `default` is for the kinds that are not named, and the zone is the one of the profile."""

    email: Mapping[str, Sequence[str]]
    quiet_hours: QuietView | None
    timezone: str
    digest: Literal["none"]
    updated_at: datetime | None
