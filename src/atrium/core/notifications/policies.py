"""An inbox is its owner's alone; the outbox is for administrators."""

from atrium.core.access import Policy, held_by, protect
from atrium.core.notifications.models import Notification, OutboxMessage

protect(Notification, Policy(held_by(Notification.user_id, "user_id").clauses, administrators=False))
protect(OutboxMessage, Policy(()))
