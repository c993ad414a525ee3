"""Implicit matrix factorisation by alternating least squares, with the `implicit` library.

Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets". A user who was not there in
training is folded in exactly: their factors solve the same equation as those of everybody else.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Als:
    """Item factors and what solving for a user needs.

    Attributes
    ----------
    item_factors
        Float32, shape (n_items, n_factors).
    regularization
        Added to the diagonal of the normal equations.
    alpha
        Confidence in a rated film, against 1 for any other film.
    """

    item_factors: Floats
    regularization: float
    alpha: float

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """``Yt Y + regularization I``, shape (n_factors, n_factors)."""
        Y = self.item_factors.astype(np.float64)
        return np.asarray(Y.T @ Y + self.regularization * np.eye(Y.shape[1]))

    def fold_in(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Return the factors of the user with this history, shape (n_factors,): equation 4 of the paper."""
        rated = self.item_factors[items].astype(np.float64)
        confidence = self.alpha * weights.astype(np.float64)
        # Confidence c in a preference of 1 for rated films; confidence 1 in a preference of 0 for all others.
        A = self.gram + rated.T @ (rated * (confidence - 1.0)[:, None])
        return np.linalg.solve(A, confidence @ rated).astype(np.float32)

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film, shape (n_items,)."""
        return np.asarray(self.item_factors @ self.fold_in(items, weights))


def fit_als(
    X: sp.csr_array,
    *,
    n_factors: int,
    regularization: float,
    alpha: float,
    iterations: int = 15,
    seed: int = 0,
    threads: int = 1,
) -> Als:
    """Factorise X, shape (n_users, n_items): 1 where a user rated a film.

    One thread makes equal seeds give equal factors; more are faster on large data.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # the library runs its own threads, and warns of others
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            random_state=seed,
            num_threads=threads,
            use_cg=True,  # ten times faster than solving exactly, and as good; folding in is exact either way
        )
        model.fit(sp.csr_matrix(X, dtype=np.float32), show_progress=False)
    return Als(np.asarray(model.item_factors, dtype=np.float32), regularization, alpha)
