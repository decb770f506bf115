"""What notifications show to the application."""

from atrium.core.modules import Module
from atrium.core.notifications.controllers import NotificationController, OutboxController, notification_socket
from atrium.core.notifications.models import Notification, OutboxMessage
from atrium.core.realtime.hub import hub

module = Module(
    "core",
    "Notifications and mail",
    controllers=(NotificationController, OutboxController, notification_socket),
    models=(Notification, OutboxMessage),
    on_startup=(hub,),
)
