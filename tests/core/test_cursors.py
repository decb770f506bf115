"""Walking a list by cursor: the same rows as by pages, whatever the order, and while others write."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.core.library import ANN, BOB, CHIEF, Book, Library, books, open_library

from atrium.core.config import Settings

ORDERS = (
    "created_at",
    "-created_at",
    "title",
    "-price",
    "price",
    "price,-pages",
    "-price,pages",
    "pages,price,title",
    "-published_on,-sold_at",
    "sold_at,published_on,-pages",
    "title,-price,created_at",
    "-price,id",
    "id",
    "-id",
)


@pytest.fixture(scope="module")
def library_url(new_database: Any) -> str:
    url: str = new_database("cursors")
    return url


@pytest.fixture(scope="module")
async def library(library_url: str, settings: Settings) -> AsyncIterator[Library]:
    async with open_library(library_url, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shelf(library: Library) -> None:
    """Forty books with every mixture of equal and missing values, and some of somebody else's."""
    for number in range(40):
        await library.add(
            Book,
            title=f"T{number % 3}",
            owner_id=ANN.user_id,
            price=None if number % 3 == 0 else Decimal(number % 4),
            pages=None if number % 4 == 0 else number % 5,
            published_on=None if number % 2 else date(2026, 1, 1 + number % 3),
            sold_at=None if number % 5 == 0 else datetime(2026, 1, 1, number % 3, tzinfo=UTC),
            created_at=datetime(2026, 2, 1, number % 7, tzinfo=UTC),
        )
    for number in range(10):
        await library.add(Book, title=f"T{number % 3}", owner_id=BOB.user_id, price=Decimal(number % 4))


async def walk(library: Library, limit: int, **params: str) -> list[str]:
    found: list[str] = []
    params["limit"] = str(limit)
    while True:
        page = (await library.ask("/books", params=params)).json()
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("order", ORDERS)
async def test_a_walk_meets_every_row_once_in_the_order_of_the_pages(library: Library, shelf: None, order: str) -> None:
    whole = [item["id"] for item in await library.items("/books", order_by=order, limit="100")]

    assert len(whole) == len(set(whole)) == 40
    for limit in (1, 3, 7, 40):
        assert await walk(library, limit, order_by=order) == whole


@pytest.mark.parametrize("order", ["-price", "pages,-title", "title"])
async def test_a_walk_keeps_to_filters_and_search(library: Library, shelf: None, order: str) -> None:
    asked = {"order_by": order, "pages__gte": "2", "q": "t1", "or": "(price.isnull.true,price.gt.0)"}
    whole = [item["id"] for item in await library.items("/books", params={**asked, "limit": "100"})]

    assert 2 < len(whole) < 20
    assert await walk(library, 2, **asked) == whole


async def test_rows_that_come_and_go_meanwhile_neither_repeat_nor_hide_others(library: Library, shelf: None) -> None:
    asked = {"order_by": "price,title", "limit": "10"}
    whole = [item["id"] for item in await library.items("/books", params={**asked, "limit": "100"})]
    first = (await library.ask("/books", params=asked)).json()

    await library.run(f"UPDATE library.books SET deleted_at = now() WHERE id = '{first['items'][-1]['id']}'")
    made = [
        await library.add(Book, title="A", owner_id=ANN.user_id, price=Decimal(-1)),  # before the cursor
        await library.add(Book, title="Z", owner_id=ANN.user_id, price=None),  # at the very end
    ]
    found = [item["id"] for item in first["items"]]
    rest = await walk(library, 7, order_by="price,title", cursor=first["next_cursor"])

    assert rest[-1] == str(made[1])
    assert found + rest[:-1] == whole
    for row_id in made:
        await library.run(f"DELETE FROM library.books WHERE id = '{row_id}'")
    await library.run("UPDATE library.books SET deleted_at = NULL")


async def test_a_page_behind_a_cursor_counts_only_when_asked(library: Library, shelf: None) -> None:
    first = (await library.ask("/books", params={"limit": "5"})).json()
    cursor = first["next_cursor"]

    async def behind(**params: str) -> tuple[Any, Any, int]:
        page = (await library.ask("/books", params={"limit": "5", "cursor": cursor, **params})).json()
        return page["total"], page["pages"], len(page["items"])

    assert first["total"] == 40
    assert await behind() == (None, None, 5)
    assert await behind(count="none") == (None, None, 5)
    assert await behind(count="exact") == (40, 8, 5)
    assert await behind(count="estimated") == (40, 8, 5)


