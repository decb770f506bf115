"""Two API processes and two workers: together they count and tell like one, and what dies loses and repeats nothing."""

import asyncio
import csv
import io
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.core.factories import PASSWORD, an_account
from tests.core.transfer_house import CSV, table
from tests.processes.cluster import RESCUED_WITHIN, Cluster, Listening, wait_until
from tests.processes.ledger import Ledger, require_chain, writing
from tests.wealth.factories import Actor, a_portal_user, a_stranger, an_advisor, some_clients

from atrium.core import clock
from atrium.core.runtime import Runtime

pytestmark = pytest.mark.timeout(150)
ME = "/api/v1/auth/me"
RATE = 60
AHEAD = RATE // 20
ELSEWHERE = "127.0.0.2"
"""An address of its own for requests without a login, which are counted by address."""
REVOKED_WITHIN = 5.0
MARGIN = 4.0
"""Seconds that a loaded machine may add."""
LARGE, SMALL = 3000, 200
CLIENTS = 60
WRITTEN = """
SELECT count(*) AS rows, count(DISTINCT client.last_name) AS names, count(change.id) AS changes
FROM wealth.clients AS client LEFT JOIN core.changes AS change
    ON change.entity_id = client.id AND change.entity_type = 'wealth.clients'
WHERE client.advisor_id = $1
"""
TRANSFERS = """
SELECT kind, count(*) AS files, sum(done_rows) AS done, sum(created) AS created, sum(failed) AS failed,
    count(completed_at) AS complete
FROM core.transfers WHERE requested_by = ANY ($1) GROUP BY kind
"""
SCANS = """
SELECT scan.status, (SELECT count(*) FROM core.notifications WHERE entity_id = scan.id) AS notices,
    (SELECT count(*) FROM wealth.opportunities WHERE growth_scan_id = scan.id) AS found,
    (SELECT count(DISTINCT client_id) FROM wealth.opportunities WHERE growth_scan_id = scan.id) AS clients
FROM wealth.growth_scans AS scan WHERE advisor_id = $1
"""
OVER = "SELECT bool_and(finished_at IS NOT NULL) FROM core.background_tasks WHERE id = ANY ($1)"
RUNNING = "SELECT id FROM core.background_tasks WHERE status = 'running' AND kind = 'import'"
ENDED = "SELECT id, kind, status, error_code, attempts FROM core.background_tasks WHERE id = ANY ($1)"
NOTES = "SELECT body, count(*) AS times FROM wealth.notes WHERE author_id = $1 GROUP BY body"


@pytest.fixture(scope="module")
def cluster_environ() -> dict[str, str]:
    return {
        "GENERAL_RATE_PER_MINUTE": "0",
        "ANONYMOUS_RATE_PER_MINUTE": str(RATE),
        "LOGIN_RATE_PER_MINUTE": "5",
    }


async def test_sockets_on_both_processes_see_the_same(cluster: Cluster, people: Runtime) -> None:
    advisor = await an_advisor(people)
    portal = await a_portal_user(people, advisor)
    await some_clients(people, advisor, 60, last_contact_at=clock.now() - timedelta(days=135))
    async with AsyncExitStack() as stack:
        sockets = [
            *await cluster.sockets(stack, "/ws/notifications", advisor.headers),
            *await cluster.sockets(stack, "/ws/chat", advisor.headers),
        ]
        (theirs,) = (await cluster.sockets(stack, "/ws/chat", portal.headers))[1:]
        http = await stack.enter_async_context(cluster.apis[0].client())
        scan = await http.post("/api/v1/insights/growth-scan", json={}, headers=advisor.headers)
        assert scan.status_code == 202, scan.text
        for socket in sockets:
            await _finished(socket)
            await socket.until("notification")
        for number, (actor, api) in enumerate([(advisor, 0), (portal, 1)], 1):
            await _say(cluster.apis[api].url, actor, portal, f"Message {number}")
            for socket in (*sockets, theirs):
                await socket.until("message.created", number)

    for kind in ("notification", "task.progress", "message.created"):
        seen = [[{**frame, "id": ""} for frame in socket.of(kind)] for socket in sockets]
        assert seen == [seen[0]] * 4, kind
    assert [frame["notification"]["title"] for frame in sockets[0].of("notification")] == ["Growth scan finished"]
    assert {frame["task_id"] for frame in sockets[0].of("task.progress")} == {scan.json()["task_id"]}
    assert len(sockets[0].of("task.progress")) >= 3
    said = [frame["message"]["content"] for frame in sockets[0].of("message.created")]
    assert said == [frame["message"]["content"] for frame in theirs.of("message.created")] == ["Message 1", "Message 2"]
    assert theirs.of("task.progress") == theirs.of("notification") == []


async def _finished(socket: Listening) -> None:
    """Until the task has ended well, as this socket is told."""
    await wait_until(lambda: [one for one in socket.of("task.progress") if one["status"] == "succeeded"], 15)


