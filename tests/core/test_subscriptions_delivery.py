"""Nothing that was committed is lost, told twice or out of order: since, slow readers, and servers that fail."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from tests.core.change_house import as_owner, harm
from tests.core.servers import Valkey
from tests.core.subscription_house import Ear, House, living, serving, settled
from tests.wealth.factories import (
    Actor,
    a_client,
    a_user,
    an_administrator,
    an_advisor,
    headers_for,
    some_clients,
)

from atrium.core.config import Settings
from atrium.core.subscriptions import feed as feeds
from atrium.core.subscriptions.deliveries import deliveries


async def number(house: House, client: Any, count: int, begin: int = 0) -> None:
    """So many changes of one client, in a transaction each."""
    for one in range(begin, begin + count):
        await house.runtime.database.pool.execute(
            "UPDATE wealth.clients SET city = $2 WHERE id = $1", client, f"n{one}"
        )


async def ledger(house: House, client: Any, above: int = 0) -> list[int]:
    sql = """SELECT k.position FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id
        WHERE c.entity_id = $1 AND k.position > $2 ORDER BY k.position"""
    return [row["position"] for row in await house.runtime.database.pool.fetch(sql, client, above)]


async def head(house: House) -> int:
    await settled(house.runtime)
    found = await house.runtime.database.pool.fetchval("SELECT position FROM core.change_relay WHERE name = 'chain'")
    return int(found)


def positions(frames: Sequence[dict[str, Any]]) -> list[int]:
    return [one["position"] for one in frames]


def paused(ear: Ear) -> asyncio.ReadTransport:
    transport = cast(asyncio.ReadTransport, ear.socket.transport)
    transport.pause_reading()
    return transport


async def test_since_tells_what_was_missed_and_goes_on_without_gap_or_repetition(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    begun = await head(house)
    await number(house, client, 450)
    await settled(house.runtime)
    async with house.there.listen(advisor) as ear:
        writing = asyncio.create_task(number(house, client, 150, 450))
        assert await ear.subscribe(since=begun) == begun
        told = await ear.changes(600)
        await writing
        await number(house, client, 1, 600)
        told.append(await ear.change())

    assert positions(told) == await ledger(house, client, begun)
    assert told[-1]["record"]["city"] == "n600"


async def test_a_replay_keeps_to_the_scope_and_tells_who_left(house: House) -> None:
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    administrator = await an_administrator(house.runtime)
    stays, goes = await some_clients(house.runtime, advisor, 2)
    foreign = await a_client(house.runtime, other)
    begun = await head(house)
    await house.here.edit(other, foreign, city="Eilat")
    await house.here.edit(administrator, goes, advisor_id=str(other.id))
    await house.here.edit(other, goes, city="Arad")
    await house.here.edit(advisor, stays, city="Haifa")
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(since=begun)
        told = [(one["action"], one["record_id"]) for one in await ear.changes(2)]

    assert told == [("leave", str(goes)), ("update", str(stays))]


async def test_further_back_than_the_bound_the_client_reads_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FARTHEST", 5)
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    begun = await head(house)
    await number(house, client, 6)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(since=begun)
        answer = await ear.hear()
        await number(house, client, 1, 6)
        assert (await ear.change())["record"]["city"] == "n6"

    assert (answer["type"], answer["id"], answer["reason"]) == ("resync", "s1", "too_far")
    assert answer["position"] == begun + 6


async def test_what_is_no_longer_kept_or_not_yet_written_is_a_resync(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    await number(house, client, 3)
    now = await head(house)
    await harm(house.runtime, "DELETE FROM core.change_chain WHERE position < $1", now)
    for since in (now - 2, now + 1000):
        async with house.here.listen(advisor) as ear:
            await ear.subscribe(since=since)
            assert await ear.hear() == {"type": "resync", "id": "s1", "position": now, "reason": "too_old"}
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(since=now - 1)
        assert (await ear.change())["position"] == now


async def a_note(house: House, advisor: Actor) -> str:
    client = await a_client(house.runtime, advisor)
    body = {"client_id": str(client), "category": "general", "body": "n"}
    return str((await house.here.call("POST", "/api/v1/notes", advisor, body))["id"])


async def write_much(house: House, note: str, count: int) -> None:
    """More than the buffers between two ends of a socket hold."""
    for one in range(count):
        sql = "UPDATE wealth.notes SET body = $2 WHERE id = $1"
        await house.runtime.database.pool.execute(sql, note, f"{one} " + "x" * 19_000)


async def test_a_slow_subscriber_is_told_so_and_catches_up_while_others_go_on(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    note = await a_note(house, advisor)
    async with house.here.listen(advisor, max_queue=4, compression=None) as slow, house.here.listen(advisor) as quick:
        begun = await slow.subscribe("notes")
        await quick.subscribe("notes", id="q")
        stalled = paused(slow)
        writing = asyncio.create_task(write_much(house, note, 600))
        told = await quick.changes(600)
        await writing
        (kept,) = [one for one in house.here.feed.subscriptions if one.id == "s1"]
        assert not kept.is_live
        assert kept.connection.waiting <= 70
        stalled.resume_reading()
        frames = await until(slow, lambda frame: frame.get("position") == told[-1]["position"])
        frames += await until(slow, lambda frame: frame.get("event") == "caught_up")
        await write_much(house, note, 1)
        frames.append(await slow.change())
        told.append(await quick.change())

    events = [one["event"] for one in frames if one["type"] == "system"]
    assert (events[0], events[-1]) == ("behind", "caught_up")
    assert positions(told) == await ledger(house, note, begun)
    assert positions([one for one in frames if one["type"] == "change"]) == positions(told)


async def test_a_subscriber_that_is_too_slow_reads_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FARTHEST", 100)
    advisor = await an_advisor(house.runtime)
    note = await a_note(house, advisor)
    async with house.here.listen(advisor, max_queue=4, compression=None) as slow:
        await slow.subscribe("notes")
        stalled = paused(slow)
        await write_much(house, note, 600)
        now = await head(house)
        async with asyncio.timeout(20):
            while house.here.feed.position < now:
                await asyncio.sleep(0.05)
        stalled.resume_reading()
        resync = (await until(slow, lambda frame: frame["type"] == "resync"))[-1]
        assert (await slow.hear())["event"] == "caught_up"

    assert (resync["reason"], resync["position"]) == ("too_far", now)


async def until(ear: Ear, is_last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    frames = [await ear.hear(seconds=20)]
    while not is_last(frames[-1]):
        frames.append(await ear.hear(seconds=20))
    return frames


async def test_a_killed_relay_delays_and_loses_nothing(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        begun = await ear.subscribe()
        await house.relay.stop()
        await number(house, client, 20)
        with pytest.raises(TimeoutError):
            await ear.hear(seconds=1.5)
        house.relay.start()
        told = await ear.changes(20)

    assert positions(told) == await ledger(house, client, begun)


async def test_another_process_goes_on_where_the_one_that_ended_stopped(house: House, house_settings: Settings) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with serving(house_settings) as mortal, mortal.listen(advisor) as ear:
        begun = await ear.subscribe()
        await number(house, client, 3)
        told = await ear.changes(3)
    await number(house, client, 3, 3)
    async with house.there.listen(advisor) as ear:
        await ear.subscribe(since=told[-1]["position"])
        told += await ear.changes(3)

    assert positions(told) == await ledger(house, client, begun)


async def test_connections_to_postgresql_may_die_at_any_time(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        begun = await ear.subscribe()
        hearing = asyncio.create_task(ear.changes(300))
        for turn in range(3):
            async with as_owner(house.runtime) as owner:
                for one in range(100):
                    city = f"t{turn * 100 + one}"
                    await owner.execute("UPDATE wealth.clients SET city = $2 WHERE id = $1", client, city)
                    if one in (30, 70):
                        await owner.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        )
        async with asyncio.timeout(30):
            told = await hearing

    assert positions(told) == await ledger(house, client, begun)


@pytest.fixture
async def fragile(house_settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[House, Valkey]]:
    """The same with a Redis of the test's own."""
    with Valkey(tmp_path) as valkey:
        async with living(msgspec.structs.replace(house_settings, redis_url=valkey.url)) as house:
            yield house, valkey


