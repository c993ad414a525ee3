"""Shares between 0 and 1 as exact fractions."""

from fractions import Fraction


def exact_share(value: float, name: str) -> Fraction:
    """Return the decimal that `value` was written as, exactly.

    Raises
    ------
    ValueError
        If it does not lie between 0 and 1; the message calls it `name`.

    Examples
    --------
    >>> 100 * exact_share(0.07, "coverage")
    Fraction(7, 1)
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value}")
    # Exact arithmetic: 100 * 0.07 is 7.000000000000001 in floats, and its ceiling would be one rank too high.
    return Fraction(str(float(value)))
