"""How sure a recommendation is: the chance that somebody with such a history watches the film among their next ten.

Logistic regression (Platt 1999 made probabilities of a classifier's scores that way) of whether a film that was
recommended is among the next films of a person of the validation part, on the logarithms of four numbers: its score,
how many films the history has, what they weigh together, and how many films were watched next, ten or fewer. What is
known of short histories comes from long ones: everybody comes twice, with the whole history and with its last films.

The chance is of people who have not seen the film. It rises with the score, so it changes no order, and it does not
depend on how many films are asked for, filtered, or chosen for variety.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.data.ratings import Ratings
from recommender.data.splits import evaluated_users
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.top_k import best

NEXT = 10  # films
LISTED = 50  # films of each list that the fit looks at
MOST_PEOPLE = 2_000  # drawn of more
LEAST_HITS = 30  # below it, or where a higher score means no higher chance, there is nothing to fit
LEAST_SCORE = 1e-3  # lower ones, negative among them, count as this
RIDGE, STEPS = 1.0, 50

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        return _logistic(_of_history(scores, weights, n_next) @ np.array(self.history))

    def of_popularity(self, n_ratings: NDArray[np.floating], most: float, *, n_next: int = NEXT) -> Floats:
        """Return the chance of films with so many ratings, shape (n,); the most rated film has `most`."""
        return _logistic(_of_popularity(n_ratings, most, n_next) @ np.array(self.popularity))


@dataclass(frozen=True)
class Listed:
    """What was recommended to one person: features, shape (n, n_features), best first, and what they watched of it."""

    features: Floats
    hits: NDArray[np.bool_]


def fit_chance(
    model: ItemFactors | FoldIn, weigh: HistoryWeights, before: Ratings, hidden: Ratings, *, seed: int = 0
) -> Chance | None:
    """Fit the chance on what people watched after the histories that the model was fitted on.

    Returns
    -------
    Chance or None
        None where fewer than `LEAST_HITS` recommended films were watched, or a higher score means no higher chance.
    """
    rng = np.random.default_rng(seed)
    users = rng.permutation(evaluated_users(before, hidden))[:MOST_PEOPLE]
    every: dict[str, Any] = {"users": users, "k": LISTED}
    lists = [
        *lists_of_histories(model, weigh, before, hidden, lengths=before.user_counts()[users], **every),
        *lists_of_histories(model, weigh, before, hidden, lengths=cut_lengths(before, users, rng), **every),
    ]
    history = _fit(lists)
    popularity = _fit(lists_of_popular_films(model, before, hidden, **every))
    return None if history is None or popularity is None else Chance(history, popularity)


def cut_lengths(before: Ratings, users: Ints, rng: np.random.Generator) -> Ints:
    """Draw for each user how many of their last films are known, from one to all, short histories as often as long."""
    counts = before.user_counts()[users]
    return np.minimum(np.exp(rng.uniform(0, np.log(counts + 1))).astype(np.int64), counts)


def lists_of_histories(
    model: ItemFactors | FoldIn,
    weigh: HistoryWeights,
    before: Ratings,
    hidden: Ratings,
    *,
    users: Ints,
    lengths: Ints,
    k: int,
) -> list[Listed]:
    """Recommend k films for the last films of each user's history; none that they rated before."""
    histories, lists = before.offsets(), []
    for user, length, watched in zip(users, lengths, _watched(hidden, users), strict=True):
        last = slice(histories[user + 1] - length, histories[user + 1])
        weights = weigh(before.values[last])
        scores = model.scores(before.items[last], weights)
        scores[before.items[histories[user] : histories[user + 1]]] = -np.inf
        films = best(scores, k)
        lists.append(Listed(_of_history(scores[films], weights, len(watched)), np.isin(films, watched)))
    return lists


def lists_of_popular_films(
    model: ItemFactors | FoldIn, before: Ratings, hidden: Ratings, *, users: Ints, k: int
) -> list[Listed]:
    """Recommend to each user the k films that most people rated, none that they rated before."""
    counts, histories, lists = before.item_counts(), before.offsets(), []
    for user, watched in zip(users, _watched(hidden, users), strict=True):
        scores = np.where(model.recommendable, counts, -np.inf)
        scores[before.items[histories[user] : histories[user + 1]]] = -np.inf
        films = best(scores, k)
        features = _of_popularity(scores[films], float(counts.max()), len(watched))
        lists.append(Listed(features, np.isin(films, watched)))
    return lists


def _watched(hidden: Ratings, users: Ints) -> Iterator[NDArray[np.int32]]:
    starts = hidden.offsets()
    for user in users:
        yield hidden.items[starts[user] : starts[user + 1]][:NEXT]


def _of_history(scores: NDArray[np.floating], weights: NDArray[np.floating], n_next: int) -> Floats:
    known = [1.0, np.log(len(weights)), np.log(weights.sum()), np.log(n_next)]
    features = np.tile(known, (len(scores), 1))
    return np.insert(features, 1, np.log(np.maximum(scores, LEAST_SCORE)), axis=1)


def _of_popularity(n_ratings: NDArray[np.floating], most: float, n_next: int) -> Floats:
    shares = np.maximum(n_ratings, 1) / most
    return np.column_stack([np.ones(len(shares)), np.log(shares), np.full(len(shares), np.log(n_next))])


def _fit(lists: Sequence[Listed]) -> tuple[float, ...] | None:
    """Return intercept and slopes of the logistic regression, by Newton's method; all but the intercept shrink."""
    X, y = np.concatenate([each.features for each in lists]), np.concatenate([each.hits for each in lists])
    if y.sum() < LEAST_HITS:
        return None
    ridge = np.diag([0.0, *[RIDGE] * (X.shape[1] - 1)])
    slopes = np.zeros(X.shape[1])
    slopes[0] = np.log(y.mean() / (1 - y.mean()))
    for _ in range(STEPS):
        p = _logistic(X @ slopes)
        step = np.linalg.solve((X.T * (p * (1 - p))) @ X + ridge, X.T @ (y - p) - ridge @ slopes)
        slopes += step
        if np.abs(step).max() < 1e-9:
            break
    return tuple(slopes.tolist()) if slopes[1] > 0 else None


def _logistic(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))
