"""Personal values leave the log on request, and the proof holds."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.core.change_house import a_branch, as_owner, atrium, changes, harm, refusal, relay, rename
from tests.core.factories import a_principal

from atrium.core.changes import verify as proof
from atrium.core.changes.erasure import erase
from atrium.core.changes.verify import verify
from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.services import Caller, unit_of_work


async def erased(runtime: Runtime, branch: UUID, *fields: str) -> int:
    async with unit_of_work(runtime) as work:
        return await erase(work, "wealth.branches", branch, fields or None, reason="request of the person")


async def a_known_branch(runtime: Runtime) -> UUID:
    branch = await a_branch(runtime, name="Dana Levi")
    await rename(runtime, branch, "Dana Cohen")
    await a_branch(runtime)
    await relay(runtime)
    return branch


async def texts(runtime: Runtime, branch: UUID) -> str:
    return " ".join(row["changes"] for row in await changes(runtime, branch))


async def test_values_become_tombstones_and_the_log_is_still_proven(log: Runtime) -> None:
    branch = await a_known_branch(log)
    other = await a_branch(log, name="Somebody else")

    assert await erased(log, branch) == 2

    made, renamed, erasure = await changes(log, branch)
    assert "Dana" not in await texts(log, branch)
    assert '"name": [null, {"erased": true}]' in made["changes"]
    assert renamed["changes"] == '{"name": [{"erased": true}, {"erased": true}]}'
    assert (erasure["action"], erasure["reason"]) == ("erase", "request of the person")
    assert "Somebody else" in await texts(log, other)
    await relay(log)
    report = await verify(log)
    assert report.is_sound
    assert (report.erased, report.erasures) == (2, 2)


async def test_one_field_can_be_erased_and_later_the_rest(log: Runtime) -> None:
    branch = await a_known_branch(log)

    assert await erased(log, branch, "name") == 2
    assert "Dana" not in await texts(log, branch)
    assert '"IL"' in await texts(log, branch)
    assert await erased(log, branch, "name") == 0
    assert await erased(log, branch, "country") == 1
    assert '"IL"' not in await texts(log, branch)

    await relay(log)
    report = await verify(log)
    assert report.is_sound
    assert (report.erased, report.erasures) == (2, 3)


async def test_what_is_still_queued_can_be_erased(log: Runtime) -> None:
    branch = await a_branch(log, name="Dana Levi")
    await erased(log, branch)
    await relay(log)

    report = await verify(log)

    assert "Dana" not in await texts(log, branch)
    assert report.is_sound


async def test_erasing_says_who_did_it_and_erases_the_reasons_that_were_given(log: Runtime) -> None:
    branch = await a_branch(log)
    async with unit_of_work(log, reason="Dana asked for it") as work:
        await (await work.connection()).execute("UPDATE wealth.branches SET city = 'Eilat' WHERE id = $1", branch)
    principal = a_principal(roles=("admin",))
    async with unit_of_work(log, Caller(principal)) as work:
        await erase(work, "wealth.branches", branch, reason="request")

    rows = await changes(log, branch)
    assert [row["reason"] for row in rows] == [None, "(erased)", "request"]
    assert rows[-1]["actor_user_id"] == principal.user_id
    by = await log.database.pool.fetch("SELECT DISTINCT erased_by FROM core.change_erasures")
    assert [row["erased_by"] for row in by] == [principal.user_id]


async def test_two_erasures_at_once_prove_like_one_after_the_other(log: Runtime) -> None:
    branch = await a_known_branch(log)

    await asyncio.gather(erased(log, branch, "name"), erased(log, branch, "country"), erased(log, branch))

    await relay(log)
    assert "Dana" not in await texts(log, branch)
    assert (await verify(log)).is_sound


UNSIGNED = """
    SELECT core.erase_change(gen_random_uuid(), id, occurred_at, ARRAY['name'], false, '', '', '', NULL, '', '')
    FROM core.changes WHERE entity_id = $1
"""
REFUSED = (
    "UPDATE core.changes SET changes = core.tombstones(changes, ARRAY['name']) WHERE entity_id = $1",
    "UPDATE core.changes SET reason = '(erased)' WHERE entity_id = $1",
)


@pytest.mark.parametrize("sql", REFUSED)
async def test_no_other_way_leads_to_a_changed_row(log: Runtime, sql: str) -> None:
    branch = await a_known_branch(log)

    assert await refusal(log, sql, branch) == "ATR02"


@pytest.mark.parametrize(
    "values", ["action = 'x'", "changes = '{}'", "reason = 'x'", "actor_user_id = NULL, version = 9"]
)
async def test_an_erasure_opens_the_row_for_nothing_else(log: Runtime, values: str) -> None:
    branch = await a_known_branch(log)

    async with as_owner(log) as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(UNSIGNED, branch)
        with pytest.raises(asyncpg.PostgresError) as caught:
            await owner.execute(f"UPDATE core.changes SET {values} WHERE entity_id = $1", branch)
        await transaction.rollback()

    assert caught.value.sqlstate == "ATR02"


async def test_signatures_of_erasures_cannot_be_rewritten(log: Runtime) -> None:
    branch = await a_known_branch(log)
    await erased(log, branch)

    for sql in ("UPDATE core.change_erasures SET reason = 'x'", "DELETE FROM core.change_erasures"):
        assert await refusal(log, sql) == "ATR02"


async def test_an_erasure_without_the_key_is_found(log: Runtime) -> None:
    branch = await a_known_branch(log)
    await log.database.pool.execute(UNSIGNED, branch)

    assert dict((await verify(log)).faults) == {proof.ALTERED: 2, proof.UNSIGNED_ERASURE: 2}


async def test_a_signed_erasure_does_not_cover_another_change(log: Runtime) -> None:
    branch = await a_known_branch(log)
    await erased(log, branch)
    await relay(log)
    await harm(log, "UPDATE core.changes SET changes = '{}' WHERE entity_id = $1 AND action <> 'erase'", branch)

    assert dict((await verify(log)).faults) == {proof.ALTERED: 2}


async def test_an_operator_erases_by_command(log: Runtime, own_settings: Settings) -> None:
    branch = await a_known_branch(log)
    command = ("audit", "erase", "wealth.branches", str(branch), "--reason", "request 17")

    done = await asyncio.to_thread(atrium, own_settings, *command)
    unknown = await asyncio.to_thread(atrium, own_settings, *command[:3], str(uuid4()), *command[4:])

    assert done.returncode == 0, done.stderr
    assert "Erased from 2 changes" in done.stdout
    assert "Dana" not in await texts(log, branch)
    assert unknown.returncode == 1
    assert "no values" in unknown.stderr
