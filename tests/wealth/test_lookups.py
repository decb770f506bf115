import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.wealth.factories import Actor, a_client, a_portal_user, an_advisor, an_order, some_clients

from atrium.core import clock
from atrium.core.chat.engines import Question, choose, what_can_be_asked
from atrium.core.lookups import Asking, Found, Lookup
from atrium.core.runtime import Runtime
from atrium.wealth.lookups import catalogue
from atrium.wealth.module import ROLES


def find(text: str) -> tuple[Lookup, Any]:
    """The lookup whose phrase fits best, as the assistant without a language model chooses it."""
    hits = [(hit.weight, place, hit) for place, lookup in enumerate(catalogue.ALL) if (hit := lookup.hit(text))]
    if not hits:
        raise LookupError(text)
    _weight, place, hit = max(hits, key=lambda one: one[:2])
    lookup = catalogue.ALL[place]
    return lookup, msgspec.convert(dict(hit.parameters), lookup.parameters, strict=False)


async def ask(runtime: Runtime, actor: Actor, text: str, **context: Any) -> Found:
    lookup, asked = find(text)
    found: Found = await lookup.answer(Asking(runtime, await actor.principal(runtime), context), asked)
    msgspec.json.encode(found)
    return found


@pytest.mark.parametrize("lookup", catalogue.ALL, ids=lambda one: one.name)
def test_every_lookup_understands_its_own_example(lookup: Lookup) -> None:
    assert find(lookup.example)[0] is lookup


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How many clients do I have? chk-1a2b", "count_clients"),
        ("And orders?", "count_orders"),
        ("how many active clients are there", "count_clients"),
        ("How many moderately aggressive clients do we have?", "count_clients"),
        ("Tell me about Nadia Rosen.", "describe_client"),
        ("Summarise this client", "describe_client"),
        ("Describe C-000012", "describe_client"),
        ("open orders for Rosen", "list_open_orders"),
        ("Any reviews due within 60 days?", "list_due_reviews"),
        ("Birthdays in the next 14 days", "list_birthdays"),
        ("top 3 opportunities", "list_opportunities"),
        ("Who hasn't been contacted lately?", "list_lapsed_contacts"),
    ],
)
def test_questions_find_their_lookup(text: str, name: str) -> None:
    assert find(text)[0].name == name


ASKED_BY_ADVISORS = {
    "How many clients do I have?": "count_clients",
    "how many clients do we look after": "count_clients",
    "number of active clients": "count_clients",
    "How many of my clients are prospects?": "count_clients",
    "how many of my clients are conservative?": "count_clients",
    "How big is my book?": "count_clients",
    "Show me my clients": "list_clients",
    "list all my clients": "list_clients",
    "who are my clients?": "list_clients",
    "Who are my 3 wealthiest clients?": "list_wealthiest",
    "biggest clients by net worth": "list_wealthiest",
    "which client has the highest net worth?": "list_wealthiest",
    "How much is my book worth?": "sum_net_worth",
    "how much are my clients worth": "sum_net_worth",
    "total wealth of my clients": "sum_net_worth",
    "total AUM": "sum_assets",
    "What is my AUM?": "sum_assets",
    "how much money do I manage?": "sum_assets",
    "What's the risk breakdown of my book?": "count_clients_by_risk",
    "clients per risk profile": "count_clients_by_risk",
    "Which reviews are coming up?": "list_due_reviews",
    "who is due for a review": "list_due_reviews",
    "Whose annual review is overdue?": "list_due_reviews",
    "Which clients should I see in the next 14 days?": "list_due_reviews",
    "Who should I call today?": "list_lapsed_contacts",
    "which clients have I not spoken to lately?": "list_lapsed_contacts",
    "Who am I neglecting?": "list_lapsed_contacts",
    "Any birthdays in the next 10 days?": "list_birthdays",
    "What should I do today?": "list_opportunities",
    "what needs my attention": "list_opportunities",
    "Best 3 opportunities please": "list_opportunities",
    "tell me about nadia rosen": "describe_client",
    "What do we know about Nadia Rosen?": "describe_client",
    "Who is Rosen?": "describe_client",
    "brief me on the client Rosen": "describe_client",
    "Look up Rosen": "find_clients",
    "show me client Rosen": "find_clients",
    "Do I have pending orders?": "list_open_orders",
    "open orders of the client Rosen": "list_open_orders",
    "How many orders do I have?": "count_orders",
    "And orders?": "count_orders",
    "Pull up Nadia Rosen": "describe_client",
    "When is Rosen's next review?": "describe_client",
    "When did I last talk to Rosen?": "describe_client",
    "latest notes on Rosen": "describe_client",
    "Which clients should I contact?": "list_lapsed_contacts",
    "Find clients in Tel Aviv": None,
    "find the cheapest stock": None,
    "Who is the president?": None,
    "What is the weather today?": None,
    "Should I buy Apple?": None,
    "Tell me about yourself": None,
    "Who is my best client?": None,
    "tell me a joke": None,
    "How many clients did I lose last year?": None,
    "net worth of Nadia Rosen": None,
    "Hello": None,
}
ASKED_BY_OFFICERS = {
    "How many clients are there in total?": "count_clients",
    "Which clients have no approved KYC?": "list_open_kyc",
    "whose KYC has expired?": "list_open_kyc",
    "clients without KYC": "list_open_kyc",
    "Any missing KYC?": "list_open_kyc",
    "Which KYC reviews are overdue?": "list_kyc_reviews",
    "KYC reviews due in the next 60 days": "list_kyc_reviews",
    "KYC status of all clients": "count_by_kyc",
    "how many clients by KYC status?": "count_by_kyc",
    "Which orders are still pending?": "list_open_orders",
    "status of all orders": "count_orders",
    "How many orders are there?": "count_orders",
    "find the client called Rosen": "find_clients",
    "Which advisor broke the rules?": None,
}
ASKED_BY_CLIENTS = {
    "Which of my orders are open?": "list_open_orders",
    "Has my order been filled?": "list_open_orders",
    "How many orders have I placed?": "count_orders",
    "What is the status of my orders?": "count_orders",
    "show my orders": "count_orders",
    "When is my next review?": "my_next_review",
    "when do I meet my advisor next?": "my_next_review",
    "Who is my advisor?": "my_advisor",
    "who's my adviser": "my_advisor",
    "who looks after me?": "my_advisor",
    "What is my risk profile?": "my_risk_profile",
    "What data do you have about me?": "describe_me",
    "show my details": "describe_me",
    "What is my KYC status?": "describe_me",
    "Find the client Rosen": None,
    "Tell me about Nadia Rosen": None,
    "How many clients do I have?": None,
    "How much money do I have?": None,
    "Who is the president?": None,
}