async def test_the_link_to_the_next_page_keeps_what_was_asked(library: Library, shelf: None) -> None:
    answer = await library.ask("/books", params={"limit": "30", "order_by": "-price", "title__ne": "x"})
    link = answer.headers["link"]

    following = await library.client.get(link[1 : link.index(">")], headers={"x-as": "ann"})

    assert link.endswith('rel="next"')
    assert len(following.json()["items"]) == 10
    assert "link" not in following.headers


@pytest.mark.parametrize(
    "change",
    [
        {"order_by": "price"},
        {"order_by": "-price,title"},
        {"title": "T1"},
        {"pages__gt": "2"},
        {"q": "t"},
        {"or": "(pages.eq.1)"},
        {"author.name": "x"},
    ],
)
async def test_a_cursor_of_another_list_is_refused(library: Library, shelf: None, change: dict[str, str]) -> None:
    cursor = (await library.ask("/books", params={"limit": "5", "order_by": "-price", "pages__gt": "1"})).json()
    asked = {"limit": "5", "order_by": "-price", "pages__gt": "1", "cursor": cursor["next_cursor"]}

    assert (await library.ask("/books", params=asked)).status_code == 200
    assert "another filter or order" in (await library.refused("/books", params={**asked, **change}))["detail"]


async def test_a_cursor_shows_nothing_that_its_caller_does_not_see(library: Library, shelf: None) -> None:
    """It is a position, not a right: with the cursor of another's list one walks one's own."""
    cursor = (await library.ask("/books", "chief", params={"limit": "5", "order_by": "title"})).json()["next_cursor"]

    mine = await library.items("/books", "bob", params={"limit": "100", "order_by": "title", "cursor": cursor})

    assert {item["owner_id"] for item in mine} == {str(BOB.user_id)}


async def test_a_made_up_cursor_is_refused_and_never_an_error(library: Library, shelf: None) -> None:
    cursor = (await library.ask("/books", params={"limit": "2", "order_by": "price"})).json()["next_cursor"]
    mark, price, row_id = json.loads(base64.urlsafe_b64decode(cursor + "=="))

    for position in ([mark, "NaN", row_id], [mark, price, "7"], [mark, price], [mark, price, row_id, "1"], [], "x", 7):
        made_up = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
        assert (await library.refused("/books", params={"order_by": "price", "cursor": made_up}))["errors"]


async def test_deep_offsets_are_told_to_use_a_cursor(library: Library, shelf: None) -> None:
    for asked in ({"offset": "100001"}, {"skip": "2000000000"}, {"page": "5002"}, {"page": "2147483648"}):
        assert "cursor" in (await library.refused("/books", params=asked))["detail"]
    assert (await library.ask("/books", params={"offset": "100000"})).json()["items"] == []


async def test_ranges_behind_a_cursor_are_read_from_an_index_and_end_at_the_limit(
    library: Library, shelf: None
) -> None:
    """What makes a page deep down cost what the first one costs."""
    await library.run("CREATE INDEX deep ON library.books (price DESC NULLS LAST, id DESC) WHERE deleted_at IS NULL")
    await library.run(
        "INSERT INTO library.books (id, title, owner_id, price) SELECT gen_random_uuid(), 'x', gen_random_uuid(), "
        "CASE WHEN n % 10 > 0 THEN n % 1000 END FROM generate_series(1, 20000) n"
    )
    await library.run("ANALYZE library.books")
    first = (await library.ask("/books", "chief", params={"order_by": "-price", "count": "none"})).json()

    plan = await explain(library, {"order_by": "-price", "count": "none", "cursor": first["next_cursor"]})

    await library.run("DELETE FROM library.books WHERE title = 'x'")
    await library.run("DROP INDEX library.deep")
    scans = [node for node in plan if node["Node Type"].endswith("Scan")]
    assert {node["Index Name"] for node in scans if "Index Name" in node} == {"deep", "pk_books"}
    assert "Seq Scan" not in {node["Node Type"] for node in scans}
    assert all(node["Actual Rows"] <= 21 for node in scans if "Index Name" in node)


async def explain(library: Library, params: dict[str, str]) -> list[dict[str, Any]]:
    """The nodes of the plan by which the list is answered."""
    prepared = books._lists.prepare(urlencode(params), books.policy.kind(CHIEF), (), CHIEF)
    arguments = prepared.compiled.arguments(prepared.values, CHIEF)
    sql = f"EXPLAIN (ANALYZE, FORMAT JSON) {prepared.compiled.sql}"
    rows = await library.runtime.database.pool.fetch(sql, *arguments)
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        found.append(node)
        for child in node.get("Plans", ()):
            walk(child)

    walk(json.loads(rows[0][0])[0]["Plan"])
    return found
