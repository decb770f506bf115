"""What was deleted and kept: listed and brought back by those who may."""

import asyncpg
import httpx
import pytest
from tests.core.factories import sql
from tests.wealth.factories import Actor, a_client, a_team, an_administrator, an_advisor, an_officer

from atrium.core.config import Settings
from atrium.core.db.engines import asyncpg_url
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.wealth.models.organisation import Branch

CLIENTS = "/api/v1/clients"
NOTES = "/api/v1/notes"


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


async def a_deleted_note(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> str:
    chosen = str(await a_client(runtime, advisor))
    made = await client.post(NOTES, headers=advisor.headers, json={"client_id": chosen, "body": "x"})
    assert (await client.delete(made.headers["location"], headers=advisor.headers)).status_code == 204
    found: str = made.headers["location"]
    return found


async def test_what_is_restored_is_as_it_was(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> None:
    note = await a_deleted_note(client, runtime, advisor)

    restored = await client.post(f"{note}/restore", headers=advisor.headers)
    again = await client.post(f"{note}/restore", headers=advisor.headers)

    assert (restored.status_code, restored.json()["body"]) == (200, "x"), restored.text
    assert (await client.get(note, headers=advisor.headers)).json() == restored.json()
    assert (again.status_code, again.json()["code"]) == (409, "NOT_DELETED")
    logged = await sql(
        runtime,
        "SELECT action FROM core.changes WHERE entity_id = :id ORDER BY sequence DESC LIMIT 1",
        id=restored.json()["id"],
    )
    assert logged[0][0] == "restore"


async def test_only_who_may_delete_it_lists_and_restores_it(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    note = await a_deleted_note(client, runtime, advisor)
    row_id = note.rpartition("/")[2]
    expected = {"advisor": (200, [row_id], 200), "other": (200, [], 404), "officer": (403, None, 403)}
    actors = {"other": await an_advisor(runtime), "officer": await an_officer(runtime), "advisor": advisor}

    for name, actor in actors.items():
        listed = await client.get(NOTES, headers=actor.headers, params={"deleted": "true", "id": row_id})
        restored = await client.post(f"{note}/restore", headers=actor.headers)
        found = [one["id"] for one in listed.json()["items"]] if listed.status_code == 200 else None
        assert (listed.status_code, found, restored.status_code) == expected[name], name
    after = await client.get(NOTES, headers=advisor.headers, params={"deleted": "true", "id": row_id})
    assert after.json()["total"] == 0


async def test_a_list_of_deleted_rows_is_a_list(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> None:
    kept = await a_client(runtime, advisor)
    for place in range(3):
        note = await client.post(NOTES, headers=advisor.headers, json={"client_id": str(kept), "body": f"{place}"})
        if place:
            await client.delete(note.headers["location"], headers=advisor.headers)

    async def bodies(**params: str) -> list[str]:
        answer = await client.get(NOTES, headers=advisor.headers, params={"client_id": str(kept), **params})
        assert answer.status_code == 200, answer.text
        return [one["body"] for one in answer.json()["items"]]

    assert await bodies() == await bodies(deleted="false") == ["0"]
    assert await bodies(deleted="true") == ["2", "1"]
    assert await bodies(deleted="true", order_by="created_at", limit="1") == ["1"]
    assert await bodies(deleted="true", q="2") == ["2"]
    wrong = await client.get(NOTES, headers=advisor.headers, params={"deleted": "maybe"})
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["query", "deleted"])


async def test_a_note_of_a_deleted_client_does_not_come_back_alone(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    admin = await an_administrator(runtime)
    note = await a_deleted_note(client, runtime, advisor)
    row_id = note.rpartition("/")[2]
    found = await client.get(NOTES, headers=advisor.headers, params={"deleted": "true", "id": row_id})
    owner = f"{CLIENTS}/{found.json()['items'][0]['client_id']}"
    assert (await client.delete(owner, headers=advisor.headers)).status_code == 204

    for actor in (advisor, admin):
        assert (await client.post(f"{note}/restore", headers=actor.headers)).status_code == 404
        assert (await client.post(f"{owner}/notes/{row_id}/restore", headers=actor.headers)).status_code == 404
    refused = await client.post(f"{owner}/restore", headers=advisor.headers)
    restored = await client.post(f"{owner}/restore", headers=admin.headers)
    assert (refused.status_code, restored.status_code) == (403, 200), restored.text
    assert (await client.post(f"{note}/restore", headers=advisor.headers)).status_code == 200


async def test_a_colleague_does_not_restore_a_note_of_somebody_else(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    team = await a_team(runtime, share_book=True)
    author, mate = await an_advisor(runtime, team_id=team), await an_advisor(runtime, team_id=team)
    note = await a_deleted_note(client, runtime, author)

    assert (await client.post(f"{note}/restore", headers=mate.headers)).status_code == 404
    assert (await client.post(f"{note}/restore", headers=author.headers)).status_code == 200


async def test_a_value_that_was_taken_meanwhile_is_409(
    client: httpx.AsyncClient, runtime: Runtime, settings: Settings
) -> None:
    """No table of today gives a value free by deleting, so this one does."""
    admin, advisor = await an_administrator(runtime), await an_advisor(runtime)
    one, other = str(await a_client(runtime, advisor)), str(await a_client(runtime, advisor))
    index = (
        "CREATE UNIQUE INDEX uq_clients_test ON wealth.clients (source) WHERE deleted_at IS NULL AND source = 'test'"
    )
    owner = await asyncpg.connect(asyncpg_url(settings.owner_url or ""))
    await owner.execute(index)
    try:
        for chosen in (one, other):
            changed = await client.put(f"{CLIENTS}/{chosen}", headers=advisor.headers, json={"source": "test"})
            assert changed.status_code == 200
            if chosen == one:
                await client.delete(f"{CLIENTS}/{chosen}", headers=advisor.headers)
        answer = await client.post(f"{CLIENTS}/{one}/restore", headers=admin.headers)
    finally:
        await owner.execute("DROP INDEX wealth.uq_clients_test")
        await owner.close()

    assert (answer.status_code, answer.json()["code"]) == (409, "DUPLICATE"), answer.text


def test_what_is_not_kept_cannot_be_restored() -> None:
    with pytest.raises(ValueError, match="not kept"):
        Resource(Branch, path="/tests/branches", write="", restores=True)
