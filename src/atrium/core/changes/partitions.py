"""One partition of `core.changes` per month, made ahead and dropped when the log need not be kept longer.

A month that is dropped leaves an anchor: what it held, where the chain goes on, and a signature over both, so that
what is left can still be proven. Rows whose month has no partition stand in the default one until the next round
makes it.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Table, Text, text

from atrium.core import clock
from atrium.core.changes.chain import START, Keyring, microseconds
from atrium.core.db.entity import Row
from atrium.core.db.routines import declare
from atrium.core.runtime import Runtime

log = structlog.get_logger()
AHEAD = 3
"""Months that have their partition before they begin."""
DAY_SECONDS = 86400
HOUR_SECONDS = 3600
RETRY_SECONDS = 300
ANCHOR = struct.Struct(">6q")

ANCHORS = Table(
    "change_anchors",
    Row.metadata,
    Column("month", DateTime(timezone=True), primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("first_position", BigInteger),
    Column("last_position", BigInteger),
    Column("cut_position", BigInteger, nullable=False),
    Column("cut_hash", LargeBinary, nullable=False),
    Column("dropped_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    schema="core",
)

declare(
    "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON core.change_anchors "
    "FOR EACH ROW EXECUTE FUNCTION core.refuse_change()",
    "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.change_anchors EXECUTE FUNCTION core.refuse_change()",
    """
