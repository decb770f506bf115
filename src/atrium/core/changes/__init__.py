"""The change log: who did what to which record, written by triggers in the same transaction.

`models` holds `core.changes`, `triggers` generates the SQL from the column marks, `record` adds what no table shows (a
login, an export, a reveal) and `history` reads it back for those who may read the record. What is written also stands
in the `queue`; the `relay` takes it from there into the `chain` and publishes it. `partitions` keeps the months,
`erasure` takes personal values out, and `verify` (`commands`: `atrium audit`) proves what is left.
"""
