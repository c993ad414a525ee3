"""What the metrics check alike: vectors of one length with finite numbers."""

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
