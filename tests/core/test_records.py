"""What every resource does with records, shown on the clients of an advisor."""

import base64
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.wealth.factories import an_advisor

from atrium.core.resources.lists import KEPT_LENGTH, KEPT_QUERIES
from atrium.core.runtime import Runtime
from atrium.wealth.resources import clients

PATH = "/api/v1/clients"


@pytest.fixture
async def advisor(runtime: Runtime) -> dict[str, str]:
    return (await an_advisor(runtime)).headers


async def make(client: httpx.AsyncClient, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    answer = await client.post(PATH, headers=headers, json={"last_name": "Rosen", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_record_is_the_same_wherever_it_appears(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    created = await client.post(PATH, headers=advisor, json={"last_name": "Rosen", "net_worth": "1234567.8900"})
    url = created.headers["location"]
    read = await client.get(url, headers=advisor)
    listed = await client.get(PATH, headers=advisor)
    updated = await client.put(url, headers=advisor, json={"last_name": "Rosen"})

    assert created.json() == read.json() == listed.json()["items"][0]
    assert set(updated.json()) == set(read.json())
    assert '"net_worth":1234567.8900' in created.text
    assert created.headers["etag"] == read.headers["etag"] == '"1"'


async def test_put_and_patch_change_only_what_is_present(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    made = await make(client, advisor, city="Haifa", phone="1")

    after = (await client.patch(f"{PATH}/{made['id']}", headers=advisor, json={"city": None})).json()

    assert (after["city"], after["phone"], after["version"]) == (None, "1", 2)


async def test_an_update_without_fields_changes_nothing(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    made = await make(client, advisor)

    after = await client.put(f"{PATH}/{made['id']}", headers=advisor, json={"id": made["id"], "created_at": "x"})

    assert after.json() == made


async def test_a_stale_if_match_names_what_others_changed(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    made = await make(client, advisor)
    url = f"{PATH}/{made['id']}"
    await client.put(url, headers=advisor, json={"city": "Haifa", "phone": "1"})

    for method in ("PUT", "PATCH", "DELETE"):
        body = {} if method == "DELETE" else {"json": {"city": "Eilat"}}
        stale = await client.request(method, url, headers={**advisor, "If-Match": '"1"'}, **body)  # type: ignore[arg-type]
        assert (stale.status_code, stale.json()["code"]) == (412, "PRECONDITION_FAILED")
        assert stale.json()["changed"] == ["city", "phone"]
    current = await client.put(url, headers={**advisor, "If-Match": '"2"'}, json={"city": "Eilat"})
    assert (current.status_code, current.headers["etag"]) == (200, '"3"')


async def test_a_record_that_did_not_change_is_not_sent_again(
    client: httpx.AsyncClient, advisor: dict[str, str]
) -> None:
    made = await make(client, advisor)
    url = f"{PATH}/{made['id']}"

    assert (await client.get(url, headers={**advisor, "If-None-Match": '"1"'})).status_code == 304
    assert (await client.get(url, headers={**advisor, "If-None-Match": '"2"'})).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"net_worth": "NaN"}, "net_worth"),
        ({"net_worth": "Infinity"}, "net_worth"),
        ({"net_worth": "1e400"}, "net_worth"),
        ({"net_worth": 1.00005}, "net_worth"),
        ({"net_worth": "99999999999999999"}, "net_worth"),
        ({"city": "a\0b"}, "city"),
        ({"city": "x" * 101}, "city"),
        ({"dependents": 2**31}, "dependents"),
        ({"dependents": -1}, "dependents"),
        ({"dependents": "two"}, "dependents"),
        ({"date_of_birth": "1980-13-01"}, "date_of_birth"),
        ({"last_contact_at": "2026-01-01T10:00:00"}, "last_contact_at"),
        ({"risk_profile": "reckless"}, "risk_profile"),
        ({"is_household_head": "yes"}, "is_household_head"),
        ({"household_id": "7"}, "household_id"),
        ({"household_id": str(uuid4())}, "household_id"),
        ({"tax_rate_st": 1.5}, "tax_rate_st"),
    ],
)
async def test_bad_values_are_422_naming_the_field(
    client: httpx.AsyncClient, advisor: dict[str, str], body: dict[str, Any], field: str
) -> None:
    made = await make(client, advisor)

    for method, url in (("POST", PATH), ("PUT", f"{PATH}/{made['id']}")):
        answer = await client.request(method, url, headers=advisor, json={"last_name": "Rosen", **body})
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR"), answer.text
        assert [error["loc"] for error in answer.json()["errors"]] == [["body", field]]


async def test_everything_that_is_wrong_is_named_at_once(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    body = {"last_name": 7, "risk_profile": "reckless", "dependents": "two"}

    answer = await client.post(PATH, headers=advisor, json=body)

    assert {error["loc"][1] for error in answer.json()["errors"]} == set(body)


@pytest.mark.parametrize(("content", "code"), [("{", "MALFORMED"), ("", "MALFORMED"), ("[]", "VALIDATION_ERROR")])
async def test_a_body_that_is_no_object(
    client: httpx.AsyncClient, advisor: dict[str, str], content: str, code: str
) -> None:
    answer = await client.post(PATH, headers=advisor, content=content)

    assert answer.json()["code"] == code
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_and_read_only_fields_are_refused_and_owned_ones_ignored(
    client: httpx.AsyncClient, advisor: dict[str, str]
) -> None:
    refused = await client.post(PATH, headers=advisor, json={"last_name": "x", "shoe_size": 44, "version": 9})

    assert (refused.status_code, refused.json()["code"]) == (422, "UNKNOWN_FIELD")
    assert "shoe_size" in refused.text
    assert "last_name" in refused.json()["allowed"]
    made = await make(client, advisor, id=str(uuid4()), created_at="2001-01-01T00:00:00Z")
    assert made["created_at"] > "2026"


async def test_a_named_check_leads_to_its_fields(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    answer = await client.post(PATH, headers=advisor, json={"type": "individual", "first_name": "Only"})

    assert answer.status_code == 422, answer.text
    assert {error["loc"][1] for error in answer.json()["errors"]} & {"last_name", "type", "entity_name"}
    assert "CHECK" not in answer.text


async def test_pages_count_after_filter_and_scope(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    for number in range(7):
        await make(client, advisor, last_name=f"Page-{number}", risk_profile="aggressive" if number < 5 else "moderate")

    first = (await client.get(PATH, headers=advisor, params={"limit": 2, "risk_profile": "aggressive"})).json()
    last = (
        await client.get(PATH, headers=advisor, params={"limit": 2, "risk_profile": "aggressive", "page": 3})
    ).json()
    beyond = (await client.get(PATH, headers=advisor, params={"limit": 2, "page": 40})).json()

    assert (first["total"], first["pages"], first["page"], first["limit"], len(first["items"])) == (5, 3, 1, 2, 2)
    assert (len(last["items"]), last["next_cursor"]) == (1, None)
    assert (beyond["total"], beyond["items"], beyond["pages"]) == (7, [], 4)


@pytest.mark.parametrize("order", ["-created_at", "last_name", "-net_worth", "net_worth,last_name", "-last_contact_at"])
async def test_a_cursor_walks_the_same_rows_as_pages(
    client: httpx.AsyncClient, advisor: dict[str, str], order: str
) -> None:
    for number in range(9):
        worth = None if number % 3 == 0 else number % 4
        await make(client, advisor, last_name=f"N{number % 5}", net_worth=worth)
    whole = (await client.get(PATH, headers=advisor, params={"order_by": order})).json()["items"]

    walked, params = [], {"order_by": order, "limit": "2"}
    while True:
        page = (await client.get(PATH, headers=advisor, params=params)).json()
        walked += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    assert [row["id"] for row in walked] == [row["id"] for row in whole]


async def test_search_wants_every_word_and_escapes_wildcards(
    client: httpx.AsyncClient, advisor: dict[str, str]
) -> None:
    stem = uuid4().hex[:8]
    await make(client, advisor, first_name="Nadia", last_name=f"Ro%{stem}")

    async def found(text: str) -> int:
        answer = await client.get(PATH, headers=advisor, params={"q": text})
        total: int = answer.json()["total"]
        return total

    assert [await found(text) for text in (f"nadia {stem}", f"ro%{stem}", f"r_%{stem}", f"{stem} peter")] == [
        1,
        1,
        0,
        0,
    ]


async def test_a_malformed_id_names_nothing(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    for url in (f"{PATH}/7", f"{PATH}/{uuid4()}", f"{PATH}/7/history", f"{PATH}/7/notes", "/api/v1/nope"):
        answer = await client.get(url, headers=advisor)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), url


async def test_a_trailing_slash_changes_nothing(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    await make(client, advisor)

    assert (await client.get(f"{PATH}/", headers=advisor)).json() == (await client.get(PATH, headers=advisor)).json()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"last_name": 7, ', 400),
        (b'{"last_name": 7} x', 400),
        (b'{"last_name": 7, "city": "\xff"}', 400),
        (b'{"last_name": "\\ud800"}', 400),
        (b'\xef\xbb\xbf{"last_name": "x"}', 400),
        ('{"last_name": "x"}'.encode("utf-16"), 400),
        (b'{"last_name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"last_name": 7, "last_name": "x"}', 422),
        (b'{"dependents": ' + b"9" * 5000 + b"}", 422),
        (b'{"net_worth": "1e999999999"}', 422),
        (b'{"net_worth": 1.00000000000000000000000000001}', 422),
    ],
)
async def test_no_body_is_too_strange_for_an_answer(
    client: httpx.AsyncClient, advisor: dict[str, str], content: bytes, status: int
) -> None:
    made = await make(client, advisor)

    for method, url in (("POST", PATH), ("PUT", f"{PATH}/{made['id']}")):
        answer = await client.request(method, url, headers=advisor, content=content)
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"].strip(". ")
    assert (await client.get(f"{PATH}/{made['id']}", headers=advisor)).json() == made


async def test_a_refusal_does_not_grow_with_the_body(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    answer = await client.post(PATH, headers=advisor, json={f"field_{place}": 1 for place in range(20_000)})

    assert answer.status_code == 422
    assert len(answer.content) < 20_000


@pytest.mark.parametrize("value", [None, "NaN", "1e999999999", "\0", "9" * 4000, "x"])
async def test_a_cursor_with_other_values_is_refused(
    client: httpx.AsyncClient, advisor: dict[str, str], value: str | None
) -> None:
    for worth in (1, 2, 3):
        await make(client, advisor, net_worth=worth)
    params = {"limit": "2", "order_by": "net_worth"}
    cursor = (await client.get(PATH, headers=advisor, params=params)).json()["next_cursor"]
    mark, worth, last = json.loads(base64.urlsafe_b64decode(cursor + "=="))

    for position in ([mark, value, last], [mark, worth, value], [mark, value, value], [mark], [mark, worth, last, "1"]):
        if position == [mark, None, last]:
            continue  # a null is a position of a column that may be empty
        made_up = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
        answer = await client.get(PATH, headers=advisor, params={**params, "cursor": made_up})
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "cursor"]), position


async def test_invented_queries_fill_no_memory(client: httpx.AsyncClient, advisor: dict[str, str]) -> None:
    for place in range(30):
        answer = await client.get(PATH, headers=advisor, params={"q": f"{place}" + "x" * 5_000})
        assert answer.status_code == 200

    kept = clients._lists._kept
    assert len(kept) <= KEPT_QUERIES
    assert max((len(query_string) for query_string, *_rest in kept), default=0) <= KEPT_LENGTH
