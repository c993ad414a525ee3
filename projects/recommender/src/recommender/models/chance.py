"""How sure a recommendation is: the chance that somebody with such a history watches the film among their next ten.

A logistic regression on the logarithms of four numbers: the score, how many films the history has, what they weigh
together, and how many films are watched next. `recommender.models.calibrate` fits it; here is what serving needs.

The chance is of people who have not seen the film. It rises with the score, so it changes no order, and it does not
depend on how many films are asked for, filtered, or chosen for variety. Films beyond the first `LISTED` of a list
without filters have none: it was not fitted there.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEXT = 10  # films
LISTED = 50  # films of each list, unfiltered, that it is fitted on and stated for
LEAST_SCORE = 1e-3  # lower ones, negative among them, count as this

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """Two logistic regressions.

    Attributes
    ----------
    history
        Intercept, and slopes of the logarithms of score, films in the history, their weight, and films watched next.
    popularity
        Of popular films, where nothing is known of a history: intercept, and slopes of the logarithms of the number
        of ratings, as a share of the most rated film's, and of films watched next.
    """

    history: tuple[float, ...]
    popularity: tuple[float, ...]

    def of_history(self, scores: NDArray[np.floating], weights: NDArray[np.floating], *, n_next: int = NEXT) -> Floats:
        """Return the chance of each score, shape (n,), for a history whose films have these weights."""
        intercept, slope, *others = self.history
        rest = intercept + float(np.dot(others, _known(weights, n_next)))
        return logistic(rest + slope * np.log(np.maximum(scores, LEAST_SCORE)))

    def of_popularity(self, n_ratings: NDArray[np.floating], most: float, *, n_next: int = NEXT) -> Floats:
        """Return the chance of films with so many ratings, shape (n,); the most rated film has `most`."""
        return logistic(popularity_features(n_ratings, most, n_next) @ np.array(self.popularity))


def _known(weights: NDArray[np.floating], n_next: int) -> list[float]:
    return [math.log(len(weights)), math.log(weights.sum()), math.log(n_next)]


def history_features(scores: NDArray[np.floating], weights: NDArray[np.floating], n_next: int) -> Floats:
    """Return what `Chance.history` multiplies, shape (n, 5), for the scores of one history."""
    logarithms = np.log(np.maximum(scores, LEAST_SCORE))
    return np.column_stack([np.ones(len(scores)), logarithms, np.tile(_known(weights, n_next), (len(scores), 1))])


def popularity_features(n_ratings: NDArray[np.floating], most: float, n_next: int) -> Floats:
    """Return what `Chance.popularity` multiplies, shape (n, 3)."""
    shares = np.maximum(n_ratings, 1) / most
    return np.column_stack([np.ones(len(shares)), np.log(shares), np.full(len(shares), np.log(n_next))])


def logistic(z: Floats) -> Floats:
    """Return the probabilities of log odds, of the same shape."""
    return np.asarray(1 / (1 + np.exp(-z)))
