"""Events that leave the system: whoever dies on the way, each arrives at least once and in order per record."""

from collections.abc import AsyncIterator, Collection

import httpx
import pytest
from tests.core.factories import an_account
from tests.processes.cluster import Cluster, wait_until
from tests.processes.ledger import CHAIN, Ledger, is_relayed, out_of_order, writing
from tests.processes.post_office import PostOffice, serving_mail
from tests.processes.receiver import Receiver, receiving
from tests.processes.subscriber import Subscriber, following
from tests.wealth.factories import Actor, an_administrator, an_advisor

from atrium.core.runtime import Runtime
from atrium.core.webhooks.sending import LEASE_SECONDS

pytestmark = pytest.mark.timeout(150)
GOOD, HANGING = "/good", "/hanging"
EVENTS = """
SELECT c.id::text AS id, k.position
FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
WHERE c.actor_user_id = $1 AND c.entity_type = 'wealth.clients'
ORDER BY k.position
"""
LEASE_ENDS = """
WITH hooks AS (
    UPDATE core.webhooks SET claimed_until = now() WHERE url = ANY ($1) AND claimed_until > now() RETURNING id
)
UPDATE core.webhook_deliveries SET next_attempt_at = now() WHERE status = 'sending' AND webhook_id IN (TABLE hooks)
"""
HOOKS_PAUSE_ENDS = "UPDATE core.webhook_deliveries SET next_attempt_at = now() WHERE status = 'queued'"
PAUSE_ENDS = "UPDATE core.outbox_messages SET next_attempt_at = now() WHERE status IN ('queued', 'sending')"
"""The pause before the next attempt, and the lease of a worker that was killed."""
REST_IS_SENT = """
SELECT count(*) FILTER (WHERE status = 'queued') = 0 AND count(*) FILTER (WHERE status = 'sent') > 0
    AND min(now() - updated_at) > interval '1 second'
FROM core.outbox_messages
"""
MAILS = 6


@pytest.fixture(scope="module")
async def post_office() -> AsyncIterator[PostOffice]:
    async with serving_mail() as office:
        yield office


@pytest.fixture(scope="module")
def cluster_environ(post_office: PostOffice) -> dict[str, str]:
    return {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(post_office.port),
        "SMTP_TLS": "none",
        "SMTP_FROM": "Atrium <no-reply@example.com>",
        "ENVIRONMENT": "development",  # production sends webhooks to https only
        "GENERAL_RATE_PER_MINUTE": "0",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }


async def test_subscribers_hear_of_every_change_though_processes_and_valkey_die(
    cluster: Cluster, people: Runtime
) -> None:
    advisor, ledger = await an_advisor(people), Ledger()
    async with (
        following(cluster, advisor, first=0) as moving,
        following(cluster, advisor, first=1) as staying,
        cluster.owner() as owner,
    ):
        async with writing(cluster, advisor, ledger):
            await ledger.grown(30)
            cluster.apis[0].kill()
            await ledger.grown(30)
            cluster.restart_valkey()
            await ledger.grown(30)
            async with owner.transaction():
                await owner.execute("LOCK TABLE core.change_chain IN SHARE MODE")
                worker = await wait_until(lambda: cluster.waiting_for(owner, "INSERT INTO core.change_chain"), 10)
                worker.kill()
                await ledger.grown(30)
            cluster.restart_valkey()
            await ledger.grown(30)
        for subscriber in (moving, staying):
            await _hears_all(cluster, advisor, ledger, subscriber)

    assert (moving.connections, staying.connections) == (2, 1)


async def _hears_all(cluster: Cluster, advisor: Actor, ledger: Ledger, subscriber: Subscriber) -> None:
    await wait_until(lambda: is_relayed(cluster), 10)
    rows = await cluster.fetch(CHAIN, advisor.user_id)
    assert ledger.missing([(row["record"], row["version"]) for row in rows]) == set()
    told = {(row["record"], row["position"]) for row in rows}
    await wait_until(lambda: told <= set(subscriber.seen), 10)
    assert out_of_order(subscriber.seen) == []
    assert subscriber.others == []


