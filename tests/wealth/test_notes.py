from typing import Any
from uuid import UUID

import httpx
from tests.wealth.factories import Actor, a_client, a_portal_user, a_team, an_administrator, an_advisor, an_officer

from atrium.core.runtime import Runtime

PATH = "/api/v1/notes"


async def written(client: httpx.AsyncClient, author: Actor, client_id: UUID, **fields: Any) -> str:
    body = {"body": "Called about the house.", "client_id": str(client_id), **fields}
    answer = await client.post(PATH, headers=author.headers, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def seen(client: httpx.AsyncClient, reader: Actor) -> set[str]:
    found = await client.get(PATH, headers=reader.headers, params={"limit": 100})
    return {row["id"] for row in found.json()["items"]}


async def test_a_note_is_seen_by_whom_its_visibility_names(client: httpx.AsyncClient, runtime: Runtime) -> None:
    team = await a_team(runtime, share_book=True)
    author, mate = await an_advisor(runtime, team_id=team), await an_advisor(runtime, team_id=team)
    portal, officer, outsider = (
        await a_portal_user(runtime, author),
        await an_officer(runtime),
        await an_advisor(runtime),
    )
    kinds = ("private", "team", "compliance", "client")

    notes = {kind: await written(client, author, portal.id, visibility=kind) for kind in kinds}

    everything = set(notes.values())
    assert await seen(client, author) == everything
    assert await seen(client, mate) == everything - {notes["private"]}
    assert await seen(client, portal) == {notes["client"]}
    assert await seen(client, outsider) == set()
    assert everything <= await seen(client, officer)


async def test_only_the_author_changes_a_note(client: httpx.AsyncClient, runtime: Runtime) -> None:
    team = await a_team(runtime, share_book=True)
    author, mate = await an_advisor(runtime, team_id=team), await an_advisor(runtime, team_id=team)
    url = f"{PATH}/{await written(client, author, await a_client(runtime, author))}"

    for verb, body in (("PUT", {"body": "Other."}), ("DELETE", None)):
        assert (await client.request(verb, url, headers=mate.headers, json=body)).status_code == 403
    changed = await client.put(url, headers=author.headers, json={"body": "Mine."})
    gone = await client.delete(url, headers=author.headers)

    assert (changed.json()["body"], changed.json()["author_id"]) == ("Mine.", str(author.user_id))
    assert gone.status_code == 204
    assert (await client.get(url, headers=author.headers)).status_code == 404


async def test_an_administrator_deletes_a_note(client: httpx.AsyncClient, runtime: Runtime) -> None:
    author, administrator = await an_advisor(runtime), await an_administrator(runtime)
    note = await written(client, author, await a_client(runtime, author), visibility="private")

    assert (await client.delete(f"{PATH}/{note}", headers=administrator.headers)).status_code == 204


async def test_a_note_on_a_foreign_client_is_refused(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor, foreign = await an_advisor(runtime), await a_client(runtime, await an_advisor(runtime))
    body = {"body": "Hello."}

    by_body = await client.post(PATH, headers=advisor.headers, json={**body, "client_id": str(foreign)})
    by_path = await client.post(f"/api/v1/clients/{foreign}/notes", headers=advisor.headers, json=body)

    assert by_body.status_code == 422
    assert by_path.status_code == 404


async def test_a_note_is_about_somebody_and_says_something(client: httpx.AsyncClient, runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    row = await a_client(runtime, advisor)

    aimless = await client.post(PATH, headers=advisor.headers, json={"body": "Hello."})
    empty = await client.post(f"/api/v1/clients/{row}/notes", headers=advisor.headers, json={"body": ""})

    assert [error["loc"][-1] for error in aimless.json()["errors"]] == ["client_id", "lead_id"]
    assert empty.json()["errors"][0]["loc"] == ["body", "body"]
