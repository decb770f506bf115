"""Rules of single columns in the database itself: they hold against raw SQL, and their errors lead to the field."""

from typing import Any

import asyncpg
import pytest
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext

from atrium.core.db.migrations import render_item
from atrium.core.errors import Invalid
from atrium.core.runtime import Runtime
from atrium.core.statements.failures import explain
from atrium.wealth.models.clients import Client, Household

BROKEN = [
    ("status", "'asleep'", "must be one of prospect, onboarding, active, inactive, closed"),
    ("dependents", "'-1'", "must be at least 0"),
    ("tax_rate_st", "1.5", "must be at least 0 and at most 1"),
    ("currency", "'eur'", "must match ^[A-Z]{3}$"),
]


@pytest.mark.parametrize(("column", "value", "message"), BROKEN, ids=lambda one: str(one)[:20])
async def test_the_database_refuses_what_breaks_a_rule_and_names_the_field(
    runtime: Runtime, column: str, value: str, message: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await runtime.database.pool.execute(f"SELECT {value}::wealth.clients_{column}")

    error: Any = explain(refused.value, [Household.__table__, Client.__table__])  # type: ignore[list-item]

    assert isinstance(error, Invalid)
    assert [(one.loc, one.msg, one.type) for one in error.errors] == [(("body", column), message, "check")]


def test_a_revision_names_the_domain_of_a_column() -> None:
    context = AutogenContext(
        MigrationContext.configure(dialect_name="postgresql"),
        opts={"sqlalchemy_module_prefix": "sa.", "alembic_module_prefix": "op.", "user_module_prefix": None},
    )

    rendered = render_item("column", Client.__table__.c.service_tier, context)

    assert rendered.startswith("sa.Column('service_tier', postgresql.DOMAIN('clients_service_tier'")
    assert "schema='wealth'" in rendered
    assert "server_default=sa.text(\"'silver'\"), nullable=False" in rendered
    assert render_item("column", Client.__table__.c.phone, context) is False
