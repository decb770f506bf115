"""What the relay has still to take: one line for every change, written in the change's own transaction.

A heap without an index: the triggers pay for every one of them at every write, and the relay reads all of it anyway.
Autovacuum comes early, because the table is short and its pages should stay few.
"""

from sqlalchemy import BigInteger, Column, DateTime, Table, Uuid

from atrium.core.db.entity import Row

QUEUE = Table(
    "change_queue",
    Row.metadata,
    Column("sequence", BigInteger, nullable=False),
    Column("change_id", Uuid, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    schema="core",
    postgresql_with={
        "autovacuum_vacuum_threshold": 2000,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_cost_delay": 0,
    },
)