async def test_webhooks_arrive_in_order_though_a_target_hangs_and_a_worker_is_killed(
    cluster: Cluster, people: Runtime
) -> None:
    advisor, owner, ledger = await an_advisor(people), await an_administrator(people), Ledger()
    async with receiving() as receiver, cluster.apis[0].client(owner.headers) as http:
        for path in (GOOD, HANGING):
            await _subscribe(http, receiver.url + path)
        receiver.hold(HANGING)
        async with writing(cluster, advisor, ledger, pause=0.2):
            await ledger.grown(20)
            await wait_until(lambda: len(receiver.answered(GOOD)) >= 20, 15)
            await wait_until(lambda: receiver.waiting(HANGING), 10)
            receiver.hold(GOOD)
            sent = (await wait_until(lambda: receiver.waiting(GOOD), 10))[-1]
            (worker,) = [one for one in cluster.workers if one.owns_port(sent.port)]
            lost = [path for path in (GOOD, HANGING) if worker.owns_port(receiver.waiting(path)[-1].port)]
            worker.kill()
            receiver.release(GOOD)
            await ledger.grown(20)
        # The lease of the killed worker, half a minute, is over.
        await cluster.fetch(LEASE_ENDS, [receiver.url + path for path in lost])
        await wait_until(lambda: is_relayed(cluster), 10)
        events = {row["id"]: row["position"] for row in await cluster.fetch(EVENTS, advisor.user_id)}
        assert len(events) >= len(ledger.confirmed) > 40
        await wait_until(lambda: events.keys() <= set(receiver.answered(GOOD)), 30)
        receiver.release(HANGING)
        await wait_until(lambda: _arrive(cluster, receiver, events.keys()), LEASE_SECONDS + 15)

    for path in (GOOD, HANGING):
        assert out_of_order([(path, events[one]) for one in receiver.answered(path) if one in events]) == []
    again = [one.id for one in receiver.requests[GOOD]].count(sent.id)
    assert again == 2


async def _arrive(cluster: Cluster, receiver: Receiver, events: Collection[str]) -> bool:
    """Whether what hung has come; the pause after each failure, longer the slower this machine is, is over."""
    await cluster.fetch(HOOKS_PAUSE_ENDS)
    return set(events) <= set(receiver.answered(HANGING))


async def _subscribe(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post("/api/v1/webhooks", json={"url": url, "events": ["wealth.clients.*"]})
    assert answer.status_code == 201, answer.text


async def test_mails_get_through_a_server_that_refuses_and_a_worker_that_is_killed(
    cluster: Cluster, people: Runtime, post_office: PostOffice
) -> None:
    accounts = [await an_account(people) for _ in range(MAILS)]
    post_office.refuses = True
    for number, account in enumerate(accounts):
        async with cluster.apis[number % 2].client() as http:
            answer = await http.post("/api/v1/auth/forgot-password", json={"email": account.email})
        assert answer.status_code == 202, answer.text
    await wait_until(lambda: _mails(cluster, "queued", attempts=1), 15)
    assert sorted(post_office.refused) == sorted(account.email for account in accounts)
    post_office.refuses = False
    post_office.hold()
    await cluster.fetch(PAUSE_ENDS)
    sender = (await wait_until(lambda: post_office.waiting, 10))[0]
    (worker,) = [one for one in cluster.workers if one.owns_port(sender)]
    worker.kill()
    post_office.release()
    await wait_until(lambda: cluster.value(REST_IS_SENT), 15)
    await cluster.fetch(PAUSE_ENDS)
    await wait_until(lambda: _mails(cluster, "sent"), 15)

    assert set(post_office.taken) == {account.email for account in accounts}
    assert [len(set(message_ids)) for message_ids in post_office.taken.values()] == [1] * MAILS
    assert await cluster.value("SELECT max(attempts) FROM core.outbox_messages") >= 3


async def _mails(cluster: Cluster, status: str, *, attempts: int | None = None) -> bool:
    """Whether all are written, which an API process does after its answer, and in this state."""
    rows = await cluster.fetch("SELECT status, attempts FROM core.outbox_messages")
    return [(row["status"], attempts and row["attempts"]) for row in rows] == [(status, attempts)] * MAILS
