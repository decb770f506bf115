"""Statements that PostgreSQL renders: built once per shape, run as they are, answered as bytes.

`compiled` turns SQLAlchemy Core into a prepared statement with named parameters; `reads` and `writes` build the page,
the
record and the one-statement create, update and delete of one table under one policy kind.
"""
