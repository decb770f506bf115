"""Atrium beside a bare ASGI server and a FastAPI server, doing the same job on the same PostgreSQL.

`uv run --group bench python -m tests.benchmarks` starts everything in a temporary folder and stops it again;
`--help` says what can be chosen. Compare ratios of one run: single rounds vary on shared cores, and so do machines.
"""
