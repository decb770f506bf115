"""The steps of an order, each under the row's lock."""

from uuid import UUID

from atrium.core import clock
from atrium.core.services import Service
from atrium.wealth.models.orders import Order
from atrium.wealth.rules import orders as rules


class OrderService(Service[Order], model=Order):
    async def take(self, order_id: UUID, action: str, reason: str | None = None) -> Order:
        """Take a step of the state table; repeating the last one changes nothing."""
        order = await self.get_writable(order_id)
        if rules.take(order, action, self.work.principal, clock.now(), reason):
            order.version += 1
            await self.work.session.flush()
        return order
