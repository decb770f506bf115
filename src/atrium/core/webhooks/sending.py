"""Deliveries become requests: the oldest open one of each webhook, one at a time there, many webhooks side by side.

A claim is a lease on the webhook's row: nobody else sends to it until the lease ends or its holder is done, so order
holds over any number of workers. A worker that is killed lets the lease run out, and the same delivery is sent again.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from atrium.core import clock
from atrium.core.notifications.services import notify
from atrium.core.runtime import Runtime
from atrium.core.secrets import Unreadable
from atrium.core.services import Work, transact
from atrium.core.stopping import stop
from atrium.core.webhooks import signing, statements
from atrium.core.webhooks.dispatching import standing_of
from atrium.core.webhooks.events import TEST
from atrium.core.webhooks.models import DELIVERED, FAILED, QUEUED
from atrium.core.webhooks.outcomes import MOST_ATTEMPTS, Answer, Verdict, judge, pause
from atrium.core.webhooks.sealing import unseal_secret
from atrium.core.webhooks.targets import TargetRefused, Targets, TargetUnreachable, check_url, targets_of

log = structlog.get_logger()
SLOTS = 64
FAILING_SLOTS = 48
"""Of the slots as many as webhooks may hold that fail at the moment; the others are for those that answer."""
LOOK_SECONDS = 0.25
TROUBLE_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
LEASE_SECONDS = 30.0
EXCERPT_BYTES = 2048
LONGEST_ERROR = 500
AGENT = "Atrium-Webhooks/1"
OUTCOMES = "webhook outcomes"
"""The part of the runtime that counts what became of attempts, for the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this worker sends, with what it needs of its webhook."""

    id: UUID
    webhook_id: UUID
    owner_id: UUID
    claim: UUID
    event_id: UUID
    event: str
    body: str
    attempts: int
    url: str
    secret_enc: bytes
    old_secret_enc: bytes | None
    old_secret_until: datetime | None
    failing_since: datetime | None


async def keep_sending(runtime: Runtime) -> None:
    """Until cancelled."""
    running: dict[asyncio.Task[None], Claimed] = {}
    in_trouble = False
    try:
        while True:
            wait = LOOK_SECONDS
            try:
                failing = sum(one.failing_since is not None for one in running.values())
                claimed = await claim(runtime, SLOTS - len(running), FAILING_SLOTS - failing)
                running |= {asyncio.create_task(_deliver_safely(runtime, one)): one for one in claimed}
                in_trouble = False
            except Exception as error:  # noqa: BLE001  the database may be away; the rows are the queue
                if not in_trouble:
                    log.warning("webhooks_not_claimed", error=repr(error))
                wait, in_trouble = TROUBLE_SECONDS, True
            if running:
                ended, _ = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    del running[task]
            else:
                await asyncio.sleep(wait)
    finally:
        await stop(*running)
        await _let_go(runtime, {one.claim for one in running.values()})


async def _let_go(runtime: Runtime, claims: set[UUID]) -> None:
    """A worker that ends in good order leaves no lease behind; what it was sending another one sends at once."""
    with suppress(Exception):
        await runtime.database.pool.execute(statements.LET_GO, list(claims))


async def claim(runtime: Runtime, room: int, failing_room: int) -> list[Claimed]:
    """The oldest open deliveries that are due, of webhooks to which nobody sends."""
    if room <= 0 or not await runtime.database.pool.fetchval(statements.ANY_DUE):
        return []
    mine = clock.new_id()
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        found = await connection.fetch(statements.DUE, room, max(0, failing_room))
        if not found:
            return []
        ids = [row["id"] for row in found]
        await connection.execute(statements.LEASE, ids, mine, LEASE_SECONDS)
        rows = await connection.fetch(statements.BEGIN, ids, LEASE_SECONDS)
        return [Claimed(claim=mine, **dict(row)) for row in rows]


async def _deliver_safely(runtime: Runtime, one: Claimed) -> None:
    try:
        await deliver(runtime, one)
    except Exception as error:  # noqa: BLE001  its lease runs out and it is sent again
        log.warning("delivery_not_settled", delivery_id=str(one.id), error=repr(error))


async def deliver(runtime: Runtime, one: Claimed) -> Verdict | None:
    """One attempt and what becomes of it; None when the lease ran out meanwhile."""
    answer = await _answer(runtime, one)
    most = 1 if one.event == TEST else MOST_ATTEMPTS
    verdict, reason = judge(answer, one.attempts, one.failing_since, clock.now(), most)
    if not await transact(
        runtime, None, lambda work: settle(work, one, answer, verdict, reason), action=_action(verdict)
    ):
        log.warning("delivery_taken_over", delivery_id=str(one.id))
        return None
    outcomes: Counter[str] = runtime.parts.setdefault(OUTCOMES, Counter())
    outcomes[verdict.value] += 1
    log.info(
        "webhook_attempted",
        webhook_id=str(one.webhook_id),
        delivery_id=str(one.id),
        attempt=one.attempts,
        outcome=verdict.value,
        status=answer.status,
        duration_ms=answer.duration_ms,
    )
    return verdict


def _action(verdict: Verdict) -> str | None:
    return "disable" if verdict is Verdict.DISABLE else None


async def _answer(runtime: Runtime, one: Claimed) -> Answer:
    if one.attempts > MOST_ATTEMPTS:
        return Answer(error="Whoever sent it did not come back.")
    if await standing_of(runtime, one.owner_id) is None:
        return Answer(error="Its owner may not have webhooks any more.", is_final=True)
    body = one.body.encode()
    now = clock.now()
    try:
        secrets = [unseal_secret(runtime.settings, one.webhook_id, one.secret_enc)]
        if one.old_secret_enc is not None and one.old_secret_until is not None and one.old_secret_until > now:
            secrets.append(unseal_secret(runtime.settings, one.webhook_id, one.old_secret_enc))
    except Unreadable:
        return Answer(error="Its secret cannot be read any more: rotate it, then enable the webhook.", is_final=True)
    signed = signing.headers(str(one.event_id), int(now.timestamp()), body, secrets)
    return await post(targets_of(runtime), one.url, signed, body)


async def post(targets: Targets, url: str, headers: dict[str, str], body: bytes) -> Answer:
    """One request. Once a status came it counts, however the rest of the answer ends."""
    begun, status, retry_after, error = time.monotonic(), None, None, None
    received = bytearray()
    sent = {"content-type": "application/json", "user-agent": AGENT, "accept-encoding": "identity", **headers}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            named = check_url(url, targets.settings)
            async with (
                targets.pool() as pool,
                pool.stream("POST", named, headers=list(sent.items()), content=body) as said,
            ):
                status, retry_after = said.status, _retry_after(said.headers)
                async for chunk in said.aiter_stream():
                    received += chunk[: EXCERPT_BYTES - len(received)]
                    if len(received) >= EXCERPT_BYTES:
                        break
    except TargetRefused as refused:
        error = f"Nothing is sent there: {refused}."
    except TargetUnreachable as unreachable:
        error = f"Not reached: {unreachable}."
    except TimeoutError:
        error = f"No answer within {PATIENCE_SECONDS:g} seconds."
    except Exception as trouble:  # noqa: BLE001  whatever a stranger's server does is an answer of a kind
        error = f"{type(trouble).__name__}: {trouble}"[:LONGEST_ERROR]
    return Answer(
        status=status,
        excerpt=received.decode(errors="replace").replace("\0", "\ufffd") if received else None,
        error=None if status is not None else error,
        retry_after=retry_after,
        duration_ms=round((time.monotonic() - begun) * 1000),
    )


def _retry_after(headers: "list[tuple[bytes, bytes]]") -> int | None:
    """Seconds; the form with a date is not worth trusting a stranger's clock."""
    given = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return int(given) if given.isdigit() and len(given) < 10 else None


