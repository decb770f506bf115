"""What is said about changes: one text per change and group, with the id of each subscription put in front."""

from typing import Any

import msgspec

from atrium.core import clock
from atrium.core.subscriptions.log import Change
from atrium.core.subscriptions.nouns import noun_of
from atrium.core.subscriptions.views import View

TOO_OLD, TOO_FAR, RIGHTS_CHANGED = "too_old", "too_far", "rights_changed"
BEHIND, CAUGHT_UP = "behind", "caught_up"


def change_tail(view: View, change: Change, action: str, record: str | None) -> str:
    """The frame from its resource on; the record is JSON already."""
    said = {
        "resource": noun_of(view.resource),
        "action": action,
        "record_id": change.record_id,
        "position": change.position,
        "changed": [name for name in change.fields if name in view.visible],
        "record": None if record is None else msgspec.Raw(record.encode()),
        "occurred_at": clock.stamp(change.occurred_at),
    }
    return msgspec.json.encode(said).decode()[1:]


def change_frame(subscription: str, tail: str) -> str:
    return f'{{"type":"change","id":{msgspec.json.encode(subscription).decode()},{tail}'


def subscribed(subscription: str, noun: str, position: int) -> dict[str, Any]:
    return {"type": "subscribed", "id": subscription, "resource": noun, "position": position}


def resync(subscription: str, position: int, reason: str) -> dict[str, Any]:
    """Read REST anew; what happens after the position is told."""
    return {"type": "resync", "id": subscription, "position": position, "reason": reason}


def pressure(subscription: str, event: str) -> dict[str, Any]:
    return {"type": "system", "event": event, "id": subscription}
