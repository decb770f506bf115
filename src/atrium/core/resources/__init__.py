"""A resource is a table plus a policy; everything a client can do with it follows.

`resource` declares and runs it, `schemas` derives what comes in and goes out, `failures` says what the database
refused,
`routes` opens it over HTTP and `openapi` describes it.
"""
