"""Statements that PostgreSQL renders: built once per shape, run as they are, answered as bytes.

`compiled` turns SQLAlchemy Core into a prepared statement with named parameters; `seen` is one table under one policy
kind with what its relations lead to; `reads`, `includes` and `aggregates` build pages, records, what is inside them and
figures, `writes` the one-statement create, update and delete, `many` the same for batches, `restores` what was deleted;
`limited` runs what may be dear, `retries` again what PostgreSQL undid.
"""