CREATE OR REPLACE FUNCTION core.make_change_partition(_month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    _name text := 'changes_' || to_char(_month, 'YYYY_MM');
    _from timestamptz := date_trunc('month', _month::timestamp) AT TIME ZONE 'UTC';
    _until timestamptz := (date_trunc('month', _month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    _strays boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('core.changes'));
    IF to_regclass('core.' || _name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE core.%I (LIKE core.changes INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', _name);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.%I EXECUTE FUNCTION core.refuse_change()',
        _name);
    SELECT EXISTS (SELECT FROM core.changes_default WHERE occurred_at >= _from AND occurred_at < _until) INTO _strays;
    IF _strays THEN
        LOCK TABLE core.changes IN ACCESS EXCLUSIVE MODE;
        ALTER TABLE core.changes DETACH PARTITION core.changes_default;
        ALTER TABLE core.changes_default RENAME TO changes_strays;
        PERFORM core.make_default_change_partition();
    END IF;
    EXECUTE format('ALTER TABLE core.changes ATTACH PARTITION core.%I FOR VALUES FROM (%L) TO (%L)',
        _name, _from, _until);
    IF _strays THEN
        INSERT INTO core.changes SELECT * FROM core.changes_strays;
        DROP TABLE core.changes_strays;
    END IF;
    RETURN true;
END $$
""",
    """
CREATE OR REPLACE FUNCTION core.make_default_change_partition() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    CREATE TABLE core.changes_default PARTITION OF core.changes DEFAULT;
    CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON core.changes_default EXECUTE FUNCTION core.refuse_change();
END $$
""",
    """
CREATE OR REPLACE FUNCTION core.drop_change_partition(
    _month date, _changes bigint, _first bigint, _last bigint, _cut bigint, _hash bytea, _key text, _signature bytea
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    _name text := 'changes_' || to_char(_month, 'YYYY_MM');
    _from timestamptz := date_trunc('month', _month::timestamp) AT TIME ZONE 'UTC';
    _until timestamptz := (date_trunc('month', _month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    _held bigint;
    _loose bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('core.changes'));
    IF _until > date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' THEN
        RAISE EXCEPTION 'the month % is not over', _name USING ERRCODE = 'ATR02';
    END IF;
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.change_id IS NULL) FROM core.%I c '
        'LEFT JOIN core.change_chain k ON k.change_id = c.id', _name) INTO _held, _loose;
    IF _loose > 0 OR EXISTS (
        SELECT FROM core.change_queue WHERE occurred_at >= _from AND occurred_at < _until
    ) THEN
        RAISE EXCEPTION '% holds changes that are not chained', _name USING ERRCODE = 'ATR02';
    END IF;
    IF _held <> _changes THEN
        RAISE EXCEPTION '% holds % changes, not %', _name, _held, _changes USING ERRCODE = 'ATR02';
    END IF;
    IF EXISTS (
        SELECT FROM core.change_chain k JOIN core.changes c ON c.id = k.change_id AND c.occurred_at = k.occurred_at
        WHERE k.position <= _cut AND (k.occurred_at < _from OR k.occurred_at >= _until)
    ) THEN
        RAISE EXCEPTION 'changes that are kept stand before position %', _cut USING ERRCODE = 'ATR02';
    END IF;
    INSERT INTO core.change_anchors
        (month, until, changes, first_position, last_position, cut_position, cut_hash, key_id, signature)
    VALUES (_from, _until, _changes, _first, _last, _cut, _hash, _key, _signature);
    EXECUTE format('DROP TABLE core.%I', _name);
    DELETE FROM core.change_chain WHERE position <= _cut;
END $$
""",
)

HELD = """
    SELECT c.relname, to_date(right(c.relname, 7), 'YYYY_MM') AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'core.changes'::regclass AND c.relname <> 'changes_default'
    ORDER BY 2
"""
STRAYS = """
    SELECT DISTINCT date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date AS month
    FROM core.changes_default ORDER BY 1
"""
SPAN = """
    SELECT (SELECT count(*) FROM core.changes WHERE occurred_at >= $1 AND occurred_at < $2) AS held,
        count(*) AS chained, min(position) AS first, max(position) AS last
    FROM core.change_chain WHERE occurred_at >= $1 AND occurred_at < $2
"""
CUT = """
    SELECT position, hash FROM core.change_chain WHERE position < coalesce(
        (SELECT min(position) FROM core.change_chain WHERE occurred_at >= $1), 9223372036854775807)
    ORDER BY position DESC LIMIT 1
"""
DROP = "SELECT core.drop_change_partition($1, $2, $3, $4, $5, $6, $7, $8)"
LAST_CUT = (
    "SELECT cut_position AS position, cut_hash AS hash FROM core.change_anchors ORDER BY cut_position DESC LIMIT 1"
)


async def keep_partitions(runtime: Runtime) -> None:
    """At once and then daily, whatever a round runs into."""
    while True:
        pause = DAY_SECONDS
        try:
            await maintain(runtime, clock.now())
        except Exception as error:  # noqa: BLE001  the default partition takes what comes until the next round
            log.warning("partitions_not_maintained", error=repr(error))
            pause = RETRY_SECONDS
        await asyncio.sleep(pause)


async def maintain(runtime: Runtime, now: datetime) -> None:
    """Make the partitions of this month and the next ones, then drop what need not be kept."""
    strays = [row["month"] for row in await runtime.database.pool.fetch(STRAYS)]
    for month in sorted({*strays, *_from(now.date(), AHEAD)}):
        async with _unhurried(runtime) as connection:
            made = await connection.fetchval("SELECT core.make_change_partition($1)", month, timeout=HOUR_SECONDS)
        if made:
            log.info("change_partition_made", month=f"{month:%Y-%m}")
    if kept := runtime.settings.change_retention_months:
        oldest = month_before(now.date(), kept)
        for row in await runtime.database.pool.fetch(HELD):
            if row["month"] < oldest and not await drop(runtime, row["month"]):
                break


async def drop(runtime: Runtime, month: date) -> bool:
    """Drop one month and what of the chain stands before all that is kept; False while it is not fully relayed."""
    start, until = _start(month), _start(month_after(month))
    async with _unhurried(runtime) as connection:
        span = (await connection.fetch(SPAN, start, until, timeout=HOUR_SECONDS))[0]
        if span["chained"] != span["held"]:
            log.warning("change_partition_kept", month=f"{month:%Y-%m}", changes=span["held"], chained=span["chained"])
            return False
        cuts = await connection.fetch(CUT, until, timeout=HOUR_SECONDS) or await connection.fetch(LAST_CUT)
        cut, cut_hash = (cuts[0]["position"], cuts[0]["hash"]) if cuts else (0, START)
        key = Keyring.of(runtime.settings).key
        content = anchor_content(start, until, span["held"], span["first"], span["last"], cut, cut_hash)
        values = (month, span["held"], span["first"], span["last"], cut, cut_hash, key.id, key.sign(b"anchor", content))
        await connection.execute(DROP, *values, timeout=HOUR_SECONDS)
    log.info("change_partition_dropped", month=f"{month:%Y-%m}", changes=span["held"])
    return True


def anchor_content(
    month: datetime, until: datetime, changes: int, first: int | None, last: int | None, cut: int, cut_hash: bytes
) -> bytes:
    """What the signature of an anchor covers."""
    numbers = (microseconds(month), microseconds(until), changes, first or 0, last or 0, cut)
    return ANCHOR.pack(*numbers) + cut_hash


@asynccontextmanager
async def _unhurried(runtime: Runtime) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """A transaction that may take long, but gives up rather than make everybody queue behind its lock on the log."""
    async with runtime.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0")
        yield connection  # type: ignore[misc]


def _from(day: date, ahead: int) -> Iterator[date]:
    month = day.replace(day=1)
    for _ in range(ahead + 1):
        yield month
        month = month_after(month)


def month_after(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def month_before(day: date, months: int) -> date:
    """The first day of the month that lies `months` before that of the day."""
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, 1)


def _start(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)
