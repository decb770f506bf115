"""Exact decimals: the one rule for what a number from outside must be, and rounding by name."""

from decimal import ROUND_HALF_UP, Decimal


def misfit(value: Decimal, precision: int, scale: int) -> str | None:
    """Why the value does not fit NUMERIC(precision, scale) exactly, or None.

    PostgreSQL would store NaN, refuse 1e400 without naming a column, and round 1.00005 silently; so bodies,
    queries, imports and jobs all ask here first.
    """
    if not value.is_finite():
        return "must be a finite number"
    if not value:
        return None
    digits = value.as_tuple().digits
    used = len(digits)
    while digits[used - 1] == 0:  # normalize() would round to the context's precision first
        used -= 1
    if used - 1 - value.adjusted() > scale:
        return f"has more than {scale} decimal places"
    if value.adjusted() >= precision - scale:
        return f"has more than {precision - scale} digits before the decimal point"
    return None


def half_up(value: Decimal, places: int = 0) -> Decimal:
    """Round half away from zero to `places` decimal places, the rounding of every posted amount and score."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
