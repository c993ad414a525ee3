"""The chances of recommendations, fitted on what people watched next.

Platt (1999) made probabilities of a classifier's scores by a logistic regression on data that the classifier had not
seen; here it is whether a film that was recommended is among the next films of a person of the validation part. What
is known of short histories comes from long ones: everybody comes twice, with the whole history and with its last films.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.data.ratings import Ratings
from recommender.data.splits import evaluated_users
from recommender.models.chance import LISTED, NEXT, Chance, Floats, history_features, logistic, popularity_features
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.top_k import best

MOST_PEOPLE = 2_000  # drawn of more
LEAST_HITS = 30  # below it, or where a higher score means no higher chance, there is nothing to fit
RIDGE, STEPS = 1.0, 50

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Listed:
    """What was recommended to one person: features, shape (n, n_features), best first, and what they watched of it."""

    features: Floats
    hits: NDArray[np.bool_]


def fit_chance(
    model: ItemFactors | FoldIn,
    weigh: HistoryWeights,
    before: Ratings,
    hidden: Ratings,
    *,
    raters: Ints | None = None,
    seed: int = 0,
) -> Chance | None:
    """Fit the chance on what people watched after the histories that the model was fitted on.

    Parameters
    ----------
    raters
        Shape (n_items,): how many people rated each film before; None: those of `before`, if they are everybody.

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
    popularity = _fit(lists_of_popular_films(model, before, hidden, raters=raters, **every))
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
        lists.append(Listed(history_features(scores[films], weights, len(watched)), np.isin(films, watched)))
    return lists


def lists_of_popular_films(
    model: ItemFactors | FoldIn,
    before: Ratings,
    hidden: Ratings,
    *,
    users: Ints,
    k: int,
    raters: Ints | None = None,
) -> list[Listed]:
    """Recommend to each user the k films that most people rated, none that they rated before."""
    counts, histories, lists = before.item_counts() if raters is None else raters, before.offsets(), []
    for user, watched in zip(users, _watched(hidden, users), strict=True):
        scores = np.where(model.recommendable, counts, -np.inf)
        scores[before.items[histories[user] : histories[user + 1]]] = -np.inf
        films = best(scores, k)
        features = popularity_features(scores[films], float(counts.max()), len(watched))
        lists.append(Listed(features, np.isin(films, watched)))
    return lists


def _watched(hidden: Ratings, users: Ints) -> Iterator[NDArray[np.int32]]:
    starts = hidden.offsets()
    for user in users:
        yield hidden.items[starts[user] : starts[user + 1]][:NEXT]


def _fit(lists: Sequence[Listed]) -> tuple[float, ...] | None:
    """Return intercept and slopes of the logistic regression, by Newton's method; all but the intercept shrink."""
    X, y = np.concatenate([each.features for each in lists]), np.concatenate([each.hits for each in lists])
    if y.sum() < LEAST_HITS:
        return None
    ridge = np.diag([0.0, *[RIDGE] * (X.shape[1] - 1)])
    slopes = np.zeros(X.shape[1])
    slopes[0] = np.log(y.mean() / (1 - y.mean()))
    for _ in range(STEPS):
        p = logistic(X @ slopes)
        step = np.linalg.solve((X.T * (p * (1 - p))) @ X + ridge, X.T @ (y - p) - ridge @ slopes)
        slopes += step
        if np.abs(step).max() < 1e-9:
            break
    return tuple(slopes.tolist()) if slopes[1] > 0 else None
