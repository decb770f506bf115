"""Subscriptions as the application mounts them."""

from atrium.core.modules import Module
from atrium.core.subscriptions.feed import feed
from atrium.core.subscriptions.sockets import changes_socket

module = Module("subscriptions", "Changes as they happen", controllers=(changes_socket,), on_startup=(feed,))
