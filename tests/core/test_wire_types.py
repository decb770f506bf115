"""Every column type through every door: what comes in is stored exactly and comes out the same, or is refused by name.

The resource is declared here, over a table of this test's own database: model, policy, resource, handlers.
"""

import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import BigInteger, MetaData, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, INET
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped
from tests.core.factories import a_principal

from atrium.core.access import clause, protect
from atrium.core.config import Settings
from atrium.core.db.columns import Money, Rate, field
from atrium.core.db.engines import sqlalchemy_url
from atrium.core.db.entity import NAMING, Entity, Json, JsonList, Versioned
from atrium.core.http import problems
from atrium.core.query.vocabulary import OPERATORS
from atrium.core.resources.resource import Resource
from atrium.core.resources.routes import handlers
from atrium.core.runtime import Runtime

COLUMNS = (
    "text",
    "short",
    "caseless",
    "code",
    "choice",
    "small",
    "whole",
    "counted",
    "big",
    "amount",
    "share",
    "day",
    "moment",
    "other",
    "flag",
    "payload",
    "entries",
    "tags",
    "address",
    "blob",
)
ORDERED = tuple(name for name in COLUMNS if name not in ("payload", "entries", "tags", "blob"))


class Sample(Versioned, Entity, table="samples.samples"):
    """One column of every type that the wire knows."""

    audited = False
    metadata = MetaData(naming_convention=NAMING)

    text: Mapped[str | None] = field()
    short: Mapped[str | None] = field(length=10)
    caseless: Mapped[str | None] = field(type_=CITEXT())
    code: Mapped[str | None] = field(length=3, pattern="^[A-Z]{3}$")
    choice: Mapped[str | None] = field(choices=("left", "right"))
    small: Mapped[int | None] = field(type_=SmallInteger())
    whole: Mapped[int | None] = field()
    counted: Mapped[int | None] = field(ge=0, le=100)
    big: Mapped[int | None] = field(type_=BigInteger())
    amount: Mapped[Money | None] = field()
    share: Mapped[Rate | None] = field(ge=0, le=1)
    day: Mapped[date | None] = field()
    moment: Mapped[datetime | None] = field()
    other: Mapped[UUID | None] = field()
    flag: Mapped[bool | None] = field()
    payload: Mapped[Json] = field(default={})
    entries: Mapped[JsonList] = field(default=[])
    tags: Mapped[list[str] | None] = field(type_=ARRAY(Text()))
    address: Mapped[str | None] = field(type_=INET())
    blob: Mapped[bytes | None] = field()


protect(Sample, clause(claim="user_id"))
samples = Resource(
    Sample,
    path="/api/v1/samples",
    filters=ORDERED,
    sorts=ORDERED,
    search=("text", "short"),
    write="",
)
PATH = samples.path


def signed_in(app: ASGIApp) -> ASGIApp:
    principal = a_principal()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = principal
        await app(scope, receive, send)

    return run


@pytest.fixture(scope="module")
def samples_url(new_database: Any) -> str:
    url: str = new_database("samples")
    return url


