"""How webhooks and deliveries are found and rendered; `controllers` opens them."""

from atrium.core.resources.resource import Resource
from atrium.core.webhooks import policies
from atrium.core.webhooks.models import Webhook, WebhookDelivery
from atrium.core.webhooks.policies import MANAGE

__all__ = ("deliveries", "policies", "webhooks")

webhooks = Resource(
    Webhook,
    path="/api/v1/webhooks",
    tag="webhooks",
    read=MANAGE,
    write=MANAGE,
    filters=("is_active", "module", "owner_id", "created_at"),
    sorts=("created_at", "url"),
    search=("url", "description"),
    imports=False,
    exports=False,
    example={"url": "https://example.com/hooks", "events": ["wealth.clients.*"]},
)
deliveries = Resource(
    WebhookDelivery,
    path="/api/v1/webhooks/{webhook_id}/deliveries",
    tag="webhooks",
    read=MANAGE,
    write=None,
    filters=("status", "event", "event_id", "response_status", "attempts", "created_at", "delivered_at"),
    sorts=("created_at", "position", "delivered_at"),
    history=False,
    imports=False,
    exports=False,
)
