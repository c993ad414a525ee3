"""A factor model that solves for each new user: what implicit ALS leaves, with NumPy alone.

Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets". With Y the films' factors, a
history has the factors ``x = A^-1 sum(c_i y_i)``, ``A = Yt Y + sum((c_i - 1) y_i y_it) + regularization I``, and a
film scores ``y_j @ x``: a sum over the films of the history (section 5 of the paper), so reasons are exact.

`recommender.models.item_factors` has the same face; `Predictor` takes either.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FoldIn:
    """Item factors and what solving for a user needs.

    Attributes
    ----------
    factors
        Float32, shape (n_items, n_factors): Y above.
    recommendable
        Bool, shape (n_items,): films that enough users rated; no other film is recommended.
    regularization
        Added to the diagonal of the normal equations.
    alpha
        Confidence in a rated film of weight 1, against 1 for any other film.
    """

    factors: Floats
    recommendable: NDArray[np.bool_]
    regularization: float
    alpha: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.factors).all():
            raise ValueError("factors must be finite")

    @cached_property
    def own(self) -> Floats:
        """Squared length of each row, shape (n_items,): 0 where nothing is known of a film."""
        return np.asarray(np.einsum("ir,ir->i", self.factors, self.factors))

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """``Yt Y + regularization I``, shape (n_factors, n_factors)."""
        Y = self.factors.astype(np.float64)
        return np.asarray(Y.T @ Y + self.regularization * np.eye(Y.shape[1]))

    @cached_property
    def scale(self) -> Floats:
        """What multiplies ``factors @ fold_in(...)`` to give a score, shape (n_items,); 0 for what is not served."""
        return self.recommendable.astype(np.float32)

    def fold_in(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Return the factors of the user with this history, shape (n_factors,): equation 4 of the paper."""
        A, wanted = self._equations(items, weights)
        return np.linalg.solve(A, wanted.sum(axis=0)).astype(np.float32)

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film, shape (n_items,): higher is better, ``-inf`` for films that are not recommendable."""
        scores = np.asarray(self.factors @ self.fold_in(items, weights))
        scores[~self.recommendable] = -np.inf
        return scores

    def contributions(self, items: NDArray[np.integer], weights: Floats, to: NDArray[np.integer]) -> Floats:
        """Split scores into what each film of the history adds; shape (len(to), len(items)), rows sum to the scores."""
        A, wanted = self._equations(items, weights)
        return np.asarray(self.factors[to] @ np.linalg.solve(A, wanted.T), dtype=np.float32)

    def _equations(
        self, items: NDArray[np.integer], weights: Floats
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return A, and what each film of the history adds to the right-hand side, shape (len(items), n_factors)."""
        rated = self.factors[items].astype(np.float64)
        confidence = self.alpha * weights.astype(np.float64)
        # Confidence c in a preference of 1 for rated films; confidence 1 in a preference of 0 for all others.
        A = self.gram + rated.T @ (rated * (confidence - 1.0)[:, None])
        return A, rated * confidence[:, None]
