"""Requests that are sent again: `Idempotency-Key` on a POST makes it happen once and answers alike each time.

A plain create keeps its answer in its own statement (`creation`): the record and the key are there together or not at
all. Every other verb goes through `middleware`, which claims the key, runs the verb and keeps what it answered. A
second use of the key is refused while the first one runs, answered from what was kept when it asks for the same, and
refused when it asks for something else. Failures are not kept: correct the request and use the key again.
"""
