"""Imports and exports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_transfers"
down_revision = "0005_replays"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column(
            "options", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total_rows", sa.Integer(), nullable=True),
        sa.Column("done_rows", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("format = ANY ('{csv,ndjson}'::text[])", name=op.f("ck_transfers_format")),
        sa.CheckConstraint("kind = ANY ('{import,export}'::text[])", name=op.f("ck_transfers_kind")),
        sa.CheckConstraint("(sha256 IS NULL) = (completed_at IS NULL)", name=op.f("ck_transfers_complete")),
        sa.CheckConstraint("created >= 0", name=op.f("ck_transfers_created_range")),
        sa.CheckConstraint("done_rows >= 0", name=op.f("ck_transfers_done_rows_range")),
        sa.CheckConstraint("failed >= 0", name=op.f("ck_transfers_failed_range")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_transfers_size_bytes_range")),
        sa.CheckConstraint("unchanged >= 0", name=op.f("ck_transfers_unchanged_range")),
        sa.CheckConstraint("updated >= 0", name=op.f("ck_transfers_updated_range")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["core.users.id"], name=op.f("fk_transfers_requested_by"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["core.background_tasks.id"], name=op.f("fk_transfers_task_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        schema="core",
    )
    op.create_index("ix_transfers_expires_at", "transfers", ["expires_at"], unique=False, schema="core")
    op.create_index(
        "ix_transfers_requester",
        "transfers",
        ["requested_by", sa.literal_column("created_at DESC")],
        unique=False,
        schema="core",
    )
    op.create_index(op.f("ix_transfers_task_id"), "transfers", ["task_id"], unique=False, schema="core")
    op.create_table(
        "transfer_chunks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("number >= 0", name=op.f("ck_transfer_chunks_number_range")),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["core.transfers.id"], name=op.f("fk_transfer_chunks_transfer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer_chunks")),
        schema="core",
    )
    op.create_index(
        "uq_transfer_chunks_number", "transfer_chunks", ["transfer_id", "number"], unique=True, schema="core"
    )
    op.create_table(
        "transfer_errors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("row_number >= 0", name=op.f("ck_transfer_errors_row_number_range")),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["core.transfers.id"], name=op.f("fk_transfer_errors_transfer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer_errors")),
        schema="core",
    )
    op.create_index(
        "ix_transfer_errors_row", "transfer_errors", ["transfer_id", "row_number"], unique=False, schema="core"
    )


def downgrade() -> None:
    op.drop_table("transfer_errors", schema="core")
    op.drop_table("transfer_chunks", schema="core")
    op.drop_table("transfers", schema="core")
