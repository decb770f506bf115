"""Figures of groups of rows: right, exact, in a fixed order, and about the caller's rows and fields alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.core.library import ANN, BOB, Author, Book, Library, Review, open_library
from tests.wealth.factories import an_advisor, an_officer, an_order, some_clients

from atrium.core.config import Settings
from atrium.core.runtime import Runtime

PATH = "/books/aggregate"


@pytest.fixture(scope="module")
def library_url(new_database: Any) -> str:
    url: str = new_database("aggregates")
    return url


@pytest.fixture(scope="module")
async def library(library_url: str, settings: Settings) -> AsyncIterator[Library]:
    async with open_library(library_url, settings) as opened:
        amos = await opened.add(Author, name="Amos", country="IL", royalty=Decimal(5))
        zoe = await opened.add(Author, name="Zoe", country="FR", royalty=Decimal(9))
        dated = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
        for status, author, price, pages, sold in (
            ("out", amos, Decimal("10.0001"), 100, None),
            ("out", amos, Decimal("0.0002"), 300, None),
            ("out", zoe, None, None, None),
            ("sold", zoe, Decimal("9999999999999999.9999"), 50, dated),
            ("sold", None, Decimal("0.0001"), 50, datetime(2026, 3, 1, 0, 30, tzinfo=UTC)),
        ):
            book = await opened.add(
                Book,
                title="T",
                owner_id=ANN.user_id,
                status=status,
                author_id=author,
                price=price,
                pages=pages,
                sold_at=sold,
                published_on=sold and sold.date(),
            )
        await opened.add(Review, book_id=book, stars=4, body="fine")
        await opened.add(Book, title="T", owner_id=BOB.user_id, status="draft", price=Decimal(1000), author_id=zoe)
        gone = datetime(2026, 1, 1, tzinfo=UTC)
        lost = await opened.add(
            Book, title="T", owner_id=ANN.user_id, status="draft", price=Decimal(7), deleted_at=gone
        )
        await opened.add(Review, book_id=lost, stars=2, body="still there")
        yield opened


async def test_groups_are_counted_and_summed_exactly(library: Library) -> None:
    metrics = "count,count(price),count(distinct pages),sum(price),avg(pages),min(price),max(pages)"
    answer = await library.ask(PATH, group_by="status", metrics=metrics)

    assert answer.text == (
        '{"items":[{"status":"out","count":3,"count_price":2,"count_distinct_pages":2,"sum_price":10.0003,'
        '"avg_pages":200.0000000000000000,"min_price":0.0002,"max_pages":300},'
        '{"status":"sold","count":2,"count_price":2,"count_distinct_pages":1,"sum_price":10000000000000000.0000,'
        '"avg_pages":50.0000000000000000,"min_price":0.0001,"max_pages":50}]}'
    )


async def test_without_groups_there_is_one_line_even_of_nothing(library: Library) -> None:
    assert await library.items(PATH) == [{"count": 5}]
    assert await library.items(PATH, params={"metrics": "sum(pages),count", "title": "none"}) == [
        {"sum_pages": None, "count": 0}
    ]
    assert await library.items(PATH, params={"group_by": "status", "title": "none"}) == []


async def test_the_rows_are_those_of_the_list(library: Library) -> None:
    for who in ("ann", "bob", "chief", "cat"):
        for asked in ({}, {"status": "sold"}, {"q": "t"}, {"author.country": "FR"}, {"or": "(pages.eq.50,price.gt.5)"}):
            listed = (await library.ask("/books", who, params=asked)).json()["total"]
            assert await library.items(PATH, who, params=asked) == [{"count": listed}]
    assert await library.items(PATH, "bob", group_by="status") == [{"status": "draft", "count": 1}]


async def test_groups_may_be_made_by_what_a_relation_leads_to(library: Library) -> None:
    found = await library.items(PATH, params={"group_by": "author.country,status", "order_by": "-count"})

    assert found == [
        {"author.country": "IL", "status": "out", "count": 2},
        {"author.country": "FR", "status": "out", "count": 1},
        {"author.country": "FR", "status": "sold", "count": 1},
        {"author.country": None, "status": "sold", "count": 1},
    ]


async def test_a_relation_that_leads_out_of_sight_makes_no_group(library: Library) -> None:
    """Ann still sees what was said about a book of hers that is deleted, and no more how that book was."""
    asked = {"group_by": "book.status", "metrics": "count,max(stars)"}
    sold = {"book.status": "sold", "count": 1, "max_stars": 4}

    assert await library.items("/reviews/aggregate", "chief", params=asked) == [sold]
    assert await library.items("/reviews/aggregate", "ann", params=asked) == [
        sold,
        {"book.status": None, "count": 1, "max_stars": 2},
    ]
    assert await library.items("/reviews/aggregate", "bob", params=asked) == []


@pytest.mark.parametrize(
    ("having", "found"),
    [
        ("(count.gte.3)", ["out"]),
        ("(count.lt.3)", ["sold"]),
        ("(count.between.(2,2))", ["sold"]),
        ("(count.in.(3,4))", ["out"]),
        ("(sum(price).gt.10.0002)", ["out", "sold"]),
        ("(sum(price).gt.10.0003)", ["sold"]),
        ("(sum(price).gt.10.0003,count.gte.3)", []),
        ("(or(sum(price).gt.10.0003,count.gte.3))", ["out", "sold"]),
        ("(not(count.gte.3))", ["sold"]),
        ("(avg(pages).eq.200)", ["out"]),
        ("(max(sold_at).gte.2026-03-01)", ["sold"]),
        ("(min(published_on).lte.2026-01-31)", ["sold"]),
        ("(count(distinct pages).eq.1)", ["sold"]),
    ],
)
async def test_having_keeps_groups_by_their_figures(library: Library, having: str, found: list[str]) -> None:
    groups = await library.items(PATH, params={"group_by": "status", "having": having})

    assert [group["status"] for group in groups] == found
    assert all(set(group) == {"status", "count"} for group in groups)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"bucket": "month(sold_at)"}, {"month_sold_at": ["2026-01-01", "2026-03-01", None]}),
        ({"bucket": "month(sold_at)", "tz": "Asia/Jerusalem"}, {"month_sold_at": ["2026-02-01", "2026-03-01", None]}),
        (
            {"bucket": "month(sold_at)", "tz": "America/New_York"},
            {"month_sold_at": ["2026-01-01", "2026-02-01", None]},
        ),
        ({"bucket": "day(sold_at)", "tz": "Asia/Tokyo"}, {"day_sold_at": ["2026-02-01", "2026-03-01", None]}),
        ({"bucket": "week(sold_at)"}, {"week_sold_at": ["2026-01-26", "2026-02-23", None]}),
        ({"bucket": "quarter(sold_at)"}, {"quarter_sold_at": ["2026-01-01", None]}),
        ({"bucket": "year(published_on)"}, {"year_published_on": ["2026-01-01", None]}),
        (
            {"bucket": "hour(sold_at)", "tz": "Asia/Kolkata"},
            {"hour_sold_at": ["2026-01-31T23:30:00.000000Z", "2026-03-01T00:30:00.000000Z", None]},
        ),
    ],
)
async def test_times_are_cut_to_units_as_they_begin_in_a_zone(
    library: Library, asked: dict[str, str], found: dict[str, list[str | None]]
) -> None:
    groups = await library.items(PATH, params=asked)

    for name, values in found.items():
        assert [group[name] for group in groups] == values
    assert sum(group["count"] for group in groups) == 5


async def test_times_and_texts_are_spelt_as_in_records(library: Library) -> None:
    asked = {"group_by": "sold_at,published_on,title", "metrics": "max(sold_at),min(published_on),max(title)"}
    dated = "2026-01-31T23:30:00.000000Z"

    assert (await library.items(PATH, params=asked))[0] == {
        "sold_at": dated,
        "published_on": "2026-01-31",
        "title": "T",
        "max_sold_at": dated,
        "min_published_on": "2026-01-31",
        "max_title": "T",
    }


async def test_groups_come_in_the_order_asked_and_as_many(library: Library) -> None:
    async def pages(**asked: str) -> list[int | None]:
        return [group["pages"] for group in await library.items(PATH, params={"group_by": "pages", **asked})]

    assert await pages() == [50, 100, 300, None]
    assert await pages(order_by="-pages") == [300, 100, 50, None]
    assert await pages(order_by="-count") == [50, 100, 300, None]
    assert await pages(order_by="-sum(price)") == [50, 100, 300, None]
    assert await pages(order_by="sum_price", metrics="sum(price)") == [300, 100, 50, None]
    assert await pages(limit="2") == [50, 100]


@pytest.mark.parametrize(
    "asked",
    [
        {"group_by": "royalty"},
        {"metrics": "sum(royalty)"},
        {"metrics": "count(distinct royalty)"},
        {"metrics": "max(royalty)"},
        {"having": "(sum(royalty).gt.1)"},
        {"having": "(count(royalty).gt.0)"},
        {"order_by": "-sum(royalty)"},
        {"royalty__gt": "1"},
        {"group_by": "mentor.royalty"},
    ],
)
async def test_a_hidden_field_is_in_no_figure(library: Library, asked: dict[str, str]) -> None:
    path = "/authors/aggregate"
    problem = await library.refused(path, "ann", params=asked)

    assert not [name for name in problem["allowed"] if "royalty" in name]
    assert (await library.ask(path, "chief", params=asked)).status_code == 200


async def test_who_may_not_read_may_not_count(library: Library) -> None:
    assert (await library.ask("/reviews/aggregate", "cat")).status_code == 403


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"group_by": "colour"}, "colour"),
        ({"group_by": "author.colour"}, "author.colour"),
        ({"group_by": "publisher.name"}, "publisher"),
        ({"group_by": "reviews.stars"}, "many"),
        ({"group_by": "author.mentor.mentor.name"}, "relations"),
        ({"group_by": "title,status,price,pages,published_on,sold_at"}, "at most"),
        ({"metrics": "sum"}, "sum"),
        ({"metrics": "sum(title)"}, "sum(title)"),
        ({"metrics": "median(price)"}, "median(price)"),
        ({"metrics": "min(author_id)"}, "min(author_id)"),
        ({"metrics": "sum(distinct price)"}, "sum(distinct price)"),
        ({"metrics": "count(shoe)"}, "shoe"),
        ({"metrics": "sum(price"}, "bracket"),
        ({"having": "count.gt.1"}, "look like"),
        ({"having": "()"}, "at least one"),
        ({"having": "(price.gt.1)"}, "price"),
        ({"having": "(count.like.1)"}, "count.like.1"),
        ({"having": "(count.gt.many)"}, "number"),
        ({"having": "(count.gt.NaN)"}, "number"),
        ({"having": "(max(pages).gt.99999999999)"}, "large"),
        ({"having": "(or(or(or(or(or(count.gt.1))))))"}, "nested"),
        ({"bucket": "month"}, "month"),
        ({"bucket": "fortnight(sold_at)"}, "fortnight"),
        ({"bucket": "month(price)"}, "price"),
        ({"bucket": "hour(published_on)"}, "published_on"),
        ({"bucket": "month(sold_at)", "tz": "Mars/Base"}, "time zone"),
        ({"bucket": "month(sold_at)", "tz": "'; drop"}, "time zone"),
        ({"order_by": "price"}, "price"),
        ({"order_by": "count:up"}, "count:up"),
        ({"limit": "1001"}, "1000"),
        ({"limit": "0"}, "limit"),
        ({"page": "2"}, "page"),
        ({"cursor": "x"}, "cursor"),
        ({"fields": "id"}, "fields"),
        ({"include": "author"}, "include"),
        ({"include.author.fields": "id"}, "include.author.fields"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_computed_is_named(library: Library, asked: dict[str, str], named: str) -> None:
    assert named in (await library.refused(PATH, params=asked))["detail"]


async def test_a_nested_path_narrows_the_figures(library: Library) -> None:
    book = (await library.items("/books", params={"status": "sold", "pages": "50", "author__isnull": "true"}))[0]["id"]

    assert await library.items(f"/books/{book}/reviews/aggregate", metrics="count,sum(stars)") == [
        {"count": 1, "sum_stars": 4}
    ]
    assert (await library.ask(f"/books/{book}/reviews/aggregate", "bob")).status_code == 404


async def test_advisors_count_their_own_book_and_officers_all(client: httpx.AsyncClient, runtime: Runtime) -> None:
    mine, other, officer = await an_advisor(runtime), await an_advisor(runtime), await an_officer(runtime)
    clients = await some_clients(runtime, mine, 3, risk_profile="moderate", net_worth=Decimal("100.0001"))
    await some_clients(runtime, other, 2, risk_profile="moderate")
    await an_order(runtime, mine, clients[0], quantity=5, status="draft")

    async def ask(path: str, headers: dict[str, str], **params: str) -> list[dict[str, Any]]:
        answer = await client.get(f"/api/v1/{path}/aggregate", headers=headers, params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    risks = await ask("clients", mine.headers, group_by="risk_profile", metrics="count,sum(net_worth)")
    orders = await ask("orders", mine.headers, group_by="client.risk_profile", metrics="sum(quantity)")
    all_of_both = await ask(
        "clients", officer.headers, group_by="advisor_id", advisor_id__in=f"{mine.id},{other.id}", order_by="-count"
    )

    assert risks == [{"risk_profile": "moderate", "count": 3, "sum_net_worth": 300.0003}]
    assert orders == [{"client.risk_profile": "moderate", "sum_quantity": 5}]
    assert [(one["advisor_id"], one["count"]) for one in all_of_both] == [(str(mine.id), 3), (str(other.id), 2)]
