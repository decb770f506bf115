"""The signed link in a notification mail that turns mails of its kind off, without a login (RFC 8058).

The token is `<user>.<kind>.<expiry>.<signature>`, an HMAC with a key derived from SECRET_KEY: nothing has to be
remembered, and whoever has the mail can do nothing else with it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from atrium.core.config import Settings
from atrium.core.notifications.errors import BadUnsubscribeLink, UnsubscribeLinkExpired
from atrium.core.notifications.models import KINDS

PURPOSE = b"atrium.notifications.unsubscribe"
LASTS = timedelta(days=60)
PATH = "/api/v1/notifications/unsubscribe"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One user's mails of one kind."""

    user_id: UUID
    kind: str


def link(settings: Settings, subscription: Subscription, now: datetime) -> str:
    moment = int((now + LASTS).timestamp())
    said = f"{subscription.user_id}.{subscription.kind}.{moment}"
    return f"{settings.public_url.rstrip('/')}{PATH}?token={said}.{_signature(settings.secret_key, said)}"


def verify(settings: Settings, token: str, now: datetime) -> Subscription:
    """What the link is about; raises BadUnsubscribeLink or UnsubscribeLinkExpired."""
    said, _, signature = token.rpartition(".")
    expected = _signature(settings.secret_key, said)
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise BadUnsubscribeLink
    user_id, kind, moment = said.split(".")
    if datetime.fromtimestamp(int(moment), UTC) <= now:
        raise UnsubscribeLinkExpired
    if kind not in KINDS:
        raise BadUnsubscribeLink
    return Subscription(UUID(user_id), kind)


def _signature(secret_key: str, said: str) -> str:
    key = hmac.digest(secret_key.encode(), PURPOSE, hashlib.sha256)
    signed = hmac.digest(key, said.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")
