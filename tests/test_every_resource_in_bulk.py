"""The walk of `test_every_resource` once more, over many records at a time, by key, and over what was deleted."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.core.factories import an_account
from tests.test_every_resource import (
    ACCESS,
    CHANGE,
    CREATE_ELSEWHERE,
    RESOURCES,
    SCOPED,
    Side,
    World,
    new_body,
    paths,
    world,
)

from atrium.core.resources.resource import Resource
from atrium.core.services import unit_of_work

__all__ = ("world",)

CASES = [(name, role) for name, line in ACCESS.items() for role in line]

# What a batch of one row answers: nothing is written unless it is 200.
# own row, foreign row
BATCH: dict[str, tuple[int, int]] = {
    "all": (200, 200),
    "own": (200, 422),
    "own-only": (200, 422),
    "refused": (403, 403),
    "absent": (404, 404),
    "locked": (422, 422),
    "never": (405, 405),
}

# Who reads the row but writes none of its kind is told so at once; who writes some others, for the row.
SEEN: dict[tuple[str, str], tuple[int, int]] = {
    ("notes", "mate"): (422, 422),
    ("orders", "client"): (422, 422),
    ("orders", "client+"): (422, 422),
    ("advisors", "mate"): (422, 422),
    ("notes", "client+"): (403, 403),
}

# Who brings back what was deleted. Clients are restored by administrators; "absent" sees no deleted row at all.
RESTORE: dict[str, dict[str, str]] = {
    "clients": {
        "advisor": "refused",
        "mate": "refused",
        "client": "refused",
        "compliance": "refused",
        "admin": "all",
        "stranger": "absent",
        "clerk": "absent",
        "client+": "absent",
        "officer+": "absent",
    },
    "notes": {
        "advisor": "own",
        "mate": "absent",
        "client": "refused",
        "compliance": "refused",
        "admin": "all",
        "stranger": "absent",
        "clerk": "absent",
        "client+": "absent",
        "officer+": "absent",
    },
}

# The key that finds a record, where one is declared.
UPSERT: dict[str, str] = {"clients": "client_number", "branches": "code", "advisors": "advisor_code"}

# How a put of an existing record is refused: the role never may (403), the module is not there for it (404), or it may
# in its own rows, and a number that only the server gives out names none of them (422).
PUT_REFUSED: dict[str, dict[str, int]] = {
    "clients": {
        "advisor": 422,
        "mate": 422,
        "client+": 422,
        "client": 403,
        "compliance": 403,
        "officer+": 403,
        "clerk": 404,
        "stranger": 404,
    },
    "branches": {
        "advisor": 403,
        "mate": 403,
        "client+": 403,
        "client": 403,
        "compliance": 403,
        "officer+": 403,
        "clerk": 403,
        "stranger": 404,
    },
    "advisors": {
        "advisor": 403,
        "mate": 403,
        "client+": 403,
        "client": 403,
        "compliance": 403,
        "officer+": 403,
        "clerk": 404,
        "stranger": 404,
    },
}


def expected(name: str, role: str, allowed: str, *, mine: bool) -> set[int]:
    if allowed.endswith("seen"):
        return {403}
    found = BATCH[allowed][0 if mine else 1]
    nested = "{" in RESOURCES[name].path and not mine and allowed == "own"
    return {404} if nested else {found}


async def as_seen(world: World, resource: Resource, side: Side, row: UUID) -> httpx.Response:
    return await world.client.get(f"{paths(resource, side)}/{row}", headers=world.headers["admin"])


async def spare(world: World, name: str, side: Side) -> UUID:
    """A row of its own, which may be deleted."""
    async with unit_of_work(world.runtime) as work:
        other = Side(world)
        other.ids = dict(side.ids)
        if name == "advisors":
            other.ids["core.users"] = (await an_account(world.runtime, roles=())).id
        return await other.row(work, RESOURCES[name])


@pytest.mark.parametrize(("name", "role"), CASES)
async def test_creating_many(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][1]

    for side, mine in world.sides(role):
        path, headers = f"{paths(resource, side)}/bulk", world.headers[role]
        body = await new_body(world, name, role, side, mine=mine)
        answer = await world.client.post(path, headers=headers, json=[body])
        elsewhere = CREATE_ELSEWHERE.get(name, {}).get(role) if allowed == "own" and not mine else None

        if elsewhere is not None:
            assert answer.status_code == (404 if elsewhere == 404 else 422), answer.text
        else:
            assert {answer.status_code} == expected(name, role, allowed, mine=mine), answer.text
        if answer.status_code == 422:
            partial = await world.client.post(path, headers=headers, json=[body], params={"partial": "true"})
            assert (partial.json()["created"], len(partial.json()["errors"])) == ([], 1)


@pytest.mark.parametrize(("name", "role"), [case for case in CASES if RESOURCES[case[0]].update])
async def test_changing_many(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][2]

    for side, mine in world.sides(role):
        row = await world.row(side, resource)
        path, headers = f"{paths(resource, side)}/bulk", world.headers[role]
        before = await as_seen(world, resource, side, row)
        given = [{"id": str(row), **CHANGE[name]}]
        answer = await world.client.put(path, headers=headers, json=given)

        seen = SEEN.get((name, role))
        assert {answer.status_code} == (
            {seen[0 if mine else 1]} if seen else expected(name, role, allowed, mine=mine)
        ), answer.text
        if answer.status_code != 200:
            assert (await as_seen(world, resource, side, row)).json() == before.json()
        if answer.status_code == 422:
            partial = await world.client.put(path, headers=headers, json=given, params={"partial": "true"})
            assert (partial.json()["updated"], len(partial.json()["errors"])) == ([], 1)


@pytest.mark.parametrize(("name", "role"), [case for case in CASES if RESOURCES[case[0]].delete])
async def test_deleting_many(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][3]

    for side, mine in world.sides(role):
        row = await spare(world, name, side)
        path, headers = f"{paths(resource, side)}/bulk", world.headers[role]
        answer = await world.client.request("DELETE", path, headers=headers, json=[str(row)])

        gone = answer.status_code == 200
        assert gone == (200 in BATCH.get(allowed, (0, 0))[: 1 if mine else None][-1:]), answer.text
        assert (await as_seen(world, resource, side, row)).status_code == (404 if gone else 200)
        if allowed in ("refused", "absent"):
            # A portal user with every verb is somebody here, but deletes nothing: the row is not there for it.
            assert answer.status_code == (422 if role == "client+" else BATCH[allowed][0]), answer.text


@pytest.mark.parametrize(("name", "role"), [(name, role) for name in RESTORE for role in RESTORE[name]])
async def test_restoring(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], RESTORE[name][role]

    for side, mine in world.sides(role):
        row = await spare(world, name, side)
        path = f"{paths(resource, side)}/{row}"
        assert (await world.client.delete(path, headers=world.headers["admin"])).status_code == 204
        params = {"deleted": "true", "id": str(row)}
        listed = await world.client.get(paths(resource, side), headers=world.headers[role], params=params)
        answer = await world.client.post(f"{path}/restore", headers=world.headers[role])

        outcomes = {"all": (200, 200), "own": (200, 404), "refused": (403, 403), "absent": (404, 404)}
        status = outcomes[allowed][0 if mine else 1]
        assert answer.status_code == status, answer.text
        assert (await as_seen(world, resource, side, row)).status_code == (200 if status == 200 else 404)
        if listed.status_code == 200:
            assert [one["id"] for one in listed.json()["items"]] == ([str(row)] if status == 200 else [])
        else:
            assert listed.status_code == status


def test_every_resource_that_restores_or_is_put_has_a_line() -> None:
    assert {name for name, resource in RESOURCES.items() if resource.restores} == set(RESTORE)
    assert {name: ",".join(resource.upsert) for name, resource in RESOURCES.items() if resource.upsert} == UPSERT


@pytest.mark.parametrize(("name", "role"), [case for case in CASES if case[0] in UPSERT])
async def test_putting_what_exists(name: str, role: str, world: World) -> None:
    """It takes both permissions, and the row must be one that the caller may write."""
    resource, (_, creates, updates, _) = RESOURCES[name], ACCESS[name][role]

    for side, mine in world.sides(role):
        row = await world.row(side, resource)
        before = (await as_seen(world, resource, side, row)).json()
        change: dict[str, Any] = {UPSERT[name]: before[UPSERT[name]], **CHANGE[name]}
        path = paths(resource, side)
        one = await world.client.put(f"{path}/upsert", headers=world.headers[role], json=change)
        many = await world.client.post(f"{path}/bulk?upsert={UPSERT[name]}", headers=world.headers[role], json=[change])

        writes = creates in ("all", "own", "locked") and (updates == "all" or (updates == "own" and mine))
        assert (one.status_code == 200) == (many.status_code == 200) == writes, f"{one.text} {many.text}"
        after = (await as_seen(world, resource, side, row)).json()
        assert after == before if not writes else after["id"] == before["id"]
        if not writes:
            assert (one.status_code, many.status_code) == (PUT_REFUSED[name][role],) * 2, f"{one.text} {many.text}"


def _keys() -> list[tuple[str, str, str]]:
    """(resource, foreign key, table it points to) for every key that a caller may send."""
    return [
        (name, column.name, next(iter(column.foreign_keys)).column.table.fullname)
        for name, resource in RESOURCES.items()
        if ACCESS[name]["advisor"][2].startswith("own")
        for column in resource.table.columns
        if column.foreign_keys and column.info.get("mark") is None
    ]


@pytest.mark.parametrize(("name", "key", "table"), [one for one in _keys() if one[2] in SCOPED])
async def test_no_foreign_key_of_a_batch_reaches_another_advisors_row(
    name: str, key: str, table: str, world: World
) -> None:
    resource, foreign = RESOURCES[name], str(world.foreign.ids[table])
    row = await world.row(world.own, resource)
    path, headers = paths(resource, world.own), world.headers["advisor"]
    body = {**resource.example, "client_id": str(world.own.ids["wealth.clients"])}
    kept = {one: value for one, value in body.items() if one in resource.fields and f"{{{one}}}" not in resource.path}
    good, bad = {**kept, "name": uuid4().hex} if "name" in kept else kept, {**kept, key: foreign}

    changed = await world.client.put(f"{path}/bulk", headers=headers, json=[{"id": str(row), key: foreign}])
    made = await world.client.post(f"{path}/bulk", headers=headers, json=[good, bad])
    partly = await world.client.post(f"{path}/bulk?partial=true", headers=headers, json=[good, bad, good])

    assert (changed.status_code, made.status_code) == (422, 422), changed.text
    assert [error["loc"] for error in changed.json()["errors"]] == [["body", 0, key]]
    assert [error["loc"] for error in made.json()["errors"]] == [["body", 1, key]]
    assert [error["index"] for error in partly.json()["errors"]] == [1]
    assert len(partly.json()["created"]) == 2
    after = (await as_seen(world, resource, world.own, row)).json()
    assert after[key] != foreign


async def test_no_foreign_key_is_put(world: World) -> None:
    record = (await as_seen(world, RESOURCES["clients"], world.own, world.own.ids["wealth.clients"])).json()
    foreign = str(world.foreign.ids["wealth.households"])
    known = {"client_number": record["client_number"], "household_id": foreign}

    for body in (known, {"last_name": "x", "household_id": foreign}):
        answer = await world.client.put("/api/v1/clients/upsert", headers=world.headers["advisor"], json=body)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "household_id"]), answer.text
