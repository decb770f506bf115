"""The use cases: `accounts` with their one-time tokens, `sessions`, `roles`, and hashing `passwords`.

What other parts of the application use is named here.
"""

from atrium.core.identity.services.accounts import create_account
from atrium.core.identity.services.roles import end_access_tokens, principal_for, synchronise

__all__ = ("create_account", "end_access_tokens", "principal_for", "synchronise")
