"""What every session needs of the database, because a session behind a pooler cannot set it for itself."""

from alembic import op

revision = "0008_database_settings"
down_revision = "0007_search"
branch_labels = None
depends_on = None

# Whoever migrates need not own the database; then `atrium database grant` or an administrator does it.
CHANGE = """
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I {}', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'not the owner of the database: jit is left as it is';
END $$
"""


def upgrade() -> None:
    op.execute(CHANGE.format("SET jit = off"))


def downgrade() -> None:
    op.execute(CHANGE.format("RESET jit"))
