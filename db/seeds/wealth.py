"""A demo practice: a branch, a team, two advisors and their books, with enough going on for a growth scan."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from atrium.core import clock
from atrium.core.identity.models import User
from atrium.core.services import Work
from atrium.wealth.models.clients import RISK_PROFILES, Client, ClientRelationship, Household, Note
from atrium.wealth.models.orders import Order
from atrium.wealth.models.organisation import Advisor, Branch, Team

BRANCH = "HQ"
BOOKS = (("advisor@example.com", "A-100", "Senior advisor", 60), ("advisor2@example.com", "A-200", "Advisor", 20))
PORTAL_USER = "client@example.com"

FIRST = (
    "Nadia", "Daniel", "Miriam", "Oscar", "Leila", "Jonas", "Ruth", "Samuel", "Ingrid", "Victor",
    "Clara", "Elias", "Sofia", "Martin", "Yael", "Henrik", "Aisha", "Lorenzo", "Greta", "Noam",
)  # fmt: skip
LAST = (
    "Rosen", "Haddad", "Lindgren", "Moreau", "Castillo", "Werner", "Okoye", "Petrov", "Sato", "Brandt",
    "Alvarez", "Nielsen", "Cohen",
)  # fmt: skip
PLACES = (
    ("New York", "NY", "10021", "US"), ("Boston", "MA", "02116", "US"), ("Chicago", "IL", "60611", "US"),
    ("Miami", "FL", "33131", "US"), ("San Francisco", "CA", "94109", "US"), ("Denver", "CO", "80206", "US"),
    ("Seattle", "WA", "98101", "US"),
)  # fmt: skip
STREETS = ("Park Avenue", "Elm Street", "Harbor Road", "Cedar Lane", "Lake Drive", "Hill Street")
OCCUPATIONS = ("physician", "architect", "engineer", "attorney", "teacher", "restaurateur", "pharmacist", "pilot")
TIERS = ("silver", "gold", "platinum", "silver", "bronze")
OBJECTIVES = ("preservation", "income", "balanced", "growth", "speculation")
SYMBOLS = ("AAPL", "MSFT", "VTI", "BND", "JNJ", "NVDA", "PG", "SCHD")
NOTES = (
    ("call", "Called about the new house; wants to keep six months of expenses in cash."),
    ("meeting", "Annual meeting: happy with the allocation, asks about education savings for the children."),
    ("planning", "Plans to retire within five years; discuss income needs at the next review."),
    ("personal", "Prefers calls in the afternoon. Avid sailor."),
    ("service", "Asked for statements by post; changed the preference."),
)


async def load(work: Work) -> str:
    if await work.session.scalar(select(Branch.id).where(Branch.code == BRANCH)):
        return "wealth: the demo practice was there"
    team = await _make_team(work)
    made = 0
    for email, code, title, size in BOOKS:
        user_id = await work.session.scalar(select(User.id).where(User.email == email))
        if user_id is None:
            return f"wealth: nothing loaded, there is no account {email}"
        advisor = Advisor(
            user_id=user_id,
            branch_id=team.branch_id,
            team_id=team.id,
            advisor_code=code,
            title=title,
            licenses=["Series 65"],
            licensed_regions=["NY", "MA", "IL"],
            hired_on=date(2019, 3, 1),
        )
        work.session.add(advisor)
        await work.session.flush()
        made += await _make_book(work, advisor, size, PORTAL_USER if code == BOOKS[0][1] else None)
    return f"wealth: a practice with 2 advisors and {made} clients"


async def _make_team(work: Work) -> Team:
    branch = Branch(
        code=BRANCH,
        name="Head office",
        legal_entity="Atrium Wealth LLC",
        address_line1="500 Park Avenue",
        city="New York",
        region="NY",
        postal_code="10022",
        country="US",
        timezone="America/New_York",
    )
    work.session.add(branch)
    await work.session.flush()
    team = Team(branch_id=branch.id, name="Private clients")
    work.session.add(team)
    await work.session.flush()
    return team


async def _make_book(work: Work, advisor: Advisor, size: int, portal_user: str | None) -> int:
    user_id = await work.session.scalar(select(User.id).where(User.email == portal_user)) if portal_user else None
    book = [Client(advisor_id=advisor.id, **_client(place, advisor.advisor_code)) for place in range(size)]
    book[0].user_id = user_id
    work.session.add_all(book)
    await work.session.flush()
    await _make_households(work, advisor, book)
    work.session.add_all(_relationships(book))
    work.session.add_all(_notes(book, advisor.user_id))
    work.session.add_all(_orders(book, advisor.user_id))
    await work.session.flush()
    return len(book)


def _client(place: int, book: str) -> dict[str, Any]:
    """The n-th client of a book. Strides that share no factor keep the columns from moving in step."""
    today, now = clock.today(), clock.now()
    shift = 0 if book == BOOKS[0][1] else 7
    city, region, postal_code, country = PLACES[place % len(PLACES)]
    first, last = FIRST[(place + shift) % len(FIRST)], LAST[place % len(LAST)]
    profile = place % len(RISK_PROFILES)
    person = {"first_name": first, "last_name": last, "date_of_birth": _birthday(place, today)}
    name = {"type": "trust", "entity_name": f"{last} Family Trust"} if place % 15 == 14 else person
    return {
        **name,
        **_standing(place, today),
        "email": f"{first}.{last}{place}@example.net".lower(),
        "phone": f"+1 212 555 {1000 + 7 * place}",
        "address_line1": f"{12 + 3 * place} {STREETS[place % len(STREETS)]}",
        "city": city,
        "region": region,
        "postal_code": postal_code,
        "country_of_residence": country,
        "nationality": "US",
        "service_tier": TIERS[place % len(TIERS)],
        "segment": ("affluent", "hnw", "uhnw", "mass_affluent")[place % 4],
        "occupation": OCCUPATIONS[place % len(OCCUPATIONS)],
        "risk_profile": RISK_PROFILES[profile],
        "investment_objective": OBJECTIVES[profile],
        "time_horizon_years": 5 + (3 * place) % 30,
        "annual_income": Decimal(90_000 + 7_500 * (place % 17)),
        "net_worth": Decimal(650_000 + 115_000 * (place % 23)),
        "liquid_net_worth": Decimal(240_000 + 45_000 * (place % 23)),
        "last_contact_at": now - timedelta(days=3 + (7 * place) % 150, hours=place % 8),
        "source": ("referral", "website", "event")[place % 3],
        "created_at": now - timedelta(days=5 * place + 1),
    }


def _standing(place: int, today: date) -> dict[str, Any]:
    """Most clients are active; some are on their way there."""
    if place % 10 == 7:
        return {"status": "prospect"}
    if place % 10 == 8:
        return {"status": "onboarding", "kyc_status": "in_progress"}
    return {
        "status": "active",
        "kyc_status": "approved",
        "kyc_risk_rating": ("low", "low", "medium")[place % 3],
        "kyc_review_due_on": today + timedelta(days=(17 * place) % 700 - 25),
        "next_review_on": today + timedelta(days=(11 * place) % 220 - 30),
        "onboarded_on": today - timedelta(days=400 + 13 * place),
    }


def _birthday(place: int, today: date) -> date:
    """Every sixth has a birthday within two weeks, some of them one that matters."""
    age = 35 + (5 * place) % 45
    day = today + timedelta(days=place % 14 if place % 6 == 0 else 20 + (19 * place) % 320)
    return date(day.year - age, day.month, min(day.day, 28))


async def _make_households(work: Work, advisor: Advisor, book: list[Client]) -> None:
    pairs = list(zip(book[::6], book[1::6], strict=False))
    households = [
        Household(
            name=f"{head.last_name or head.entity_name} household",
            advisor_id=advisor.id,
            service_tier=head.service_tier,
        )
        for head, _ in pairs
    ]
    work.session.add_all(households)
    await work.session.flush()
    for household, (head, member) in zip(households, pairs, strict=True):
        head.household_id = member.household_id = household.id
        head.is_household_head = True
    await work.session.flush()


def _relationships(book: list[Client]) -> list[ClientRelationship]:
    spouses = [
        ClientRelationship(
            client_id=head.id,
            related_client_id=member.id,
            kind="spouse",
            name=f"{member.first_name} {member.last_name}",
        )
        for head, member in zip(book[::6], book[1::6], strict=False)
        if member.type == "individual"
    ]
    trusted = [
        ClientRelationship(
            client_id=client.id,
            kind="trusted_contact",
            name=f"{FIRST[(place + 3) % len(FIRST)]} {client.last_name}",
            phone=f"+1 646 555 {2000 + place}",
        )
        for place, client in enumerate(book)
        if place % 4 == 0 and client.type == "individual"
    ]
    return spouses + trusted


def _notes(book: list[Client], author_id: UUID) -> list[Note]:
    notes = []
    for place, client in enumerate(book):
        if place % 2 == 0:
            category, body = NOTES[place // 2 % len(NOTES)]
            visibility = "private" if category == "personal" else "team"
            notes.append(
                Note(client_id=client.id, author_id=author_id, category=category, body=body, visibility=visibility)
            )
    shared = "Welcome to your portal. Your next review is on the calendar."
    notes.append(Note(client_id=book[0].id, author_id=author_id, body=shared, visibility="client"))
    return notes


def _orders(book: list[Client], placed_by: UUID) -> list[Order]:
    now = clock.now()
    orders = []
    for place, client in enumerate(book[::3]):
        limit = Decimal("101.50") if place % 3 == 1 else None
        cancelled = place % 5 == 4
        orders.append(
            Order(
                client_id=client.id,
                symbol=SYMBOLS[place % len(SYMBOLS)],
                side="sell" if place % 4 == 3 else "buy",
                order_type="limit" if limit else "market",
                limit_price=limit,
                quantity=Decimal(10 + 5 * place),
                status="cancelled" if cancelled else "draft" if place % 7 == 6 else "pending",
                cancel_reason="The client changed his mind." if cancelled else None,
                closed_at=now - timedelta(days=place) if cancelled else None,
                placed_by=placed_by,
                created_at=now - timedelta(days=place, hours=2),
            )
        )
    return orders