async def test_redis_may_be_flushed_restarted_or_away(fragile: tuple[House, Valkey]) -> None:
    house, valkey = fragile
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as here, house.there.listen(advisor) as there:
        begun = await here.subscribe()
        await there.subscribe()
        await number(house, client, 5)
        told, others = await here.changes(5), await there.changes(5)
        await house.runtime.redis.flushall()
        await number(house, client, 5, 5)
        told, others = told + await here.changes(5), others + await there.changes(5)
        await house.runtime.redis.client_kill_filter(_type="normal", skipme=True)
        await number(house, client, 5, 10)
        told, others = told + await here.changes(5), others + await there.changes(5)
        valkey.stop()
        await number(house, client, 5, 15)
        told, others = told + await here.changes(5), others + await there.changes(5)
        valkey.start()
        await number(house, client, 5, 20)
        told, others = told + await here.changes(5), others + await there.changes(5)

    assert positions(told) == positions(others) == await ledger(house, client, begun)


async def test_a_page_that_cannot_be_judged_is_judged_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    real, failing = deliveries, [True, True]

    async def sometimes(*arguments: Any) -> Any:
        if failing:
            failing.pop()
            raise ZeroDivisionError
        return await real(*arguments)

    async with house.here.listen(advisor) as ear:
        begun = await ear.subscribe()
        monkeypatch.setattr(feeds, "deliveries", sometimes)
        await number(house, client, 3)
        told = await ear.changes(3)

    assert not failing
    assert positions(told) == await ledger(house, client, begun)