async def settle(work: Work, one: Claimed, answer: Answer, verdict: Verdict, reason: str) -> bool:
    """Write the outcome and end the claim; False when the lease ran out and somebody else holds it."""
    connection = await work.connection()
    is_active = await connection.fetchval(statements.HELD, one.webhook_id, one.claim)
    if is_active is None:
        return False
    again = clock.now() + pause(one.attempts, answer.retry_after) if verdict is Verdict.RETRY else None
    status = {Verdict.DELIVERED: DELIVERED, Verdict.RETRY: QUEUED}.get(verdict, FAILED)
    seen = (answer.status, answer.excerpt, answer.error, answer.duration_ms)
    await connection.execute(statements.SETTLE, one.id, status, again, *seen)
    await connection.execute(statements.RELEASE, one.webhook_id, verdict is Verdict.DELIVERED)
    if not is_active:  # switched off by hand meanwhile: nothing is left open
        await connection.execute(statements.SKIP, one.webhook_id)
    elif verdict is Verdict.DISABLE:
        await disable(work, one, reason)
    return True


async def disable(work: Work, one: Claimed, reason: str) -> None:
    """Nothing more is sent; the owner is told."""
    connection = await work.connection()
    await connection.execute(statements.DISABLE, one.webhook_id, reason)
    await connection.execute(statements.SKIP, one.webhook_id)
    await notify(
        work,
        one.owner_id,
        module="core",
        kind="system",
        severity="warning",
        title="A webhook was switched off",
        body=f"{reason} Enable it again once it works; what it missed can be sent then.",
        entity_type="core.webhooks",
        entity_id=one.webhook_id,
    )
