"""A webhook is its owner's, while the owner may have any; administrators see all."""

from atrium.core.access import caller, clause, protect, through
from atrium.core.webhooks.models import Webhook, WebhookDelivery

MANAGE = "core.webhooks.manage"

protect(Webhook, clause(claim="user_id", permission=MANAGE, rows=Webhook.owner_id == caller("user_id")))
protect(WebhookDelivery, through(WebhookDelivery.webhook_id, Webhook, writes=False))
