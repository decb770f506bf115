"""Exact decimals: the one rule for what a number from outside must be, and rounding by name."""

from decimal import ROUND_HALF_UP, Decimal


def misfit(value: Decimal, precision: int, scale: int) -> str | None:
    """Why the value does not fit NUMERIC(precision, scale) exactly, or None.

    PostgreSQL would store NaN, refuse 1e400 without naming a column, and round 1.00005 silently; so bodies,
    queries, imports and jobs all ask here first.
    """
    if not value.is_finite():
        return "must be a finite number"
    _, digits, exponent = value.normalize().as_tuple()
    places = max(0, -int(exponent))
    if places > scale:
        return f"has more than {scale} decimal places"
    if len(digits) + int(exponent) > precision - scale:
        return f"has more than {precision - scale} digits before the decimal point"
    return None


def half_up(value: Decimal, places: int = 0) -> Decimal:
    """Round half away from zero to `places` decimal places, the rounding of every posted amount and score."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