async def _say(url: str, actor: Actor, portal: Actor, content: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers=actor.headers, trust_env=False) as http:
        body = {"kind": "client_advisor", "client_id": str(portal.id)}
        found = (await http.get("/api/v1/chat/conversations", params={"kind": "client_advisor"})).json()["items"]
        if found:
            conversation = found[0]
        else:
            made = await http.post("/api/v1/chat/conversations", json=body)
            assert made.status_code == 201, made.text
            conversation = made.json()
        answer = await http.post(f"/api/v1/chat/conversations/{conversation['id']}/messages", json={"content": content})
        assert answer.status_code == 201, answer.text


async def test_five_sockets_are_the_limit_of_both_processes_together(cluster: Cluster, people: Runtime) -> None:
    stranger = await a_stranger(people)
    async with AsyncExitStack() as stack:
        four = [
            socket for _ in range(2) for socket in await cluster.sockets(stack, "/ws/notifications", stranger.headers)
        ]
        first, second = cluster.apis
        async with first.socket("/ws/notifications", stranger.headers) as fifth:
            await fifth.until("system")
            for api in cluster.apis:
                async with api.socket("/ws/notifications", stranger.headers) as sixth:
                    assert await sixth.closed() == 4429
        await wait_until(lambda: _opens(second, stranger), 5)
        assert [socket.code for socket in four] == [None] * 4


async def _opens(api: Any, actor: Actor) -> bool:
    async with api.socket("/ws/notifications", actor.headers) as socket:
        await wait_until(lambda: socket.frames or socket.code, 5)
        return bool(socket.frames)


async def test_requests_are_counted_over_both_processes_whatever_valkey_forgets(cluster: Cluster) -> None:
    answers: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(api.client(sent_from=ELSEWHERE)) for api in cluster.apis]
        await wait_until(lambda: _window_is_young(doors[0]), 15)
        for number in range(RATE):
            if number == RATE // 4:
                await cluster.flush_valkey()
            for http in doors:
                answers[(await http.get(ME)).status_code] += 1

    assert sum(answers.values()) == 2 * RATE
    assert set(answers) == {401, 429}
    assert RATE - 20 <= answers[401] <= RATE + 2 * AHEAD


async def _window_is_young(http: httpx.AsyncClient) -> bool:
    """Whether the minute that these requests are counted in ends later than the test."""
    return int((await http.get(ME)).headers["ratelimit-reset"]) > 5


async def test_logins_are_counted_over_both_processes(cluster: Cluster, people: Runtime) -> None:
    account = await an_account(people)
    body = {"email": account.email, "password": PASSWORD}
    first, second = (api.client() for api in cluster.apis)
    async with first, second:
        answers = [
            (await http.post("/api/v1/auth/login", json=body)).status_code
            for http in (first, second, first, second, first, second, first)
        ]

    assert answers == [200] * 5 + [429] * 2


def names(count: int, start: str) -> bytes:
    return table(("last_name", "city"), *((f"{start}{place}", "Haifa") for place in range(count)))


async def accepted(request: Any) -> UUID:
    """The task of a 202."""
    answer = await request
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["task_id"])


async def test_every_task_ends_and_has_its_effect_once_whatever_dies(cluster: Cluster, people: Runtime) -> None:
    importer, exporter, seeker = [await an_advisor(people) for _ in range(3)]
    await some_clients(people, exporter, CLIENTS)
    await some_clients(people, seeker, CLIENTS, last_contact_at=clock.now() - timedelta(days=135))
    first, second = (api.client() for api in cluster.apis)

    async def load(door: httpx.AsyncClient, content: bytes) -> UUID:
        headers = {**importer.headers, **CSV}
        return await accepted(door.post("/api/v1/clients/import", content=content, headers=headers))

    async with first, second, cluster.owner() as owner:
        tasks = [await load(first, names(LARGE, "L"))]
        some = "SELECT done_rows FROM core.transfers WHERE task_id = $1"
        await wait_until(lambda: cluster.value(some, tasks[0]), 15)
        async with owner.transaction():  # imports stop in the middle of a batch and wait
            await owner.execute("LOCK TABLE wealth.clients IN SHARE MODE")
            for place, door in enumerate((second, first, second, first)):
                tasks.append(await load(door, names(SMALL, f"S{place}-")))
                tasks.append(await accepted(door.post("/api/v1/clients/export", headers=exporter.headers)))
            await cluster.flush_valkey()
            for door in (second, first, second):
                tasks += [await accepted(door.post("/api/v1/clients/export", headers=exporter.headers))]
            cluster.restart_valkey()
            scan = second.post("/api/v1/insights/growth-scan", json={}, headers=seeker.headers)
            tasks.append(await accepted(scan))
            worker = await wait_until(lambda: cluster.waiting_for(owner), 10)
            begun = {row["id"] for row in await cluster.fetch(RUNNING)}
            worker.kill()
            await _rescued(cluster, begun)
        await wait_until(lambda: cluster.value(OVER, tasks), 30)
        ends = await cluster.fetch(ENDED, tasks)
        files = [await _file(first, exporter, row["id"]) for row in ends if row["kind"] == "export"]

    assert [(row["kind"], row["status"], row["error_code"]) for row in ends if row["status"] != "succeeded"] == []
    assert len(ends) == len(tasks)
    assert [len(list(csv.DictReader(io.StringIO(file)))) for file in files] == [CLIENTS] * 7
    rows = LARGE + 4 * SMALL
    (written,) = await cluster.fetch(WRITTEN, importer.id)
    assert tuple(written) == (rows, rows, rows)
    exports, imports = sorted(map(tuple, await cluster.fetch(TRANSFERS, [importer.user_id, exporter.user_id])))
    assert exports[:2] == ("export", 7)
    assert exports[5] == 7
    assert imports[:5] == ("import", 5, rows, rows, 0)
    assert [tuple(row) for row in await cluster.fetch(SCANS, seeker.id)] == [("completed", 1, CLIENTS, CLIENTS)]


