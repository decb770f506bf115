"""Questions about one client."""

from sqlalchemy import select

from atrium.core.lookups import Asking, Citation, Found
from atrium.wealth.lookups.orders import open_orders
from atrium.wealth.lookups.questions import Named, PerhapsNamed
from atrium.wealth.lookups.rows import Row, cite, fetch, find_by_name, find_one, name_of, unknown, visible
from atrium.wealth.lookups.sentences import article, count, due, short, words
from atrium.wealth.models.clients import Note
from atrium.wealth.models.orders import Order


async def find_clients(asking: Asking, asked: Named) -> Found:
    rows = await find_by_name(asking, asked.name)
    if not rows:
        return unknown(asked.name)
    people = ", ".join(f"{name_of(row)} ({row['client_number']}, {words(row['status'])})" for row in rows)
    return Found(f"{count(len(rows), 'client')} found: {people}.", rows, cite(rows))


async def describe_client(asking: Asking, asked: PerhapsNamed) -> Found:
    row = await find_one(asking, asked.name)
    return row if isinstance(row, Found) else await describe(asking, row)


async def describe(asking: Asking, row: Row) -> Found:
    orders = await fetch(asking, open_orders(asking).where(Order.client_id == row["id"]))
    notes = await fetch(
        asking,
        select(Note.id, Note.body, Note.created_at)
        .where(*visible(asking, Note), Note.client_id == row["id"])
        .order_by(Note.created_at.desc())
        .limit(3),
    )
    reached = ", ".join(value for value in (row["email"], row["phone"], row["city"]) if value)
    profile = row["risk_profile"]
    sentences = [
        f"{name_of(row)} ({row['client_number']}) is {article(words(row['status']))} {row['service_tier']} client.",
        f"Contact: {reached}." if reached else "No contact details are on record.",
        f"Risk profile: {words(profile)}." if profile else "No risk profile is on record.",
        f"KYC: {words(row['kyc_status'])}{due(row['kyc_review_due_on'], ', review due on')}.",
        f"Next review on {row['next_review_on']}." if row["next_review_on"] else "No review is planned.",
        f"Last contact on {row['last_contact_at'].date()}." if row["last_contact_at"] else "No contact is on record.",
        f"{count(len(orders), 'open order')}." if orders else "No open orders.",
    ]
    if notes:
        sentences.append(f"Latest notes: {' / '.join(short(note['body']) for note in notes)}")
    cited = cite([row]) + [Citation("wealth.notes", str(note["id"]), short(note["body"], 60)) for note in notes]
    return Found(" ".join(sentences), [row], cited)