async def test_what_never_can_be_judged_is_a_resync(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)

    async def never(*_: Any) -> Any:
        raise ZeroDivisionError

    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        monkeypatch.setattr(feeds, "TROUBLE_SECONDS", 0.05)
        with monkeypatch.context() as broken:
            broken.setattr(feeds, "deliveries", never)
            await number(house, client, 1)
            assert (await ear.hear())["type"] == "resync"
        await number(house, client, 1, 1)
        assert (await ear.change())["record"]["city"] == "n1"


async def prolong(ear: Ear, headers: dict[str, str]) -> None:
    await ear.say(type="auth", token=headers["Authorization"].removeprefix("Bearer "))


async def grant(house: House, user_id: UUID, role: str) -> None:
    sql = """INSERT INTO core.user_roles (id, user_id, role_id)
        SELECT gen_random_uuid(), $1, id FROM core.roles WHERE code = $2"""
    await house.runtime.database.pool.execute(sql, user_id, role)


async def test_who_gains_a_role_reads_anew_and_then_hears_more(house: House) -> None:
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    foreign = await a_client(house.runtime, other)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        await grant(house, advisor.user_id, "compliance_officer")
        await prolong(ear, await headers_for(house.runtime, advisor.user_id))
        assert (await ear.hear("resync"))["reason"] == "rights_changed"
        await house.here.edit(other, foreign, city="Eilat")
        assert (await ear.change())["record_id"] == str(foreign)


async def test_who_loses_the_right_to_read_is_told_and_hears_no_more(house: House) -> None:
    user_id = await a_user(house.runtime, "compliance_officer", "client")
    officer = Actor(user_id, user_id, await headers_for(house.runtime, user_id))
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(officer) as ear:
        await ear.subscribe()
        await house.runtime.database.pool.execute("DELETE FROM core.user_roles WHERE user_id = $1", user_id)
        await prolong(ear, await headers_for(house.runtime, user_id))
        error = await ear.hear()
        await house.here.edit(advisor, client, city="Eilat")
        await ear.say(type="ping", id="p")
        await settled(house.runtime)
        assert (await ear.hear())["type"] == "pong"

    assert (error["type"], error["id"], error["code"]) == ("error", "s1", "NOT_FOUND")


async def test_a_revoked_session_hears_nothing_and_is_closed(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        await house.here.call("POST", "/api/v1/auth/logout", advisor)
        await asyncio.wait_for(ear.socket.wait_closed(), 8)
        assert ear.socket.close_code == 4001
