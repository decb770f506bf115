"""Subscriptions."""

revision = "0013_subscriptions"
down_revision = "0012_mail"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
