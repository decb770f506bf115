"""Schedules."""

revision = "0010_schedules"
down_revision = "0009_domains"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
