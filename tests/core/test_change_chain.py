"""What was relayed can be proven, and what was done to it afterwards is found."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.core.change_house import a_branch, atrium, changes, harm, opened, relay, rename
from tests.core.servers import Valkey

from atrium.core import clock
from atrium.core.changes import verify as proof
from atrium.core.changes.chain import Key, Keyring
from atrium.core.changes.record import record
from atrium.core.changes.relay import chain_batch, keep_relaying, log_head, publish_batch, relay_state
from atrium.core.changes.verify import verify
from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.services import unit_of_work
from atrium.core.stopping import stop


async def positions(runtime: Runtime, *rows: UUID) -> list[int]:
    sql = """SELECT k.position FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id
        WHERE c.entity_id = ANY ($1) ORDER BY k.position"""
    return [row["position"] for row in await runtime.database.pool.fetch(sql, rows)]


async def stream(runtime: Runtime) -> list[tuple[int, dict[bytes, bytes]]]:
    found: Any = await runtime.redis.xrange(runtime.key("changes"))
    return [(int(key.partition(b"-")[0]), said) for key, said in found]


async def eventually(holds: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)


# The relay


async def test_changes_are_chained_in_the_order_of_their_sequence_and_leave_the_queue(log: Runtime) -> None:
    before = (await relay_state(log)).position
    branch = await a_branch(log)
    for number in range(4):
        await rename(log, branch, f"n{number}")
    assert (await relay_state(log)).queued == 5

    assert await relay(log) == 5

    rows = await log.database.pool.fetch(
        "SELECT change_id, sequence FROM core.change_chain WHERE position > $1 ORDER BY position", before
    )
    assert [row["change_id"] for row in rows] == [row["id"] for row in await changes(log, branch)]
    assert await positions(log, branch) == list(range(before + 1, before + 6))
    state = await relay_state(log)
    assert (state.queued, state.lag_seconds, state.position, state.published) == (0, 0, before + 5, before + 5)


async def test_small_batches_make_the_same_chain_as_large_ones(log: Runtime) -> None:
    branches = [await a_branch(log) for _ in range(7)]

    while await chain_batch(log, 3):
        pass

    chained = await positions(log, *branches)
    assert chained == list(range(chained[0], chained[0] + 7))
    assert (await verify(log)).is_sound


async def test_a_logged_event_without_a_row_is_relayed_too(log: Runtime) -> None:
    subject = uuid4()
    async with unit_of_work(log) as work:
        await record(work, module="core", action="reveal", entity_type="core.users", entity_id=subject)

    assert await relay(log) == 1
    assert len(await positions(log, subject)) == 1


async def test_a_rolled_back_change_leaves_nothing_in_the_queue(log: Runtime) -> None:
    async with log.database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO wealth.branches (id, code, name, country) VALUES (gen_random_uuid(), 'R', 'R', 'IL')"
        )
        await transaction.rollback()

    assert (await relay_state(log)).queued == 0


async def test_the_stream_tells_who_and_where_but_no_values(log: Runtime) -> None:
    branch = await a_branch(log, name="A name to keep")
    await relay(log)

    position, said = (await stream(log))[-1]

    assert [position] == await positions(log, branch)
    assert (said[b"entity_type"], said[b"entity_id"]) == (b"wealth.branches", str(branch).encode())
    assert said[b"action"] == b"create"
    assert b"A name to keep" not in repr(said).encode()


async def test_two_relays_at_once_chain_everything_once(log: Runtime, own_settings: Settings) -> None:
    async with Runtime.open(own_settings) as other:
        relays = [asyncio.create_task(keep_relaying(one)) for one in (log, other)]
        branches = [await a_branch(log) for _ in range(150)]

        async def is_done() -> bool:
            state = await relay_state(log)
            return state.queued == 0 and state.published == state.position

        await eventually(is_done)
        await stop(*relays)

    chained = await positions(log, *branches)
    published = [position for position, _ in await stream(log)]
    assert chained == list(range(chained[0], chained[0] + 150))
    assert published == sorted(set(published))
    assert set(chained) <= set(published)
    assert (await verify(log)).is_sound


async def test_while_somebody_holds_the_lease_others_leave_the_queue_alone(log: Runtime) -> None:
    await a_branch(log)
    async with log.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM core.change_relay WHERE name = 'chain' FOR UPDATE")
        assert await chain_batch(log) == 0
        assert (await relay_state(log)).queued == 1

    assert await chain_batch(log) == 1


async def test_a_relay_killed_in_the_middle_loses_nothing(log: Runtime, own_settings: Settings) -> None:
    branch = await a_branch(log)
    killed = await log.database.pool.acquire()
    await killed.execute("BEGIN")
    await killed.execute("SELECT FROM core.change_relay WHERE name = 'chain' FOR UPDATE")
    await killed.execute("DELETE FROM core.change_queue")
    killed.terminate()
    await log.database.pool.release(killed)

    async def is_chained() -> bool:
        await chain_batch(log)
        return len(await positions(log, branch)) == 1

    await eventually(is_chained)
    assert (await verify(log)).is_sound


async def test_the_relay_survives_the_loss_of_its_connections(log: Runtime) -> None:
    running = asyncio.create_task(keep_relaying(log))
    await a_branch(log)
    await asyncio.sleep(0.1)
    admin = await log.database.pool.acquire()
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    branch_id = uuid4()
    await admin.execute("INSERT INTO wealth.branches (id, code, name, country) VALUES ($1, 'K', 'K', 'IL')", branch_id)
    await log.database.pool.release(admin)

    async def is_chained() -> bool:
        return len(await positions(log, branch_id)) == 1

    await eventually(is_chained)
    await stop(running)


async def test_without_redis_the_chain_grows_and_the_stream_follows_later(
    log: Runtime, own_settings: Settings, tmp_path: Path
) -> None:
    with Valkey(tmp_path) as valkey:
        async with opened(msgspec.structs.replace(own_settings, redis_url=valkey.url)) as runtime:
            await relay(runtime)
            valkey.stop()
            branches = [await a_branch(runtime) for _ in range(3)]
            assert await chain_batch(runtime) == 3
            with pytest.raises(Exception):  # noqa: B017, PT011  whatever the client says of a server that is gone
                await publish_batch(runtime)
            state = await relay_state(runtime)
            assert state.position == state.published + 3

            valkey.start()
            await relay(runtime)

            published = [position for position, _ in await stream(runtime)]
            assert published[-3:] == await positions(runtime, *branches)
            assert (await relay_state(runtime)).published == state.position


async def test_a_stream_of_a_database_that_is_gone_begins_anew(log: Runtime) -> None:
    ahead = (await relay_state(log)).position + 1000
    await log.redis.xadd(log.key("changes"), {"id": "x"}, id=f"{ahead}-0")
    branch = await a_branch(log)
    await chain_batch(log)
    with pytest.raises(Exception, match="begins anew"):
        await publish_batch(log)

    await relay(log)

    assert [position for position, _ in await stream(log)] == await positions(log, branch)


async def test_what_is_queued_twice_is_chained_once(log: Runtime) -> None:
    branch = await a_branch(log)
    again = "INSERT INTO core.change_queue SELECT sequence, id, occurred_at FROM core.changes WHERE entity_id = $1"
    await log.database.pool.execute(again, branch)
    await relay(log)
    await log.database.pool.execute(again, branch)
    await relay(log)

    assert len(await positions(log, branch)) == 1
    assert (await relay_state(log)).queued == 0
    assert (await verify(log)).is_sound


async def test_the_head_is_logged_once_it_moved(log: Runtime) -> None:
    await a_branch(log)
    await relay(log)
    head = await log.database.pool.fetchrow("SELECT position, hash FROM core.change_relay WHERE name = 'chain'")
    assert head is not None

    with capture_logs() as lines:
        logged = await log_head(log)
        assert await log_head(log, logged) == logged

    (line,) = [line for line in lines if line["event"] == "audit_head"]
    assert (line["position"], line["hash"]) == (head["position"], head["hash"].hex())
    assert (await verify(log, head=(line["position"], line["hash"]))).is_sound


# The proof


async def a_proven_log(runtime: Runtime) -> tuple[UUID, list[int]]:
    """A branch with four changes in the middle of others."""
    await a_branch(runtime)
    branch = await a_branch(runtime)
    for name in ("one", "two", "three"):
        await rename(runtime, branch, name)
    await a_branch(runtime)
    await relay(runtime)
    assert (await verify(runtime)).is_sound
    return branch, await positions(runtime, branch)


async def faults(runtime: Runtime, **options: Any) -> dict[str, int]:
    return dict((await verify(runtime, **options)).faults)


async def test_a_whole_log_is_proven(log: Runtime) -> None:
    await a_proven_log(log)
    await a_branch(log)

    report = await verify(log)

    assert report.is_sound
    assert report.proven == report.last - report.first + 1
    assert report.last == (await relay_state(log)).position
    assert report.queued == 1
    assert report.queue_age > 0


@pytest.mark.parametrize(
    "value",
    [
        'changes = changes || \'{"name": [null, "other"]}\'',
        "actor_user_id = gen_random_uuid()",
        "reason = 'because'",
        "action = 'delete'",
        "ip = '10.0.0.1'",
        "entity_id = gen_random_uuid()",
        "created_at = created_at - interval '1 second'",
        "sequence = sequence + 1000000",
        "version = 7",
    ],
)
async def test_an_altered_change_is_found(log: Runtime, value: str) -> None:
    _, (_, place, *_) = await a_proven_log(log)
    await harm(
        log,
        f"UPDATE core.changes SET {value} WHERE id = (SELECT change_id FROM core.change_chain WHERE position = $1)",
        place,
    )

    assert await faults(log) == {proof.ALTERED: 1}


async def test_a_change_moved_in_time_is_found(log: Runtime) -> None:
    _, (_, place, *_) = await a_proven_log(log)
    await harm(
        log,
        "UPDATE core.changes SET occurred_at = occurred_at - interval '1 hour' "
        "WHERE id = (SELECT change_id FROM core.change_chain WHERE position = $1)",
        place,
    )

    assert await faults(log) == {proof.MISSING: 1}


async def test_a_removed_change_is_found(log: Runtime) -> None:
    branch, places = await a_proven_log(log)
    await harm(log, "DELETE FROM core.changes WHERE entity_id = $1", branch)

    report = await verify(log)

    assert report.faults == {proof.MISSING: len(places)}
    assert f"position {places[0]}" in report.examples[proof.MISSING][0]


async def test_changes_in_another_order_are_found(log: Runtime) -> None:
    _, (first, second, *_) = await a_proven_log(log)
    for old, new in ((first, -1), (second, first), (-1, second)):
        await harm(log, "UPDATE core.change_chain SET position = $2 WHERE position = $1", old, new)

    assert await faults(log) == {proof.BROKEN: 3}  # both and the one behind them


async def test_a_link_cut_out_of_the_chain_is_found(log: Runtime) -> None:
    _, (_, place, *_) = await a_proven_log(log)
    await harm(log, "DELETE FROM core.change_chain WHERE position = $1", place)

    assert await faults(log) == {proof.CUT_OUT: 1, proof.BROKEN: 1, proof.FOREIGN: 1}


async def test_a_chain_that_is_cut_off_is_found_by_the_head_of_the_relay_or_of_the_log(log: Runtime) -> None:
    await a_proven_log(log)
    head = await log.database.pool.fetchrow("SELECT position, hash FROM core.change_relay WHERE name = 'chain'")
    assert head is not None
    cut = "DELETE FROM core.change_chain WHERE position > $1"
    changes_too = "DELETE FROM core.changes WHERE id NOT IN (SELECT change_id FROM core.change_chain)"
    await harm(log, cut, head["position"] - 2)
    await harm(log, changes_too)
    assert await faults(log) == {proof.CUT_OFF: 2}

    await harm(
        log,
        "UPDATE core.change_relay SET (position, hash) = "
        "(SELECT position, hash FROM core.change_chain ORDER BY position DESC LIMIT 1) WHERE name = 'chain'",
    )
    assert await faults(log) == {}
    assert await faults(log, head=(head["position"], head["hash"].hex())) == {proof.CUT_OFF: 2}
    assert await faults(log, head=(head["position"] - 3, "0" * 64)) == {proof.OTHER_HEAD: 1}


async def test_a_change_put_in_past_the_triggers_is_found(log: Runtime) -> None:
    await a_proven_log(log)
    await log.database.pool.execute(
        "INSERT INTO core.changes (id, module, action, entity_type, entity_id) "
        "VALUES (gen_random_uuid(), 'wealth', 'create', 'wealth.branches', gen_random_uuid())"
    )

    report = await verify(log)

    assert report.faults == {proof.FOREIGN: 1}
    assert len(report.examples[proof.FOREIGN]) == 1


async def test_a_link_made_without_the_key_is_found(log: Runtime) -> None:
    await a_proven_log(log)
    await harm(
        log,
        "INSERT INTO core.change_chain SELECT position + 1, gen_random_uuid(), sequence, occurred_at, relayed_at, "
        "key_id, digest, hash FROM core.change_chain ORDER BY position DESC LIMIT 1",
    )

    assert await faults(log) == {proof.BROKEN: 1}


async def test_a_change_that_vanished_from_under_the_queue_is_found(log: Runtime) -> None:
    branch = await a_branch(log)
    await harm(log, "DELETE FROM core.changes WHERE entity_id = $1", branch)
    assert await faults(log) == {proof.VANISHED: 1}

    await relay(log)

    assert await faults(log) == {proof.MISSING: 1}


async def test_since_judges_only_what_was_chained_since_then(log: Runtime) -> None:
    branch, _ = await a_proven_log(log)
    await asyncio.sleep(0.01)
    since = clock.now()
    later = await a_branch(log)
    await relay(log)
    await harm(log, "UPDATE core.changes SET reason = 'x' WHERE entity_id = $1", branch)
    assert (await verify(log)).faults == {proof.ALTERED: 4}

    report = await verify(log, since=since)

    assert report.is_sound
    assert (report.first, report.last, report.proven) == (*await positions(log, later), *await positions(log, later), 1)
    assert (await verify(log, since=clock.now() + timedelta(hours=1))).is_sound


async def test_a_page_ends_anywhere(log: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_proven_log(log)
    monkeypatch.setattr(proof, "PAGE", 2)

    report = await verify(log)

    assert report.is_sound
    assert report.proven == report.last


async def test_a_retired_key_proves_what_it_bound_and_an_unknown_one_does_not(
    log: Runtime, own_settings: Settings
) -> None:
    await a_branch(log)
    await relay(log)
    renewed = msgspec.structs.replace(own_settings, audit_key="a-new-key-for-the-log-and-for-nothing-else")
    async with Runtime.open(renewed) as runtime:
        await a_branch(runtime)
        await relay(runtime)
        report = await verify(runtime)
        assert set(report.faults) == {proof.UNKNOWN_KEY}
        assert report.proven == 1

    kept = msgspec.structs.replace(renewed, audit_keys_retired=(own_settings.secret_key,))
    async with Runtime.open(kept) as runtime:
        assert (await verify(runtime)).is_sound


def test_a_key_stands_in_no_id_and_keys_differ(settings: Settings) -> None:
    ring = Keyring.of(settings)

    assert ring.key.id == Key(settings.secret_key).id
    assert ring.key.id != Key("another secret").id
    assert settings.secret_key not in ring.key.id
    assert not ring.is_signed("ffffffff", b"", b"link", b"")


async def test_the_command_proves_the_log_and_fails_on_any_fault(log: Runtime, own_settings: Settings) -> None:
    branch, _ = await a_proven_log(log)

    sound = await asyncio.to_thread(atrium, own_settings, "audit", "verify")
    await harm(log, "DELETE FROM core.changes WHERE entity_id = $1", branch)
    faulty = await asyncio.to_thread(atrium, own_settings, "audit", "verify")
    wrong = await asyncio.to_thread(atrium, own_settings, "audit", "verify", "--since", "yesterday")

    assert sound.returncode == 0, sound.stderr
    assert "Found no fault." in sound.stdout
    assert "What this cannot show" in sound.stdout
    assert faulty.returncode == 1
    assert f"4 times {proof.MISSING}" in faulty.stdout
    assert wrong.returncode == 2
