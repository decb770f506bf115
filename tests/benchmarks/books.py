"""The data: Atrium's demo advisor and a client, multiplied, and a copy of both tables for the other servers."""

from collections.abc import Sequence

import asyncpg

ADVISOR = "advisor@example.com"
ADVISORS, CLIENTS = 50, 1000
# Row triggers and foreign keys sleep meanwhile: these rows are made up, nobody has to be told of them.
GROW = (
    "SET session_replication_role = replica",
    f"""
    INSERT INTO core.users SELECT made.* FROM core.users demo, generate_series(1, {ADVISORS}) n,
    LATERAL jsonb_populate_record(demo, jsonb_build_object(
        'id', gen_random_uuid(), 'email', format('benchmark-%s@example.com', n), 'username', NULL)) made
    WHERE demo.email = '{ADVISOR}'
    """,
    f"""
    INSERT INTO wealth.advisors SELECT made.*
    FROM (SELECT advisor FROM wealth.advisors advisor JOIN core.users ON users.id = user_id
          WHERE email = '{ADVISOR}') demo,
    (SELECT id, row_number() OVER () AS n FROM core.users WHERE email LIKE 'benchmark-%'
     LIMIT {ADVISORS} - (SELECT count(*) FROM wealth.advisors)) account,
    LATERAL jsonb_populate_record(demo.advisor, jsonb_build_object(
        'id', gen_random_uuid(), 'user_id', account.id, 'advisor_code', 'BENCH' || account.n)) made
    """,
    # Every book has one advisor: the other servers know no teams.
    "UPDATE wealth.advisors SET team_id = NULL",
    f"""
    INSERT INTO wealth.clients SELECT made.*
    FROM (SELECT id, {CLIENTS} - (SELECT count(*) FROM wealth.clients WHERE advisor_id = advisors.id) AS missing
          FROM wealth.advisors) advisor,
    LATERAL (SELECT client FROM wealth.clients client WHERE type = 'individual' LIMIT 1) demo,
    generate_series(1, advisor.missing) n,
    LATERAL jsonb_populate_record(demo.client, jsonb_build_object(
        'id', gen_random_uuid(), 'advisor_id', advisor.id, 'client_number', 'B' || nextval('wealth.client_numbers'),
        'user_id', NULL, 'household_id', NULL, 'last_name', 'Client ' || n, 'status', 'active', 'closed_on', NULL,
        'email', format('client-%s@example.com', n), 'created_at', now() - n * interval '1 hour')) made
    """,
    """
    UPDATE wealth.clients SET deleted_at = NULL, risk_profile = dealt.risk_profile
    FROM (SELECT id, (ARRAY['conservative', 'moderately_conservative', 'moderate', 'moderately_aggressive',
              'aggressive'])[1 + row_number() OVER (PARTITION BY advisor_id ORDER BY created_at) % 5] AS risk_profile
          FROM wealth.clients) dealt
    WHERE dealt.id = clients.id
    """,
    # So that it cannot fall into one server's turn; TIDY does its work between the rounds.
    "ALTER SYSTEM SET autovacuum = off",
    "SELECT pg_reload_conf()",
    "VACUUM ANALYZE",
)
# Without Atrium's triggers: the other servers keep no change log.
MIRROR = (
    "CREATE SCHEMA bench",
    "CREATE TABLE bench.clients (LIKE wealth.clients INCLUDING ALL)",
    "INSERT INTO bench.clients SELECT * FROM wealth.clients",
    "CREATE TABLE bench.orders (LIKE wealth.orders INCLUDING ALL)",
)
TIDY = ("VACUUM ANALYZE wealth.clients, wealth.orders, bench.clients, bench.orders", "CHECKPOINT")
STRANGER = f"""
    SELECT clients.id::text FROM wealth.clients JOIN wealth.advisors ON advisors.id = advisor_id
    JOIN core.users ON users.id = advisors.user_id WHERE users.email <> '{ADVISOR}' LIMIT 1
"""


async def execute(url: str, statements: Sequence[str]) -> str:
    """Run them in one session; answers the last one's first value."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            answer = await connection.fetchval(statement, timeout=600)
        return str(answer)
    finally:
        await connection.close()
