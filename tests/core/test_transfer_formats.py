"""What is written comes back as it was, in every format, type and delimiter."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.datastructures import State
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.core.factories import a_principal
from tests.core.test_wire_types import KEPT, Sample, samples, signed_in
from tests.core.transfer_house import PATH, cells, finished, get, send, table
from tests.wealth.factories import (
    Actor,
    a_client,
    an_advisor,
)

from atrium.core.config import Settings
from atrium.core.db.engines import sqlalchemy_url
from atrium.core.http import problems
from atrium.core.resources.resource import Resource
from atrium.core.resources.routes import handlers
from atrium.core.runtime import Runtime
from atrium.core.tasks.worker import working
from atrium.core.transfers import doors
from atrium.core.transfers.formats import separated
from atrium.core.transfers.module import streams
from atrium.core.transfers.rows import Rows, writable

FORMULAS = (
    "=1+1",
    "+972 4 855",
    "-5",
    "@me",
    "\tx",
    "\rx",
    "'=kept",
    "''=kept",
    "'plain'",
    "=cmd|' /C calc'!A0",
    "a=b",
)


@pytest.fixture(scope="module")
async def worker(runtime: Runtime) -> AsyncIterator[None]:
    async with working(runtime, ["default"]):
        yield


@pytest.fixture
async def advisor(runtime: Runtime) -> Actor:
    return await an_advisor(runtime)


@pytest.fixture(scope="module")
def samples_url(new_database: Any) -> str:
    url: str = new_database("exported_samples")
    return url


@pytest.fixture(scope="module")
async def sampled(samples_url: str, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The doors of a resource with a column of every type."""
    engine = create_async_engine(sqlalchemy_url(samples_url))
    async with engine.begin() as working:
        await working.execute(text("CREATE SCHEMA samples"))
        await working.run_sync(Sample.metadata.create_all)
    await engine.dispose()
    async with Runtime.open(msgspec.structs.replace(settings, database_url=samples_url)) as runtime, streams(runtime):
        app = Litestar(
            [*handlers(samples), *doors.handlers(samples)],
            exception_handlers=problems.HANDLERS,
            middleware=[signed_in],
            openapi_config=None,
            state=State({"runtime": runtime}),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as requests:
            yield requests


async def test_formulas_are_defused_and_come_back_as_they_were(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor, worker: None
) -> None:
    for formula in FORMULAS:
        await a_client(runtime, advisor, last_name=formula, net_worth="-5")
    taken = await get(client, advisor)

    for row in cells(taken):
        assert not row["last_name"].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row["net_worth"] == "-5.0000"
    second = await an_advisor(runtime)
    kept = taken.content.replace(str(advisor.id).encode(), str(second.id).encode())
    task = await finished(client, second, await send(client, second, kept))

    assert task["result"]["created"] == len(FORMULAS), task
    made = (await client.get(PATH, params={"limit": 100}, headers=second.headers)).json()["items"]
    assert sorted(row["last_name"] for row in made) == sorted(FORMULAS)


async def test_a_spreadsheet_may_have_its_delimiter_and_mark(
    client: httpx.AsyncClient, runtime: Runtime, advisor: Actor
) -> None:
    await a_client(runtime, advisor, last_name="a;b")

    answer = await get(client, advisor, delimiter="semicolon", bom="true", fields="last_name,city")

    assert answer.content == separated.BOM + b'last_name;city\r\n"a;b";\r\n'


async def test_json_columns_travel_as_json(client: httpx.AsyncClient, runtime: Runtime, advisor: Actor) -> None:
    licences = json.dumps([{"state": "NY", "number": 7}, "=x"])
    await runtime.database.pool.execute("UPDATE wealth.advisors SET licenses = $2 WHERE id = $1", advisor.id, licences)

    (row,) = cells(await get(client, advisor, "/api/v1/admin/advisors", id=str(advisor.id)))

    assert json.loads(row["licenses"]) == json.loads(licences)


async def test_every_type_survives_the_way_out_and_in(sampled: httpx.AsyncClient) -> None:
    for column, values in KEPT.items():
        for value in values:
            made = await sampled.post(samples.path, content=f'{{"{column}": {value}}}')
            assert made.status_code == 201, made.text
    allowed = writable(samples, a_principal(), (), by_key=False)
    body = samples.body("create", samples.policy.kind(a_principal()), ())

    async def decoded(file_format: str) -> list[dict[str, Any]]:
        params = {"format": file_format, "order_by": "id", "delimiter": "semicolon"}
        answer = await sampled.get(f"{samples.path}/export", params=params)
        assert answer.status_code == 200, answer.text
        found = [body.decode(given.body) for given in Rows(file_format, allowed).feed(answer.content, last=True)]
        trial = await sampled.post(
            f"{samples.path}/import", params={"format": file_format, "dry_run": "true"}, content=answer.content
        )
        assert trial.json()["rows"]["failed"] == 0, trial.text
        return found

    lines, table = await decoded("ndjson"), await decoded("csv")

    assert len(table) == len(lines) == sum(len(values) for values in KEPT.values())
    nothing = ("", b"")
    for line, row in zip(lines, table, strict=True):
        assert row == {name: None if value in nothing else value for name, value in line.items()}


def test_a_resource_says_whether_it_is_imported_andexported() -> None:
    def open_doors(**over: Any) -> set[tuple[str, str]]:
        resource = Resource(Sample, **{"path": "/tests/samples", "write": "", **over})
        found = doors.handlers(resource)
        return {(path, str(method)) for door in found for path in door.paths for method in door.http_methods}

    every = {("/tests/samples/import", "POST"), ("/tests/samples/export", "GET"), ("/tests/samples/export", "POST")}
    assert open_doors() == every
    assert open_doors(imports=False) == open_doors(create=None) == every - {("/tests/samples/import", "POST")}
    assert open_doors(exports=False) == {("/tests/samples/import", "POST")}


def test_tables_are_read_the_same_however_they_are_cut() -> None:
    rows = [["a", "b"], ['say "hi"', "two\r\nlines"], ["", "x,y"], ["שלום", "'=x"], ["last", ""]]
    whole = separated.BOM + separated.write(rows)

    for size in range(1, len(whole) + 1):
        reader = separated.Reader()
        read = [row for start in range(0, len(whole), size) for row in reader.feed(whole[start : start + size])]
        assert read + reader.feed(b"", last=True) == rows, size


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_known(end: bytes) -> None:
    content = end.join([b"a;b", b"1;2", b"", b"3;4"])

    reader = separated.Reader()
    read = [row for byte in range(len(content)) for row in reader.feed(content[byte : byte + 1])]

    assert read + reader.feed(b"", last=True) == [["a", "b"], ["1", "2"], [], ["3", "4"]]
    assert table(("x",)) == b"x\r\n"
