"""How often somebody may ask: counted exactly where a single attempt matters, leased where a million requests do."""

from atrium.core.limits.attempts import Limits, exact, limits_of

__all__ = ("Limits", "exact", "limits_of")
