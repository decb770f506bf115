"""The SQL of sending, settling and forgetting deliveries. All moments are those of the database."""

OPEN = "('queued', 'sending')"

ANY_DUE = f"""
    SELECT EXISTS (SELECT FROM core.webhook_deliveries WHERE status IN {OPEN} AND next_attempt_at <= now())
"""
DUE = f"""
    SELECT w.id FROM (
        SELECT w.id, w.failing_since IS NOT NULL AS fails, head.next_attempt_at AS due,
            row_number() OVER (PARTITION BY w.failing_since IS NOT NULL ORDER BY head.next_attempt_at) AS place
        FROM core.webhooks w CROSS JOIN LATERAL (
            SELECT d.next_attempt_at FROM core.webhook_deliveries d
            WHERE d.webhook_id = w.id AND d.status IN {OPEN} ORDER BY d.position, d.id LIMIT 1
        ) head
        WHERE w.is_active AND (w.claimed_until IS NULL OR w.claimed_until <= now()) AND head.next_attempt_at <= now()
    ) one JOIN core.webhooks w USING (id)
    WHERE NOT (one.fails AND one.place > $2) AND (w.claimed_until IS NULL OR w.claimed_until <= now())
    ORDER BY one.fails, one.due LIMIT $1 FOR NO KEY UPDATE OF w SKIP LOCKED
"""
"""Webhooks to send to, those that answer first: at most $1, and of those that fail at most $2.

The second look at the lease is repeated by PostgreSQL on the row as it is once locked, when another worker was quicker.
"""
LEASE = """
    UPDATE core.webhooks SET claim = $2, claimed_until = now() + make_interval(secs => $3) WHERE id = ANY ($1)
"""
BEGIN = f"""
    WITH head AS (
        SELECT DISTINCT ON (d.webhook_id) d.id, d.next_attempt_at FROM core.webhook_deliveries d
        WHERE d.webhook_id = ANY ($1) AND d.status IN {OPEN} ORDER BY d.webhook_id, d.position, d.id
    )
    UPDATE core.webhook_deliveries d
    SET status = 'sending', attempts = d.attempts + 1, next_attempt_at = now() + make_interval(secs => $2),
        updated_at = now()
    FROM head, core.webhooks w
    WHERE d.id = head.id AND head.next_attempt_at <= now() AND w.id = d.webhook_id
    RETURNING d.id, d.webhook_id, w.owner_id, d.event_id, d.event, d.payload::text AS body, d.attempts, w.url,
        w.secret_enc, w.old_secret_enc, w.old_secret_until, w.failing_since
"""
LET_GO = """
    WITH free AS (
        UPDATE core.webhooks SET claim = NULL, claimed_until = NULL WHERE claim = ANY ($1) RETURNING id
    )
    UPDATE core.webhook_deliveries d SET next_attempt_at = now() FROM free
    WHERE d.webhook_id = free.id AND d.status = 'sending'
"""
HELD = "SELECT is_active FROM core.webhooks WHERE id = $1 AND claim = $2 FOR NO KEY UPDATE"
SETTLE = """
    UPDATE core.webhook_deliveries
    SET status = $2::text, next_attempt_at = $3, response_status = $4, response_excerpt = $5, error = $6,
        duration_ms = $7, updated_at = now(), delivered_at = CASE WHEN $2::text = 'delivered' THEN now() END
    WHERE id = $1
"""
RELEASE = """
    UPDATE core.webhooks SET claim = NULL, claimed_until = NULL,
        failure_count = CASE WHEN $2::boolean THEN 0 ELSE failure_count + 1 END,
        failing_since = CASE WHEN NOT $2::boolean THEN coalesce(failing_since, now()) END
    WHERE id = $1
"""
DISABLE = """
    UPDATE core.webhooks SET is_active = false, disabled_at = now(), disabled_reason = $2, updated_at = now()
    WHERE id = $1
"""
SKIP = f"""
    UPDATE core.webhook_deliveries SET status = 'skipped', next_attempt_at = NULL, updated_at = now()
    WHERE webhook_id = $1 AND status IN {OPEN}
"""
AGAIN = """
    UPDATE core.webhook_deliveries
    SET status = 'queued', attempts = 0, next_attempt_at = now(), delivered_at = NULL, updated_at = now()
"""
AT_ONCE = """
    UPDATE core.webhook_deliveries SET next_attempt_at = now() WHERE webhook_id = $1 AND status = 'queued'
"""
REDELIVER = f"{AGAIN} WHERE id = $1"
REDELIVER_SINCE = f"""
    {AGAIN} WHERE webhook_id = $1 AND status IN ('failed', 'skipped') AND created_at >= $2 AND event <> $3
"""
HEALTH = f"""
    SELECT w.id, w.failure_count, w.failing_since, waiting.count AS waiting, waiting.oldest AS oldest_waiting_at
    FROM core.webhooks w CROSS JOIN LATERAL (
        SELECT count(*) AS count, min(d.created_at) AS oldest FROM core.webhook_deliveries d
        WHERE d.webhook_id = w.id AND d.status IN {OPEN}
    ) waiting
    WHERE w.id = ANY ($1)
"""
PRUNE = f"""
    DELETE FROM core.webhook_deliveries WHERE id IN (
        SELECT id FROM core.webhook_deliveries
        WHERE id < $1 AND updated_at < $2 AND status NOT IN {OPEN} ORDER BY id LIMIT $3
    )
"""
FORGET = """
    UPDATE core.webhooks SET old_secret_enc = NULL, old_secret_until = NULL WHERE old_secret_until <= now()
"""
