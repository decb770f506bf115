"""What owners do with their webhooks."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import func, select

from atrium.core import clock
from atrium.core.changes.chain import microseconds
from atrium.core.changes.record import record
from atrium.core.errors import Conflict, Invalid, NotFound
from atrium.core.runtime import Runtime
from atrium.core.services import Service
from atrium.core.webhooks import events, signing, statements
from atrium.core.webhooks.models import QUEUED, SENDING, Webhook, WebhookDelivery
from atrium.core.webhooks.policies import MANAGE
from atrium.core.webhooks.resources import deliveries, webhooks
from atrium.core.webhooks.schemas import ChangeWebhook, NewWebhook
from atrium.core.webhooks.sealing import seal_secret
from atrium.core.webhooks.targets import TargetRefused, TargetUnreachable, targets_of

MOST_PER_OWNER = 50
BY_HAND = "Switched off by hand."


class WebhookInactive(Conflict):
    """The Webhook Is Switched Off"""

    default_detail = "Nothing is sent while the webhook is switched off. Enable it first."


class DeliveryOpen(Conflict):
    """The Delivery Is Not Finished"""

    default_detail = "It is waiting or being sent; only what ended can be sent again."


class TooManyWebhooks(Conflict):
    """Too Many Webhooks"""


async def check_target(runtime: Runtime, url: str) -> None:
    """Refuse what nothing would ever be sent to; what is checked here is checked again at each attempt."""
    try:
        await targets_of(runtime).check(url)
    except (TargetRefused, TargetUnreachable) as refused:
        raise Invalid.at("url", str(refused)) from None


class WebhookService(Service[Webhook], model=Webhook):
    async def add(self, draft: NewWebhook) -> tuple[UUID, str]:
        """A webhook of the caller, and its secret."""
        principal = self.work.principal
        wanted = events.check(draft.events, events.known_to(self.work.runtime))
        owned = select(func.count()).select_from(Webhook).where(Webhook.owner_id == principal.user_id)
        if (await self.work.session.scalar(owned) or 0) >= MOST_PER_OWNER:
            raise TooManyWebhooks(f"Nobody may have more than {MOST_PER_OWNER} webhooks.")
        row_id, secret = clock.new_id(), signing.new_secret()
        self.work.session.add(
            Webhook(
                id=row_id,
                owner_id=principal.user_id,
                module=events.module_of(wanted),
                url=draft.url,
                events=wanted,
                description=draft.description,
                secret_enc=seal_secret(self.work.runtime.settings, row_id, secret),
            )
        )
        await self.work.session.flush()
        return row_id, secret

    async def amend(self, row_id: UUID, change: ChangeWebhook, if_match: int | None) -> None:
        found = await self._own(row_id)
        await webhooks.require_version(self.work, row_id, microseconds(found.updated_at), if_match)
        if change.events is not UNSET:
            found.events = events.check(change.events, events.known_to(self.work.runtime))
            found.module = events.module_of(found.events)
        if change.url is not UNSET:
            await self._move(found, change.url)
        if change.description is not UNSET:
            found.description = change.description
        await self.work.session.flush()

    async def _move(self, found: Webhook, url: str) -> None:
        """A new address has not failed yet: what waits is sent there at once."""
        if url == found.url:
            return
        found.url, found.failure_count, found.failing_since = url, 0, None
        connection = await self.work.connection()
        await connection.execute(statements.AT_ONCE, found.id)

    async def rotate(self, row_id: UUID, overlap_hours: int) -> tuple[str, datetime | None]:
        """The new secret, and until when the old one signs beside it."""
        found, settings = await self._own(row_id), self.work.runtime.settings
        secret = signing.new_secret()
        until = clock.now() + timedelta(hours=overlap_hours) if overlap_hours else None
        found.old_secret_enc, found.old_secret_until = (found.secret_enc if until else None), until
        found.secret_enc = seal_secret(settings, row_id, secret)
        await self.work.session.flush()
        # The columns of secrets are not logged; that they changed is.
        await record(self.work, module="core", action="rotate_secret", entity_type="core.webhooks", entity_id=row_id)
        return secret, until

    async def enable(self, row_id: UUID) -> None:
        """As if it had never failed; what it missed is sent when somebody asks for it."""
        found = await self._own(row_id)
        if found.is_active:
            return
        found.is_active, found.disabled_at, found.disabled_reason = True, None, None
        found.failure_count, found.failing_since = 0, None
        await self.work.session.flush()

    async def disable(self, row_id: UUID) -> None:
        found = await self._own(row_id)
        if not found.is_active:
            return
        found.is_active, found.disabled_at, found.disabled_reason = False, clock.now(), BY_HAND
        await self.work.session.flush()
        connection = await self.work.connection()
        await connection.execute(statements.SKIP, row_id)

    async def send_test(self, row_id: UUID) -> UUID:
        """An event of its own, sent before all that waits and once only, so that it holds up nothing."""
        await self._own(row_id, active=True)
        now = clock.now()
        data = {"webhook_id": str(row_id), "text": "This event was asked for by hand."}
        made = WebhookDelivery(
            id=clock.new_id(),
            webhook_id=row_id,
            event_id=clock.new_id(),
            event=events.TEST,
            position=0,
            payload={"type": events.TEST, "timestamp": clock.stamp(now), "data": data},
            next_attempt_at=now,
        )
        self.work.session.add(made)
        await self.work.session.flush()
        return made.id

    async def redeliver(self, row_id: UUID, delivery_id: UUID) -> bytes:
        """Once more under the same id, at its old place: what waits behind it waits."""
        await self._own(row_id, active=True)
        status = await self.work.session.scalar(
            select(WebhookDelivery.status)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.webhook_id == row_id)
            .with_for_update()
        )
        if status is None:
            raise NotFound("This webhook has no delivery with this id.")
        if status in (QUEUED, SENDING):
            raise DeliveryOpen
        connection = await self.work.connection()
        await connection.execute(statements.REDELIVER, delivery_id)
        return await deliveries.render(self.work, delivery_id)

    async def redeliver_since(self, row_id: UUID, since: datetime) -> int:
        """What failed or was skipped since; how many there are."""
        await self._own(row_id, active=True)
        connection = await self.work.connection()
        done: str = await connection.execute(statements.REDELIVER_SINCE, row_id, since, events.TEST)
        return int(done.rpartition(" ")[2])

    async def _own(self, row_id: UUID, *, active: bool = False) -> Webhook:
        self.work.principal.require(MANAGE)
        found = await self.get_writable(row_id)
        if active and not found.is_active:
            raise WebhookInactive
        return found


async def shown(connection: Any, records: bytes) -> list[dict[str, Any]]:
    """Rendered webhooks with their health."""
    rows = msgspec.json.decode(b"[%s]" % records, type=list[dict[str, Any]])
    ids = [UUID(row["id"]) for row in rows if "id" in row]
    found = {str(row["id"]): _health(row) for row in await connection.fetch(statements.HEALTH, ids)} if ids else {}
    return [{**row, "health": found.get(row["id"])} if "id" in row else row for row in rows]


def _health(row: Any) -> dict[str, Any]:
    moments = {name: row[name] and clock.stamp(row[name]) for name in ("failing_since", "oldest_waiting_at")}
    return {"failure_count": row["failure_count"], "waiting": row["waiting"], **moments}
