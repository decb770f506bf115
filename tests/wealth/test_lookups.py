from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.wealth.factories import Actor, a_client, a_portal_user, an_advisor, an_order, some_clients

from atrium.core import clock
from atrium.core.lookups import Asking, Found, Lookup
from atrium.core.runtime import Runtime
from atrium.wealth.lookups import catalogue


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
        ("open orders for Rosen", "list_open_orders"),
        ("Any reviews due within 60 days?", "list_due_reviews"),
        ("Birthdays in the next 14 days", "list_birthdays"),
        ("top 3 opportunities", "list_opportunities"),
        ("Who hasn't been contacted lately?", "list_lapsed_contacts"),
    ],
)
def test_questions_find_their_lookup(text: str, name: str) -> None:
    assert find(text)[0].name == name


@pytest.mark.parametrize("text", ["How many clients did I lose last year?", "net worth of Nadia Rosen", "Hello"])
def test_a_question_that_nothing_answers_exactly_is_left_alone(text: str) -> None:
    with pytest.raises(LookupError):
        find(text)


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
    assert hidden.text == "None of your clients is called Sam Okoye."


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
