"""What orders and scans do: load, let a rule decide, store."""
