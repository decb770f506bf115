"""Imports through the door, worked on by a real worker."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.core.transfer_house import (
    CSV,
    NDJSON,
    PATH,
    clients_of,
    finished,
    imported,
    send,
    table,
)
from tests.wealth.factories import Actor, a_client, a_portal_user, an_advisor, an_officer

from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working
from atrium.core.transfers.formats import separated


@pytest.fixture(scope="module")
async def worker(runtime: Runtime) -> AsyncIterator[None]:
    async with working(runtime, ["default"]):
        yield


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


@pytest.mark.usefixtures("worker")
async def test_rows_become_records_and_bad_ones_are_named(client: httpx.AsyncClient, advisor: Actor) -> None:
    content = table(
        ("last_name", "net_worth", "dependents", "is_household_head", "date_of_birth", "risk_profile"),
        ("Aaron", "1234567.8900", "2", "TRUE", "1980-01-31", "moderate"),
        ("Baker", "1e400", "", "", "", ""),
        ("Cohen", "NaN", "two", "maybe", "31.1.1980", "reckless"),
        ("Dayan", "", "", "", "", ""),
    )
    answer = await send(client, advisor, content)
    shown = await imported(client, advisor, answer)
    made = await clients_of(client, advisor)

    assert shown["status"] == "succeeded"
    assert shown["rows"] == {"total": 4, "done": 4, "created": 2, "updated": 0, "unchanged": 0, "failed": 2}
    assert [row["last_name"] for row in made] == ["Aaron", "Dayan"]
    first = {name: made[0][name] for name in ("dependents", "is_household_head", "date_of_birth", "risk_profile")}
    assert first == {
        "dependents": 2,
        "is_household_head": True,
        "date_of_birth": "1980-01-31",
        "risk_profile": "moderate",
    }
    assert made[0]["advisor_id"] == str(advisor.id)
    told = {(error["row"], error["column"]): error["message"] for error in shown["errors"]}
    wrong = ("dependents", "is_household_head", "date_of_birth", "risk_profile")
    assert set(told) == {(2, "net_worth"), *((3, name) for name in wrong)}
    assert told[3, "dependents"] == "must be a whole number"
    assert told[3, "is_household_head"] == "must be true or false"
    assert told[3, "risk_profile"].startswith("must be one of")


@pytest.mark.usefixtures("worker")
async def test_decimals_keep_every_digit(client: httpx.AsyncClient, advisor: Actor) -> None:
    await imported(
        client, advisor, await send(client, advisor, table(("last_name", "net_worth"), ("A", "1234567.8901")))
    )

    answer = await client.get(PATH, headers=advisor.headers)

    assert '"net_worth":1234567.8901' in answer.text


@pytest.mark.usefixtures("worker")
async def test_the_errors_come_as_a_file(client: httpx.AsyncClient, advisor: Actor) -> None:
    shown = await imported(client, advisor, await send(client, advisor, table(("last_name", "city"), ("A", "x" * 101))))
    other = await an_advisor(client._transport.app.state.runtime)  # type: ignore[attr-defined]

    answer = await client.get(shown["errors_url"], headers=advisor.headers)
    rows = list(csv.reader(io.StringIO(answer.text)))

    assert answer.headers["content-disposition"].startswith("attachment")
    assert rows[0] == ["row", "column", "message"]
    assert rows[1][:2] == ["1", "city"]
    assert (await client.get(shown["errors_url"], headers=other.headers)).status_code == 404
    assert (await client.get(shown["errors_url"])).status_code == 401


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("delimiter", [";", "\t", ","])
async def test_hebrew_quotes_line_breaks_and_delimiters_survive(
    client: httpx.AsyncClient, advisor: Actor, delimiter: str
) -> None:
    names = ['שָׁלוֹם "כהן"', f"two\r\nlines{delimiter} one cell", "'quoted'", "=SUM(A1)", "'=SUM(A1)", "-5", "@me"]
    content = table(("last_name",), *((name,) for name in names), delimiter=delimiter)
    content = content.replace(b"last_name", b"last_name" + delimiter.encode() + b"city", 1)
    rows = [("last_name", "city"), *((name, "חיפה") for name in names)]

    await imported(client, advisor, await send(client, advisor, separated.BOM + table(*rows, delimiter=delimiter)))
    made = await clients_of(client, advisor)

    # An apostrophe before a formula is how spreadsheets and our own exports keep text from being run.
    kept = sorted(["=SUM(A1)" if name == "'=SUM(A1)" else name for name in names])
    assert sorted(row["last_name"] for row in made) == kept
    assert {row["city"] for row in made} == {"חיפה"}


@pytest.mark.usefixtures("worker")
async def test_ndjson_takes_records_as_they_are_on_the_wire(client: httpx.AsyncClient, advisor: Actor) -> None:
    await imported(client, advisor, await send(client, advisor, table(("last_name", "net_worth"), ("Old", "12.5000"))))
    (record,) = await clients_of(client, advisor)
    lines = [json.dumps({**record, "last_name": name}) for name in ("New", "Newer")] + [
        "",
        "{",
        '{"shoe_size": 44}',
        "[]",
    ]

    shown = await imported(client, advisor, await send(client, advisor, "\n".join(lines).encode(), kind=NDJSON))

    assert shown["rows"] | {"done": 6} == {
        "total": 5,
        "done": 6,
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": 3,
    }
    assert {row["last_name"]: row["net_worth"] for row in await clients_of(client, advisor)} == {
        "Old": 12.5,
        "New": 12.5,
        "Newer": 12.5,
    }
    assert [error["row"] for error in shown["errors"]] == [4, 5, 6]


async def test_a_dry_run_writes_nothing_and_says_what_would_happen(client: httpx.AsyncClient, advisor: Actor) -> None:
    content = table(
        ("last_name", "Risk Profil", "created_at", "net_worth"),
        ("A", "x", "y", "1"),
        ("B", "x", "y", "oops"),
        ("C", "x", "y"),
    )

    answer = await send(client, advisor, content, dry_run="true")
    body = answer.json()

    assert answer.status_code == 200, answer.text
    assert body["columns"] == {
        "recognised": ["last_name", "net_worth"],
        "ignored": ["created_at"],
        "unknown": [{"name": "Risk Profil", "suggestions": ["risk_profile"]}],
        "missing": [],
    }
    assert body["rows"] == {"total": 3, "checked": 3, "would_create": 1, "would_update": 0, "unchanged": 0, "failed": 2}
    assert [(error["row"], error["column"]) for error in body["errors"]] == [(2, "net_worth"), (3, None)]
    assert await clients_of(client, advisor) == []


async def test_a_dry_run_finds_what_only_the_database_knows(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    foreign = await an_advisor(runtime)
    content = table(
        ("last_name", "type", "advisor_id"), ("", "individual", ""), ("A", "", str(foreign.id)), ("B", "", "")
    )

    body = (await send(client, advisor, content, dry_run="true")).json()

    assert (body["rows"]["would_create"], body["rows"]["failed"]) == (1, 2)
    assert {error["row"] for error in body["errors"]} == {1, 2}


@pytest.mark.usefixtures("worker")
async def test_a_whole_dry_run_is_a_task(client: httpx.AsyncClient, advisor: Actor) -> None:
    content = table(("last_name", "net_worth"), *((f"N{place}", place if place % 2 else "x") for place in range(3000)))
    in_background: dict[str, Any] = {"dry_run": "true", "async": "true"}

    shown = await imported(client, advisor, await send(client, advisor, content, path=PATH, **in_background))

    assert (shown["dry_run"], shown["status"]) == (True, "succeeded")
    assert (shown["rows"]["created"], shown["rows"]["failed"]) == (1500, 1500)
    assert await clients_of(client, advisor) == []


@pytest.mark.usefixtures("worker")
async def test_all_or_nothing(client: httpx.AsyncClient, advisor: Actor) -> None:
    good, bad = table(("last_name",), ("A",), ("B",)), table(("last_name",), ("C",), ("D" * 101,))

    first = await send(client, advisor, bad, partial="false")
    refused, shown = await finished(client, advisor, first), await imported(client, advisor, first)
    await finished(client, advisor, await send(client, advisor, good, partial="false"))

    assert (refused["status"], refused["error"]["code"]) == ("failed", "VALIDATION_ERROR")
    assert "1 of 2 rows" in refused["error"]["message"]
    assert (shown["rows"]["created"], shown["rows"]["failed"], shown["errors"][0]["row"]) == (0, 1, 2)
    assert [row["last_name"] for row in await clients_of(client, advisor)] == ["A", "B"]


@pytest.mark.usefixtures("worker")
async def test_an_import_is_its_requesters_and_needs_the_right_to_create(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    content = table(("last_name",), ("A",))
    officer, portal = await an_officer(runtime), await a_portal_user(runtime, await an_advisor(runtime))

    assert (await send(client, officer, content)).status_code == 403
    assert (await send(client, portal, content)).status_code == 403
    assert (await client.post(f"{PATH}/import", content=content, headers=CSV)).status_code == 401
    shown = await imported(client, advisor, await send(client, advisor, content))
    for other in (officer, await an_advisor(runtime)):
        assert (await client.get(f"/api/v1/imports/{shown['id']}", headers=other.headers)).status_code == 404
    assert (await client.get(f"/api/v1/imports/{uuid4()}", headers=advisor.headers)).status_code == 404
    assert (await client.get("/api/v1/imports/7", headers=advisor.headers)).status_code == 404


@pytest.mark.usefixtures("worker")
async def test_a_foreign_key_reaches_nobody_elses_row(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    mine, foreign = await a_client(runtime, advisor), await a_client(runtime, await an_advisor(runtime))
    content = table(("body", "client_id"), ("Mine.", mine), ("Foreign.", foreign), ("None.", uuid4()))

    shown = await imported(client, advisor, await send(client, advisor, content, path="/api/v1/notes"))
    nested = await send(client, advisor, table(("body",), ("Nested.",)), path=f"{PATH}/{mine}/notes")
    await finished(client, advisor, nested)
    elsewhere = await send(client, advisor, table(("body",), ("x",)), path=f"{PATH}/{foreign}/notes")

    assert elsewhere.status_code == 404
    assert (shown["rows"]["created"], shown["rows"]["failed"]) == (1, 2)
    assert {(error["row"], error["column"], error["message"]) for error in shown["errors"]} == {
        (2, "client_id", "not found"),
        (3, "client_id", "not found"),
    }
    notes = (await client.get("/api/v1/notes", headers=advisor.headers)).json()["items"]
    assert {note["body"] for note in notes} == {"Mine.", "Nested."}
    assert {note["client_id"] for note in notes} == {str(mine)}


@pytest.mark.usefixtures("worker")
async def test_every_row_is_in_the_change_log(client: httpx.AsyncClient, advisor: Actor) -> None:
    answer = await send(client, advisor, table(("last_name",), ("A",)))
    await finished(client, advisor, answer)
    (made,) = await clients_of(client, advisor)

    history = (await client.get(f"{PATH}/{made['id']}/history", headers=advisor.headers)).json()["items"]

    assert [(one["action"], one["actor"]["id"], one["request_id"]) for one in history] == [
        ("create", str(advisor.user_id), answer.json()["task_id"])
    ]


async def test_a_task_of_somebody_who_lost_the_right_writes_nothing(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    answer = await send(client, advisor, table(("last_name",), ("A",)))
    await runtime.database.pool.execute("DELETE FROM core.user_roles WHERE user_id = $1", advisor.user_id)

    async with working(runtime, ["default"]):
        task = await finished(client, advisor, answer)

    assert task["status"] == "failed"
    assert (
        await runtime.database.pool.fetchval("SELECT count(*) FROM wealth.clients WHERE advisor_id = $1", advisor.id)
        == 0
    )


@pytest.mark.usefixtures("worker")
async def test_a_key_changes_the_records_that_have_it(client: httpx.AsyncClient, advisor: Actor) -> None:
    names = ("last_name", "city", "phone")
    await imported(client, advisor, await send(client, advisor, table(names, ("A", "Haifa", "1"), ("B", "Eilat", "2"))))
    numbers = [row["client_number"] for row in await clients_of(client, advisor)]
    content = table(
        ("client_number", *names),
        (numbers[0], "A", "Haifa", "1"),
        (numbers[1], "B", "", "2"),
        ("C0", "Nobody", "", ""),
        ("", "C", "", ""),
    )

    preview = await send(client, advisor, content, key="client_number", dry_run="true")
    shown = await imported(client, advisor, await send(client, advisor, content, key="client_number"))
    again = await imported(client, advisor, await send(client, advisor, content, key="client_number"))

    assert preview.json()["rows"] == {
        "total": 4, "checked": 4, "would_create": 1, "would_update": 1, "unchanged": 1, "failed": 1,
    }  # fmt: skip
    assert shown["rows"] == {"total": 4, "done": 4, "created": 1, "updated": 1, "unchanged": 1, "failed": 1}
    assert again["rows"] == {"total": 4, "done": 4, "created": 1, "updated": 0, "unchanged": 2, "failed": 1}
    made = await clients_of(client, advisor)
    assert [(row["last_name"], row["city"], row["version"]) for row in made] == [
        ("A", "Haifa", 1), ("B", None, 2), ("C", None, 1), ("C", None, 1),
    ]  # fmt: skip


@pytest.mark.usefixtures("worker")
async def test_a_key_does_not_find_what_the_caller_may_not_see(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    other = await an_advisor(runtime)
    foreign = await a_client(runtime, other, city="Haifa")
    number = await runtime.database.pool.fetchval("SELECT client_number FROM wealth.clients WHERE id = $1", foreign)
    content = table(("client_number", "last_name", "city"), (number, "Taken", "Eilat"))

    shown = await imported(client, advisor, await send(client, advisor, content, key="client_number"))

    assert (shown["rows"]["failed"], shown["errors"][0]["column"]) == (1, "client_number")
    assert [(row["last_name"], row["city"]) for row in await clients_of(client, other)] == [("Rosen", "Haifa")]


@pytest.mark.usefixtures("worker")
async def test_a_repeated_request_with_a_key_imports_once(client: httpx.AsyncClient, advisor: Actor) -> None:
    kind = {**CSV, "Idempotency-Key": uuid4().hex}

    first = await send(client, advisor, table(("last_name",), ("A",)), kind=kind)
    second = await send(client, advisor, table(("last_name",), ("A",)), kind=kind)
    other = await send(client, advisor, table(("last_name",), ("B",)), kind=kind)
    await finished(client, advisor, first)

    assert (second.status_code, second.json()) == (202, first.json())
    assert other.status_code == 409
    assert [row["last_name"] for row in await clients_of(client, advisor)] == ["A"]


async def test_what_is_kept_of_imports_goes_when_it_expires(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    pool = runtime.database.pool
    answer = await send(client, advisor, table(("last_name",), ("A",)))
    import_id = answer.json()["import_id"]
    prune = (
        "UPDATE core.background_tasks SET run_after = now() WHERE job = 'core.prune_transfers' AND status = 'queued'"
    )
    chunks_left = "SELECT count(*) FROM core.transfer_chunks WHERE transfer_id = $1"
    await pool.execute("UPDATE core.transfers SET expires_at = now() - interval '1 hour' WHERE id = $1", import_id)

    async with working(runtime, ["default"]):
        await pool.execute(prune)
        await finished(client, advisor, answer)
        assert [row["last_name"] for row in await clients_of(client, advisor)] == ["A"]
        again = await send(client, advisor, table(("last_name",), ("B",)))
        await finished(client, advisor, again)
        await pool.execute(prune)
        async with asyncio.timeout(10):
            while await pool.fetchval(chunks_left, import_id):
                await asyncio.sleep(0.05)

    assert (await client.get(f"/api/v1/imports/{import_id}", headers=advisor.headers)).status_code == 200
    assert await pool.fetchval(chunks_left, again.json()["import_id"]) == 1
