"""Exports as streams: whose rows and fields, in one snapshot, written down."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from tests.core.transfer_house import (
    PATH,
    cells,
    get,
)
from tests.wealth.factories import (
    Actor,
    a_client,
    a_portal_user,
    an_advisor,
    some_clients,
)

from atrium.core import clock
from atrium.core.runtime import Runtime
from atrium.core.transfers import exports

ENTRY = "SELECT changes, entity_type, entity_id FROM core.changes WHERE actor_user_id = $1 AND action = 'export'"


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


async def test_ndjson_is_the_records_as_lists_show_them(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    await some_clients(runtime, advisor, 3, net_worth="1234567.8900")

    answer = await get(client, advisor, format="ndjson", order_by="created_at")
    listed = await client.get(PATH, params={"order_by": "created_at"}, headers=advisor.headers)

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == listed.json()["items"]
    assert answer.text.count('"net_worth":1234567.8900') == 3


async def test_csv_has_the_same_fields_with_every_digit(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    await a_client(runtime, advisor, last_name="כהן", net_worth="-12.5000", is_pep=True, dependents=3)
    (record,) = (await client.get(PATH, headers=advisor.headers)).json()["items"]

    answer = await get(client, advisor)
    (row,) = cells(answer)

    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="clients-{clock.today()}.csv"'
    assert list(row) == list(record)
    assert (row["last_name"], row["net_worth"], row["is_pep"], row["dependents"]) == ("כהן", "-12.5000", "true", "3")
    assert (row["created_at"], row["city"]) == (record["created_at"], "")


async def test_an_export_has_all_rows_of_the_list_and_none_beside_them(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    await some_clients(runtime, advisor, 2 * exports.FETCHED + 1, city="Haifa")
    await some_clients(runtime, advisor, 2, city="Eilat")
    await some_clients(runtime, await an_advisor(runtime), 3, city="Haifa")
    params = {"city": "Haifa", "fields": "city,id", "order_by": "-id"}

    haifa = cells(await get(client, advisor, **params))
    other = cells(await get(client, advisor, city="Eilat", q="nadia ros", fields="city"))

    assert len({row["id"] for row in haifa}) == len(haifa) == 2 * exports.FETCHED + 1
    assert [row["id"] for row in haifa] == sorted((row["id"] for row in haifa), reverse=True)
    assert list(haifa[0]) == ["city", "id"]
    assert other == [{"city": "Eilat"}, {"city": "Eilat"}]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"format": "xlsx"}, "format"),
        ({"page": "2"}, "page"),
        ({"limit": "5"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"include": "advisor"}, "include"),
        ({"shoe_size": "44"}, "shoe_size"),
        ({"fields": "tax_id_enc"}, "tax_id_enc"),
        ({"tax_id_enc": "x"}, "tax_id_enc"),
        ({"net_worth__gt": "NaN"}, "net_worth"),
        ({"delimiter": "|"}, "delimiter"),
    ],
)
async def test_what_a_list_refuses_an_export_refuses(
    client: httpx.AsyncClient, advisor: Actor, params: dict[str, str], said: str
) -> None:
    for method in ("GET", "POST"):
        answer = await client.request(method, f"{PATH}/export", params=params, headers=advisor.headers)
        assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text


async def test_who_may_not_read_exports_nothing(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> None:
    mine = await a_client(runtime, advisor)
    portal = await a_portal_user(runtime, advisor)

    for method in ("GET", "POST"):
        assert (await client.request(method, f"{PATH}/export")).status_code == 401
        nested = f"{PATH}/{mine}/notes/export"
        other = await an_advisor(runtime)
        assert (await client.request(method, nested, headers=other.headers)).status_code == 404
        assert (await client.request(method, "/api/v1/admin/teams/export", headers=portal.headers)).status_code == 403
    assert [row["id"] for row in cells(await get(client, portal))] == [str(portal.id)]


async def test_hidden_fields_are_notexported(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> None:
    portal = await a_portal_user(runtime, advisor)

    (seen,) = cells(await get(client, portal, "/api/v1/admin/advisors"))
    refused = await get(client, portal, "/api/v1/admin/advisors", fields="order_limit")

    assert "order_limit" not in seen
    assert seen["id"] == str(advisor.id)
    assert refused.status_code == 422


async def test_a_stream_is_written_down_with_filter_and_rows(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    await some_clients(runtime, advisor, 2, city="Haifa")

    await get(client, advisor, city="Haifa", format="ndjson")

    (entry,) = await runtime.database.pool.fetch(ENTRY, advisor.user_id)
    assert entry["entity_type"] == "wealth.clients"
    assert json.loads(entry["changes"]) == {
        "filter": [None, "city=Haifa"], "rows": [None, 2], "format": [None, "ndjson"],
    }  # fmt: skip


async def test_a_stream_shows_one_moment(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await some_clients(runtime, advisor, 2 * exports.FETCHED)
    pieces = exports.Snapshot.pieces

    async def disturbed(snapshot: exports.Snapshot) -> AsyncIterator[bytes]:
        async for piece in pieces(snapshot):
            yield piece
            sql = "UPDATE wealth.clients SET city = 'Moved', deleted_at = now() WHERE id = ANY($1)"
            await runtime.database.pool.execute(sql, ids)

    monkeypatch.setattr(exports.Snapshot, "pieces", disturbed)

    rows = cells(await get(client, advisor, order_by="created_at"))

    assert len(rows) == len(ids)
    assert {row["city"] for row in rows} == {""}


async def test_a_stream_that_fails_in_the_middle_does_not_look_complete(
    server: str, runtime: Runtime, advisor: Actor
) -> None:
    await some_clients(runtime, advisor, 3 * exports.FETCHED)
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%'"
    owner = await asyncpg.connect(runtime.settings.owner_url)
    received = b""

    async def read() -> None:
        nonlocal received
        async with httpx.AsyncClient(base_url=server, headers=advisor.headers) as requests:
            async with requests.stream("GET", f"{PATH}/export") as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_raw():
                    received += piece
                    await owner.execute(sql)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    await owner.close()
    assert b"last_name" in received


async def test_a_reader_who_leaves_frees_the_stream(server: str, runtime: Runtime, advisor: Actor) -> None:
    await some_clients(runtime, advisor, 20 * exports.FETCHED)
    streams: asyncio.Semaphore = runtime.parts["export streams"]

    async with httpx.AsyncClient(base_url=server, headers=advisor.headers) as requests:
        async with requests.stream("GET", f"{PATH}/export") as answer:
            await anext(answer.aiter_raw())
    left = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND datname = current_database()"

    async with asyncio.timeout(10):
        while streams._value != exports.STREAMS or await runtime.database.pool.fetchval(left):
            await asyncio.sleep(0.05)


async def test_a_process_streams_only_so_many_at_a_time(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runtime.parts, "export streams", asyncio.Semaphore(0))

    answer = await get(client, advisor)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