@pytest.fixture(scope="module")
async def door(samples_url: str, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    connection = await asyncpg.connect(samples_url)
    await connection.execute("CREATE SCHEMA samples")
    await connection.close()
    engine = create_async_engine(sqlalchemy_url(samples_url))
    async with engine.begin() as working:
        await working.run_sync(Sample.metadata.create_all)
    await engine.dispose()
    async with Runtime.open(msgspec.structs.replace(settings, database_url=samples_url)) as runtime:
        app = Litestar(
            handlers(samples),
            exception_handlers=problems.HANDLERS,
            middleware=[signed_in],
            openapi_config=None,
            state=State({"runtime": runtime}),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


# JSON texts (not values: a float would lose what is asked) → the JSON text that comes back.
KEPT: dict[str, dict[str, str]] = {
    "text": {
        '""': '""',
        '"x"': '"x"',
        r'"\ud83d\ude00"': '"😀"',
        r'"\u0001\u001f\u007f"': r'"\u0001\u001f\u007f"',
        r'"a\\b\"c\/"': r'"a\\b\"c/"',
        '"\u2028\u200b\ufeff\u202e"': '"\u2028\u200b\ufeff\u202e"',
        r'"line\r\n\ttab"': r'"line\r\n\ttab"',
        '"\'; DROP TABLE samples.samples; --"': '"\'; DROP TABLE samples.samples; --"',
        '"%s $1 :x {0}"': '"%s $1 :x {0}"',
        '"e\u0301"': '"e\u0301"',
        "null": "null",
    },
    "short": {'"0123456789"': '"0123456789"', '"😀😀😀😀😀😀😀😀😀😀"': '"😀😀😀😀😀😀😀😀😀😀"', '"  "': '"  "'},
    "caseless": {'"MiXeD"': '"MiXeD"', '"ß"': '"ß"'},
    "code": {'"USD"': '"USD"'},
    "choice": {'"left"': '"left"', "null": "null"},
    "small": {"32767": "32767", "-32768": "-32768"},
    "whole": {"2147483647": "2147483647", "-2147483648": "-2147483648", "0": "0", "-0": "0"},
    "counted": {"0": "0", "100": "100"},
    "big": {"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808"},
    "amount": {
        "0": "0.0000",
        "-0.0": "0.0000",
        "0.1": "0.1000",
        '"0.1"': "0.1000",
        "9999999999999999.9999": "9999999999999999.9999",
        "-9999999999999999.9999": "-9999999999999999.9999",
        "1e3": "1000.0000",
        "1E-4": "0.0001",
        "1.00000000": "1.0000",
        '"1E+15"': "1000000000000000.0000",
    },
    "share": {"0.0000000001": "0.0000000001", "1": "1.0000000000", "0": "0.0000000000"},
    "day": {'"0001-01-02"': '"0001-01-02"', '"9999-12-30"': '"9999-12-30"', '"2024-02-29"': '"2024-02-29"'},
    "moment": {
        '"2026-01-31T09:30:00Z"': '"2026-01-31T09:30:00.000000Z"',
        '"2026-01-31T09:30:00.123456+02:00"': '"2026-01-31T07:30:00.123456Z"',
        '"1969-12-31T23:59:59.999999-23:59"': '"1970-01-01T23:58:59.999999Z"',
        '"0001-01-02T00:00:00Z"': '"0001-01-02T00:00:00.000000Z"',
        '"9999-12-30T23:59:59.999999Z"': '"9999-12-30T23:59:59.999999Z"',
    },
    "other": {
        '"00000000-0000-0000-0000-000000000000"': '"00000000-0000-0000-0000-000000000000"',
        '"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"': '"ffffffff-ffff-ffff-ffff-ffffffffffff"',
    },
    "flag": {"true": "true", "false": "false"},
    "payload": {
        "{}": "{}",
        '{"a": [1, {"b": null}], "": 1.5, "é": "\\ud83d\\ude00"}': '{"":1.5,"a":[1,{"b":null}],"é":"😀"}',
        '{"n": 12345678901234567890123, "e": 0.1}': '{"n":12345678901234567890123,"e":0.1}',
    },
    "entries": {"[]": "[]", '[null, "x", [[]], {"a": 1}]': '[null,"x",[[]],{"a":1}]'},
    "tags": {'["a", "", "a,b", "{}", "\\"", "null"]': '["a","","a,b","{}","\\"","null"]', "[]": "[]", "null": "null"},
    "address": {'"10.0.0.1"': '"10.0.0.1"', '"::1"': '"::1"', '"2001:DB8::1"': '"2001:db8::1"'},
    "blob": {'"AAH/"': '"AAH/"', '""': '""'},
}

REFUSED: dict[str, tuple[str, ...]] = {
    "text": (r'"a\u0000b"', "7", "true", "[]", "{}", '"' + "x" * 100_001 + '"'),
    "short": ('"01234567890"', r'"\u0000"', "[]"),
    "caseless": (r'"\u0000"', "1", '"' + "x" * 100_001 + '"'),
    "code": ('"usd"', '"US"', '"USDX"', r'"USD\n"', '""'),
    "choice": ('"up"', '""', "1", r'"left\u0000"', '"LEFT"'),
    "small": ("32768", "-32769", "1.5", '"1"', "true", "1e99"),
    "whole": ("2147483648", "-2147483649", "1.5", '"1"', "true", "1e99", "9" * 400, "NaN"),
    "counted": ("-1", "101", "2147483648"),
    "big": ("9223372036854775808", "-9223372036854775809", "1.5", "9" * 5000),
    "amount": (
        '"NaN"',
        '"sNaN"',
        '"Infinity"',
        '"-inf"',
        "1e400",
        "-1e400",
        "1.00005",
        "10000000000000000",
        "99999999999999999.99995",
        '"1e999999999"',
        '"1e-999999999"',
        '""',
        '"0x10"',
        "1.00000000000000000000000000001",
        "true",
        "[]",
        "9" * 5000,
    ),
    "share": ("1.1", "-0.1", "0.00000000001", '"NaN"'),
    "day": (
        '"0001-01-01"',
        '"9999-12-31"',
        '"2026-02-30"',
        '"10000-01-01"',
        '"0000-01-01"',
        '"-0001-01-01"',
        '"infinity"',
        '"today"',
        "20260101",
        '""',
    ),
    "moment": (
        '"2026-01-31"',
        '"2026-01-31T09:30:00"',
        '"2026-01-31T24:00:01Z"',
        '"infinity"',
        '"now"',
        '"0001-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+14:00"',
        '"9999-12-31T23:59:59.999999Z"',
        '"9999-12-31T23:59:59-14:00"',
        '"10000-01-01T00:00:00Z"',
        "1700000000000000000000",
        "true",
        '""',
    ),
    "other": ('"7"', '""', '"00000000-0000-0000-0000-00000000000g"', "0"),
    "flag": ('"true"', "1", "0", '"yes"', "[]"),
    "payload": (
        "[]",
        '"x"',
        "1",
        r'{"a": "\u0000"}',
        r'{"a\u0000": 1}',
        '{"a": ' + "[" * 30 + "]" * 30 + "}",
        '{"a": 1e400}',
    ),
    "entries": ("{}", '"x"', r'["\u0000"]', "[" * 30 + "]" * 30),
    "tags": ('"x"', "{}", "[1]", "[null]", r'["a\u0000"]', "[" + ",".join(['"x"'] * 1001) + "]", '[["a"]]'),
    "address": (
        '"fe80::1%eth0"',
        '"10.0.0.0/8"',
        '"x"',
        '""',
        '"1.2.3"',
        '"256.0.0.1"',
        '"10.0.0.1\\u0000"',
        "1",
        '"10.0.0.0/33"',
        '"1.2.3.4; --"',
    ),
    "blob": ('"%"', '"A"', "1", "[]"),
}


def test_every_column_is_tried() -> None:
    assert set(KEPT) == set(REFUSED) == set(COLUMNS)


def member(text: str, name: str) -> str:
    """The JSON text of one member of a record, numbers as they are written."""
    numbers = {"parse_float": Decimal, "parse_int": Decimal, "parse_constant": str}
    found = json.loads(text, **numbers)[name]
    return json.dumps(found, default=str, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def members(text: str, listed: str, name: str) -> list[str]:
    numbers = {"parse_float": Decimal, "parse_int": Decimal, "parse_constant": str}
    found = [one[name] for one in json.loads(text, **numbers)[listed]]
    return [json.dumps(one, default=str, ensure_ascii=False, separators=(",", ":"), sort_keys=True) for one in found]


def same(text: str) -> str:
    return member(f'{{"value": {text}}}', "value")


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, texts in KEPT.items() for given in texts])
async def test_what_fits_comes_back_the_same_through_every_door(name: str, given: str, door: httpx.AsyncClient) -> None:
    kept = same(KEPT[name][given])
    made = await door.post(PATH, content=f'{{"{name}": {given}}}'.encode())
    assert made.status_code == 201, made.text
    url = made.headers["location"]
    read = await door.get(url)
    listed = await door.get(PATH, params={"id": made.json()["id"]})
    empty = await door.post(PATH, content=b"{}")
    changed = await door.put(empty.headers["location"], content=f'{{"{name}": {given}}}'.encode())

    assert changed.status_code == 200, changed.text
    assert member(made.text, name) == member(read.text, name) == member(changed.text, name) == kept
    many = await door.post(f"{PATH}/bulk", content=f'[{{"{name}": {given}}}, {{}}]'.encode())
    ids = [one["id"] for one in many.json()["created"]]
    both = ", ".join(f'{{"id": "{one}", "{name}": {given}}}' for one in ids)
    altered = await door.put(f"{PATH}/bulk", content=f"[{both}]".encode())

    assert (many.status_code, altered.status_code) == (200, 200), f"{many.text} {altered.text}"
    assert [members(many.text, "created", name)[0], *members(altered.text, "updated", name)] == [kept] * 3
    assert members(many.text, "created", name)[1] == member(empty.text, name)
    assert listed.json()["items"] == [read.json()]
    assert f'"items":[{read.text}]' in listed.text


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, texts in REFUSED.items() for given in texts])
async def test_what_does_not_fit_is_refused_by_name(name: str, given: str, door: httpx.AsyncClient) -> None:
    empty = await door.post(PATH, content=b"{}")

    for method, url in (("POST", PATH), ("PUT", empty.headers["location"]), ("PATCH", empty.headers["location"])):
        answer = await door.request(method, url, content=f'{{"{name}": {given}}}'.encode())
        assert answer.status_code in (400, 422), answer.text
        if answer.status_code == 422:
            assert [error["loc"] for error in answer.json()["errors"]] == [["body", name]]
        else:
            assert given == "NaN"
    rows = f'[{{}}, {{"{name}": {given}}}]'.encode()
    changes = f'[{{"id": "{empty.json()["id"]}", "{name}": {given}}}]'.encode()
    for method, content, place in (("POST", rows, 1), ("PUT", changes, 0)):
        answer = await door.request(method, f"{PATH}/bulk?partial=true", content=content)
        if given == "NaN":
            assert answer.status_code == 400
        else:
            assert [error["index"] for error in answer.json()["errors"]] == [place], answer.text
            assert [error["loc"] for error in answer.json()["errors"][0]["errors"]] == [["body", place, name]]
    assert (await door.get(empty.headers["location"])).json() == empty.json()


