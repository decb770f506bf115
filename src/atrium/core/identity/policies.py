"""Who may see and change which accounts: oneself, and administrators."""

from atrium.core.access import caller, clause, protect
from atrium.core.identity.models import User

OWN_FIELDS = (
    "name",
    "first_name",
    "last_name",
    "username",
    "phone_e164",
    "locale",
    "timezone",
    "preferences",
)

protect(User, clause(claim="user_id", rows=User.id == caller("user_id"), unlocked=OWN_FIELDS))