def open_to(role: str) -> tuple[Lookup, ...]:
    grants = next(one.grants for one in ROLES if one.code == role)
    return tuple(lookup for lookup in catalogue.ALL if lookup.permission in grants)


def chosen(role: str, text: str) -> str | None:
    choice = choose(Question(None, text, open_to(role)))  # type: ignore[arg-type]
    return choice.lookup.name if choice else None


@pytest.mark.parametrize(
    ("role", "asked"),
    [
        ("wealth_advisor", ASKED_BY_ADVISORS),
        ("compliance_officer", ASKED_BY_OFFICERS),
        ("client", ASKED_BY_CLIENTS),
    ],
)
def test_what_each_role_asks_is_answered_or_honestly_not(role: str, asked: dict[str, str | None]) -> None:
    assert {text: chosen(role, text) for text in asked} == asked


@pytest.mark.parametrize("role", ["wealth_advisor", "compliance_officer", "client"])
def test_a_role_is_shown_only_what_it_may_ask(role: str) -> None:
    for line in what_can_be_asked(open_to(role)).splitlines()[1:]:
        assert chosen(role, line.removeprefix("- ")), line


def test_clients_are_shown_what_concerns_themselves() -> None:
    shown = what_can_be_asked(open_to("client"))

    assert "Which orders are open?" in shown
    assert "Who is my advisor?" in shown
    assert "client" not in shown


