"""What the metrics check alike: vectors of one length with finite numbers, and shares between 0 and 1."""

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_vectors(**named: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return the named values as 1-D arrays of float64, in the order given.

    Raises
    ------
    ValueError
        If they are empty, of different lengths, not 1-D or not finite; the message names the first that is wrong.
    """
    vectors = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    shapes = {name: vector.shape for name, vector in vectors.items()}
    if any(vector.ndim != 1 for vector in vectors.values()) or len(set(shapes.values())) > 1:
        raise ValueError(f"expected 1-D arrays of one length, not shapes {shapes}")
    for name, vector in vectors.items():
        if len(vector) == 0:
            raise ValueError(f"{name} is empty")
        if not np.isfinite(vector).all():
            wrong = int((~np.isfinite(vector)).sum())
            raise ValueError(f"{name} has {wrong} values of {len(vector)} that are not finite")
    return tuple(vectors.values())


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