NASTY = (
    "",
    " ",
    "0",
    "-1",
    "1.5",
    "1e400",
    "NaN",
    "Infinity",
    "9" * 30,
    "9" * 5000,
    "1e999999999",
    "true",
    "null",
    "a\0b",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "%",
    "\\",
    "_",
    "'",
    '"',
    "(",
    ")",
    ",",
    ",,",
    "a,b",
    "{}",
    "[]",
    "{a,b}",
    "2026-01-31",
    "2026-02-30",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "infinity",
    "2026-01-31T09:30:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-31T09:30:00",
    "00000000-0000-0000-0000-000000000000",
    "left",
    "USD",
    "10.0.0.1",
    "10.0.0.0/8",
    "AAH/",
    "x" * 3000,
    "\u0661",
)


# Groups read values with the same code; these are the operators that take them apart.
GROUPED = ("", "in", "between", "contains")


@pytest.mark.parametrize("name", ORDERED)
async def test_no_filter_value_breaks_a_list(name: str, door: httpx.AsyncClient) -> None:
    await door.post(PATH, content=b"{}")
    for operator in ("", *OPERATORS):
        parameter = f"{name}__{operator}" if operator else name
        for text in NASTY:
            for value in (text, f"{text},{text}") if operator in ("in", "nin", "between") else (text,):
                answer = await door.get(PATH, params={parameter: value, "limit": "1"})
                assert answer.status_code in (200, 422), f"{parameter}={value[:60]}: {answer.text}"
                if answer.status_code == 422:
                    assert name in answer.json()["detail"], answer.text
            if operator in GROUPED:
                grouped = {"or": f"({name}.{operator or 'eq'}.{text},id.isnull.true)", "limit": "1"}
                answer = await door.get(PATH, params=grouped)
                assert answer.status_code in (200, 422), f"{grouped}: {answer.text}"


