"""One subscription of one socket."""

from typing import Any

from atrium.core.errors import AtriumError
from atrium.core.realtime.sockets import Connection, encode, failure
from atrium.core.resources.resource import Resource
from atrium.core.subscriptions.deliveries import Delivery
from atrium.core.subscriptions.frames import change_frame
from atrium.core.subscriptions.views import View, view

ACTIONS = ("create", "update", "delete")


class Subscription:
    """`position` is how far its subscriber has been told everything; only a live one is fed by the feed itself."""

    __slots__ = ("actions", "connection", "filter", "id", "is_behind", "is_live", "position", "resource", "view")

    def __init__(
        self,
        connection: Connection,
        subscription_id: str,
        resource: Resource,
        query_string: str,
        actions: frozenset[str],
        position: int = 0,
    ) -> None:
        self.connection, self.id, self.resource = connection, subscription_id, resource
        self.filter, self.actions, self.position = query_string, actions, position
        self.is_live = self.is_behind = False
        self.view: View = view(resource, query_string, connection.principal)

    @property
    def has_stale_view(self) -> bool:
        return self.view.principal is not self.connection.principal

    def look_again(self) -> bool:
        """Take the view of the caller as he is now; whether it shows what the old one did. Raises AtriumError."""
        before, self.view = self.view, view(self.resource, self.filter, self.connection.principal)
        return self.view.shows_the_same(before)

    def wants(self, delivery: Delivery) -> bool:
        """To leave the filter is an update of the record."""
        asked = "update" if delivery.action == "leave" else delivery.action
        return asked in self.actions and delivery.position > self.position and self.view.values in delivery.values

    def tell(self, frame: dict[str, Any]) -> None:
        self.connection.offer(encode(frame))

    def refuse(self, error: AtriumError) -> None:
        self.tell(failure(error, {"id": self.id}))

    def frame(self, delivery: Delivery) -> str:
        return change_frame(self.id, delivery.tail)

    def leave(self) -> None:
        """Give its id back."""
        subscriptions_of(self.connection).pop(self.id, None)


def subscriptions_of(connection: Connection) -> dict[str, Subscription]:
    found: dict[str, Subscription] = connection.state.setdefault("subscriptions", {})
    return found
