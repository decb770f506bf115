"""What webhooks show to the application."""

from atrium.core.modules import Module
from atrium.core.webhooks import policies
from atrium.core.webhooks.controllers import WebhookController
from atrium.core.webhooks.models import Webhook, WebhookDelivery
from atrium.core.webhooks.policies import MANAGE

__all__ = ("module", "policies")

module = Module(
    "core",
    "Webhooks",
    controllers=(WebhookController,),
    permissions={MANAGE: "Have webhooks"},
    models=(Webhook, WebhookDelivery),
)
