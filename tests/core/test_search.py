"""Full text, words within words, counting at a guess, and what a query may cost."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.core.library import ANN, BOB, Book, Library, Review, open_library
from tests.wealth.factories import a_client, an_advisor

from atrium.core.config import Settings
from atrium.core.runtime import Runtime
from atrium.core.statements.reads import COUNTED

TEXTS = {
    "plain": ("House", "The mortgage of the new house was signed"),
    "twice": ("House and garden", "House, house and a mortgage on the house"),
    "other": ("Boat", "Asked about a loan for a boat"),
    "hebrew": (None, "המשכנתא נחתמה"),
}


@pytest.fixture(scope="module")
def library_url(new_database: Any) -> str:
    url: str = new_database("search")
    return url


@pytest.fixture(scope="module")
async def library(library_url: str, settings: Settings) -> AsyncIterator[Library]:
    async with open_library(library_url, settings, query_timeout_seconds=1) as opened:
        yield opened


@pytest.fixture(scope="module")
async def said(library: Library) -> dict[str, UUID]:
    mine = await library.add(Book, title="Mine", owner_id=ANN.user_id)
    bobs = await library.add(Book, title="Bobs", owner_id=BOB.user_id)
    await library.add(Review, book_id=bobs, stars=1, heading="House", body="A house of Bob's", secret="treasure")
    return {
        name: await library.add(Review, book_id=mine, stars=3, heading=heading, body=body, secret="treasure map")
        for name, (heading, body) in TEXTS.items()
    }


async def matching(library: Library, said: dict[str, UUID], **asked: str) -> list[str]:
    names = {str(row_id): name for name, row_id in said.items()}
    return [names[item["id"]] for item in await library.items("/reviews", params={"order_by": "created_at", **asked})]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("house", ["plain", "twice"]),
        ("HOUSE", ["plain", "twice"]),
        ("mortgage house", ["plain", "twice"]),
        ('"new house"', ["plain"]),
        ('"house new"', []),
        ("mortgage -garden", ["plain"]),
        ("boat or garden", ["twice", "other"]),
        ("hous", []),
        ("המשכנתא", ["hebrew"]),
        ("house & | ! ( :* '", ["plain", "twice"]),
        ("'; drop table library.reviews; --", []),
    ],
)
async def test_full_text_is_asked_as_in_a_web_search(
    library: Library, said: dict[str, UUID], text: str, found: list[str]
) -> None:
    assert await matching(library, said, match=text) == found


async def test_the_best_match_comes_first_and_pages_go_on(library: Library, said: dict[str, UUID]) -> None:
    asked = {"match": "house", "order_by": "-relevance"}

    assert await matching(library, said, **asked) == ["twice", "plain"]
    assert await matching(library, said, **{**asked, "order_by": "relevance"}) == ["plain", "twice"]
    assert await matching(library, said, **asked, limit="1", page="2") == ["plain"]
    page = (await library.ask("/reviews", params={**asked, "limit": "1"})).json()
    assert (page["total"], page["next_cursor"]) == (2, None)
    assert "relevance" not in page["items"][0]


async def test_full_text_goes_with_filters_words_counts_and_aggregates(library: Library, said: dict[str, UUID]) -> None:
    assert await matching(library, said, match="house", heading="House") == ["plain"]
    assert await matching(library, said, match="mortgage", heading__icontains="GARD") == ["twice"]
    assert await library.items("/reviews/aggregate", match="house") == [{"count": 2}]
    assert await library.items("/reviews/aggregate", "chief", match="house") == [{"count": 3}]


async def test_a_text_with_a_hidden_field_is_not_searched(library: Library, said: dict[str, UUID]) -> None:
    """`q` looks into the secret as well, which only the chief may read."""
    for path in ("/reviews", "/reviews/aggregate"):
        assert (await library.ask(path, "chief", q="treasure")).status_code == 200
        for name in ("q", "search"):
            problem = await library.refused(path, "ann", params={name: "treasure"})
            assert not {"q", "search"} & set(problem["allowed"])
            assert "match" in problem["allowed"]


@pytest.mark.parametrize(
    "asked",
    [
        {"match": ""},
        {"match": "?!"},
        {"match": "a\0b"},
        {"order_by": "-relevance"},
        {"order_by": "-relevance", "q": "house"},
        {"match": "house", "order_by": "-relevance", "cursor": "WyJ4Il0"},
    ],
)
async def test_what_cannot_be_matched_is_refused(library: Library, asked: dict[str, str]) -> None:
    await library.refused("/reviews", "chief", params=asked)


async def test_a_resource_without_full_text_says_so(library: Library) -> None:
    problem = await library.refused("/books", match="x")

    assert "match" not in problem["allowed"]
    assert "q" in problem["allowed"]


async def test_notes_are_searched_by_their_index(client: httpx.AsyncClient, runtime: Runtime) -> None:
    mine, other = await an_advisor(runtime), await an_advisor(runtime)
    for advisor in (mine, other):
        body = {"client_id": str(await a_client(runtime, advisor)), "body": "Called about the Zanzibar trip."}
        answer = await client.post("/api/v1/notes", headers=advisor.headers, json=body)
        assert answer.status_code == 201, answer.text

    found = await client.get("/api/v1/notes", headers=mine.headers, params={"match": "zanzibar -safari"})

    assert found.json()["total"] == 1
    assert found.json()["items"][0]["client_id"] == await _client_of(client, mine.headers)
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT id FROM wealth.notes WHERE "
            "to_tsvector('simple', coalesce(body, '')) @@ websearch_to_tsquery('simple', 'zanzibar')"
        )
    assert "ix_notes_fulltext" in " ".join(row[0] for row in plan)


async def _client_of(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    return str((await client.get("/api/v1/clients", headers=headers)).json()["items"][0]["id"])


async def test_an_estimate_is_exact_up_to_a_thousand_rows_and_about_the_callers_own(library: Library) -> None:
    many = COUNTED * 3
    await library.run(
        "INSERT INTO library.books (id, title, owner_id, pages) "
        f"SELECT gen_random_uuid(), 'many', '{BOB.user_id}', n % 10 FROM generate_series(1, {many}) n"
    )
    await library.run("ANALYZE library.books")

    async def total(who: str, **asked: str) -> int:
        found: int = (await library.ask("/books", who, params={"count": "estimated", **asked})).json()["total"]
        return found

    for asked in ({}, {"pages": "3"}, {"title": "many"}, {"pages__gt": "1"}):
        exact = (await library.ask("/books", "ann", params=asked)).json()["total"]
        assert await total("ann", **asked) == exact <= 1
    assert await total("bob", pages="3") == many / 10
    guess = await total("bob", title="many")
    assert COUNTED < guess < many * 2
    page = (await library.ask("/books", "bob", params={"count": "estimated", "limit": "100", "title": "many"})).json()
    assert page["pages"] == -(-page["total"] // 100)
    assert page["next_cursor"]


async def test_a_query_that_takes_too_long_is_stopped_and_says_so(library: Library) -> None:
    """A policy or view may be slow for reasons that no cap foresees; here a trigram of nothing over padded rows."""
    await library.run(
        "INSERT INTO library.reviews (id, book_id, stars, body) SELECT gen_random_uuid(), "
        "(SELECT id FROM library.books LIMIT 1), 1, repeat('ab ', 20000) FROM generate_series(1, 3000)"
    )
    slow = {"match": "nothing", "count": "none"}

    for path in ("/reviews", "/reviews/aggregate"):
        asked = slow if path == "/reviews" else {"match": "nothing"}
        answer = await library.ask(path, "chief", params=asked)
        assert (answer.status_code, answer.json()["code"]) == (503, "QUERY_TIMEOUT"), answer.text
        assert "too long" in answer.json()["detail"]
    await library.run("DELETE FROM library.reviews WHERE stars = 1 AND heading IS NULL")
    assert (await library.ask("/reviews", "chief")).status_code == 200
