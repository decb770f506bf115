"""Webhooks."""

revision = "0011_webhooks"
down_revision = "0010_schedules"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
