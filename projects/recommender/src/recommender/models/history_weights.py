"""What somebody has seen, as the models read it: how much each film of a history says about the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

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

    def __call__(self, stars: NDArray[np.floating], lengths: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Return the weight of each film, from the oldest to the newest; stars, shape (n,), are nan without a rating.

        Several histories may lie one after the other: then `lengths` says how many films each has.

        Examples
        --------
        >>> HistoryWeights(half_life_share=0.5, half_life_films=1)(np.array([4.0, 4.0, np.nan, 2.0])).tolist()
        [0.3535533845424652, 0.5, 0.7071067690849304, 1.0]
        >>> HistoryWeights(rating_slope=0.2)(np.array([5.0, np.nan, 1.0])).round(2).tolist()
        [1.2999999523162842, 1.0, 0.5]
        """
        weights = np.where(np.isnan(stars), 1.0, 1.0 + self.rating_slope * (stars - self.rating_middle))
        if self.half_life_share > 0:
            each = [len(stars)] if lengths is None else lengths
            half_lives = [max(self.half_life_share * n, self.half_life_films) for n in each]
            weights *= np.concatenate([_fading(n, half_life) for n, half_life in zip(each, half_lives, strict=True)])
        return weights.astype(np.float32)


@dataclass(frozen=True, slots=True)
class History:
    """A history in numbers.

    Attributes
    ----------
    items, weights
        Int64 and float32, shape (n,): positions of its films in the catalogue, each once, and how much each counts.
    unknown
        Ids of its films that are in no catalogue, in their order.
    """

    items: NDArray[np.int64]
    weights: NDArray[np.float32]
    unknown: tuple[int, ...]


def read_histories(
    watched: Sequence[Mapping[int, float | None]], position: Mapping[int, int], weigh: HistoryWeights
) -> list[History]:
    """Read histories, each given as the stars (or None) of films by their ids, in order.

    `position` is that of a film by its id. All are read in one go: per history, NumPy would take longer to start than
    to compute.
    """
    stars = np.array([value for films in watched for value in films.values()], dtype=np.float64)  # nan for None
    items = np.array([position.get(film, -1) for films in watched for film in films], dtype=np.int64)
    lengths = list(map(len, watched))
    unknown: list[tuple[int, ...]] = [()] * len(watched)
    if not (known := items >= 0).all():
        unknown = [tuple(film for film in films if film not in position) for films in watched]
        lengths = [length - len(absent) for length, absent in zip(lengths, unknown, strict=True)]
        items, stars = items[known], stars[known]
    weights, ends = weigh(stars, lengths), list(accumulate(lengths, initial=0))
    spans = map(slice, ends, ends[1:])
    return [History(items[span], weights[span], absent) for span, absent in zip(spans, unknown, strict=True)]


@lru_cache(maxsize=1_000)
def _fading(n: int, half_life: float) -> NDArray[np.float64]:
    """Weights of n films from the oldest to the newest, shape (n,): the same for all histories of one length."""
    weights: NDArray[np.float64] = 0.5 ** (np.arange(n - 1, -1, -1) / half_life)
    weights.flags.writeable = False
    return weights
