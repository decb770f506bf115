"""The rules of single columns become domains: PostgreSQL reads those once, and a table's CHECKs in each statement."""

from itertools import groupby
from operator import itemgetter

from alembic import op

revision = "0009_domains"
down_revision = "0008_database_settings"
branch_labels = None
depends_on = None

# Table, column, base type, and the CHECKs by name.
DOMAINS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("core.background_tasks", "kind", "TEXT", {"ck_background_tasks_kind": "VALUE = ANY ('{growth_scan,batch_email,report,rebalance,corporate_action,billing_run,valuation,simulation,import,export,price_refresh,surveillance,generate_matches,whatsapp_batch,finance_load,scan_upload,score_assessment,report_export,maintenance}'::text[])"}),
    ("core.background_tasks", "status", "TEXT", {"ck_background_tasks_status": "VALUE = ANY ('{queued,running,succeeded,failed,cancelled}'::text[])"}),
    ("core.background_tasks", "progress_done", "INTEGER", {"ck_background_tasks_progress_done_range": "VALUE >= 0"}),
    ("core.conversations", "kind", "TEXT", {"ck_conversations_kind": "VALUE = ANY ('{assistant,client_advisor,request_thread}'::text[])"}),
    ("core.conversations", "status", "TEXT", {"ck_conversations_status": "VALUE = ANY ('{active,archived}'::text[])"}),
    ("core.conversations", "message_count", "INTEGER", {"ck_conversations_message_count_range": "VALUE >= 0"}),
    ("core.messages", "sequence", "INTEGER", {"ck_messages_sequence_range": "VALUE > 0"}),
    ("core.messages", "role", "TEXT", {"ck_messages_role": "VALUE = ANY ('{user,assistant,system,tool}'::text[])"}),
    ("core.messages", "status", "TEXT", {"ck_messages_status": "VALUE = ANY ('{pending,streaming,complete,failed,cancelled}'::text[])"}),
    ("core.notifications", "kind", "TEXT", {"ck_notifications_kind": "VALUE = ANY ('{order,transfer,kyc,compliance,corporate_action,goal,task,campaign,lead,insight,chat,billing,request,quote,booking,review,dispute,match,message,assessment,system}'::text[])"}),
    ("core.notifications", "severity", "TEXT", {"ck_notifications_severity": "VALUE = ANY ('{info,success,warning,critical}'::text[])"}),
    ("core.notifications", "channel", "TEXT", {"ck_notifications_channel": "VALUE = ANY ('{in_app,email,push}'::text[])"}),
    ("core.one_time_tokens", "purpose", "TEXT", {"ck_one_time_tokens_purpose": "VALUE = ANY ('{verify_email,reset_password,change_email,invite,mfa_challenge,mfa_recovery}'::text[])"}),
    ("core.outbox_messages", "channel", "TEXT", {"ck_outbox_messages_channel": "VALUE = ANY ('{email}'::text[])"}),
    ("core.outbox_messages", "status", "TEXT", {"ck_outbox_messages_status": "VALUE = ANY ('{queued,sending,sent,failed}'::text[])"}),
    ("core.roles", "module", "TEXT", {"ck_roles_module": "VALUE = ANY ('{platform,wealth,marketplace,crm,insights,assessments}'::text[])"}),
    ("core.transfer_chunks", "number", "INTEGER", {"ck_transfer_chunks_number_range": "VALUE >= 0"}),
    ("core.transfer_errors", "row_number", "INTEGER", {"ck_transfer_errors_row_number_range": "VALUE >= 0"}),
    ("core.transfers", "kind", "TEXT", {"ck_transfers_kind": "VALUE = ANY ('{import,export}'::text[])"}),
    ("core.transfers", "format", "TEXT", {"ck_transfers_format": "VALUE = ANY ('{csv,ndjson}'::text[])"}),
    ("core.transfers", "size_bytes", "BIGINT", {"ck_transfers_size_bytes_range": "VALUE >= 0"}),
    ("core.transfers", "done_rows", "INTEGER", {"ck_transfers_done_rows_range": "VALUE >= 0"}),
    ("core.transfers", "created", "INTEGER", {"ck_transfers_created_range": "VALUE >= 0"}),
    ("core.transfers", "updated", "INTEGER", {"ck_transfers_updated_range": "VALUE >= 0"}),
    ("core.transfers", "unchanged", "INTEGER", {"ck_transfers_unchanged_range": "VALUE >= 0"}),
    ("core.transfers", "failed", "INTEGER", {"ck_transfers_failed_range": "VALUE >= 0"}),
    ("core.users", "username", "CITEXT", {"ck_users_username_pattern": "VALUE ~ '^[a-z0-9_.-]{2,50}$'"}),
    ("core.users", "failed_login_count", "INTEGER", {"ck_users_failed_login_count_range": "VALUE >= 0"}),
    ("wealth.advisors", "order_limit", "NUMERIC(20, 4)", {"ck_advisors_order_limit_range": "VALUE > 0"}),
    ("wealth.advisors", "currency", "VARCHAR(3)", {"ck_advisors_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.advisors", "status", "TEXT", {"ck_advisors_status": "VALUE = ANY ('{active,on_leave,terminated}'::text[])"}),
    ("wealth.branches", "base_currency", "VARCHAR(3)", {"ck_branches_base_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.client_relationships", "kind", "TEXT", {"ck_client_relationships_kind": "VALUE = ANY ('{spouse,partner,child,parent,sibling,beneficiary,contingent_beneficiary,joint_owner,trustee,grantor,power_of_attorney,trusted_contact,guardian,beneficial_owner,authorized_signer,referrer,accountant,attorney}'::text[])"}),
    ("wealth.client_relationships", "share_pct", "NUMERIC(14, 10)", {"ck_client_relationships_share_pct_range": "VALUE >= 0 AND VALUE <= 1"}),
    ("wealth.clients", "type", "TEXT", {"ck_clients_type": "VALUE = ANY ('{individual,joint,trust,entity}'::text[])"}),
    ("wealth.clients", "status", "TEXT", {"ck_clients_status": "VALUE = ANY ('{prospect,onboarding,active,inactive,closed}'::text[])"}),
    ("wealth.clients", "segment", "TEXT", {"ck_clients_segment": "VALUE = ANY ('{mass_affluent,affluent,hnw,uhnw}'::text[])"}),
    ("wealth.clients", "service_tier", "TEXT", {"ck_clients_service_tier": "VALUE = ANY ('{platinum,gold,silver,bronze}'::text[])"}),
    ("wealth.clients", "preferred_channel", "TEXT", {"ck_clients_preferred_channel": "VALUE = ANY ('{email,phone,sms,post,portal}'::text[])"}),
    ("wealth.clients", "marital_status", "TEXT", {"ck_clients_marital_status": "VALUE = ANY ('{single,married,partnered,divorced,widowed}'::text[])"}),
    ("wealth.clients", "dependents", "INTEGER", {"ck_clients_dependents_range": "VALUE >= 0"}),
    ("wealth.clients", "employment_status", "TEXT", {"ck_clients_employment_status": "VALUE = ANY ('{employed,self_employed,retired,student,unemployed,homemaker}'::text[])"}),
    ("wealth.clients", "currency", "VARCHAR(3)", {"ck_clients_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.clients", "tax_rate_st", "NUMERIC(14, 10)", {"ck_clients_tax_rate_st_range": "VALUE >= 0 AND VALUE <= 1"}),
    ("wealth.clients", "tax_rate_lt", "NUMERIC(14, 10)", {"ck_clients_tax_rate_lt_range": "VALUE >= 0 AND VALUE <= 1"}),
    ("wealth.clients", "risk_profile", "TEXT", {"ck_clients_risk_profile": "VALUE = ANY ('{conservative,moderately_conservative,moderate,moderately_aggressive,aggressive}'::text[])"}),
    ("wealth.clients", "risk_score", "INTEGER", {"ck_clients_risk_score_range": "VALUE >= 0 AND VALUE <= 100"}),
    ("wealth.clients", "risk_profile_source", "TEXT", {"ck_clients_risk_profile_source": "VALUE = ANY ('{declared,assessed}'::text[])"}),
    ("wealth.clients", "investment_objective", "TEXT", {"ck_clients_investment_objective": "VALUE = ANY ('{preservation,income,balanced,growth,speculation}'::text[])"}),
    ("wealth.clients", "investment_experience", "TEXT", {"ck_clients_investment_experience": "VALUE = ANY ('{none,limited,good,extensive}'::text[])"}),
    ("wealth.clients", "time_horizon_years", "INTEGER", {"ck_clients_time_horizon_years_range": "VALUE >= 0 AND VALUE <= 80"}),
    ("wealth.clients", "liquidity_need", "TEXT", {"ck_clients_liquidity_need": "VALUE = ANY ('{low,medium,high}'::text[])"}),
    ("wealth.clients", "kyc_status", "TEXT", {"ck_clients_kyc_status": "VALUE = ANY ('{not_started,in_progress,approved,expired,rejected}'::text[])"}),
    ("wealth.clients", "kyc_risk_rating", "TEXT", {"ck_clients_kyc_risk_rating": "VALUE = ANY ('{low,medium,high}'::text[])"}),
    ("wealth.growth_scans", "scope", "TEXT", {"ck_growth_scans_scope": "VALUE = ANY ('{full,client,rule_subset}'::text[])"}),
    ("wealth.growth_scans", "status", "TEXT", {"ck_growth_scans_status": "VALUE = ANY ('{queued,running,completed,failed,cancelled}'::text[])"}),
    ("wealth.growth_scans", "clients_scanned", "INTEGER", {"ck_growth_scans_clients_scanned_range": "VALUE >= 0"}),
    ("wealth.growth_scans", "currency", "VARCHAR(3)", {"ck_growth_scans_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.households", "service_tier", "TEXT", {"ck_households_service_tier": "VALUE = ANY ('{platinum,gold,silver,bronze}'::text[])"}),
    ("wealth.households", "status", "TEXT", {"ck_households_status": "VALUE = ANY ('{active,inactive,closed}'::text[])"}),
    ("wealth.notes", "category", "TEXT", {"ck_notes_category": "VALUE = ANY ('{general,meeting,call,personal,planning,compliance,service}'::text[])"}),
    ("wealth.notes", "visibility", "TEXT", {"ck_notes_visibility": "VALUE = ANY ('{private,team,compliance,client}'::text[])"}),
    ("wealth.opportunities", "category", "TEXT", {"ck_opportunities_category": "VALUE = ANY ('{growth,risk,tax,service,compliance,planning}'::text[])"}),
    ("wealth.opportunities", "score", "INTEGER", {"ck_opportunities_score_range": "VALUE >= 0 AND VALUE <= 100"}),
    ("wealth.opportunities", "currency", "VARCHAR(3)", {"ck_opportunities_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.opportunities", "status", "TEXT", {"ck_opportunities_status": "VALUE = ANY ('{open,in_progress,snoozed,won,dismissed,resolved,expired}'::text[])"}),
    ("wealth.orders", "side", "TEXT", {"ck_orders_side": "VALUE = ANY ('{buy,sell}'::text[])"}),
    ("wealth.orders", "order_type", "TEXT", {"ck_orders_order_type": "VALUE = ANY ('{market,limit,stop,stop_limit}'::text[])"}),
    ("wealth.orders", "time_in_force", "TEXT", {"ck_orders_time_in_force": "VALUE = ANY ('{day,gtc,ioc,fok,gtd,opg,cls}'::text[])"}),
    ("wealth.orders", "quantity", "NUMERIC(28, 10)", {"ck_orders_quantity_range": "VALUE > 0"}),
    ("wealth.orders", "notional", "NUMERIC(20, 4)", {"ck_orders_notional_range": "VALUE > 0"}),
    ("wealth.orders", "limit_price", "NUMERIC(24, 10)", {"ck_orders_limit_price_range": "VALUE > 0"}),
    ("wealth.orders", "stop_price", "NUMERIC(24, 10)", {"ck_orders_stop_price_range": "VALUE > 0"}),
    ("wealth.orders", "currency", "VARCHAR(3)", {"ck_orders_currency_pattern": "VALUE ~ '^[A-Z]{3}$'"}),
    ("wealth.orders", "status", "TEXT", {"ck_orders_status": "VALUE = ANY ('{draft,pending,pending_review,approved,submitted,working,partially_filled,filled,pending_cancel,pending_replace,cancelled,rejected,expired}'::text[])"}),
    ("wealth.orders", "basis", "TEXT", {"ck_orders_basis": "VALUE = ANY ('{advised,unsolicited,discretionary}'::text[])"}),
    ("wealth.orders", "capacity", "TEXT", {"ck_orders_capacity": "VALUE = ANY ('{agency,principal}'::text[])"}),
    ("wealth.orders", "lot_method", "TEXT", {"ck_orders_lot_method": "VALUE = ANY ('{fifo,lifo,hifo,average,specific}'::text[])"}),
    ("wealth.orders", "check_outcome", "TEXT", {"ck_orders_check_outcome": "VALUE = ANY ('{pass,warn,review,fail}'::text[])"}),
)


# Triggers that look at such a column; PostgreSQL does not change its type under them.
TRIGGERS = {
    ("core.conversations", "require_client"): """
CREATE CONSTRAINT TRIGGER require_client AFTER INSERT OR UPDATE OF kind ON core.conversations
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wealth.require_conversation_client()
    """,
    ("wealth.advisors", "expire_tokens"): """
CREATE TRIGGER expire_tokens AFTER UPDATE OF user_id, team_id, status ON wealth.advisors FOR EACH ROW
WHEN ((OLD.user_id, OLD.team_id, OLD.status) IS DISTINCT FROM (NEW.user_id, NEW.team_id, NEW.status))
EXECUTE FUNCTION wealth.expire_tokens_of_advisor()
    """,
}


def upgrade() -> None:
    for table, columns in groupby(DOMAINS, key=itemgetter(0)):
        actions = []
        for _table, column, base, checks in columns:
            rules = " ".join(f"CONSTRAINT {name} CHECK ({sql})" for name, sql in checks.items())
            op.execute(f"CREATE DOMAIN {table}_{column} AS {base} {rules}")
            actions += [f"DROP CONSTRAINT {name}" for name in checks]
            actions += [f"ALTER COLUMN {column} TYPE {table}_{column}"]
        _alter(table, actions)


def downgrade() -> None:
    for table, columns in groupby(DOMAINS, key=itemgetter(0)):
        actions, dropped = [], []
        for _table, column, base, checks in columns:
            actions += [f"ALTER COLUMN {column} TYPE {base}"]
            actions += [
                f"ADD CONSTRAINT {name} CHECK ({sql.replace('VALUE', column)})" for name, sql in checks.items()
            ]
            dropped += [f"{table}_{column}"]
        _alter(table, actions)
        op.execute(f"DROP DOMAIN {', '.join(dropped)}")


def _alter(table: str, actions: list[str]) -> None:
    """All at once, so that the table is written anew once."""
    triggers = {name: sql for (on, name), sql in TRIGGERS.items() if on == table}
    for name in triggers:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute(f"ALTER TABLE {table} {', '.join(actions)}")
    for sql in triggers.values():
        op.execute(sql)
