"""Signed links: whoever has one may fetch one file until it expires.

The token is `<expiry>.<signature>`, an HMAC over the transfer and the expiry with a key derived from SECRET_KEY, so
that the link says nothing about its owner and no table has to remember it. The parameter is called `token`, which no
log shows.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

from atrium.core.transfers.errors import BadLink, LinkExpired

PURPOSE = b"atrium.transfers.download"
LASTS = timedelta(hours=1)


def sign(secret_key: str, transfer_id: UUID, expires: datetime) -> str:
    moment = int(expires.timestamp())
    return f"{moment}.{_signature(secret_key, transfer_id, moment)}"


def verify(secret_key: str, transfer_id: UUID, token: str, now: datetime) -> None:
    """Raises BadLink or LinkExpired."""
    moment, _, signature = token.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        raise BadLink
    expected = _signature(secret_key, transfer_id, int(moment))
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise BadLink
    if datetime.fromtimestamp(int(moment), UTC) <= now:
        raise LinkExpired


def _signature(secret_key: str, transfer_id: UUID, moment: int) -> str:
    key = hmac.digest(secret_key.encode(), PURPOSE, hashlib.sha256)
    signed = hmac.digest(key, f"{transfer_id}:{moment}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")
