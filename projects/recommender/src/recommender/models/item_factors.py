"""A linear item-to-item model, stored as factors: scores, exact contributions and similar films with NumPy alone.

The model is a matrix B of the weights from every film of a history to every film, with an empty diagonal: a film
does not recommend itself. B comes from a low-rank matrix A of shape (n_items, rank)::

    B[i, j] = (A[i] @ A[j]) / (1 - A[j] @ A[j])  for i != j,  B[i, i] = 0

`recommender.models.ease` says where A comes from. B itself is never built: on 10,000 films it would take 400 MB.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ItemFactors:
    """The model.

    Attributes
    ----------
    factors
        Float32, shape (n_items, rank): A above. Rows of recommendable films are shorter than 1.
    recommendable
        Bool, shape (n_items,): films that enough users rated. The others are known by their features alone. They
        are never recommended, and in a history they are heard only if it has no other film: beside films with
        ratings they made recommendations worse.
    """

    factors: Floats
    recommendable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not (self.own[self.recommendable] < 1).all():  # false for NaN too
            raise ValueError("factors must be finite, and every row of a recommendable film shorter than 1")

    @cached_property
    def own(self) -> Floats:
        """Squared length of each row, shape (n_items,): what a film would contribute to itself."""
        return np.asarray(np.einsum("ir,ir->i", self.factors, self.factors))

    @cached_property
    def scale(self) -> Floats:
        """Divisor of the formula above as a multiplier, shape (n_items,); 0 for films that are not recommendable."""
        return np.asarray(np.divide(1.0, 1.0 - self.own, out=np.zeros_like(self.own), where=self.recommendable))

    def fold_in(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Return the taste of this history, shape (rank,): ``factors @ taste * scale`` scores all other films."""
        return np.asarray(self._heard(items, weights) @ self.factors[items])

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film for a history, shape (n_items,): ``weights @ B[items]``, higher is better.

        `items` holds each film of the history once, `weights` how much it counts, shape (n,) each. Films that are not
        recommendable have ``-inf``. Those of the history have a score too: leaving them out is the caller's part.
        """
        weights = self._heard(items, weights)
        taste = weights @ self.factors[items]  # (rank,)
        everywhere = np.zeros(len(self.factors), dtype=np.float32)
        everywhere[items] = weights
        live, factors, own, scale = self._live
        scores = np.full(len(self.factors), -np.inf, dtype=np.float32)
        # The second term takes back what each film of the history would have added to itself.
        scores[live] = (factors @ taste - everywhere[live] * own) * scale
        return scores

    def contributions(self, items: NDArray[np.integer], weights: Floats, to: NDArray[np.integer]) -> Floats:
        """Split the scores of recommendable films into what each film of the history adds.

        The shape is (len(to), len(items)), and rows sum to ``scores(items, weights)[to]``.
        """
        shares = (self.factors[to] @ self.factors[items].T) * self._heard(items, weights)
        shares[to[:, None] == items] = 0.0
        return np.asarray(shares * self.scale[to][:, None])

    def _heard(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Return the weights, with 0 for films that few rated unless there are only such films."""
        rated = self.recommendable[items]
        return weights * rated if np.count_nonzero(rated) else weights

    @cached_property
    def _live(self) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
        """The recommendable films with their factors, `own` and `scale`: on real data two films of three are not.

        The factors lie column by column: out of a cold cache, their product with a taste takes half the time.
        """
        live = np.flatnonzero(self.recommendable)
        return live, np.asfortranarray(self.factors[live]), self.own[live], self.scale[live]