async def _rescued(cluster: Cluster, begun: set[UUID]) -> None:
    """Some of what ran is begun anew by the worker that is left: which, only the killed one knew."""
    again = "SELECT count(*) FROM core.background_tasks WHERE id = ANY ($1) AND attempts = 2 AND status = 'running'"
    await wait_until(lambda: cluster.value(again, list(begun)), RESCUED_WITHIN + MARGIN)


async def _file(http: httpx.AsyncClient, actor: Actor, task_id: UUID) -> str:
    task = (await http.get(f"/api/v1/background-tasks/{task_id}", headers=actor.headers)).json()
    answer = await http.get(f"/api/v1/exports/{task['result']['export_id']}/download", headers=actor.headers)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_another_worker_goes_on_with_the_chain_of_a_killed_one(cluster: Cluster, people: Runtime) -> None:
    advisor, ledger = await an_advisor(people), Ledger()
    async with writing(cluster, advisor, ledger), cluster.owner() as owner:
        await ledger.grown(40)
        async with owner.transaction():  # the relay stops between taking from the queue and chaining
            await owner.execute("LOCK TABLE core.change_chain IN SHARE MODE")
            worker = await wait_until(lambda: cluster.waiting_for(owner, "INSERT INTO core.change_chain"), 10)
            worker.kill()
            await ledger.grown(40)
        await ledger.grown(40)

    await require_chain(cluster, advisor, ledger)
    assert ledger.unanswered == 0
    code, said = await cluster.run("audit", "verify")
    assert code == 0, said


@pytest.mark.usefixtures("no_workers")
async def test_a_revoked_token_ends_on_both_processes_even_without_valkey(cluster: Cluster, people: Runtime) -> None:
    stranger = await a_stranger(people)
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(api.client(stranger.headers)) for api in cluster.apis]
        assert [(await http.get(ME)).status_code for http in (first, second)] == [200, 200]
        sockets = await cluster.sockets(stack, "/ws/notifications", stranger.headers)
        cluster.stop_valkey()
        assert (await first.post("/api/v1/auth/logout")).status_code == 200
        assert (await first.get(ME)).status_code == 401

        async def refused() -> bool:
            return (await second.get(ME)).status_code == 401

        await wait_until(refused, REVOKED_WITHIN)
        assert [await socket.closed(REVOKED_WITHIN) for socket in sockets] == [4001, 4001]


@pytest.mark.usefixtures("no_workers")
async def test_a_request_that_is_repeated_at_another_process_is_done_once(cluster: Cluster, people: Runtime) -> None:
    advisor = await an_advisor(people)
    (client,) = await some_clients(people, advisor, 1)
    api, other = cluster.apis
    first, second = api.client(advisor.headers), other.client(advisor.headers)
    confirmed: dict[str, str] = {}
    repeated = replayed = 0

    async def write(writer: int) -> None:
        nonlocal repeated, replayed
        for number in range(20):
            body = f"Note {writer}-{number}"
            request = {"json": {"client_id": str(client), "body": body}, "headers": {"Idempotency-Key": body}}
            try:
                answer = await first.post("/api/v1/notes", **request)  # type: ignore[arg-type]
            except httpx.TransportError:
                repeated += 1
                answer = await second.post("/api/v1/notes", **request)  # type: ignore[arg-type]
            assert answer.status_code == 201, answer.text
            replayed += "idempotent-replay" in answer.headers
            confirmed[body] = answer.json()["id"]

    async with first, second, cluster.owner() as owner:
        writers = [asyncio.create_task(write(place)) for place in range(6)]
        await wait_until(lambda: len(confirmed) > 20, 15)
        async with owner.transaction():  # what the process began, PostgreSQL ends without it
            await owner.execute("LOCK TABLE wealth.notes IN SHARE MODE")
            await wait_until(lambda: cluster.waiting_for(owner), 10)
            api.kill()
            await wait_until(lambda: repeated, 10)
        await asyncio.gather(*writers)

    assert len(confirmed) == 120
    assert 1 <= replayed <= repeated
    times = {row["body"]: row["times"] for row in await cluster.fetch(NOTES, advisor.user_id)}
    assert times == dict.fromkeys(confirmed, 1)