@pytest.mark.parametrize("name", ORDERED)
async def test_a_cursor_walks_each_type_in_both_directions_across_its_nulls(name: str, door: httpx.AsyncClient) -> None:
    mark = uuid4().hex
    fixed = {} if name == "other" else {"other": f'"{mark}"'}
    given = [text for text in KEPT[name] if text != "null"][:4]
    for text in (*given, given[0], "null", "null"):
        body = ",".join(f'"{key}": {value}' for key, value in {**fixed, name: text}.items())
        assert (await door.post(PATH, content=f"{{{body}}}".encode())).status_code == 201
    scope = {"other": mark} if fixed else {}

    for order in (name, f"-{name}", f"{name},-id", f"-{name},id"):
        asked = {"order_by": order, "limit": "100", "fields": "id", **scope}
        whole = [row["id"] for row in (await door.get(PATH, params=asked)).json()["items"]][:12]
        for limit in ("1", "3"):
            walked: list[str] = []
            params = {**asked, "limit": limit}
            while len(walked) < len(whole):
                page = (await door.get(PATH, params=params)).json()
                walked += [row["id"] for row in page["items"]]
                if page["next_cursor"] is None:
                    break
                params["cursor"] = page["next_cursor"]
            assert walked[: len(whole)] == whole, f"{order} by {limit}"


@pytest.mark.parametrize("name", ORDERED)
async def test_a_stored_value_is_found_by_itself(name: str, door: httpx.AsyncClient) -> None:
    for text in KEPT[name]:
        if text == "null":
            continue
        made = (await door.post(PATH, content=f'{{"{name}": {text}}}'.encode())).json()
        value = text if name == "flag" else str(json.loads(text, parse_float=str, parse_int=str))
        for params in ({name: value}, {f"{name}__gte": value, f"{name}__lte": value}):
            answer = await door.get(PATH, params={**params, "id": made["id"]})
            assert answer.status_code == 200, f"{params}: {answer.text}"
            assert [row["id"] for row in answer.json()["items"]] == [made["id"]], params
