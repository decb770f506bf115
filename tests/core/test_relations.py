"""Filters through relations and included records, shown on a module that these tests declare."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.core.library import ANN, BOB, Author, Book, Library, Review, books, open_library
from tests.wealth.factories import a_client, a_portal_user, a_team, an_advisor, an_order

from atrium.core.config import Settings
from atrium.core.resources.relations import Relation, faults, many, one
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime


@pytest.fixture(scope="module")
def library_url(new_database: Any) -> str:
    url: str = new_database("relations")
    return url


@pytest.fixture(scope="module")
async def library(library_url: str, settings: Settings) -> AsyncIterator[Library]:
    async with open_library(library_url, settings) as opened:
        yield opened


@pytest.fixture
async def shelf(library: Library) -> dict[str, UUID]:
    """Ann has two books of one author, with three reviews of the first; Bob has one of the same author."""
    await library.run("TRUNCATE library.reviews, library.books, library.authors")
    mentor = await library.add(Author, name="Mentor", country="FR")
    author = await library.add(Author, name="Amos", country="IL", royalty=Decimal("7.5"), mentor_id=mentor)
    first = await library.add(Book, title="First", author_id=author, owner_id=ANN.user_id, price=Decimal(10))
    second = await library.add(Book, title="Second", author_id=author, owner_id=ANN.user_id, status="sold")
    bobs = await library.add(Book, title="Bobs", author_id=author, owner_id=BOB.user_id, price=Decimal(99))
    alone = await library.add(Book, title="Alone", owner_id=ANN.user_id)
    for stars, body in ((5, "best"), (1, "worst"), (3, "so so")):
        await library.add(Review, book_id=first, stars=stars, body=body, heading=body, secret=f"secret {stars}")
    await library.add(Review, book_id=bobs, stars=2, body="of Bob's")
    return {"mentor": mentor, "author": author, "first": first, "second": second, "bobs": bobs, "alone": alone}


def titles(items: list[dict[str, Any]]) -> list[str]:
    return sorted(item["title"] for item in items)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"author.country": "IL"}, ["First", "Second"]),
        ({"author.name__startswith": "Am"}, ["First", "Second"]),
        ({"author.country": "DE"}, []),
        ({"author.mentor.country": "FR"}, ["First", "Second"]),
        ({"reviews.stars__gte": "5"}, ["First"]),
        ({"reviews.stars__in": "2,3"}, ["First"]),
        ({"reviews.stars__between": "4,4"}, []),
        ({"reviews__isnull": "true"}, ["Alone", "Second"]),
        ({"reviews__isnull": "false"}, ["First"]),
        ({"author__isnull": "true"}, ["Alone"]),
        ({"or": "(author.country.eq.IL,title.eq.Alone)"}, ["Alone", "First", "Second"]),
        ({"or": "(reviews.stars.eq.1,status.eq.sold)"}, ["First", "Second"]),
        ({"or": "(reviews.isnull.true,reviews.stars.eq.5)"}, ["Alone", "First", "Second"]),
        ({"and": "(not(reviews.stars.gt.0),author.mentor.name.eq.Mentor)"}, ["Second"]),
        ({"or": '(author.name.in.("Amos",x))'}, ["First", "Second"]),
    ],
)
async def test_a_filter_reaches_through_relations(
    library: Library, shelf: dict[str, UUID], asked: dict[str, str], found: list[str]
) -> None:
    assert titles(await library.items("/books", params=asked)) == found


async def test_conditions_on_one_relation_are_about_the_same_row(library: Library, shelf: dict[str, UUID]) -> None:
    both = {"reviews.stars": "5", "reviews.heading": "worst"}
    apart = {"and": "(reviews.stars.eq.5,or(reviews.heading.eq.worst))"}

    assert await library.items("/books", params=both) == []
    assert titles(await library.items("/books", params=apart)) == ["First"]


async def test_what_is_behind_a_relation_is_seen_with_the_rows_of_the_caller(
    library: Library, shelf: dict[str, UUID]
) -> None:
    async def authors_with(who: str, **params: str) -> int:
        return len(await library.items("/authors", who, params=params))

    assert await authors_with("ann", **{"books.title": "Bobs"}) == 0
    assert await authors_with("bob", **{"books.title": "Bobs"}) == 1
    assert await authors_with("chief", **{"books.title": "Bobs"}) == 1
    assert await authors_with("ann", **{"books.price__gt": "50"}) == 0
    assert await authors_with("ann", **{"books.reviews.stars": "2"}) == 0
    assert await authors_with("bob", **{"books.reviews.stars": "2"}) == 1


async def test_included_rows_are_those_of_the_caller_whoever_asked_before(
    library: Library, shelf: dict[str, UUID]
) -> None:
    seen = {}
    for who in ("chief", "ann", "dan", "bob", "cat", "ann", "dan", "chief"):
        found = await library.items("/authors", who, include="books", name="Amos")
        seen[who] = titles(found[0]["books"])

    assert seen == {
        "chief": ["Bobs", "First", "Second"],
        "ann": ["First", "Second"],
        "bob": ["Bobs"],
        "cat": [],
        "dan": [],
    }


@pytest.mark.parametrize("who", ["ann", "chief"])
async def test_one_record_and_a_list_include_the_same(library: Library, shelf: dict[str, UUID], who: str) -> None:
    asked = {"include": "author,reviews", "include.reviews.order_by": "stars", "include.author.include": "mentor"}

    listed = (await library.items("/books", who, params={**asked, "title": "First"}))[0]
    one_record = (await library.ask(f"/books/{shelf['first']}", who, params=asked)).json()

    assert listed == one_record
    assert [review["stars"] for review in listed["reviews"]] == [1, 3, 5]
    assert listed["author"]["mentor"]["name"] == "Mentor"


async def test_an_included_record_is_the_one_that_its_own_path_shows(library: Library, shelf: dict[str, UUID]) -> None:
    for who in ("ann", "chief"):
        book = (await library.ask(f"/books/{shelf['first']}", who, include="author,reviews")).json()
        author = (await library.ask(f"/authors/{shelf['author']}", who)).json()
        own = await library.items(f"/books/{shelf['first']}/reviews", who)

        assert book["author"] == author
        assert book["reviews"] == own


async def test_a_relation_to_one_is_null_where_there_is_none(library: Library, shelf: dict[str, UUID]) -> None:
    record = (await library.ask(f"/books/{shelf['alone']}", include="author,reviews")).json()

    assert (record["author"], record["reviews"]) == (None, [])


async def test_included_rows_have_their_own_filter_order_limit_and_fields(
    library: Library, shelf: dict[str, UUID]
) -> None:
    asked = {
        "title": "First",
        "fields": "title",
        "include": "reviews",
        "include.reviews.stars__gt": "1",
        "include.reviews.order_by": "-stars",
        "include.reviews.limit": "1",
        "include.reviews.fields": "stars,heading",
        "include.reviews.include": "book",
        "include.reviews.include.book.fields": "status",
    }

    answer = await library.ask("/books", params=asked)

    reviews = [{"stars": 5, "heading": "best", "book": {"status": "out"}}]
    assert answer.json()["items"] == [{"title": "First", "reviews": reviews}]
    assert answer.json()["total"] == 1


async def test_options_of_a_relation_include_it_and_groups_and_words_narrow_it(
    library: Library, shelf: dict[str, UUID]
) -> None:
    async def stars(**options: str) -> list[int]:
        params = {"title": "First", **{f"include.reviews.{name}": text for name, text in options.items()}}
        found = await library.items("/books", "chief", params={**params, "include.reviews.order_by": "stars"})
        return [review["stars"] for review in found[0]["reviews"]]

    assert await stars() == [1, 3, 5]
    assert await stars(**{"or": "(stars.eq.1,heading.eq.best)"}) == [1, 5]
    assert await stars(q="or") == [1]
    assert await stars(match='"so so"') == [3]
    assert await stars(**{"book.title": "First"}) == [1, 3, 5]
    assert await stars(**{"book.title": "Other"}) == []


async def test_what_is_deleted_is_behind_no_relation(library: Library, shelf: dict[str, UUID]) -> None:
    await library.run(f"UPDATE library.books SET deleted_at = now() WHERE id = '{shelf['second']}'")
    await library.run("UPDATE library.reviews SET deleted_at = now() WHERE stars = 5")

    found = (await library.items("/authors", "ann", name="Amos", include="books"))[0]
    assert titles(found["books"]) == ["First"]
    assert await library.items("/books", params={"reviews.stars": "5"}) == []
    await library.run(f"UPDATE library.books SET deleted_at = now() WHERE id = '{shelf['first']}'")
    assert (await library.items("/authors", "chief", **{"books.reviews.stars": "1"})) == []
    review = (await library.items("/authors", "ann", name="Amos", include="books"))[0]
    assert review["books"] == []


@pytest.mark.parametrize(
    "asked",
    [
        {"author.royalty": "7.5"},
        {"author.royalty__gt": "1"},
        {"author.royalty__isnull": "false"},
        {"or": "(author.royalty.gt.1)"},
        {"and": "(not(author.royalty.eq.7.5))"},
        {"reviews.secret__startswith": "s"},
        {"include.author.royalty__gt": "1"},
        {"include.author.fields": "name,royalty"},
        {"include.reviews.order_by": "secret"},
        {"include.reviews.secret__isnull": "true"},
        {"include.reviews.q": "secret"},
        {"author.books.author.name": "x", "author.books.author.country": "x"},
        {"author.books.author.royalty": "1"},
    ],
)
async def test_a_field_that_is_hidden_there_is_hidden_from_here(
    library: Library, shelf: dict[str, UUID], asked: dict[str, str]
) -> None:
    problem = await library.refused("/books", params=asked)

    assert not {"royalty", "secret"} & set(problem.get("allowed", ()))


async def test_hidden_fields_of_included_records_are_absent(library: Library, shelf: dict[str, UUID]) -> None:
    for who, shown in (("ann", False), ("chief", True)):
        book = (await library.items("/books", who, title="First", include="author,reviews"))[0]
        assert ("royalty" in book["author"]) is shown
        assert ("secret" in book["reviews"][0]) is shown


@pytest.mark.parametrize(
    "asked",
    [
        {"include": "reviews"},
        {"reviews.stars": "5"},
        {"reviews__isnull": "true"},
        {"or": "(reviews.stars.eq.5)"},
        {"or": "(reviews.isnull.true)"},
        {"include.reviews.limit": "1"},
    ],
)
async def test_without_the_permission_the_relation_does_not_exist(
    library: Library, shelf: dict[str, UUID], asked: dict[str, str]
) -> None:
    assert (await library.ask("/books", "ann", params=asked)).status_code == 200

    unknown = {name.replace("reviews", "nonsense"): text.replace("reviews", "nonsense") for name, text in asked.items()}
    refused = await library.refused("/books", "cat", params=asked)
    nonsense = await library.refused("/books", "cat", params=unknown)

    assert refused["detail"].replace("reviews", "nonsense") == nonsense["detail"]
    assert refused["allowed"] == nonsense["allowed"]
    assert not [name for name in refused["allowed"] if "reviews" in name]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"include": "publisher"}, "publisher"),
        ({"publisher.name": "x"}, "publisher"),
        ({"author.shoe_size": "44"}, "author.shoe_size"),
        ({"include.author.limit": "5"}, "include.author.limit"),
        ({"include.author.order_by": "name"}, "include.author.order_by"),
        ({"include.reviews.page": "2"}, "include.reviews.page"),
        ({"include.reviews.cursor": "x"}, "include.reviews.cursor"),
        ({"include.reviews.count": "none"}, "include.reviews.count"),
        ({"include.reviews": "x"}, "include.reviews"),
        ({"include.reviews.colour": "red"}, "include.reviews.colour"),
        ({"include.reviews.limit": "101"}, "include.reviews.limit"),
        ({"include.reviews.stars": "many"}, "include.reviews.stars"),
        ({"include.author.include.books.include": "author"}, "relations"),
        ({"author.books.author.name": "x"}, "relations"),
        ({"or": "(author.books.author.name.eq.x)"}, "relations"),
        ({"limit": "100", "include.reviews.limit": "100", "include.author.include.books.limit": "100"}, "rows"),
        ({"author.name": "a\0b"}, "author.name"),
    ],
)
async def test_what_cannot_be_asked_through_a_relation_is_named(
    library: Library, asked: dict[str, str], named: str
) -> None:
    assert named in (await library.refused("/books", params=asked))["detail"]


async def test_the_cost_of_a_query_counts_what_is_included(library: Library) -> None:
    conditions = ",".join(f"stars.eq.{number % 5 + 1}" for number in range(25))
    asked = {"or": f"({conditions.replace('stars', 'pages')})", "include.reviews.or": f"({conditions})"}

    assert (await library.ask("/books", params={"or": asked["or"]})).status_code == 200
    assert "at most" in (await library.refused("/books", params=asked))["detail"]


async def test_a_record_takes_no_parameters_of_lists(library: Library, shelf: dict[str, UUID]) -> None:
    for name in ("limit", "order_by", "title", "author.name", "cursor"):
        assert (await library.refused(f"/books/{shelf['first']}", params={name: "1"}))["allowed"] == [
            "fields",
            "include",
        ]


async def test_a_record_with_included_ones_is_sent_again_although_itself_did_not_change(
    library: Library, shelf: dict[str, UUID]
) -> None:
    url, headers = f"/books/{shelf['first']}", {"x-as": "ann", "If-None-Match": '"1"'}

    assert (await library.client.get(url, headers=headers)).status_code == 304
    assert (await library.client.get(f"{url}?fields=title", headers=headers)).status_code == 304
    assert (await library.client.get(f"{url}?include=author", headers=headers)).status_code == 200


async def test_a_cursor_goes_on_with_other_included_rows(library: Library, shelf: dict[str, UUID]) -> None:
    first = (await library.ask("/books", params={"limit": "2", "order_by": "title", "include": "author"})).json()

    after = {"limit": "2", "order_by": "title", "cursor": first["next_cursor"], "include": "reviews"}
    assert titles((await library.ask("/books", params=after)).json()["items"]) == ["Second"]


async def test_rights_that_change_between_two_requests_are_looked_up_anew(
    library: Library, shelf: dict[str, UUID]
) -> None:
    asked = {"title": "First", "include": "reviews"}
    for _ in range(2):
        assert (await library.items("/books", "ann", params=asked))[0]["reviews"]
        assert (await library.ask("/books", "cat", params=asked)).status_code == 422
        assert "secret" in (await library.items("/books", "chief", params=asked))[0]["reviews"][0]


def test_relations_that_lead_nowhere_are_told_at_the_start() -> None:
    wrong: dict[str, Relation] = {
        "publisher": one("publisher_id"),
        "owner": one("owner_id"),
        "copies": many("library.copies.book_id"),
        "ratings": many("library.reviews.novel_id"),
    }
    odd = Resource(Book, path="/odd", read="library.read", relations=wrong)

    found = faults((books, odd))

    assert len(found) == 4
    assert "publisher_id" in found[0]
    assert "not a foreign key" in found[1]
    assert "library.copies" in found[2]
    assert "novel_id" in found[3]


def test_a_relation_cannot_have_the_name_of_something_else() -> None:
    for name in ("title", "limit", "include"):
        with pytest.raises(ValueError, match=name):
            Resource(Book, path="/odd", read="library.read", relations={name: one("author_id")})


async def test_a_portal_user_sees_the_own_advisor_as_far_as_that_role_does(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor = await an_advisor(runtime, team_id=await a_team(runtime), order_limit=Decimal(5))
    portal = await a_portal_user(runtime, advisor)
    path = f"/api/v1/clients/{portal.id}"

    own = (await client.get(path, headers=portal.headers, params={"include": "advisor"})).json()
    whole = (await client.get(path, headers=advisor.headers, params={"include": "advisor"})).json()

    assert own["advisor"]["id"] == whole["advisor"]["id"] == str(advisor.id)
    assert "order_limit" not in own["advisor"]
    assert whole["advisor"]["order_limit"] == 5
    for hidden in (
        {"advisor.team_id": str(uuid4())},
        {"advisor.team.name": "North"},
        {"include.advisor.include": "team"},
    ):
        refused = await client.get("/api/v1/clients", headers=portal.headers, params=hidden)
        assert (refused.status_code, refused.json()["code"]) == (422, "UNKNOWN_PARAMETER"), hidden
        assert (await client.get("/api/v1/clients", headers=advisor.headers, params=hidden)).status_code == 200


async def test_no_relation_leads_into_another_advisors_book(client: httpx.AsyncClient, runtime: Runtime) -> None:
    mine, other = await an_advisor(runtime), await an_advisor(runtime)
    for advisor, city in ((mine, "Haifa"), (other, "Eilat")):
        await an_order(runtime, advisor, await a_client(runtime, advisor, city=city), status="draft")

    async def total(path: str, **params: str) -> int:
        answer = await client.get(f"/api/v1/{path}", headers=mine.headers, params=params)
        assert answer.status_code == 200, answer.text
        found: int = answer.json()["total"]
        return found

    assert await total("orders", **{"client.city": "Haifa"}) == 1
    assert await total("orders", **{"client.city": "Eilat"}) == 0
    assert await total("admin/advisors", **{"clients.city": "Eilat"}) == 0
    assert await total("admin/advisors", **{"clients.orders.status": "draft", "id": str(other.id)}) == 0
    listed = await client.get(
        "/api/v1/admin/advisors",
        headers=mine.headers,
        params={"id": str(other.id), "include": "clients,orders,households"},
    )
    assert [(one["clients"], one["orders"]) for one in listed.json()["items"]] in ([], [([], [])])
