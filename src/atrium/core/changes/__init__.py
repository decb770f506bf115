"""The change log: who did what to which record, written by triggers in the same transaction.

`models` holds `core.changes`, `triggers` generates the SQL from the column marks, `history` reads it back for those
who may
read the record, and `record` adds what no table shows (a login, an export, a reveal).
"""
