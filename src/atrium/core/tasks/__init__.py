"""Background tasks over HTTP: how far a queued job is, how it ended, and stopping it.

The record is `core.background_tasks` (core.jobs); this is only its door.
"""
