"""How the secret of a webhook is kept: sealed, and bound to its row."""

from uuid import UUID

from atrium.core import secrets
from atrium.core.config import Settings

PURPOSE = "webhook secret"


def seal_secret(settings: Settings, webhook_id: UUID, secret: str) -> bytes:
    return secrets.seal(settings.secret_key, PURPOSE, secret.encode(), bound_to=webhook_id.bytes)


def unseal_secret(settings: Settings, webhook_id: UUID, sealed: bytes) -> str:
    """Raises secrets.Unreadable, for instance after SECRET_KEY was changed."""
    return secrets.unseal(settings.secret_key, PURPOSE, sealed, bound_to=webhook_id.bytes).decode()