async def test_clients_are_counted_in_the_callers_own_book(runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    await some_clients(runtime, advisor, 3, status="active", risk_profile="aggressive")
    await some_clients(runtime, advisor, 1, risk_profile="moderate")
    await some_clients(runtime, other, 5)

    total = await ask(runtime, advisor, "How many clients do I have?")
    active = await ask(runtime, advisor, "How many active clients do I have?")
    risk = await ask(runtime, advisor, "How many clients by risk profile?")

    assert total.text == "You have 4 clients: 3 active, 1 prospect."
    assert active.text == "You have 3 active clients."
    assert risk.text == "Your clients by risk profile: 3 aggressive, 1 moderate."


async def test_clients_are_found_by_name_only_in_the_callers_book(runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    row = await a_client(runtime, advisor, first_name="Ruth", last_name="Okoye")
    await a_client(runtime, other, first_name="Sam", last_name="Okoye")

    found = await ask(runtime, advisor, "Find the client Okoye")
    hidden = await ask(runtime, advisor, "Find the client Sam Okoye")

    assert [one.entity_id for one in found.citations] == [str(row)]
    assert hidden.text == "I can look up clients only, and none that you may see is called Sam Okoye."


async def test_a_client_is_described_with_orders_and_notes_under_the_callers_scope(runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    over = {"first_name": "Ruth", "last_name": "Okoye", "email": "ruth@example.com", "risk_profile": "moderate"}
    portal = await a_portal_user(runtime, advisor, **over)
    await an_order(runtime, advisor, portal.id)

    by_name = await ask(runtime, advisor, "Tell me about Ruth Okoye")
    by_context = await ask(runtime, advisor, "Tell me about this client", client_id=str(portal.id))
    by_outsider = await ask(runtime, await an_advisor(runtime), "About this client", client_id=str(portal.id))

    assert by_name.text == by_context.text
    for part in ("ruth@example.com", "Risk profile: moderate.", "KYC: in progress", "1 open order."):
        assert part in by_name.text
    assert by_outsider.text == "That client is not in your book."


async def test_an_ambiguous_name_is_asked_back(runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await some_clients(runtime, advisor, 2, first_name="Ruth", last_name="Okoye")

    assert (await ask(runtime, advisor, "Tell me about Okoye")).text.startswith("Which one do you mean")


async def test_orders_are_counted_and_listed(runtime: Runtime) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    row = await a_client(runtime, advisor, first_name="Ruth", last_name="Okoye")
    await an_order(runtime, advisor, row, quantity=Decimal("1.5"))
    await an_order(runtime, advisor, row, status="cancelled")
    await an_order(runtime, other, await a_client(runtime, other))

    counted = await ask(runtime, advisor, "And orders?")
    listed = await ask(runtime, advisor, "Which orders are open?")

    assert counted.text == "You have 2 orders: 1 cancelled, 1 pending."
    assert listed.text == "There is 1 open order: buy 1.5 AAPL for Ruth Okoye (pending)."


async def test_dates_that_matter(runtime: Runtime) -> None:
    advisor, today = await an_advisor(runtime), clock.today()
    named = {"first_name": "Ruth", "last_name": "Okoye"}
    await a_client(
        runtime,
        advisor,
        **named,
        next_review_on=today - timedelta(days=3),
        last_contact_at=clock.now() - timedelta(days=100),
        date_of_birth=today.replace(year=today.year - 60, day=1),
    )

    reviews = await ask(runtime, advisor, "Which reviews are due?")
    lapsed = await ask(runtime, advisor, "Whom should I call?")
    birthdays = await ask(runtime, advisor, "Birthdays within 366 days")

    assert reviews.text.startswith("1 review due within 30 days, 1 of them overdue: Ruth Okoye")
    assert "Ruth Okoye (100 days)" in lapsed.text
    assert birthdays.text.startswith("1 birthday within 366 days: Ruth Okoye turns")


async def test_net_worth_is_summed_by_currency(runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await a_client(runtime, advisor, net_worth=Decimal("1000000.25"))
    await a_client(runtime, advisor, net_worth=Decimal("500000.50"))
    await a_client(runtime, advisor, net_worth=Decimal(70), currency="EUR")

    found = await ask(runtime, advisor, "What is the total net worth of my clients?")

    assert found.text == "Stated net worth of your clients: 70.00 EUR (1 client), 1,500,000.75 USD (2 clients)."


async def test_the_book_is_listed_and_its_wealth_ranked(runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    await a_client(runtime, advisor, first_name="Ruth", last_name="Okoye", net_worth=Decimal(70))
    await a_client(runtime, advisor, first_name="Sam", last_name="Abel", net_worth=Decimal(90))
    await a_client(runtime, await an_advisor(runtime), net_worth=Decimal(1000))

    listed = await ask(runtime, advisor, "Show me my clients")
    ranked = await ask(runtime, advisor, "wealthiest 1 clients")
    assets = await ask(runtime, advisor, "What is my total AUM?")

    assert re.fullmatch(r"You have 2 clients: Sam Abel \(.+?\), Ruth Okoye \(.+?\)\.", listed.text)
    assert ranked.text == "The highest stated net worth: Sam Abel (90.00 USD)."
    assert assets.text == (
        "Assets under management are not on record here. Stated net worth of your clients: 160.00 USD (2 clients)."
    )


async def test_kyc_is_counted_and_listed(runtime: Runtime) -> None:
    advisor, today = await an_advisor(runtime), clock.today()
    late = today - timedelta(days=3)
    await a_client(runtime, advisor, first_name="Ruth", last_name="Okoye", kyc_status="expired", kyc_review_due_on=late)
    await a_client(runtime, advisor, kyc_status="approved")

    counted = await ask(runtime, advisor, "KYC status of all clients")
    missing = await ask(runtime, advisor, "Which clients have no approved KYC?")
    due = await ask(runtime, advisor, "Which KYC reviews are overdue?")

    assert counted.text == "Clients by KYC status: 1 approved, 1 expired."
    assert missing.text == "1 client without an approved KYC: Ruth Okoye (expired)."
    assert due.text == f"1 KYC review due within 30 days, 1 of them overdue: Ruth Okoye ({late})."


async def test_clients_ask_about_themselves(runtime: Runtime) -> None:
    advisor = await an_advisor(runtime)
    day = clock.today() + timedelta(days=9)
    named = {"first_name": "Ruth", "last_name": "Okoye", "risk_profile": "moderate"}
    portal = await a_portal_user(runtime, advisor, **named, next_review_on=day)

    assert (await ask(runtime, portal, "When is my next review?")).text == f"Your next review is planned for {day}."
    assert (await ask(runtime, portal, "What is my risk profile?")).text == "Your risk profile is moderate."
    assert (await ask(runtime, portal, "What do you know about me?")).text.startswith("Ruth Okoye")
    assert (await ask(runtime, portal, "Who is my advisor?")).text.startswith("Your advisor is ")
    assert "for clients about themselves" in (await ask(runtime, advisor, "Who is my advisor?")).text
