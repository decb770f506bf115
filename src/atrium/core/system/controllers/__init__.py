"""The doors of the system: health, documentation, the monitor of the queues."""
