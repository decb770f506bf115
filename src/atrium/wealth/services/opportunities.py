"""The steps of an opportunity, each under the row's lock."""

from datetime import date
from uuid import UUID

from atrium.core import clock
from atrium.core.services import Service
from atrium.wealth.models.insights import Opportunity
from atrium.wealth.rules import opportunities as rules


class OpportunityService(Service[Opportunity], model=Opportunity):
    async def take(
        self, opportunity_id: UUID, action: str, *, until: date | None = None, reason: str | None = None
    ) -> Opportunity:
        opportunity = await self.get_writable(opportunity_id)
        if rules.take(opportunity, action, self.work.principal, clock.now(), until=until, reason=reason):
            opportunity.version += 1
            await self.work.session.flush()
        return opportunity
