"""What notifications show to the application."""

from atrium.core.modules import Module
from atrium.core.notifications.controllers.inbox import NotificationController
from atrium.core.notifications.controllers.outbox import MailTemplateController, OutboxController
from atrium.core.notifications.controllers.preferences import PreferencesController, UnsubscribeController
from atrium.core.notifications.controllers.sockets import notification_socket
from atrium.core.notifications.jobs import prune_notifications
from atrium.core.notifications.models import Notification, NotificationPreferences, OutboxMessage
from atrium.core.realtime.hub import hub

module = Module(
    "core",
    "Notifications and mail",
    controllers=(
        NotificationController,
        PreferencesController,
        UnsubscribeController,
        OutboxController,
        MailTemplateController,
        notification_socket,
    ),
    jobs=(prune_notifications,),
    models=(Notification, OutboxMessage, NotificationPreferences),
    on_startup=(hub,),
)
