"""An inbox is its owner's alone, without what has expired; the outbox is for administrators."""

from sqlalchemy import ColumnElement, and_, func, or_

from atrium.core.access import Policy, caller, clause, protect
from atrium.core.notifications.models import Notification, OutboxMessage


def is_current() -> ColumnElement[bool]:
    return or_(Notification.expires_at.is_(None), Notification.expires_at > func.now())


own = clause(claim="user_id", rows=and_(Notification.user_id == caller("user_id"), is_current()))
protect(Notification, Policy(own.clauses, administrators=False))
protect(OutboxMessage, Policy(()))
