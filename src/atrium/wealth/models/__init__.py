"""The tables of schema `wealth`, by subject.

Columns that name a table of a later capability (accounts, portfolios, securities, leads, meetings, campaigns …) are
plain `uuid` columns of the server without a foreign key, so that the CHECKs over them hold already.
"""
