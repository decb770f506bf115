"""A resource is a table plus a policy; everything a client can do with it follows.

`resource` declares and runs it, `lists` keeps what its lists are asked for, `schemas` derives what comes in and goes
out, `second_look` says why a write touched nothing, `routes` opens it over HTTP and `openapi` describes it.
"""
