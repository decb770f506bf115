"""Indexes of sortable and searchable columns.

Each costs every write to its table, so only those are here that a list really sorts a big table by: the lists of
officers and administrators, who see every book. An advisor's own book is small enough to be sorted as it is read.
What changes often, such as net worth, has none: an update of an indexed column writes to every index of its table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_search"
down_revision = "0006_transfers"
branch_labels = None
depends_on = None

PRESENT = sa.text("deleted_at IS NULL")
NEWEST = [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")]


def upgrade() -> None:
    for table in ("clients", "notes"):
        op.create_index(f"ix_{table}_all_newest", table, NEWEST, schema="wealth", postgresql_where=PRESENT)
    op.create_index("ix_orders_all_newest", "orders", NEWEST, schema="wealth")
    for column in ("kyc_review_due_on", "next_review_on"):
        op.drop_index(f"ix_clients_{column}", table_name="clients", schema="wealth")
        op.create_index(f"ix_clients_{column}", "clients", [column, "id"], schema="wealth")
    op.create_index(
        "ix_notes_fulltext",
        "notes",
        [sa.literal_column("to_tsvector('simple', coalesce(body, ''))")],
        schema="wealth",
        postgresql_using="gin",
    )


def downgrade() -> None:
    op.drop_index("ix_notes_fulltext", table_name="notes", schema="wealth")
    for column in ("kyc_review_due_on", "next_review_on"):
        op.drop_index(f"ix_clients_{column}", table_name="clients", schema="wealth")
        op.create_index(f"ix_clients_{column}", "clients", [column], schema="wealth")
    op.drop_index("ix_orders_all_newest", table_name="orders", schema="wealth")
    for table in ("clients", "notes"):
        op.drop_index(f"ix_{table}_all_newest", table_name=table, schema="wealth")
