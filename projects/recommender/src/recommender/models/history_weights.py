"""What somebody has seen, as the models read it: how much each film of a history says about the next one."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HistoryWeights:
    """How a history is weighed.

    A film that lies b films back from the newest one weighs ``0.5 ** (b / half_life)``. The half-life is a share
    of the history, so that it means the same for short and long ones, and never less than a few films.

    Attributes
    ----------
    half_life_share
        Half-life as a share of the length of the history; 0 weighs all films alike, whatever their order.
    half_life_films
        Least half-life, in films.
    rating_slope
        How much a star above or below `rating_middle` adds to the weight; 0 ignores ratings.
    rating_middle
        Stars that a film without a rating is taken to have, and that count as weight 1.
    """

    half_life_share: float = 0.0
    half_life_films: float = 5.0
    rating_slope: float = 0.0
    rating_middle: float = 3.5

    def __call__(self, stars: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the weight of each film, from the oldest to the newest; stars, shape (n,), are nan without a rating.

        Examples
        --------
        >>> HistoryWeights(half_life_share=0.5, half_life_films=1)(np.array([4.0, 4.0, np.nan, 2.0])).tolist()
        [0.3535533845424652, 0.5, 0.7071067690849304, 1.0]
        >>> HistoryWeights(rating_slope=0.2)(np.array([5.0, np.nan, 1.0])).round(2).tolist()
        [1.2999999523162842, 1.0, 0.5]
        """
        n = len(stars)
        weights = np.where(np.isnan(stars), 1.0, 1.0 + self.rating_slope * (stars - self.rating_middle))
        if self.half_life_share > 0:
            half_life = max(self.half_life_share * n, self.half_life_films)
            weights = weights * _fading(n, half_life)
        return weights.astype(np.float32)


@lru_cache(maxsize=1_000)
def _fading(n: int, half_life: float) -> NDArray[np.float64]:
    """Weights of n films from the oldest to the newest, shape (n,): the same for all histories of one length."""
    weights: NDArray[np.float64] = 0.5 ** (np.arange(n - 1, -1, -1) / half_life)
    weights.flags.writeable = False
    return weights
