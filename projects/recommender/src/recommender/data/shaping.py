"""Which films shape the served model, and how much each person counts: of ratings in memory and of stored ones alike.

NumPy alone: the job that sums Gram matrices on Spark has no more.
"""

import numpy as np
from numpy.typing import NDArray

LARGEST_EIGENPROBLEM = 5_000  # rows of the smaller side: about a minute on one core, and 200 MB

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def shaping_films(raters: Ints, *, min_raters: int, most: int = LARGEST_EIGENPROBLEM) -> Ints:
    """Return the positions of films that enough people rated, in ascending order; of too many, the most rated.

    Parameters
    ----------
    raters
        Shape (n_films,): how many people rated each film. Of films with as many the first are taken.

    Examples
    --------
    >>> shaping_films(np.array([9, 1, 5, 7, 5]), min_raters=2, most=3)
    array([0, 2, 3])
    """
    enough = np.flatnonzero(raters >= min_raters)
    return np.sort(enough[np.argsort(-raters[enough], kind="stable")[:most]])


def emphasis(lengths: NDArray[np.integer] | Floats, exponent: float) -> Floats:
    """Return how much each person counts, shape (n_users,), by how many films they rated.

    Examples
    --------
    >>> emphasis(np.array([1, 4, 4]), 0.5).round(3)
    array([1.732, 0.866, 0.866])
    """
    counted = np.maximum(lengths, 1)
    return np.asarray((counted / counted.mean()) ** -exponent)
