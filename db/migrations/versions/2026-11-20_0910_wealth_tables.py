"""Wealth tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_wealth"
down_revision = "0001_core"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE wealth.client_numbers START WITH 10000001")
    op.execute("CREATE SEQUENCE wealth.order_numbers START WITH 10000001")
    op.create_table(
        "branches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("legal_entity", sa.String(length=200), nullable=True),
        sa.Column("address_line1", sa.String(length=200), nullable=True),
        sa.Column("city", sa.String(length=100), nullable=True),
        sa.Column("region", sa.String(length=100), nullable=True),
        sa.Column("postal_code", sa.String(length=20), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("timezone", sa.String(length=64), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("base_currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("base_currency ~ '^[A-Z]{3}$'", name=op.f("ck_branches_base_currency_pattern")),
        sa.CheckConstraint("char_length(country) = 2", name=op.f("ck_branches_country")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branches")),
        sa.UniqueConstraint("code", name=op.f("uq_branches_code")),
        schema="wealth",
    )
    op.create_index("ix_branches_is_active", "branches", ["is_active"], unique=False, schema="wealth")
    op.create_table(
        "teams",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("branch_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("share_book", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["wealth.branches.id"], name=op.f("fk_teams_branch_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        schema="wealth",
    )
    op.create_index("uq_teams_branch_id_name", "teams", ["branch_id", "name"], unique=True, schema="wealth")
    op.create_table(
        "advisors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("branch_id", sa.Uuid(), nullable=True),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("advisor_code", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=True),
        sa.Column("crd_number", sa.String(length=20), nullable=True),
        sa.Column(
            "licenses", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "licensed_regions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("is_team_lead", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("discretionary_authority", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("order_limit", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("client_capacity", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("hired_on", sa.Date(), nullable=True),
        sa.Column("terminated_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_advisors_currency_pattern")),
        sa.CheckConstraint("status = ANY ('{active,on_leave,terminated}'::text[])", name=op.f("ck_advisors_status")),
        sa.CheckConstraint("order_limit > 0", name=op.f("ck_advisors_order_limit_range")),
        sa.CheckConstraint(
            "terminated_on IS NULL OR hired_on IS NULL OR terminated_on >= hired_on",
            name=op.f("ck_advisors_employment"),
        ),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["wealth.branches.id"], name=op.f("fk_advisors_branch_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["wealth.teams.id"], name=op.f("fk_advisors_team_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["core.users.id"], name=op.f("fk_advisors_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advisors")),
        sa.UniqueConstraint("advisor_code", name=op.f("uq_advisors_advisor_code")),
        sa.UniqueConstraint("user_id", name=op.f("uq_advisors_user_id")),
        schema="wealth",
    )
    op.create_index("ix_advisors_branch_status", "advisors", ["branch_id", "status"], unique=False, schema="wealth")
    op.create_index("ix_advisors_team_status", "advisors", ["team_id", "status"], unique=False, schema="wealth")
    op.create_table(
        "households",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("advisor_id", sa.Uuid(), nullable=False),
        sa.Column("service_tier", sa.Text(), server_default=sa.text("'silver'"), nullable=False),
        sa.Column("aggregate_billing", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "service_tier = ANY ('{platinum,gold,silver,bronze}'::text[])", name=op.f("ck_households_service_tier")
        ),
        sa.CheckConstraint("status = ANY ('{active,inactive,closed}'::text[])", name=op.f("ck_households_status")),
        sa.ForeignKeyConstraint(
            ["advisor_id"], ["wealth.advisors.id"], name=op.f("fk_households_advisor_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_households")),
        schema="wealth",
    )
    op.create_index(
        "ix_households_advisor_status", "households", ["advisor_id", "status"], unique=False, schema="wealth"
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("advisor_id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column(
            "client_number",
            sa.String(length=20),
            server_default=sa.text("'C' || nextval('wealth.client_numbers')"),
            nullable=False,
        ),
        sa.Column("type", sa.Text(), server_default=sa.text("'individual'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'prospect'"), nullable=False),
        sa.Column("is_household_head", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("service_tier", sa.Text(), server_default=sa.text("'silver'"), nullable=False),
        sa.Column("first_name", sa.String(length=100), nullable=True),
        sa.Column("last_name", sa.String(length=100), nullable=True),
        sa.Column("entity_name", sa.String(length=200), nullable=True),
        sa.Column("preferred_name", sa.String(length=100), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("phone", sa.String(length=40), nullable=True),
        sa.Column("preferred_channel", sa.Text(), server_default=sa.text("'email'"), nullable=False),
        sa.Column("date_of_birth", sa.Date(), nullable=True),
        sa.Column("tax_id_enc", sa.LargeBinary(), nullable=True),
        sa.Column("tax_id_last4", sa.String(length=4), nullable=True),
        sa.Column("nationality", sa.String(length=2), nullable=True),
        sa.Column("country_of_residence", sa.String(length=2), nullable=True),
        sa.Column("address_line1", sa.String(length=200), nullable=True),
        sa.Column("address_line2", sa.String(length=200), nullable=True),
        sa.Column("city", sa.String(length=100), nullable=True),
        sa.Column("region", sa.String(length=100), nullable=True),
        sa.Column("postal_code", sa.String(length=20), nullable=True),
        sa.Column("marital_status", sa.Text(), nullable=True),
        sa.Column("dependents", sa.Integer(), nullable=True),
        sa.Column("employment_status", sa.Text(), nullable=True),
        sa.Column("employer", sa.String(length=200), nullable=True),
        sa.Column("occupation", sa.String(length=120), nullable=True),
        sa.Column("retirement_year", sa.Integer(), nullable=True),
        sa.Column("annual_income", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("net_worth", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("liquid_net_worth", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("held_away_assets", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("tax_rate_st", sa.Numeric(precision=14, scale=10), nullable=True),
        sa.Column("tax_rate_lt", sa.Numeric(precision=14, scale=10), nullable=True),
        sa.Column("risk_profile", sa.Text(), nullable=True),
        sa.Column("risk_score", sa.Integer(), nullable=True),
        sa.Column("risk_profile_source", sa.Text(), server_default=sa.text("'declared'"), nullable=False),
        sa.Column("investment_objective", sa.Text(), nullable=True),
        sa.Column("investment_experience", sa.Text(), nullable=True),
        sa.Column("time_horizon_years", sa.Integer(), nullable=True),
        sa.Column("liquidity_need", sa.Text(), nullable=True),
        sa.Column("kyc_status", sa.Text(), server_default=sa.text("'not_started'"), nullable=False),
        sa.Column("kyc_risk_rating", sa.Text(), nullable=True),
        sa.Column("kyc_review_due_on", sa.Date(), nullable=True),
        sa.Column("is_pep", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("next_review_on", sa.Date(), nullable=True),
        sa.Column("last_contact_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marketing_opt_in", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("do_not_contact", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=True),
        sa.Column("onboarded_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'closed') = (closed_on IS NOT NULL)", name=op.f("ck_clients_closed_on")),
        sa.CheckConstraint(
            "CASE WHEN type IN ('individual', 'joint') THEN last_name IS NOT NULL ELSE entity_name IS NOT NULL END",
            name=op.f("ck_clients_name"),
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_clients_currency_pattern")),
        sa.CheckConstraint(
            "employment_status = ANY ('{employed,self_employed,retired,student,unemployed,homemaker}'::text[])",
            name=op.f("ck_clients_employment_status"),
        ),
        sa.CheckConstraint(
            "investment_experience = ANY ('{none,limited,good,extensive}'::text[])",
            name=op.f("ck_clients_investment_experience"),
        ),
        sa.CheckConstraint(
            "investment_objective = ANY ('{preservation,income,balanced,growth,speculation}'::text[])",
            name=op.f("ck_clients_investment_objective"),
        ),
        sa.CheckConstraint(
            "kyc_risk_rating = ANY ('{low,medium,high}'::text[])", name=op.f("ck_clients_kyc_risk_rating")
        ),
        sa.CheckConstraint(
            "kyc_status = ANY ('{not_started,in_progress,approved,expired,rejected}'::text[])",
            name=op.f("ck_clients_kyc_status"),
        ),
        sa.CheckConstraint(
            "liquidity_need = ANY ('{low,medium,high}'::text[])", name=op.f("ck_clients_liquidity_need")
        ),
        sa.CheckConstraint(
            "marital_status = ANY ('{single,married,partnered,divorced,widowed}'::text[])",
            name=op.f("ck_clients_marital_status"),
        ),
        sa.CheckConstraint(
            "preferred_channel = ANY ('{email,phone,sms,post,portal}'::text[])",
            name=op.f("ck_clients_preferred_channel"),
        ),
        sa.CheckConstraint(
            "risk_profile = ANY ('{conservative,moderately_conservative,moderate,moderately_aggressive,aggressive}'::text[])",
            name=op.f("ck_clients_risk_profile"),
        ),
        sa.CheckConstraint(
            "risk_profile_source = ANY ('{declared,assessed}'::text[])", name=op.f("ck_clients_risk_profile_source")
        ),
        sa.CheckConstraint(
            "segment = ANY ('{mass_affluent,affluent,hnw,uhnw}'::text[])", name=op.f("ck_clients_segment")
        ),
        sa.CheckConstraint(
            "service_tier = ANY ('{platinum,gold,silver,bronze}'::text[])", name=op.f("ck_clients_service_tier")
        ),
        sa.CheckConstraint(
            "status = ANY ('{prospect,onboarding,active,inactive,closed}'::text[])", name=op.f("ck_clients_status")
        ),
        sa.CheckConstraint("type = ANY ('{individual,joint,trust,entity}'::text[])", name=op.f("ck_clients_type")),
        sa.CheckConstraint("dependents >= 0", name=op.f("ck_clients_dependents_range")),
        sa.CheckConstraint("risk_score >= 0 AND risk_score <= 100", name=op.f("ck_clients_risk_score_range")),
        sa.CheckConstraint("tax_rate_lt >= 0 AND tax_rate_lt <= 1", name=op.f("ck_clients_tax_rate_lt_range")),
        sa.CheckConstraint("tax_rate_st >= 0 AND tax_rate_st <= 1", name=op.f("ck_clients_tax_rate_st_range")),
        sa.CheckConstraint(
            "time_horizon_years >= 0 AND time_horizon_years <= 80", name=op.f("ck_clients_time_horizon_years_range")
        ),
        sa.ForeignKeyConstraint(
            ["advisor_id"], ["wealth.advisors.id"], name=op.f("fk_clients_advisor_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["household_id"], ["wealth.households.id"], name=op.f("fk_clients_household_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["core.users.id"], name=op.f("fk_clients_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
        sa.UniqueConstraint("client_number", name=op.f("uq_clients_client_number")),
        sa.UniqueConstraint("user_id", name=op.f("uq_clients_user_id")),
        schema="wealth",
    )
    op.create_index(
        "ix_clients_advisor_name", "clients", ["advisor_id", "last_name", "first_name"], unique=False, schema="wealth"
    )
    op.create_index(
        "ix_clients_advisor_risk",
        "clients",
        ["advisor_id", "risk_profile"],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_clients_advisor_status",
        "clients",
        ["advisor_id", "status"],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_clients_email", "clients", [sa.literal_column("lower(email)")], unique=False, schema="wealth")
    op.create_index(op.f("ix_clients_household_id"), "clients", ["household_id"], unique=False, schema="wealth")
    op.create_index("ix_clients_kyc_review_due_on", "clients", ["kyc_review_due_on"], unique=False, schema="wealth")
    op.create_index(
        "ix_clients_newest",
        "clients",
        ["advisor_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_clients_next_review_on", "clients", ["next_review_on"], unique=False, schema="wealth")
    op.create_index(
        "ix_clients_search",
        "clients",
        [
            sa.literal_column(
                "(coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || coalesce(entity_name, '')) gin_trgm_ops"
            )
        ],
        unique=False,
        schema="wealth",
        postgresql_using="gin",
    )
    op.create_table(
        "client_relationships",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("related_client_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("phone", sa.String(length=40), nullable=True),
        sa.Column("date_of_birth", sa.Date(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("share_pct", sa.Numeric(precision=14, scale=10), nullable=True),
        sa.Column("effective_from", sa.Date(), nullable=True),
        sa.Column("effective_to", sa.Date(), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind = ANY ('{spouse,partner,child,parent,sibling,beneficiary,contingent_beneficiary,joint_owner,trustee,grantor,power_of_attorney,trusted_contact,guardian,beneficial_owner,authorized_signer,referrer,accountant,attorney}'::text[])",
            name=op.f("ck_client_relationships_kind"),
        ),
        sa.CheckConstraint(
            "kind NOT IN ('beneficiary', 'contingent_beneficiary') OR share_pct IS NOT NULL",
            name=op.f("ck_client_relationships_share"),
        ),
        sa.CheckConstraint(
            "related_client_id IS DISTINCT FROM client_id", name=op.f("ck_client_relationships_another")
        ),
        sa.CheckConstraint("share_pct >= 0 AND share_pct <= 1", name=op.f("ck_client_relationships_share_pct_range")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_client_relationships_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["related_client_id"],
            ["wealth.clients.id"],
            name=op.f("fk_client_relationships_related_client_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_relationships")),
        schema="wealth",
    )
    op.create_index(
        "ix_client_relationships_client_kind",
        "client_relationships",
        ["client_id", "kind"],
        unique=False,
        schema="wealth",
    )
    op.create_index(
        op.f("ix_client_relationships_related_client_id"),
        "client_relationships",
        ["related_client_id"],
        unique=False,
        schema="wealth",
    )
    op.create_table(
        "growth_scans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("advisor_id", sa.Uuid(), nullable=False),
        sa.Column("background_task_id", sa.Uuid(), nullable=True),
        sa.Column("scope", sa.Text(), server_default=sa.text("'full'"), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column(
            "rules", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("ruleset_version", sa.String(length=20), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("clients_scanned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opportunities_new", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opportunities_updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opportunities_resolved", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "total_estimated_value", sa.Numeric(precision=20, scale=4), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(scope = 'client') = (client_id IS NOT NULL)", name=op.f("ck_growth_scans_client")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_growth_scans_currency_pattern")),
        sa.CheckConstraint("scope = ANY ('{full,client,rule_subset}'::text[])", name=op.f("ck_growth_scans_scope")),
        sa.CheckConstraint(
            "status = ANY ('{queued,running,completed,failed,cancelled}'::text[])", name=op.f("ck_growth_scans_status")
        ),
        sa.CheckConstraint("clients_scanned >= 0", name=op.f("ck_growth_scans_clients_scanned_range")),
        sa.ForeignKeyConstraint(
            ["advisor_id"], ["wealth.advisors.id"], name=op.f("fk_growth_scans_advisor_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["background_task_id"],
            ["core.background_tasks.id"],
            name=op.f("fk_growth_scans_background_task_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_growth_scans_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["core.users.id"], name=op.f("fk_growth_scans_requested_by"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_growth_scans")),
        sa.UniqueConstraint("background_task_id", name=op.f("uq_growth_scans_background_task_id")),
        schema="wealth",
    )
    op.create_index(
        "ix_growth_scans_advisor",
        "growth_scans",
        ["advisor_id", sa.literal_column("created_at DESC")],
        unique=False,
        schema="wealth",
    )
    op.create_index(op.f("ix_growth_scans_client_id"), "growth_scans", ["client_id"], unique=False, schema="wealth")
    op.create_index(
        "uq_growth_scans_running",
        "growth_scans",
        ["advisor_id"],
        unique=True,
        schema="wealth",
        postgresql_where=sa.text("status IN ('queued', 'running') AND scope = 'full'"),
    )
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("meeting_id", sa.Uuid(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), server_default=sa.text("'general'"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), server_default=sa.text("'team'"), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "category = ANY ('{general,meeting,call,personal,planning,compliance,service}'::text[])",
            name=op.f("ck_notes_category"),
        ),
        sa.CheckConstraint(
            "visibility = ANY ('{private,team,compliance,client}'::text[])", name=op.f("ck_notes_visibility")
        ),
        sa.CheckConstraint("char_length(body) BETWEEN 1 AND 20000", name=op.f("ck_notes_body")),
        sa.CheckConstraint("num_nonnulls(client_id, lead_id) = 1", name=op.f("ck_notes_one_subject")),
        sa.ForeignKeyConstraint(["author_id"], ["core.users.id"], name=op.f("fk_notes_author_id"), ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_notes_client_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        schema="wealth",
    )
    op.create_index(op.f("ix_notes_author_id"), "notes", ["author_id"], unique=False, schema="wealth")
    op.create_index(
        "ix_notes_client",
        "notes",
        ["client_id", sa.literal_column("created_at DESC")],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_notes_lead",
        "notes",
        ["lead_id", sa.literal_column("created_at DESC")],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "order_number",
            sa.String(length=30),
            server_default=sa.text("'O' || nextval('wealth.order_numbers')"),
            nullable=False,
        ),
        sa.Column("client_order_id", sa.String(length=48), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("portfolio_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("advisor_id", sa.Uuid(), nullable=True),
        sa.Column("security_id", sa.Uuid(), nullable=True),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.Text(), server_default=sa.text("'buy'"), nullable=False),
        sa.Column("order_type", sa.Text(), server_default=sa.text("'market'"), nullable=False),
        sa.Column("time_in_force", sa.Text(), server_default=sa.text("'day'"), nullable=False),
        sa.Column("expire_on", sa.Date(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=28, scale=10), nullable=True),
        sa.Column("notional", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("limit_price", sa.Numeric(precision=24, scale=10), nullable=True),
        sa.Column("stop_price", sa.Numeric(precision=24, scale=10), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("prior_status", sa.String(length=32), nullable=True),
        sa.Column("filled_quantity", sa.Numeric(precision=28, scale=10), server_default=sa.text("0"), nullable=False),
        sa.Column("avg_fill_price", sa.Numeric(precision=24, scale=10), nullable=True),
        sa.Column("reserved_cash", sa.Numeric(precision=20, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("commission", sa.Numeric(precision=20, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("basis", sa.Text(), server_default=sa.text("'advised'"), nullable=False),
        sa.Column("capacity", sa.Text(), server_default=sa.text("'agency'"), nullable=False),
        sa.Column("lot_method", sa.Text(), nullable=True),
        sa.Column("lot_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("check_outcome", sa.Text(), nullable=True),
        sa.Column("is_block", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("parent_order_id", sa.Uuid(), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("recommendation_id", sa.Uuid(), nullable=True),
        sa.Column("rebalance_run_id", sa.Uuid(), nullable=True),
        sa.Column("broker_order_id", sa.String(length=60), nullable=True),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("placed_by", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(order_type IN ('limit', 'stop_limit')) = (limit_price IS NOT NULL)", name=op.f("ck_orders_limit_price")
        ),
        sa.CheckConstraint(
            "(order_type IN ('stop', 'stop_limit')) = (stop_price IS NOT NULL)", name=op.f("ck_orders_stop_price")
        ),
        sa.CheckConstraint("(time_in_force = 'gtd') = (expire_on IS NOT NULL)", name=op.f("ck_orders_expire_on")),
        sa.CheckConstraint("basis = ANY ('{advised,unsolicited,discretionary}'::text[])", name=op.f("ck_orders_basis")),
        sa.CheckConstraint("capacity = ANY ('{agency,principal}'::text[])", name=op.f("ck_orders_capacity")),
        sa.CheckConstraint(
            "check_outcome = ANY ('{pass,warn,review,fail}'::text[])", name=op.f("ck_orders_check_outcome")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_orders_currency_pattern")),
        sa.CheckConstraint(
            "lot_method = ANY ('{fifo,lifo,hifo,average,specific}'::text[])", name=op.f("ck_orders_lot_method")
        ),
        sa.CheckConstraint(
            "order_type = ANY ('{market,limit,stop,stop_limit}'::text[])", name=op.f("ck_orders_order_type")
        ),
        sa.CheckConstraint("side = ANY ('{buy,sell}'::text[])", name=op.f("ck_orders_side")),
        sa.CheckConstraint("status <> 'filled' OR avg_fill_price IS NOT NULL", name=op.f("ck_orders_fill_price")),
        sa.CheckConstraint(
            "status = ANY ('{draft,pending,pending_review,approved,submitted,working,partially_filled,filled,pending_cancel,pending_replace,cancelled,rejected,expired}'::text[])",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'pending', 'pending_review', 'cancelled', 'rejected') OR (security_id IS NOT NULL AND (account_id IS NOT NULL OR is_block))",
            name=op.f("ck_orders_tradable"),
        ),
        sa.CheckConstraint(
            "time_in_force = ANY ('{day,gtc,ioc,fok,gtd,opg,cls}'::text[])", name=op.f("ck_orders_time_in_force")
        ),
        sa.CheckConstraint(
            "filled_quantity >= 0 AND (quantity IS NULL OR filled_quantity <= quantity)", name=op.f("ck_orders_filled")
        ),
        sa.CheckConstraint("is_block OR client_id IS NOT NULL", name=op.f("ck_orders_client")),
        sa.CheckConstraint("limit_price > 0", name=op.f("ck_orders_limit_price_range")),
        sa.CheckConstraint("notional > 0", name=op.f("ck_orders_notional_range")),
        sa.CheckConstraint("num_nonnulls(quantity, notional) = 1", name=op.f("ck_orders_amount")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_quantity_range")),
        sa.CheckConstraint("stop_price > 0", name=op.f("ck_orders_stop_price_range")),
        sa.ForeignKeyConstraint(
            ["advisor_id"], ["wealth.advisors.id"], name=op.f("fk_orders_advisor_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["core.users.id"], name=op.f("fk_orders_approved_by"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_orders_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["parent_order_id"], ["wealth.orders.id"], name=op.f("fk_orders_parent_order_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["placed_by"], ["core.users.id"], name=op.f("fk_orders_placed_by"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["wealth.orders.id"], name=op.f("fk_orders_replaces_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("order_number", name=op.f("uq_orders_order_number")),
        schema="wealth",
    )
    op.create_index("ix_orders_advisor_status", "orders", ["advisor_id", "status"], unique=False, schema="wealth")
    op.create_index("ix_orders_broker_order_id", "orders", ["broker_order_id"], unique=False, schema="wealth")
    op.create_index(
        "ix_orders_client", "orders", ["client_id", sa.literal_column("created_at DESC")], unique=False, schema="wealth"
    )
    op.create_index(
        "ix_orders_newest",
        "orders",
        ["advisor_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        schema="wealth",
    )
    op.create_index(
        "ix_orders_open",
        "orders",
        ["account_id", "security_id"],
        unique=False,
        schema="wealth",
        postgresql_where=sa.text(
            "status IN ('pending', 'pending_review', 'approved', 'submitted', 'working', 'partially_filled', 'pending_cancel', 'pending_replace')"
        ),
    )
    op.create_index(op.f("ix_orders_parent_order_id"), "orders", ["parent_order_id"], unique=False, schema="wealth")
    op.create_index(op.f("ix_orders_replaces_id"), "orders", ["replaces_id"], unique=False, schema="wealth")
    op.create_index(
        "uq_orders_client_order_id",
        "orders",
        ["placed_by", "client_order_id"],
        unique=True,
        schema="wealth",
        postgresql_where=sa.text("client_order_id IS NOT NULL"),
    )
    op.create_table(
        "opportunities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("advisor_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("growth_scan_id", sa.Uuid(), nullable=True),
        sa.Column("rule_code", sa.String(length=40), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("narrative", sa.Text(), nullable=True),
        sa.Column(
            "evidence", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("estimated_value", sa.Numeric(precision=20, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("estimated_revenue", sa.Numeric(precision=20, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default=sa.text("'USD'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("dismissed_reason", sa.Text(), nullable=True),
        sa.Column("assigned_to", sa.Uuid(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'snoozed') = (snoozed_until IS NOT NULL)", name=op.f("ck_opportunities_snoozed")),
        sa.CheckConstraint(
            "category = ANY ('{growth,risk,tax,service,compliance,planning}'::text[])",
            name=op.f("ck_opportunities_category"),
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_opportunities_currency_pattern")),
        sa.CheckConstraint(
            "status <> 'dismissed' OR dismissed_reason IS NOT NULL", name=op.f("ck_opportunities_dismissed")
        ),
        sa.CheckConstraint(
            "status = ANY ('{open,in_progress,snoozed,won,dismissed,resolved,expired}'::text[])",
            name=op.f("ck_opportunities_status"),
        ),
        sa.CheckConstraint("num_nonnulls(client_id, lead_id) = 1", name=op.f("ck_opportunities_one_subject")),
        sa.CheckConstraint("score >= 0 AND score <= 100", name=op.f("ck_opportunities_score_range")),
        sa.ForeignKeyConstraint(
            ["advisor_id"], ["wealth.advisors.id"], name=op.f("fk_opportunities_advisor_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["assigned_to"], ["core.users.id"], name=op.f("fk_opportunities_assigned_to"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["wealth.clients.id"], name=op.f("fk_opportunities_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["growth_scan_id"],
            ["wealth.growth_scans.id"],
            name=op.f("fk_opportunities_growth_scan_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opportunities")),
        schema="wealth",
    )
    op.create_index(
        "ix_opportunities_advisor_status",
        "opportunities",
        ["advisor_id", "status", sa.literal_column("score DESC")],
        unique=False,
        schema="wealth",
    )
    op.create_index(
        op.f("ix_opportunities_assigned_to"), "opportunities", ["assigned_to"], unique=False, schema="wealth"
    )
    op.create_index(
        "ix_opportunities_client_status", "opportunities", ["client_id", "status"], unique=False, schema="wealth"
    )
    op.create_index(
        op.f("ix_opportunities_growth_scan_id"), "opportunities", ["growth_scan_id"], unique=False, schema="wealth"
    )
    op.create_index(
        "uq_opportunities_fingerprint",
        "opportunities",
        ["fingerprint"],
        unique=True,
        schema="wealth",
        postgresql_where=sa.text("status IN ('open', 'in_progress', 'snoozed')"),
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_advisor() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
        WHERE id IN (OLD.user_id, NEW.user_id);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_team() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
        WHERE id IN (SELECT user_id FROM wealth.advisors WHERE team_id = NEW.id);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.expire_tokens_of_client() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE core.users SET token_version = token_version + 1, updated_at = clock_timestamp()
        WHERE id IN (OLD.user_id, NEW.user_id);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.hand_over_client() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE wealth.orders SET advisor_id = NEW.advisor_id WHERE client_id = NEW.id;
        UPDATE wealth.opportunities SET advisor_id = NEW.advisor_id WHERE client_id = NEW.id;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION wealth.advise_order() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT advisor_id INTO NEW.advisor_id FROM wealth.clients WHERE id = NEW.client_id;
        RETURN NEW;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.advisors', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', jsonb_build_array(old.user_id, NULL), 'branch_id', jsonb_build_array(old.branch_id, NULL), 'team_id', jsonb_build_array(old.team_id, NULL), 'advisor_code', jsonb_build_array(old.advisor_code, NULL), 'title', jsonb_build_array(old.title, NULL), 'crd_number', jsonb_build_array(old.crd_number, NULL), 'licenses', jsonb_build_array(old.licenses, NULL), 'licensed_regions', jsonb_build_array(old.licensed_regions, NULL), 'is_team_lead', jsonb_build_array(old.is_team_lead, NULL), 'discretionary_authority', jsonb_build_array(old.discretionary_authority, NULL), 'order_limit', jsonb_build_array(old.order_limit, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'client_capacity', jsonb_build_array(old.client_capacity, NULL), 'status', jsonb_build_array(old.status, NULL), 'hired_on', jsonb_build_array(old.hired_on, NULL), 'terminated_on', jsonb_build_array(old.terminated_on, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.branch_id IS DISTINCT FROM old.branch_id THEN
            _diff := _diff || jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, new.branch_id));
        END IF;

        IF new.team_id IS DISTINCT FROM old.team_id THEN
            _diff := _diff || jsonb_build_object('team_id', jsonb_build_array(old.team_id, new.team_id));
        END IF;

        IF new.advisor_code IS DISTINCT FROM old.advisor_code THEN
            _diff := _diff || jsonb_build_object('advisor_code', jsonb_build_array(old.advisor_code, new.advisor_code));
        END IF;

        IF new.title IS DISTINCT FROM old.title THEN
            _diff := _diff || jsonb_build_object('title', jsonb_build_array(old.title, new.title));
        END IF;

        IF new.crd_number IS DISTINCT FROM old.crd_number THEN
            _diff := _diff || jsonb_build_object('crd_number', jsonb_build_array(old.crd_number, new.crd_number));
        END IF;

        IF new.licenses IS DISTINCT FROM old.licenses THEN
            _diff := _diff || jsonb_build_object('licenses', jsonb_build_array(old.licenses, new.licenses));
        END IF;

        IF new.licensed_regions IS DISTINCT FROM old.licensed_regions THEN
            _diff := _diff || jsonb_build_object('licensed_regions', jsonb_build_array(old.licensed_regions, new.licensed_regions));
        END IF;

        IF new.is_team_lead IS DISTINCT FROM old.is_team_lead THEN
            _diff := _diff || jsonb_build_object('is_team_lead', jsonb_build_array(old.is_team_lead, new.is_team_lead));
        END IF;

        IF new.discretionary_authority IS DISTINCT FROM old.discretionary_authority THEN
            _diff := _diff || jsonb_build_object('discretionary_authority', jsonb_build_array(old.discretionary_authority, new.discretionary_authority));
        END IF;

        IF new.order_limit IS DISTINCT FROM old.order_limit THEN
            _diff := _diff || jsonb_build_object('order_limit', jsonb_build_array(old.order_limit, new.order_limit));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.client_capacity IS DISTINCT FROM old.client_capacity THEN
            _diff := _diff || jsonb_build_object('client_capacity', jsonb_build_array(old.client_capacity, new.client_capacity));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.hired_on IS DISTINCT FROM old.hired_on THEN
            _diff := _diff || jsonb_build_object('hired_on', jsonb_build_array(old.hired_on, new.hired_on));
        END IF;

        IF new.terminated_on IS DISTINCT FROM old.terminated_on THEN
            _diff := _diff || jsonb_build_object('terminated_on', jsonb_build_array(old.terminated_on, new.terminated_on));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.advisors', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_advisors_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.advisors', made.id, NULL, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'branch_id', CASE WHEN made.branch_id IS NOT NULL THEN jsonb_build_array(NULL, made.branch_id) END, 'team_id', CASE WHEN made.team_id IS NOT NULL THEN jsonb_build_array(NULL, made.team_id) END, 'advisor_code', CASE WHEN made.advisor_code IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_code) END, 'title', CASE WHEN made.title IS NOT NULL THEN jsonb_build_array(NULL, made.title) END, 'crd_number', CASE WHEN made.crd_number IS NOT NULL THEN jsonb_build_array(NULL, made.crd_number) END, 'licenses', CASE WHEN made.licenses IS NOT NULL THEN jsonb_build_array(NULL, made.licenses) END, 'licensed_regions', CASE WHEN made.licensed_regions IS NOT NULL THEN jsonb_build_array(NULL, made.licensed_regions) END, 'is_team_lead', CASE WHEN made.is_team_lead IS NOT NULL THEN jsonb_build_array(NULL, made.is_team_lead) END, 'discretionary_authority', CASE WHEN made.discretionary_authority IS NOT NULL THEN jsonb_build_array(NULL, made.discretionary_authority) END, 'order_limit', CASE WHEN made.order_limit IS NOT NULL THEN jsonb_build_array(NULL, made.order_limit) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'client_capacity', CASE WHEN made.client_capacity IS NOT NULL THEN jsonb_build_array(NULL, made.client_capacity) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'hired_on', CASE WHEN made.hired_on IS NOT NULL THEN jsonb_build_array(NULL, made.hired_on) END, 'terminated_on', CASE WHEN made.terminated_on IS NOT NULL THEN jsonb_build_array(NULL, made.terminated_on) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.branches', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', jsonb_build_array(old.code, NULL), 'name', jsonb_build_array(old.name, NULL), 'legal_entity', jsonb_build_array(old.legal_entity, NULL), 'address_line1', jsonb_build_array(old.address_line1, NULL), 'city', jsonb_build_array(old.city, NULL), 'region', jsonb_build_array(old.region, NULL), 'postal_code', jsonb_build_array(old.postal_code, NULL), 'country', jsonb_build_array(old.country, NULL), 'timezone', jsonb_build_array(old.timezone, NULL), 'base_currency', jsonb_build_array(old.base_currency, NULL), 'is_active', jsonb_build_array(old.is_active, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.code IS DISTINCT FROM old.code THEN
            _diff := _diff || jsonb_build_object('code', jsonb_build_array(old.code, new.code));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.legal_entity IS DISTINCT FROM old.legal_entity THEN
            _diff := _diff || jsonb_build_object('legal_entity', jsonb_build_array(old.legal_entity, new.legal_entity));
        END IF;

        IF new.address_line1 IS DISTINCT FROM old.address_line1 THEN
            _diff := _diff || jsonb_build_object('address_line1', jsonb_build_array(old.address_line1, new.address_line1));
        END IF;

        IF new.city IS DISTINCT FROM old.city THEN
            _diff := _diff || jsonb_build_object('city', jsonb_build_array(old.city, new.city));
        END IF;

        IF new.region IS DISTINCT FROM old.region THEN
            _diff := _diff || jsonb_build_object('region', jsonb_build_array(old.region, new.region));
        END IF;

        IF new.postal_code IS DISTINCT FROM old.postal_code THEN
            _diff := _diff || jsonb_build_object('postal_code', jsonb_build_array(old.postal_code, new.postal_code));
        END IF;

        IF new.country IS DISTINCT FROM old.country THEN
            _diff := _diff || jsonb_build_object('country', jsonb_build_array(old.country, new.country));
        END IF;

        IF new.timezone IS DISTINCT FROM old.timezone THEN
            _diff := _diff || jsonb_build_object('timezone', jsonb_build_array(old.timezone, new.timezone));
        END IF;

        IF new.base_currency IS DISTINCT FROM old.base_currency THEN
            _diff := _diff || jsonb_build_object('base_currency', jsonb_build_array(old.base_currency, new.base_currency));
        END IF;

        IF new.is_active IS DISTINCT FROM old.is_active THEN
            _diff := _diff || jsonb_build_object('is_active', jsonb_build_array(old.is_active, new.is_active));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.branches', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_branches_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.branches', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('code', CASE WHEN made.code IS NOT NULL THEN jsonb_build_array(NULL, made.code) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'legal_entity', CASE WHEN made.legal_entity IS NOT NULL THEN jsonb_build_array(NULL, made.legal_entity) END, 'address_line1', CASE WHEN made.address_line1 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line1) END, 'city', CASE WHEN made.city IS NOT NULL THEN jsonb_build_array(NULL, made.city) END, 'region', CASE WHEN made.region IS NOT NULL THEN jsonb_build_array(NULL, made.region) END, 'postal_code', CASE WHEN made.postal_code IS NOT NULL THEN jsonb_build_array(NULL, made.postal_code) END, 'country', CASE WHEN made.country IS NOT NULL THEN jsonb_build_array(NULL, made.country) END, 'timezone', CASE WHEN made.timezone IS NOT NULL THEN jsonb_build_array(NULL, made.timezone) END, 'base_currency', CASE WHEN made.base_currency IS NOT NULL THEN jsonb_build_array(NULL, made.base_currency) END, 'is_active', CASE WHEN made.is_active IS NOT NULL THEN jsonb_build_array(NULL, made.is_active) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.client_relationships', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', jsonb_build_array(old.client_id, NULL), 'related_client_id', jsonb_build_array(old.related_client_id, NULL), 'account_id', jsonb_build_array(old.account_id, NULL), 'kind', jsonb_build_array(old.kind, NULL), 'name', jsonb_build_array(old.name, NULL), 'email', jsonb_build_array(old.email, NULL), 'phone', jsonb_build_array(old.phone, NULL), 'date_of_birth', jsonb_build_array(old.date_of_birth, NULL), 'country', jsonb_build_array(old.country, NULL), 'share_pct', jsonb_build_array(old.share_pct, NULL), 'effective_from', jsonb_build_array(old.effective_from, NULL), 'effective_to', jsonb_build_array(old.effective_to, NULL), 'verified_at', jsonb_build_array(old.verified_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.related_client_id IS DISTINCT FROM old.related_client_id THEN
            _diff := _diff || jsonb_build_object('related_client_id', jsonb_build_array(old.related_client_id, new.related_client_id));
        END IF;

        IF new.account_id IS DISTINCT FROM old.account_id THEN
            _diff := _diff || jsonb_build_object('account_id', jsonb_build_array(old.account_id, new.account_id));
        END IF;

        IF new.kind IS DISTINCT FROM old.kind THEN
            _diff := _diff || jsonb_build_object('kind', jsonb_build_array(old.kind, new.kind));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.email IS DISTINCT FROM old.email THEN
            _diff := _diff || jsonb_build_object('email', jsonb_build_array(old.email, new.email));
        END IF;

        IF new.phone IS DISTINCT FROM old.phone THEN
            _diff := _diff || jsonb_build_object('phone', jsonb_build_array(old.phone, new.phone));
        END IF;

        IF new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN
            _diff := _diff || jsonb_build_object('date_of_birth', jsonb_build_array(old.date_of_birth, new.date_of_birth));
        END IF;

        IF new.country IS DISTINCT FROM old.country THEN
            _diff := _diff || jsonb_build_object('country', jsonb_build_array(old.country, new.country));
        END IF;

        IF new.share_pct IS DISTINCT FROM old.share_pct THEN
            _diff := _diff || jsonb_build_object('share_pct', jsonb_build_array(old.share_pct, new.share_pct));
        END IF;

        IF new.effective_from IS DISTINCT FROM old.effective_from THEN
            _diff := _diff || jsonb_build_object('effective_from', jsonb_build_array(old.effective_from, new.effective_from));
        END IF;

        IF new.effective_to IS DISTINCT FROM old.effective_to THEN
            _diff := _diff || jsonb_build_object('effective_to', jsonb_build_array(old.effective_to, new.effective_to));
        END IF;

        IF new.verified_at IS DISTINCT FROM old.verified_at THEN
            _diff := _diff || jsonb_build_object('verified_at', jsonb_build_array(old.verified_at, new.verified_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.client_relationships', new.id, new.client_id, NULL, NULL, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_client_relationships_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.client_relationships', made.id, made.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'related_client_id', CASE WHEN made.related_client_id IS NOT NULL THEN jsonb_build_array(NULL, made.related_client_id) END, 'account_id', CASE WHEN made.account_id IS NOT NULL THEN jsonb_build_array(NULL, made.account_id) END, 'kind', CASE WHEN made.kind IS NOT NULL THEN jsonb_build_array(NULL, made.kind) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'email', CASE WHEN made.email IS NOT NULL THEN jsonb_build_array(NULL, made.email) END, 'phone', CASE WHEN made.phone IS NOT NULL THEN jsonb_build_array(NULL, made.phone) END, 'date_of_birth', CASE WHEN made.date_of_birth IS NOT NULL THEN jsonb_build_array(NULL, made.date_of_birth) END, 'country', CASE WHEN made.country IS NOT NULL THEN jsonb_build_array(NULL, made.country) END, 'share_pct', CASE WHEN made.share_pct IS NOT NULL THEN jsonb_build_array(NULL, made.share_pct) END, 'effective_from', CASE WHEN made.effective_from IS NOT NULL THEN jsonb_build_array(NULL, made.effective_from) END, 'effective_to', CASE WHEN made.effective_to IS NOT NULL THEN jsonb_build_array(NULL, made.effective_to) END, 'verified_at', CASE WHEN made.verified_at IS NOT NULL THEN jsonb_build_array(NULL, made.verified_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.clients', old.id, old.id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'household_id', jsonb_build_array(old.household_id, NULL), 'user_id', jsonb_build_array(old.user_id, NULL), 'client_number', jsonb_build_array(old.client_number, NULL), 'type', jsonb_build_array(old.type, NULL), 'status', jsonb_build_array(old.status, NULL), 'is_household_head', jsonb_build_array(old.is_household_head, NULL), 'segment', jsonb_build_array(old.segment, NULL), 'service_tier', jsonb_build_array(old.service_tier, NULL), 'first_name', jsonb_build_array(old.first_name, NULL), 'last_name', jsonb_build_array(old.last_name, NULL), 'entity_name', jsonb_build_array(old.entity_name, NULL), 'preferred_name', jsonb_build_array(old.preferred_name, NULL), 'email', jsonb_build_array(old.email, NULL), 'phone', jsonb_build_array(old.phone, NULL), 'preferred_channel', jsonb_build_array(old.preferred_channel, NULL), 'date_of_birth', jsonb_build_array(old.date_of_birth, NULL), 'tax_id_last4', jsonb_build_array(old.tax_id_last4, NULL), 'nationality', jsonb_build_array(old.nationality, NULL), 'country_of_residence', jsonb_build_array(old.country_of_residence, NULL), 'address_line1', jsonb_build_array(old.address_line1, NULL), 'address_line2', jsonb_build_array(old.address_line2, NULL), 'city', jsonb_build_array(old.city, NULL), 'region', jsonb_build_array(old.region, NULL), 'postal_code', jsonb_build_array(old.postal_code, NULL), 'marital_status', jsonb_build_array(old.marital_status, NULL), 'dependents', jsonb_build_array(old.dependents, NULL), 'employment_status', jsonb_build_array(old.employment_status, NULL), 'employer', jsonb_build_array(old.employer, NULL), 'occupation', jsonb_build_array(old.occupation, NULL), 'retirement_year', jsonb_build_array(old.retirement_year, NULL), 'annual_income', jsonb_build_array(old.annual_income, NULL), 'net_worth', jsonb_build_array(old.net_worth, NULL), 'liquid_net_worth', jsonb_build_array(old.liquid_net_worth, NULL), 'held_away_assets', jsonb_build_array(old.held_away_assets, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'tax_rate_st', jsonb_build_array(old.tax_rate_st, NULL), 'tax_rate_lt', jsonb_build_array(old.tax_rate_lt, NULL), 'risk_profile', jsonb_build_array(old.risk_profile, NULL), 'risk_score', jsonb_build_array(old.risk_score, NULL)) || jsonb_build_object('risk_profile_source', jsonb_build_array(old.risk_profile_source, NULL), 'investment_objective', jsonb_build_array(old.investment_objective, NULL), 'investment_experience', jsonb_build_array(old.investment_experience, NULL), 'time_horizon_years', jsonb_build_array(old.time_horizon_years, NULL), 'liquidity_need', jsonb_build_array(old.liquidity_need, NULL), 'kyc_status', jsonb_build_array(old.kyc_status, NULL), 'kyc_risk_rating', jsonb_build_array(old.kyc_risk_rating, NULL), 'kyc_review_due_on', jsonb_build_array(old.kyc_review_due_on, NULL), 'is_pep', jsonb_build_array(old.is_pep, NULL), 'next_review_on', jsonb_build_array(old.next_review_on, NULL), 'last_contact_at', jsonb_build_array(old.last_contact_at, NULL), 'marketing_opt_in', jsonb_build_array(old.marketing_opt_in, NULL), 'do_not_contact', jsonb_build_array(old.do_not_contact, NULL), 'source', jsonb_build_array(old.source, NULL), 'onboarded_on', jsonb_build_array(old.onboarded_on, NULL), 'closed_on', jsonb_build_array(old.closed_on, NULL), 'deleted_at', jsonb_build_array(old.deleted_at, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.household_id IS DISTINCT FROM old.household_id THEN
            _diff := _diff || jsonb_build_object('household_id', jsonb_build_array(old.household_id, new.household_id));
        END IF;

        IF new.user_id IS DISTINCT FROM old.user_id THEN
            _diff := _diff || jsonb_build_object('user_id', jsonb_build_array(old.user_id, new.user_id));
        END IF;

        IF new.client_number IS DISTINCT FROM old.client_number THEN
            _diff := _diff || jsonb_build_object('client_number', jsonb_build_array(old.client_number, new.client_number));
        END IF;

        IF new.type IS DISTINCT FROM old.type THEN
            _diff := _diff || jsonb_build_object('type', jsonb_build_array(old.type, new.type));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.is_household_head IS DISTINCT FROM old.is_household_head THEN
            _diff := _diff || jsonb_build_object('is_household_head', jsonb_build_array(old.is_household_head, new.is_household_head));
        END IF;

        IF new.segment IS DISTINCT FROM old.segment THEN
            _diff := _diff || jsonb_build_object('segment', jsonb_build_array(old.segment, new.segment));
        END IF;

        IF new.service_tier IS DISTINCT FROM old.service_tier THEN
            _diff := _diff || jsonb_build_object('service_tier', jsonb_build_array(old.service_tier, new.service_tier));
        END IF;

        IF new.first_name IS DISTINCT FROM old.first_name THEN
            _diff := _diff || jsonb_build_object('first_name', jsonb_build_array(old.first_name, new.first_name));
        END IF;

        IF new.last_name IS DISTINCT FROM old.last_name THEN
            _diff := _diff || jsonb_build_object('last_name', jsonb_build_array(old.last_name, new.last_name));
        END IF;

        IF new.entity_name IS DISTINCT FROM old.entity_name THEN
            _diff := _diff || jsonb_build_object('entity_name', jsonb_build_array(old.entity_name, new.entity_name));
        END IF;

        IF new.preferred_name IS DISTINCT FROM old.preferred_name THEN
            _diff := _diff || jsonb_build_object('preferred_name', jsonb_build_array(old.preferred_name, new.preferred_name));
        END IF;

        IF new.email IS DISTINCT FROM old.email THEN
            _diff := _diff || jsonb_build_object('email', jsonb_build_array(old.email, new.email));
        END IF;

        IF new.phone IS DISTINCT FROM old.phone THEN
            _diff := _diff || jsonb_build_object('phone', jsonb_build_array(old.phone, new.phone));
        END IF;

        IF new.preferred_channel IS DISTINCT FROM old.preferred_channel THEN
            _diff := _diff || jsonb_build_object('preferred_channel', jsonb_build_array(old.preferred_channel, new.preferred_channel));
        END IF;

        IF new.date_of_birth IS DISTINCT FROM old.date_of_birth THEN
            _diff := _diff || jsonb_build_object('date_of_birth', jsonb_build_array(old.date_of_birth, new.date_of_birth));
        END IF;

        IF new.tax_id_last4 IS DISTINCT FROM old.tax_id_last4 THEN
            _diff := _diff || jsonb_build_object('tax_id_last4', jsonb_build_array(old.tax_id_last4, new.tax_id_last4));
        END IF;

        IF new.nationality IS DISTINCT FROM old.nationality THEN
            _diff := _diff || jsonb_build_object('nationality', jsonb_build_array(old.nationality, new.nationality));
        END IF;

        IF new.country_of_residence IS DISTINCT FROM old.country_of_residence THEN
            _diff := _diff || jsonb_build_object('country_of_residence', jsonb_build_array(old.country_of_residence, new.country_of_residence));
        END IF;

        IF new.address_line1 IS DISTINCT FROM old.address_line1 THEN
            _diff := _diff || jsonb_build_object('address_line1', jsonb_build_array(old.address_line1, new.address_line1));
        END IF;

        IF new.address_line2 IS DISTINCT FROM old.address_line2 THEN
            _diff := _diff || jsonb_build_object('address_line2', jsonb_build_array(old.address_line2, new.address_line2));
        END IF;

        IF new.city IS DISTINCT FROM old.city THEN
            _diff := _diff || jsonb_build_object('city', jsonb_build_array(old.city, new.city));
        END IF;

        IF new.region IS DISTINCT FROM old.region THEN
            _diff := _diff || jsonb_build_object('region', jsonb_build_array(old.region, new.region));
        END IF;

        IF new.postal_code IS DISTINCT FROM old.postal_code THEN
            _diff := _diff || jsonb_build_object('postal_code', jsonb_build_array(old.postal_code, new.postal_code));
        END IF;

        IF new.marital_status IS DISTINCT FROM old.marital_status THEN
            _diff := _diff || jsonb_build_object('marital_status', jsonb_build_array(old.marital_status, new.marital_status));
        END IF;

        IF new.dependents IS DISTINCT FROM old.dependents THEN
            _diff := _diff || jsonb_build_object('dependents', jsonb_build_array(old.dependents, new.dependents));
        END IF;

        IF new.employment_status IS DISTINCT FROM old.employment_status THEN
            _diff := _diff || jsonb_build_object('employment_status', jsonb_build_array(old.employment_status, new.employment_status));
        END IF;

        IF new.employer IS DISTINCT FROM old.employer THEN
            _diff := _diff || jsonb_build_object('employer', jsonb_build_array(old.employer, new.employer));
        END IF;

        IF new.occupation IS DISTINCT FROM old.occupation THEN
            _diff := _diff || jsonb_build_object('occupation', jsonb_build_array(old.occupation, new.occupation));
        END IF;

        IF new.retirement_year IS DISTINCT FROM old.retirement_year THEN
            _diff := _diff || jsonb_build_object('retirement_year', jsonb_build_array(old.retirement_year, new.retirement_year));
        END IF;

        IF new.annual_income IS DISTINCT FROM old.annual_income THEN
            _diff := _diff || jsonb_build_object('annual_income', jsonb_build_array(old.annual_income, new.annual_income));
        END IF;

        IF new.net_worth IS DISTINCT FROM old.net_worth THEN
            _diff := _diff || jsonb_build_object('net_worth', jsonb_build_array(old.net_worth, new.net_worth));
        END IF;

        IF new.liquid_net_worth IS DISTINCT FROM old.liquid_net_worth THEN
            _diff := _diff || jsonb_build_object('liquid_net_worth', jsonb_build_array(old.liquid_net_worth, new.liquid_net_worth));
        END IF;

        IF new.held_away_assets IS DISTINCT FROM old.held_away_assets THEN
            _diff := _diff || jsonb_build_object('held_away_assets', jsonb_build_array(old.held_away_assets, new.held_away_assets));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.tax_rate_st IS DISTINCT FROM old.tax_rate_st THEN
            _diff := _diff || jsonb_build_object('tax_rate_st', jsonb_build_array(old.tax_rate_st, new.tax_rate_st));
        END IF;

        IF new.tax_rate_lt IS DISTINCT FROM old.tax_rate_lt THEN
            _diff := _diff || jsonb_build_object('tax_rate_lt', jsonb_build_array(old.tax_rate_lt, new.tax_rate_lt));
        END IF;

        IF new.risk_profile IS DISTINCT FROM old.risk_profile THEN
            _diff := _diff || jsonb_build_object('risk_profile', jsonb_build_array(old.risk_profile, new.risk_profile));
        END IF;

        IF new.risk_score IS DISTINCT FROM old.risk_score THEN
            _diff := _diff || jsonb_build_object('risk_score', jsonb_build_array(old.risk_score, new.risk_score));
        END IF;

        IF new.risk_profile_source IS DISTINCT FROM old.risk_profile_source THEN
            _diff := _diff || jsonb_build_object('risk_profile_source', jsonb_build_array(old.risk_profile_source, new.risk_profile_source));
        END IF;

        IF new.investment_objective IS DISTINCT FROM old.investment_objective THEN
            _diff := _diff || jsonb_build_object('investment_objective', jsonb_build_array(old.investment_objective, new.investment_objective));
        END IF;

        IF new.investment_experience IS DISTINCT FROM old.investment_experience THEN
            _diff := _diff || jsonb_build_object('investment_experience', jsonb_build_array(old.investment_experience, new.investment_experience));
        END IF;

        IF new.time_horizon_years IS DISTINCT FROM old.time_horizon_years THEN
            _diff := _diff || jsonb_build_object('time_horizon_years', jsonb_build_array(old.time_horizon_years, new.time_horizon_years));
        END IF;

        IF new.liquidity_need IS DISTINCT FROM old.liquidity_need THEN
            _diff := _diff || jsonb_build_object('liquidity_need', jsonb_build_array(old.liquidity_need, new.liquidity_need));
        END IF;

        IF new.kyc_status IS DISTINCT FROM old.kyc_status THEN
            _diff := _diff || jsonb_build_object('kyc_status', jsonb_build_array(old.kyc_status, new.kyc_status));
        END IF;

        IF new.kyc_risk_rating IS DISTINCT FROM old.kyc_risk_rating THEN
            _diff := _diff || jsonb_build_object('kyc_risk_rating', jsonb_build_array(old.kyc_risk_rating, new.kyc_risk_rating));
        END IF;

        IF new.kyc_review_due_on IS DISTINCT FROM old.kyc_review_due_on THEN
            _diff := _diff || jsonb_build_object('kyc_review_due_on', jsonb_build_array(old.kyc_review_due_on, new.kyc_review_due_on));
        END IF;

        IF new.is_pep IS DISTINCT FROM old.is_pep THEN
            _diff := _diff || jsonb_build_object('is_pep', jsonb_build_array(old.is_pep, new.is_pep));
        END IF;

        IF new.next_review_on IS DISTINCT FROM old.next_review_on THEN
            _diff := _diff || jsonb_build_object('next_review_on', jsonb_build_array(old.next_review_on, new.next_review_on));
        END IF;

        IF new.last_contact_at IS DISTINCT FROM old.last_contact_at THEN
            _diff := _diff || jsonb_build_object('last_contact_at', jsonb_build_array(old.last_contact_at, new.last_contact_at));
        END IF;

        IF new.marketing_opt_in IS DISTINCT FROM old.marketing_opt_in THEN
            _diff := _diff || jsonb_build_object('marketing_opt_in', jsonb_build_array(old.marketing_opt_in, new.marketing_opt_in));
        END IF;

        IF new.do_not_contact IS DISTINCT FROM old.do_not_contact THEN
            _diff := _diff || jsonb_build_object('do_not_contact', jsonb_build_array(old.do_not_contact, new.do_not_contact));
        END IF;

        IF new.source IS DISTINCT FROM old.source THEN
            _diff := _diff || jsonb_build_object('source', jsonb_build_array(old.source, new.source));
        END IF;

        IF new.onboarded_on IS DISTINCT FROM old.onboarded_on THEN
            _diff := _diff || jsonb_build_object('onboarded_on', jsonb_build_array(old.onboarded_on, new.onboarded_on));
        END IF;

        IF new.closed_on IS DISTINCT FROM old.closed_on THEN
            _diff := _diff || jsonb_build_object('closed_on', jsonb_build_array(old.closed_on, new.closed_on));
        END IF;

        IF new.deleted_at IS DISTINCT FROM old.deleted_at THEN
            _diff := _diff || jsonb_build_object('deleted_at', jsonb_build_array(old.deleted_at, new.deleted_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.clients', new.id, new.id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_clients_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.clients', made.id, made.id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'household_id', CASE WHEN made.household_id IS NOT NULL THEN jsonb_build_array(NULL, made.household_id) END, 'user_id', CASE WHEN made.user_id IS NOT NULL THEN jsonb_build_array(NULL, made.user_id) END, 'client_number', CASE WHEN made.client_number IS NOT NULL THEN jsonb_build_array(NULL, made.client_number) END, 'type', CASE WHEN made.type IS NOT NULL THEN jsonb_build_array(NULL, made.type) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'is_household_head', CASE WHEN made.is_household_head IS NOT NULL THEN jsonb_build_array(NULL, made.is_household_head) END, 'segment', CASE WHEN made.segment IS NOT NULL THEN jsonb_build_array(NULL, made.segment) END, 'service_tier', CASE WHEN made.service_tier IS NOT NULL THEN jsonb_build_array(NULL, made.service_tier) END, 'first_name', CASE WHEN made.first_name IS NOT NULL THEN jsonb_build_array(NULL, made.first_name) END, 'last_name', CASE WHEN made.last_name IS NOT NULL THEN jsonb_build_array(NULL, made.last_name) END, 'entity_name', CASE WHEN made.entity_name IS NOT NULL THEN jsonb_build_array(NULL, made.entity_name) END, 'preferred_name', CASE WHEN made.preferred_name IS NOT NULL THEN jsonb_build_array(NULL, made.preferred_name) END, 'email', CASE WHEN made.email IS NOT NULL THEN jsonb_build_array(NULL, made.email) END, 'phone', CASE WHEN made.phone IS NOT NULL THEN jsonb_build_array(NULL, made.phone) END, 'preferred_channel', CASE WHEN made.preferred_channel IS NOT NULL THEN jsonb_build_array(NULL, made.preferred_channel) END, 'date_of_birth', CASE WHEN made.date_of_birth IS NOT NULL THEN jsonb_build_array(NULL, made.date_of_birth) END, 'tax_id_last4', CASE WHEN made.tax_id_last4 IS NOT NULL THEN jsonb_build_array(NULL, made.tax_id_last4) END, 'nationality', CASE WHEN made.nationality IS NOT NULL THEN jsonb_build_array(NULL, made.nationality) END, 'country_of_residence', CASE WHEN made.country_of_residence IS NOT NULL THEN jsonb_build_array(NULL, made.country_of_residence) END, 'address_line1', CASE WHEN made.address_line1 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line1) END, 'address_line2', CASE WHEN made.address_line2 IS NOT NULL THEN jsonb_build_array(NULL, made.address_line2) END, 'city', CASE WHEN made.city IS NOT NULL THEN jsonb_build_array(NULL, made.city) END, 'region', CASE WHEN made.region IS NOT NULL THEN jsonb_build_array(NULL, made.region) END, 'postal_code', CASE WHEN made.postal_code IS NOT NULL THEN jsonb_build_array(NULL, made.postal_code) END, 'marital_status', CASE WHEN made.marital_status IS NOT NULL THEN jsonb_build_array(NULL, made.marital_status) END, 'dependents', CASE WHEN made.dependents IS NOT NULL THEN jsonb_build_array(NULL, made.dependents) END, 'employment_status', CASE WHEN made.employment_status IS NOT NULL THEN jsonb_build_array(NULL, made.employment_status) END, 'employer', CASE WHEN made.employer IS NOT NULL THEN jsonb_build_array(NULL, made.employer) END, 'occupation', CASE WHEN made.occupation IS NOT NULL THEN jsonb_build_array(NULL, made.occupation) END, 'retirement_year', CASE WHEN made.retirement_year IS NOT NULL THEN jsonb_build_array(NULL, made.retirement_year) END, 'annual_income', CASE WHEN made.annual_income IS NOT NULL THEN jsonb_build_array(NULL, made.annual_income) END, 'net_worth', CASE WHEN made.net_worth IS NOT NULL THEN jsonb_build_array(NULL, made.net_worth) END, 'liquid_net_worth', CASE WHEN made.liquid_net_worth IS NOT NULL THEN jsonb_build_array(NULL, made.liquid_net_worth) END, 'held_away_assets', CASE WHEN made.held_away_assets IS NOT NULL THEN jsonb_build_array(NULL, made.held_away_assets) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'tax_rate_st', CASE WHEN made.tax_rate_st IS NOT NULL THEN jsonb_build_array(NULL, made.tax_rate_st) END, 'tax_rate_lt', CASE WHEN made.tax_rate_lt IS NOT NULL THEN jsonb_build_array(NULL, made.tax_rate_lt) END, 'risk_profile', CASE WHEN made.risk_profile IS NOT NULL THEN jsonb_build_array(NULL, made.risk_profile) END, 'risk_score', CASE WHEN made.risk_score IS NOT NULL THEN jsonb_build_array(NULL, made.risk_score) END) || jsonb_build_object('risk_profile_source', CASE WHEN made.risk_profile_source IS NOT NULL THEN jsonb_build_array(NULL, made.risk_profile_source) END, 'investment_objective', CASE WHEN made.investment_objective IS NOT NULL THEN jsonb_build_array(NULL, made.investment_objective) END, 'investment_experience', CASE WHEN made.investment_experience IS NOT NULL THEN jsonb_build_array(NULL, made.investment_experience) END, 'time_horizon_years', CASE WHEN made.time_horizon_years IS NOT NULL THEN jsonb_build_array(NULL, made.time_horizon_years) END, 'liquidity_need', CASE WHEN made.liquidity_need IS NOT NULL THEN jsonb_build_array(NULL, made.liquidity_need) END, 'kyc_status', CASE WHEN made.kyc_status IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_status) END, 'kyc_risk_rating', CASE WHEN made.kyc_risk_rating IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_risk_rating) END, 'kyc_review_due_on', CASE WHEN made.kyc_review_due_on IS NOT NULL THEN jsonb_build_array(NULL, made.kyc_review_due_on) END, 'is_pep', CASE WHEN made.is_pep IS NOT NULL THEN jsonb_build_array(NULL, made.is_pep) END, 'next_review_on', CASE WHEN made.next_review_on IS NOT NULL THEN jsonb_build_array(NULL, made.next_review_on) END, 'last_contact_at', CASE WHEN made.last_contact_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_contact_at) END, 'marketing_opt_in', CASE WHEN made.marketing_opt_in IS NOT NULL THEN jsonb_build_array(NULL, made.marketing_opt_in) END, 'do_not_contact', CASE WHEN made.do_not_contact IS NOT NULL THEN jsonb_build_array(NULL, made.do_not_contact) END, 'source', CASE WHEN made.source IS NOT NULL THEN jsonb_build_array(NULL, made.source) END, 'onboarded_on', CASE WHEN made.onboarded_on IS NOT NULL THEN jsonb_build_array(NULL, made.onboarded_on) END, 'closed_on', CASE WHEN made.closed_on IS NOT NULL THEN jsonb_build_array(NULL, made.closed_on) END, 'deleted_at', CASE WHEN made.deleted_at IS NOT NULL THEN jsonb_build_array(NULL, made.deleted_at) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.growth_scans', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'background_task_id', jsonb_build_array(old.background_task_id, NULL), 'scope', jsonb_build_array(old.scope, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'rules', jsonb_build_array(old.rules, NULL), 'ruleset_version', jsonb_build_array(old.ruleset_version, NULL), 'as_of', jsonb_build_array(old.as_of, NULL), 'status', jsonb_build_array(old.status, NULL), 'clients_scanned', jsonb_build_array(old.clients_scanned, NULL), 'opportunities_new', jsonb_build_array(old.opportunities_new, NULL), 'opportunities_updated', jsonb_build_array(old.opportunities_updated, NULL), 'opportunities_resolved', jsonb_build_array(old.opportunities_resolved, NULL), 'total_estimated_value', jsonb_build_array(old.total_estimated_value, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'summary', jsonb_build_array(old.summary, NULL), 'requested_by', jsonb_build_array(old.requested_by, NULL), 'started_at', jsonb_build_array(old.started_at, NULL), 'finished_at', jsonb_build_array(old.finished_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.background_task_id IS DISTINCT FROM old.background_task_id THEN
            _diff := _diff || jsonb_build_object('background_task_id', jsonb_build_array(old.background_task_id, new.background_task_id));
        END IF;

        IF new.scope IS DISTINCT FROM old.scope THEN
            _diff := _diff || jsonb_build_object('scope', jsonb_build_array(old.scope, new.scope));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.rules IS DISTINCT FROM old.rules THEN
            _diff := _diff || jsonb_build_object('rules', jsonb_build_array(old.rules, new.rules));
        END IF;

        IF new.ruleset_version IS DISTINCT FROM old.ruleset_version THEN
            _diff := _diff || jsonb_build_object('ruleset_version', jsonb_build_array(old.ruleset_version, new.ruleset_version));
        END IF;

        IF new.as_of IS DISTINCT FROM old.as_of THEN
            _diff := _diff || jsonb_build_object('as_of', jsonb_build_array(old.as_of, new.as_of));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.clients_scanned IS DISTINCT FROM old.clients_scanned THEN
            _diff := _diff || jsonb_build_object('clients_scanned', jsonb_build_array(old.clients_scanned, new.clients_scanned));
        END IF;

        IF new.opportunities_new IS DISTINCT FROM old.opportunities_new THEN
            _diff := _diff || jsonb_build_object('opportunities_new', jsonb_build_array(old.opportunities_new, new.opportunities_new));
        END IF;

        IF new.opportunities_updated IS DISTINCT FROM old.opportunities_updated THEN
            _diff := _diff || jsonb_build_object('opportunities_updated', jsonb_build_array(old.opportunities_updated, new.opportunities_updated));
        END IF;

        IF new.opportunities_resolved IS DISTINCT FROM old.opportunities_resolved THEN
            _diff := _diff || jsonb_build_object('opportunities_resolved', jsonb_build_array(old.opportunities_resolved, new.opportunities_resolved));
        END IF;

        IF new.total_estimated_value IS DISTINCT FROM old.total_estimated_value THEN
            _diff := _diff || jsonb_build_object('total_estimated_value', jsonb_build_array(old.total_estimated_value, new.total_estimated_value));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.summary IS DISTINCT FROM old.summary THEN
            _diff := _diff || jsonb_build_object('summary', jsonb_build_array(old.summary, new.summary));
        END IF;

        IF new.requested_by IS DISTINCT FROM old.requested_by THEN
            _diff := _diff || jsonb_build_object('requested_by', jsonb_build_array(old.requested_by, new.requested_by));
        END IF;

        IF new.started_at IS DISTINCT FROM old.started_at THEN
            _diff := _diff || jsonb_build_object('started_at', jsonb_build_array(old.started_at, new.started_at));
        END IF;

        IF new.finished_at IS DISTINCT FROM old.finished_at THEN
            _diff := _diff || jsonb_build_object('finished_at', jsonb_build_array(old.finished_at, new.finished_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.growth_scans', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id), 'client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_growth_scans_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.growth_scans', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'background_task_id', CASE WHEN made.background_task_id IS NOT NULL THEN jsonb_build_array(NULL, made.background_task_id) END, 'scope', CASE WHEN made.scope IS NOT NULL THEN jsonb_build_array(NULL, made.scope) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'rules', CASE WHEN made.rules IS NOT NULL THEN jsonb_build_array(NULL, made.rules) END, 'ruleset_version', CASE WHEN made.ruleset_version IS NOT NULL THEN jsonb_build_array(NULL, made.ruleset_version) END, 'as_of', CASE WHEN made.as_of IS NOT NULL THEN jsonb_build_array(NULL, made.as_of) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'clients_scanned', CASE WHEN made.clients_scanned IS NOT NULL THEN jsonb_build_array(NULL, made.clients_scanned) END, 'opportunities_new', CASE WHEN made.opportunities_new IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_new) END, 'opportunities_updated', CASE WHEN made.opportunities_updated IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_updated) END, 'opportunities_resolved', CASE WHEN made.opportunities_resolved IS NOT NULL THEN jsonb_build_array(NULL, made.opportunities_resolved) END, 'total_estimated_value', CASE WHEN made.total_estimated_value IS NOT NULL THEN jsonb_build_array(NULL, made.total_estimated_value) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'summary', CASE WHEN made.summary IS NOT NULL THEN jsonb_build_array(NULL, made.summary) END, 'requested_by', CASE WHEN made.requested_by IS NOT NULL THEN jsonb_build_array(NULL, made.requested_by) END, 'started_at', CASE WHEN made.started_at IS NOT NULL THEN jsonb_build_array(NULL, made.started_at) END, 'finished_at', CASE WHEN made.finished_at IS NOT NULL THEN jsonb_build_array(NULL, made.finished_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.households', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('name', jsonb_build_array(old.name, NULL), 'advisor_id', jsonb_build_array(old.advisor_id, NULL), 'service_tier', jsonb_build_array(old.service_tier, NULL), 'aggregate_billing', jsonb_build_array(old.aggregate_billing, NULL), 'status', jsonb_build_array(old.status, NULL), 'notes', jsonb_build_array(old.notes, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.service_tier IS DISTINCT FROM old.service_tier THEN
            _diff := _diff || jsonb_build_object('service_tier', jsonb_build_array(old.service_tier, new.service_tier));
        END IF;

        IF new.aggregate_billing IS DISTINCT FROM old.aggregate_billing THEN
            _diff := _diff || jsonb_build_object('aggregate_billing', jsonb_build_array(old.aggregate_billing, new.aggregate_billing));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.notes IS DISTINCT FROM old.notes THEN
            _diff := _diff || jsonb_build_object('notes', jsonb_build_array(old.notes, new.notes));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.households', new.id, NULL, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_households_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.households', made.id, NULL, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'service_tier', CASE WHEN made.service_tier IS NOT NULL THEN jsonb_build_array(NULL, made.service_tier) END, 'aggregate_billing', CASE WHEN made.aggregate_billing IS NOT NULL THEN jsonb_build_array(NULL, made.aggregate_billing) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'notes', CASE WHEN made.notes IS NOT NULL THEN jsonb_build_array(NULL, made.notes) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.notes', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', jsonb_build_array(old.client_id, NULL), 'lead_id', jsonb_build_array(old.lead_id, NULL), 'meeting_id', jsonb_build_array(old.meeting_id, NULL), 'author_id', jsonb_build_array(old.author_id, NULL), 'category', jsonb_build_array(old.category, NULL), 'body', jsonb_build_array(old.body, NULL), 'visibility', jsonb_build_array(old.visibility, NULL), 'is_pinned', jsonb_build_array(old.is_pinned, NULL), 'deleted_at', jsonb_build_array(old.deleted_at, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.lead_id IS DISTINCT FROM old.lead_id THEN
            _diff := _diff || jsonb_build_object('lead_id', jsonb_build_array(old.lead_id, new.lead_id));
        END IF;

        IF new.meeting_id IS DISTINCT FROM old.meeting_id THEN
            _diff := _diff || jsonb_build_object('meeting_id', jsonb_build_array(old.meeting_id, new.meeting_id));
        END IF;

        IF new.author_id IS DISTINCT FROM old.author_id THEN
            _diff := _diff || jsonb_build_object('author_id', jsonb_build_array(old.author_id, new.author_id));
        END IF;

        IF new.category IS DISTINCT FROM old.category THEN
            _diff := _diff || jsonb_build_object('category', jsonb_build_array(old.category, new.category));
        END IF;

        IF new.body IS DISTINCT FROM old.body THEN
            _diff := _diff || jsonb_build_object('body', jsonb_build_array(old.body, new.body));
        END IF;

        IF new.visibility IS DISTINCT FROM old.visibility THEN
            _diff := _diff || jsonb_build_object('visibility', jsonb_build_array(old.visibility, new.visibility));
        END IF;

        IF new.is_pinned IS DISTINCT FROM old.is_pinned THEN
            _diff := _diff || jsonb_build_object('is_pinned', jsonb_build_array(old.is_pinned, new.is_pinned));
        END IF;

        IF new.deleted_at IS DISTINCT FROM old.deleted_at THEN
            _diff := _diff || jsonb_build_object('deleted_at', jsonb_build_array(old.deleted_at, new.deleted_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.notes', new.id, new.client_id, NULL, NULL, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_notes_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.notes', made.id, made.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'lead_id', CASE WHEN made.lead_id IS NOT NULL THEN jsonb_build_array(NULL, made.lead_id) END, 'meeting_id', CASE WHEN made.meeting_id IS NOT NULL THEN jsonb_build_array(NULL, made.meeting_id) END, 'author_id', CASE WHEN made.author_id IS NOT NULL THEN jsonb_build_array(NULL, made.author_id) END, 'category', CASE WHEN made.category IS NOT NULL THEN jsonb_build_array(NULL, made.category) END, 'body', CASE WHEN made.body IS NOT NULL THEN jsonb_build_array(NULL, made.body) END, 'visibility', CASE WHEN made.visibility IS NOT NULL THEN jsonb_build_array(NULL, made.visibility) END, 'is_pinned', CASE WHEN made.is_pinned IS NOT NULL THEN jsonb_build_array(NULL, made.is_pinned) END, 'deleted_at', CASE WHEN made.deleted_at IS NOT NULL THEN jsonb_build_array(NULL, made.deleted_at) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.opportunities', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'lead_id', jsonb_build_array(old.lead_id, NULL), 'growth_scan_id', jsonb_build_array(old.growth_scan_id, NULL), 'rule_code', jsonb_build_array(old.rule_code, NULL), 'category', jsonb_build_array(old.category, NULL), 'title', jsonb_build_array(old.title, NULL), 'narrative', jsonb_build_array(old.narrative, NULL), 'evidence', jsonb_build_array(old.evidence, NULL), 'score', jsonb_build_array(old.score, NULL), 'estimated_value', jsonb_build_array(old.estimated_value, NULL), 'estimated_revenue', jsonb_build_array(old.estimated_revenue, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'status', jsonb_build_array(old.status, NULL), 'fingerprint', jsonb_build_array(old.fingerprint, NULL), 'first_seen_at', jsonb_build_array(old.first_seen_at, NULL), 'last_seen_at', jsonb_build_array(old.last_seen_at, NULL), 'due_on', jsonb_build_array(old.due_on, NULL), 'snoozed_until', jsonb_build_array(old.snoozed_until, NULL), 'dismissed_reason', jsonb_build_array(old.dismissed_reason, NULL), 'assigned_to', jsonb_build_array(old.assigned_to, NULL), 'closed_at', jsonb_build_array(old.closed_at, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.lead_id IS DISTINCT FROM old.lead_id THEN
            _diff := _diff || jsonb_build_object('lead_id', jsonb_build_array(old.lead_id, new.lead_id));
        END IF;

        IF new.growth_scan_id IS DISTINCT FROM old.growth_scan_id THEN
            _diff := _diff || jsonb_build_object('growth_scan_id', jsonb_build_array(old.growth_scan_id, new.growth_scan_id));
        END IF;

        IF new.rule_code IS DISTINCT FROM old.rule_code THEN
            _diff := _diff || jsonb_build_object('rule_code', jsonb_build_array(old.rule_code, new.rule_code));
        END IF;

        IF new.category IS DISTINCT FROM old.category THEN
            _diff := _diff || jsonb_build_object('category', jsonb_build_array(old.category, new.category));
        END IF;

        IF new.title IS DISTINCT FROM old.title THEN
            _diff := _diff || jsonb_build_object('title', jsonb_build_array(old.title, new.title));
        END IF;

        IF new.narrative IS DISTINCT FROM old.narrative THEN
            _diff := _diff || jsonb_build_object('narrative', jsonb_build_array(old.narrative, new.narrative));
        END IF;

        IF new.evidence IS DISTINCT FROM old.evidence THEN
            _diff := _diff || jsonb_build_object('evidence', jsonb_build_array(old.evidence, new.evidence));
        END IF;

        IF new.score IS DISTINCT FROM old.score THEN
            _diff := _diff || jsonb_build_object('score', jsonb_build_array(old.score, new.score));
        END IF;

        IF new.estimated_value IS DISTINCT FROM old.estimated_value THEN
            _diff := _diff || jsonb_build_object('estimated_value', jsonb_build_array(old.estimated_value, new.estimated_value));
        END IF;

        IF new.estimated_revenue IS DISTINCT FROM old.estimated_revenue THEN
            _diff := _diff || jsonb_build_object('estimated_revenue', jsonb_build_array(old.estimated_revenue, new.estimated_revenue));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.fingerprint IS DISTINCT FROM old.fingerprint THEN
            _diff := _diff || jsonb_build_object('fingerprint', jsonb_build_array(old.fingerprint, new.fingerprint));
        END IF;

        IF new.first_seen_at IS DISTINCT FROM old.first_seen_at THEN
            _diff := _diff || jsonb_build_object('first_seen_at', jsonb_build_array(old.first_seen_at, new.first_seen_at));
        END IF;

        IF new.last_seen_at IS DISTINCT FROM old.last_seen_at THEN
            _diff := _diff || jsonb_build_object('last_seen_at', jsonb_build_array(old.last_seen_at, new.last_seen_at));
        END IF;

        IF new.due_on IS DISTINCT FROM old.due_on THEN
            _diff := _diff || jsonb_build_object('due_on', jsonb_build_array(old.due_on, new.due_on));
        END IF;

        IF new.snoozed_until IS DISTINCT FROM old.snoozed_until THEN
            _diff := _diff || jsonb_build_object('snoozed_until', jsonb_build_array(old.snoozed_until, new.snoozed_until));
        END IF;

        IF new.dismissed_reason IS DISTINCT FROM old.dismissed_reason THEN
            _diff := _diff || jsonb_build_object('dismissed_reason', jsonb_build_array(old.dismissed_reason, new.dismissed_reason));
        END IF;

        IF new.assigned_to IS DISTINCT FROM old.assigned_to THEN
            _diff := _diff || jsonb_build_object('assigned_to', jsonb_build_array(old.assigned_to, new.assigned_to));
        END IF;

        IF new.closed_at IS DISTINCT FROM old.closed_at THEN
            _diff := _diff || jsonb_build_object('closed_at', jsonb_build_array(old.closed_at, new.closed_at));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.opportunities', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id), 'client_id', jsonb_build_array(old.client_id, new.client_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_opportunities_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.opportunities', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'lead_id', CASE WHEN made.lead_id IS NOT NULL THEN jsonb_build_array(NULL, made.lead_id) END, 'growth_scan_id', CASE WHEN made.growth_scan_id IS NOT NULL THEN jsonb_build_array(NULL, made.growth_scan_id) END, 'rule_code', CASE WHEN made.rule_code IS NOT NULL THEN jsonb_build_array(NULL, made.rule_code) END, 'category', CASE WHEN made.category IS NOT NULL THEN jsonb_build_array(NULL, made.category) END, 'title', CASE WHEN made.title IS NOT NULL THEN jsonb_build_array(NULL, made.title) END, 'narrative', CASE WHEN made.narrative IS NOT NULL THEN jsonb_build_array(NULL, made.narrative) END, 'evidence', CASE WHEN made.evidence IS NOT NULL THEN jsonb_build_array(NULL, made.evidence) END, 'score', CASE WHEN made.score IS NOT NULL THEN jsonb_build_array(NULL, made.score) END, 'estimated_value', CASE WHEN made.estimated_value IS NOT NULL THEN jsonb_build_array(NULL, made.estimated_value) END, 'estimated_revenue', CASE WHEN made.estimated_revenue IS NOT NULL THEN jsonb_build_array(NULL, made.estimated_revenue) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'fingerprint', CASE WHEN made.fingerprint IS NOT NULL THEN jsonb_build_array(NULL, made.fingerprint) END, 'first_seen_at', CASE WHEN made.first_seen_at IS NOT NULL THEN jsonb_build_array(NULL, made.first_seen_at) END, 'last_seen_at', CASE WHEN made.last_seen_at IS NOT NULL THEN jsonb_build_array(NULL, made.last_seen_at) END, 'due_on', CASE WHEN made.due_on IS NOT NULL THEN jsonb_build_array(NULL, made.due_on) END, 'snoozed_until', CASE WHEN made.snoozed_until IS NOT NULL THEN jsonb_build_array(NULL, made.snoozed_until) END, 'dismissed_reason', CASE WHEN made.dismissed_reason IS NOT NULL THEN jsonb_build_array(NULL, made.dismissed_reason) END, 'assigned_to', CASE WHEN made.assigned_to IS NOT NULL THEN jsonb_build_array(NULL, made.assigned_to) END, 'closed_at', CASE WHEN made.closed_at IS NOT NULL THEN jsonb_build_array(NULL, made.closed_at) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.orders', old.id, old.client_id, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('order_number', jsonb_build_array(old.order_number, NULL), 'client_order_id', jsonb_build_array(old.client_order_id, NULL), 'client_id', jsonb_build_array(old.client_id, NULL), 'portfolio_id', jsonb_build_array(old.portfolio_id, NULL), 'account_id', jsonb_build_array(old.account_id, NULL), 'advisor_id', jsonb_build_array(old.advisor_id, NULL), 'security_id', jsonb_build_array(old.security_id, NULL), 'symbol', jsonb_build_array(old.symbol, NULL), 'side', jsonb_build_array(old.side, NULL), 'order_type', jsonb_build_array(old.order_type, NULL), 'time_in_force', jsonb_build_array(old.time_in_force, NULL), 'expire_on', jsonb_build_array(old.expire_on, NULL), 'quantity', jsonb_build_array(old.quantity, NULL), 'notional', jsonb_build_array(old.notional, NULL), 'limit_price', jsonb_build_array(old.limit_price, NULL), 'stop_price', jsonb_build_array(old.stop_price, NULL), 'currency', jsonb_build_array(old.currency, NULL), 'status', jsonb_build_array(old.status, NULL), 'prior_status', jsonb_build_array(old.prior_status, NULL), 'filled_quantity', jsonb_build_array(old.filled_quantity, NULL), 'avg_fill_price', jsonb_build_array(old.avg_fill_price, NULL), 'reserved_cash', jsonb_build_array(old.reserved_cash, NULL), 'commission', jsonb_build_array(old.commission, NULL), 'basis', jsonb_build_array(old.basis, NULL), 'capacity', jsonb_build_array(old.capacity, NULL), 'lot_method', jsonb_build_array(old.lot_method, NULL), 'lot_ids', jsonb_build_array(old.lot_ids, NULL), 'check_outcome', jsonb_build_array(old.check_outcome, NULL), 'is_block', jsonb_build_array(old.is_block, NULL), 'parent_order_id', jsonb_build_array(old.parent_order_id, NULL), 'replaces_id', jsonb_build_array(old.replaces_id, NULL), 'recommendation_id', jsonb_build_array(old.recommendation_id, NULL), 'rebalance_run_id', jsonb_build_array(old.rebalance_run_id, NULL), 'broker_order_id', jsonb_build_array(old.broker_order_id, NULL), 'reject_reason', jsonb_build_array(old.reject_reason, NULL), 'cancel_reason', jsonb_build_array(old.cancel_reason, NULL), 'placed_by', jsonb_build_array(old.placed_by, NULL), 'approved_by', jsonb_build_array(old.approved_by, NULL), 'submitted_at', jsonb_build_array(old.submitted_at, NULL), 'acknowledged_at', jsonb_build_array(old.acknowledged_at, NULL)) || jsonb_build_object('filled_at', jsonb_build_array(old.filled_at, NULL), 'closed_at', jsonb_build_array(old.closed_at, NULL), 'notes', jsonb_build_array(old.notes, NULL))), old.version, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.order_number IS DISTINCT FROM old.order_number THEN
            _diff := _diff || jsonb_build_object('order_number', jsonb_build_array(old.order_number, new.order_number));
        END IF;

        IF new.client_order_id IS DISTINCT FROM old.client_order_id THEN
            _diff := _diff || jsonb_build_object('client_order_id', jsonb_build_array(old.client_order_id, new.client_order_id));
        END IF;

        IF new.client_id IS DISTINCT FROM old.client_id THEN
            _diff := _diff || jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id));
        END IF;

        IF new.portfolio_id IS DISTINCT FROM old.portfolio_id THEN
            _diff := _diff || jsonb_build_object('portfolio_id', jsonb_build_array(old.portfolio_id, new.portfolio_id));
        END IF;

        IF new.account_id IS DISTINCT FROM old.account_id THEN
            _diff := _diff || jsonb_build_object('account_id', jsonb_build_array(old.account_id, new.account_id));
        END IF;

        IF new.advisor_id IS DISTINCT FROM old.advisor_id THEN
            _diff := _diff || jsonb_build_object('advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id));
        END IF;

        IF new.security_id IS DISTINCT FROM old.security_id THEN
            _diff := _diff || jsonb_build_object('security_id', jsonb_build_array(old.security_id, new.security_id));
        END IF;

        IF new.symbol IS DISTINCT FROM old.symbol THEN
            _diff := _diff || jsonb_build_object('symbol', jsonb_build_array(old.symbol, new.symbol));
        END IF;

        IF new.side IS DISTINCT FROM old.side THEN
            _diff := _diff || jsonb_build_object('side', jsonb_build_array(old.side, new.side));
        END IF;

        IF new.order_type IS DISTINCT FROM old.order_type THEN
            _diff := _diff || jsonb_build_object('order_type', jsonb_build_array(old.order_type, new.order_type));
        END IF;

        IF new.time_in_force IS DISTINCT FROM old.time_in_force THEN
            _diff := _diff || jsonb_build_object('time_in_force', jsonb_build_array(old.time_in_force, new.time_in_force));
        END IF;

        IF new.expire_on IS DISTINCT FROM old.expire_on THEN
            _diff := _diff || jsonb_build_object('expire_on', jsonb_build_array(old.expire_on, new.expire_on));
        END IF;

        IF new.quantity IS DISTINCT FROM old.quantity THEN
            _diff := _diff || jsonb_build_object('quantity', jsonb_build_array(old.quantity, new.quantity));
        END IF;

        IF new.notional IS DISTINCT FROM old.notional THEN
            _diff := _diff || jsonb_build_object('notional', jsonb_build_array(old.notional, new.notional));
        END IF;

        IF new.limit_price IS DISTINCT FROM old.limit_price THEN
            _diff := _diff || jsonb_build_object('limit_price', jsonb_build_array(old.limit_price, new.limit_price));
        END IF;

        IF new.stop_price IS DISTINCT FROM old.stop_price THEN
            _diff := _diff || jsonb_build_object('stop_price', jsonb_build_array(old.stop_price, new.stop_price));
        END IF;

        IF new.currency IS DISTINCT FROM old.currency THEN
            _diff := _diff || jsonb_build_object('currency', jsonb_build_array(old.currency, new.currency));
        END IF;

        IF new.status IS DISTINCT FROM old.status THEN
            _diff := _diff || jsonb_build_object('status', jsonb_build_array(old.status, new.status));
        END IF;

        IF new.prior_status IS DISTINCT FROM old.prior_status THEN
            _diff := _diff || jsonb_build_object('prior_status', jsonb_build_array(old.prior_status, new.prior_status));
        END IF;

        IF new.filled_quantity IS DISTINCT FROM old.filled_quantity THEN
            _diff := _diff || jsonb_build_object('filled_quantity', jsonb_build_array(old.filled_quantity, new.filled_quantity));
        END IF;

        IF new.avg_fill_price IS DISTINCT FROM old.avg_fill_price THEN
            _diff := _diff || jsonb_build_object('avg_fill_price', jsonb_build_array(old.avg_fill_price, new.avg_fill_price));
        END IF;

        IF new.reserved_cash IS DISTINCT FROM old.reserved_cash THEN
            _diff := _diff || jsonb_build_object('reserved_cash', jsonb_build_array(old.reserved_cash, new.reserved_cash));
        END IF;

        IF new.commission IS DISTINCT FROM old.commission THEN
            _diff := _diff || jsonb_build_object('commission', jsonb_build_array(old.commission, new.commission));
        END IF;

        IF new.basis IS DISTINCT FROM old.basis THEN
            _diff := _diff || jsonb_build_object('basis', jsonb_build_array(old.basis, new.basis));
        END IF;

        IF new.capacity IS DISTINCT FROM old.capacity THEN
            _diff := _diff || jsonb_build_object('capacity', jsonb_build_array(old.capacity, new.capacity));
        END IF;

        IF new.lot_method IS DISTINCT FROM old.lot_method THEN
            _diff := _diff || jsonb_build_object('lot_method', jsonb_build_array(old.lot_method, new.lot_method));
        END IF;

        IF new.lot_ids IS DISTINCT FROM old.lot_ids THEN
            _diff := _diff || jsonb_build_object('lot_ids', jsonb_build_array(old.lot_ids, new.lot_ids));
        END IF;

        IF new.check_outcome IS DISTINCT FROM old.check_outcome THEN
            _diff := _diff || jsonb_build_object('check_outcome', jsonb_build_array(old.check_outcome, new.check_outcome));
        END IF;

        IF new.is_block IS DISTINCT FROM old.is_block THEN
            _diff := _diff || jsonb_build_object('is_block', jsonb_build_array(old.is_block, new.is_block));
        END IF;

        IF new.parent_order_id IS DISTINCT FROM old.parent_order_id THEN
            _diff := _diff || jsonb_build_object('parent_order_id', jsonb_build_array(old.parent_order_id, new.parent_order_id));
        END IF;

        IF new.replaces_id IS DISTINCT FROM old.replaces_id THEN
            _diff := _diff || jsonb_build_object('replaces_id', jsonb_build_array(old.replaces_id, new.replaces_id));
        END IF;

        IF new.recommendation_id IS DISTINCT FROM old.recommendation_id THEN
            _diff := _diff || jsonb_build_object('recommendation_id', jsonb_build_array(old.recommendation_id, new.recommendation_id));
        END IF;

        IF new.rebalance_run_id IS DISTINCT FROM old.rebalance_run_id THEN
            _diff := _diff || jsonb_build_object('rebalance_run_id', jsonb_build_array(old.rebalance_run_id, new.rebalance_run_id));
        END IF;

        IF new.broker_order_id IS DISTINCT FROM old.broker_order_id THEN
            _diff := _diff || jsonb_build_object('broker_order_id', jsonb_build_array(old.broker_order_id, new.broker_order_id));
        END IF;

        IF new.reject_reason IS DISTINCT FROM old.reject_reason THEN
            _diff := _diff || jsonb_build_object('reject_reason', jsonb_build_array(old.reject_reason, new.reject_reason));
        END IF;

        IF new.cancel_reason IS DISTINCT FROM old.cancel_reason THEN
            _diff := _diff || jsonb_build_object('cancel_reason', jsonb_build_array(old.cancel_reason, new.cancel_reason));
        END IF;

        IF new.placed_by IS DISTINCT FROM old.placed_by THEN
            _diff := _diff || jsonb_build_object('placed_by', jsonb_build_array(old.placed_by, new.placed_by));
        END IF;

        IF new.approved_by IS DISTINCT FROM old.approved_by THEN
            _diff := _diff || jsonb_build_object('approved_by', jsonb_build_array(old.approved_by, new.approved_by));
        END IF;

        IF new.submitted_at IS DISTINCT FROM old.submitted_at THEN
            _diff := _diff || jsonb_build_object('submitted_at', jsonb_build_array(old.submitted_at, new.submitted_at));
        END IF;

        IF new.acknowledged_at IS DISTINCT FROM old.acknowledged_at THEN
            _diff := _diff || jsonb_build_object('acknowledged_at', jsonb_build_array(old.acknowledged_at, new.acknowledged_at));
        END IF;

        IF new.filled_at IS DISTINCT FROM old.filled_at THEN
            _diff := _diff || jsonb_build_object('filled_at', jsonb_build_array(old.filled_at, new.filled_at));
        END IF;

        IF new.closed_at IS DISTINCT FROM old.closed_at THEN
            _diff := _diff || jsonb_build_object('closed_at', jsonb_build_array(old.closed_at, new.closed_at));
        END IF;

        IF new.notes IS DISTINCT FROM old.notes THEN
            _diff := _diff || jsonb_build_object('notes', jsonb_build_array(old.notes, new.notes));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.orders', new.id, new.client_id, CASE WHEN new.status IS DISTINCT FROM old.status THEN old.status END, CASE WHEN new.status IS DISTINCT FROM old.status THEN new.status END, _context->>'reason', jsonb_build_object('client_id', jsonb_build_array(old.client_id, new.client_id), 'advisor_id', jsonb_build_array(old.advisor_id, new.advisor_id)) || _diff, new.version, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_orders_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.orders', made.id, made.client_id, NULL, made.status, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('order_number', CASE WHEN made.order_number IS NOT NULL THEN jsonb_build_array(NULL, made.order_number) END, 'client_order_id', CASE WHEN made.client_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_order_id) END, 'client_id', CASE WHEN made.client_id IS NOT NULL THEN jsonb_build_array(NULL, made.client_id) END, 'portfolio_id', CASE WHEN made.portfolio_id IS NOT NULL THEN jsonb_build_array(NULL, made.portfolio_id) END, 'account_id', CASE WHEN made.account_id IS NOT NULL THEN jsonb_build_array(NULL, made.account_id) END, 'advisor_id', CASE WHEN made.advisor_id IS NOT NULL THEN jsonb_build_array(NULL, made.advisor_id) END, 'security_id', CASE WHEN made.security_id IS NOT NULL THEN jsonb_build_array(NULL, made.security_id) END, 'symbol', CASE WHEN made.symbol IS NOT NULL THEN jsonb_build_array(NULL, made.symbol) END, 'side', CASE WHEN made.side IS NOT NULL THEN jsonb_build_array(NULL, made.side) END, 'order_type', CASE WHEN made.order_type IS NOT NULL THEN jsonb_build_array(NULL, made.order_type) END, 'time_in_force', CASE WHEN made.time_in_force IS NOT NULL THEN jsonb_build_array(NULL, made.time_in_force) END, 'expire_on', CASE WHEN made.expire_on IS NOT NULL THEN jsonb_build_array(NULL, made.expire_on) END, 'quantity', CASE WHEN made.quantity IS NOT NULL THEN jsonb_build_array(NULL, made.quantity) END, 'notional', CASE WHEN made.notional IS NOT NULL THEN jsonb_build_array(NULL, made.notional) END, 'limit_price', CASE WHEN made.limit_price IS NOT NULL THEN jsonb_build_array(NULL, made.limit_price) END, 'stop_price', CASE WHEN made.stop_price IS NOT NULL THEN jsonb_build_array(NULL, made.stop_price) END, 'currency', CASE WHEN made.currency IS NOT NULL THEN jsonb_build_array(NULL, made.currency) END, 'status', CASE WHEN made.status IS NOT NULL THEN jsonb_build_array(NULL, made.status) END, 'prior_status', CASE WHEN made.prior_status IS NOT NULL THEN jsonb_build_array(NULL, made.prior_status) END, 'filled_quantity', CASE WHEN made.filled_quantity IS NOT NULL THEN jsonb_build_array(NULL, made.filled_quantity) END, 'avg_fill_price', CASE WHEN made.avg_fill_price IS NOT NULL THEN jsonb_build_array(NULL, made.avg_fill_price) END, 'reserved_cash', CASE WHEN made.reserved_cash IS NOT NULL THEN jsonb_build_array(NULL, made.reserved_cash) END, 'commission', CASE WHEN made.commission IS NOT NULL THEN jsonb_build_array(NULL, made.commission) END, 'basis', CASE WHEN made.basis IS NOT NULL THEN jsonb_build_array(NULL, made.basis) END, 'capacity', CASE WHEN made.capacity IS NOT NULL THEN jsonb_build_array(NULL, made.capacity) END, 'lot_method', CASE WHEN made.lot_method IS NOT NULL THEN jsonb_build_array(NULL, made.lot_method) END, 'lot_ids', CASE WHEN made.lot_ids IS NOT NULL THEN jsonb_build_array(NULL, made.lot_ids) END, 'check_outcome', CASE WHEN made.check_outcome IS NOT NULL THEN jsonb_build_array(NULL, made.check_outcome) END, 'is_block', CASE WHEN made.is_block IS NOT NULL THEN jsonb_build_array(NULL, made.is_block) END, 'parent_order_id', CASE WHEN made.parent_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.parent_order_id) END, 'replaces_id', CASE WHEN made.replaces_id IS NOT NULL THEN jsonb_build_array(NULL, made.replaces_id) END, 'recommendation_id', CASE WHEN made.recommendation_id IS NOT NULL THEN jsonb_build_array(NULL, made.recommendation_id) END, 'rebalance_run_id', CASE WHEN made.rebalance_run_id IS NOT NULL THEN jsonb_build_array(NULL, made.rebalance_run_id) END, 'broker_order_id', CASE WHEN made.broker_order_id IS NOT NULL THEN jsonb_build_array(NULL, made.broker_order_id) END, 'reject_reason', CASE WHEN made.reject_reason IS NOT NULL THEN jsonb_build_array(NULL, made.reject_reason) END, 'cancel_reason', CASE WHEN made.cancel_reason IS NOT NULL THEN jsonb_build_array(NULL, made.cancel_reason) END, 'placed_by', CASE WHEN made.placed_by IS NOT NULL THEN jsonb_build_array(NULL, made.placed_by) END, 'approved_by', CASE WHEN made.approved_by IS NOT NULL THEN jsonb_build_array(NULL, made.approved_by) END, 'submitted_at', CASE WHEN made.submitted_at IS NOT NULL THEN jsonb_build_array(NULL, made.submitted_at) END, 'acknowledged_at', CASE WHEN made.acknowledged_at IS NOT NULL THEN jsonb_build_array(NULL, made.acknowledged_at) END) || jsonb_build_object('filled_at', CASE WHEN made.filled_at IS NOT NULL THEN jsonb_build_array(NULL, made.filled_at) END, 'closed_at', CASE WHEN made.closed_at IS NOT NULL THEN jsonb_build_array(NULL, made.closed_at) END, 'notes', CASE WHEN made.notes IS NOT NULL THEN jsonb_build_array(NULL, made.notes) END)), made.version, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
        _diff jsonb := '{}';
    BEGIN
        IF tg_op = 'DELETE' THEN
            INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'delete'), 'wealth.teams', old.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, NULL), 'name', jsonb_build_array(old.name, NULL), 'share_book', jsonb_build_array(old.share_book, NULL), 'is_active', jsonb_build_array(old.is_active, NULL))), NULL, _context->>'request', (_context->>'ip')::inet);
            RETURN NULL;
        END IF;

        IF new.branch_id IS DISTINCT FROM old.branch_id THEN
            _diff := _diff || jsonb_build_object('branch_id', jsonb_build_array(old.branch_id, new.branch_id));
        END IF;

        IF new.name IS DISTINCT FROM old.name THEN
            _diff := _diff || jsonb_build_object('name', jsonb_build_array(old.name, new.name));
        END IF;

        IF new.share_book IS DISTINCT FROM old.share_book THEN
            _diff := _diff || jsonb_build_object('share_book', jsonb_build_array(old.share_book, new.share_book));
        END IF;

        IF new.is_active IS DISTINCT FROM old.is_active THEN
            _diff := _diff || jsonb_build_object('is_active', jsonb_build_array(old.is_active, new.is_active));
        END IF;
        IF _diff = '{}' THEN
            RETURN NULL;
        END IF;
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) VALUES (core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'update'), 'wealth.teams', new.id, NULL, NULL, NULL, _context->>'reason', _diff, NULL, _context->>'request', (_context->>'ip')::inet);
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE OR REPLACE FUNCTION core.log_wealth_teams_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        _context jsonb := coalesce(nullif(current_setting('atrium.actor', true), ''), '{}')::jsonb;
    BEGIN
        INSERT INTO core.changes (id, actor_user_id, actor_role, module, action, entity_type, entity_id, client_id, from_status, to_status, reason, changes, version, request_id, ip) SELECT core.uuid7(), (_context->>'user')::uuid, _context->>'role', 'wealth', coalesce(_context->>'action', 'create'), 'wealth.teams', made.id, NULL, NULL, NULL, _context->>'reason', jsonb_strip_nulls(jsonb_build_object('branch_id', CASE WHEN made.branch_id IS NOT NULL THEN jsonb_build_array(NULL, made.branch_id) END, 'name', CASE WHEN made.name IS NOT NULL THEN jsonb_build_array(NULL, made.name) END, 'share_book', CASE WHEN made.share_book IS NOT NULL THEN jsonb_build_array(NULL, made.share_book) END, 'is_active', CASE WHEN made.is_active IS NOT NULL THEN jsonb_build_array(NULL, made.is_active) END)), NULL, _context->>'request', (_context->>'ip')::inet FROM made;
        RETURN NULL;
    END $$
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER expire_tokens AFTER UPDATE OF user_id, team_id, status ON wealth.advisors FOR EACH ROW
    WHEN ((OLD.user_id, OLD.team_id, OLD.status) IS DISTINCT FROM (NEW.user_id, NEW.team_id, NEW.status))
    EXECUTE FUNCTION wealth.expire_tokens_of_advisor()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER expire_tokens_of_deleted AFTER DELETE ON wealth.advisors FOR EACH ROW
    EXECUTE FUNCTION wealth.expire_tokens_of_advisor()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER expire_tokens AFTER UPDATE OF share_book ON wealth.teams FOR EACH ROW
    WHEN (OLD.share_book IS DISTINCT FROM NEW.share_book)
    EXECUTE FUNCTION wealth.expire_tokens_of_team()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER expire_tokens AFTER UPDATE OF user_id, deleted_at ON wealth.clients FOR EACH ROW
    WHEN ((OLD.user_id, OLD.deleted_at) IS DISTINCT FROM (NEW.user_id, NEW.deleted_at))
    EXECUTE FUNCTION wealth.expire_tokens_of_client()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER hand_over AFTER UPDATE OF advisor_id ON wealth.clients FOR EACH ROW
    WHEN (OLD.advisor_id IS DISTINCT FROM NEW.advisor_id)
    EXECUTE FUNCTION wealth.hand_over_client()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER advise BEFORE INSERT ON wealth.orders FOR EACH ROW WHEN (NEW.client_id IS NOT NULL)
    EXECUTE FUNCTION wealth.advise_order()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.advisors FOR EACH ROW EXECUTE FUNCTION core.log_wealth_advisors_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.advisors REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_advisors_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.advisors EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.branches FOR EACH ROW EXECUTE FUNCTION core.log_wealth_branches_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.branches REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_branches_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.branches EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.client_relationships FOR EACH ROW EXECUTE FUNCTION core.log_wealth_client_relationships_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.client_relationships REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_client_relationships_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.client_relationships EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.clients FOR EACH ROW EXECUTE FUNCTION core.log_wealth_clients_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.clients REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_clients_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.clients EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.growth_scans FOR EACH ROW EXECUTE FUNCTION core.log_wealth_growth_scans_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.growth_scans REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_growth_scans_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.growth_scans EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.households FOR EACH ROW EXECUTE FUNCTION core.log_wealth_households_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.households REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_households_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.households EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.notes FOR EACH ROW EXECUTE FUNCTION core.log_wealth_notes_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.notes REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_notes_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.notes EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.opportunities FOR EACH ROW EXECUTE FUNCTION core.log_wealth_opportunities_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.opportunities REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_opportunities_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.opportunities EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.orders FOR EACH ROW EXECUTE FUNCTION core.log_wealth_orders_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.orders REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_orders_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.orders EXECUTE FUNCTION core.refuse_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_change AFTER UPDATE OR DELETE ON wealth.teams FOR EACH ROW EXECUTE FUNCTION core.log_wealth_teams_change()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER log_insert AFTER INSERT ON wealth.teams REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION core.log_wealth_teams_insert()
        """
    )
    op.execute(
        r"""
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wealth.teams EXECUTE FUNCTION core.refuse_change()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.teams")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.teams")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.teams")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.orders")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.orders")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.orders")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.opportunities")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.opportunities")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.opportunities")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.notes")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.notes")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.notes")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.households")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.households")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.households")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.growth_scans")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.growth_scans")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.growth_scans")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.clients")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.clients")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.clients")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.client_relationships")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.client_relationships")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.client_relationships")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.branches")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.branches")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.branches")
    op.execute("DROP TRIGGER IF EXISTS refuse_truncate ON wealth.advisors")
    op.execute("DROP TRIGGER IF EXISTS log_insert ON wealth.advisors")
    op.execute("DROP TRIGGER IF EXISTS log_change ON wealth.advisors")
    op.execute("DROP TRIGGER IF EXISTS advise ON wealth.orders")
    op.execute("DROP TRIGGER IF EXISTS hand_over ON wealth.clients")
    op.execute("DROP TRIGGER IF EXISTS expire_tokens ON wealth.clients")
    op.execute("DROP TRIGGER IF EXISTS expire_tokens ON wealth.teams")
    op.execute("DROP TRIGGER IF EXISTS expire_tokens_of_deleted ON wealth.advisors")
    op.execute("DROP TRIGGER IF EXISTS expire_tokens ON wealth.advisors")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_teams_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_teams_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_orders_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_orders_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_opportunities_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_opportunities_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_notes_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_notes_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_households_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_households_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_growth_scans_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_growth_scans_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_clients_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_clients_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_client_relationships_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_client_relationships_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_branches_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_branches_change()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_advisors_insert()")
    op.execute("DROP FUNCTION IF EXISTS core.log_wealth_advisors_change()")
    op.execute("DROP FUNCTION IF EXISTS wealth.advise_order()")
    op.execute("DROP FUNCTION IF EXISTS wealth.hand_over_client()")
    op.execute("DROP FUNCTION IF EXISTS wealth.expire_tokens_of_client()")
    op.execute("DROP FUNCTION IF EXISTS wealth.expire_tokens_of_team()")
    op.execute("DROP FUNCTION IF EXISTS wealth.expire_tokens_of_advisor()")
    op.drop_index(
        "uq_opportunities_fingerprint",
        table_name="opportunities",
        schema="wealth",
        postgresql_where=sa.text("status IN ('open', 'in_progress', 'snoozed')"),
    )
    op.drop_index(op.f("ix_opportunities_growth_scan_id"), table_name="opportunities", schema="wealth")
    op.drop_index("ix_opportunities_client_status", table_name="opportunities", schema="wealth")
    op.drop_index(op.f("ix_opportunities_assigned_to"), table_name="opportunities", schema="wealth")
    op.drop_index("ix_opportunities_advisor_status", table_name="opportunities", schema="wealth")
    op.drop_table("opportunities", schema="wealth")
    op.drop_index(
        "uq_orders_client_order_id",
        table_name="orders",
        schema="wealth",
        postgresql_where=sa.text("client_order_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_orders_replaces_id"), table_name="orders", schema="wealth")
    op.drop_index(op.f("ix_orders_parent_order_id"), table_name="orders", schema="wealth")
    op.drop_index(
        "ix_orders_open",
        table_name="orders",
        schema="wealth",
        postgresql_where=sa.text(
            "status IN ('pending', 'pending_review', 'approved', 'submitted', 'working', 'partially_filled', 'pending_cancel', 'pending_replace')"
        ),
    )
    op.drop_index("ix_orders_newest", table_name="orders", schema="wealth")
    op.drop_index("ix_orders_client", table_name="orders", schema="wealth")
    op.drop_index("ix_orders_broker_order_id", table_name="orders", schema="wealth")
    op.drop_index("ix_orders_advisor_status", table_name="orders", schema="wealth")
    op.drop_table("orders", schema="wealth")
    op.drop_index("ix_notes_lead", table_name="notes", schema="wealth", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index(
        "ix_notes_client", table_name="notes", schema="wealth", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(op.f("ix_notes_author_id"), table_name="notes", schema="wealth")
    op.drop_table("notes", schema="wealth")
    op.drop_index(
        "uq_growth_scans_running",
        table_name="growth_scans",
        schema="wealth",
        postgresql_where=sa.text("status IN ('queued', 'running') AND scope = 'full'"),
    )
    op.drop_index(op.f("ix_growth_scans_client_id"), table_name="growth_scans", schema="wealth")
    op.drop_index("ix_growth_scans_advisor", table_name="growth_scans", schema="wealth")
    op.drop_table("growth_scans", schema="wealth")
    op.drop_index(op.f("ix_client_relationships_related_client_id"), table_name="client_relationships", schema="wealth")
    op.drop_index("ix_client_relationships_client_kind", table_name="client_relationships", schema="wealth")
    op.drop_table("client_relationships", schema="wealth")
    op.drop_index("ix_clients_search", table_name="clients", schema="wealth", postgresql_using="gin")
    op.drop_index("ix_clients_next_review_on", table_name="clients", schema="wealth")
    op.drop_index(
        "ix_clients_newest", table_name="clients", schema="wealth", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("ix_clients_kyc_review_due_on", table_name="clients", schema="wealth")
    op.drop_index(op.f("ix_clients_household_id"), table_name="clients", schema="wealth")
    op.drop_index("ix_clients_email", table_name="clients", schema="wealth")
    op.drop_index(
        "ix_clients_advisor_status",
        table_name="clients",
        schema="wealth",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_clients_advisor_risk", table_name="clients", schema="wealth", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index("ix_clients_advisor_name", table_name="clients", schema="wealth")
    op.drop_table("clients", schema="wealth")
    op.drop_index("ix_households_advisor_status", table_name="households", schema="wealth")
    op.drop_table("households", schema="wealth")
    op.drop_index("ix_advisors_team_status", table_name="advisors", schema="wealth")
    op.drop_index("ix_advisors_branch_status", table_name="advisors", schema="wealth")
    op.drop_table("advisors", schema="wealth")
    op.drop_index("uq_teams_branch_id_name", table_name="teams", schema="wealth")
    op.drop_table("teams", schema="wealth")
    op.drop_index("ix_branches_is_active", table_name="branches", schema="wealth")
    op.drop_table("branches", schema="wealth")
    op.execute("DROP SEQUENCE wealth.order_numbers")
    op.execute("DROP SEQUENCE wealth.client_numbers")
