"""Whether the chances of recommendations are true: on the test, beside a chance that knows nothing but the place.

The event is that of `recommender.models.chance`: the film is among the first ten of the hidden films of a person, or
among all of them where there are fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval, wilson_interval
from recommender.data.ratings import Ratings
from recommender.data.splits import Split
from recommender.evaluation.task import Floats, Ints
from recommender.models.calibrate import Listed, cut_lengths, lists_of_histories, lists_of_popular_films
from recommender.models.chance import logistic
from recommender.models.fit import Scorer
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.predictor import Predictor

BINS = 10
HISTORY, LAST, NOTHING = "the whole history", "its last films, one to all", "nothing: popular films"


@dataclass(frozen=True)
class Reliability:
    """What the test says of the chances of the first k films of each list.

    Attributes
    ----------
    histories
        What is known of a person.
    users
        Number of people.
    chance, watched
        Means over the recommendations: what was stated, and what happened.
    error
        Expected calibration error: the mean gap between the two over ten groups of equally many recommendations.
    error_by_place
        The same of the share that was watched at each place of the lists on the validation part.
    skill
        How much lower the mean squared error (Brier 1950) is than that of these shares, from 0 to 1; below 0 higher.
    bins
        Mean chance and share watched of each group, and the ends of that share's interval, the least sure first.
    """

    histories: str
    users: int
    chance: float
    watched: float
    error: Interval
    error_by_place: float
    skill: Interval
    bins: tuple[tuple[float, float, float, float], ...]


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_reliability(
    predictor: Predictor, fitted: Scorer, split: Split, users: Ints, *, k: int = 10, seed: int = 0
) -> list[Reliability]:
    """Measure the predictor's chances for these users of the test, by what is known of them.

    `fitted` is the model that learned from the training part alone, as when the chances were fitted.

    Raises
    ------
    ValueError
        If the predictor has no chances.
    """
    if predictor.chance is None or not isinstance(fitted, ItemFactors | FoldIn):
        raise ValueError("the model has no chances: too few recommended films were watched on the validation part")
    slopes = {HISTORY: predictor.chance.history, LAST: predictor.chance.history, NOTHING: predictor.chance.popularity}
    weigh, validated = predictor.weigh, np.intersect1d(users, split.validation.users)
    tested = every_kind(predictor.model, weigh, split.before_test, split.test, users=users, k=k, seed=seed)
    before = every_kind(fitted, weigh, split.train, split.validation, users=validated, k=k, seed=seed)
    return [_reliability(kind, tested[kind], np.array(slopes[kind]), before[kind], seed) for kind in tested]


def every_kind(
    model: ItemFactors | FoldIn,
    weigh: HistoryWeights,
    before: Ratings,
    hidden: Ratings,
    *,
    users: Ints,
    k: int,
    seed: int,
) -> dict[str, list[Listed]]:
    """Return lists of k films for each user, by what is known of them; users with shorter lists are left out."""
    whole, cut = before.user_counts()[users], cut_lengths(before, users, np.random.default_rng(seed))
    lists = {
        HISTORY: lists_of_histories(model, weigh, before, hidden, users=users, lengths=whole, k=k),
        LAST: lists_of_histories(model, weigh, before, hidden, users=users, lengths=cut, k=k),
        NOTHING: lists_of_popular_films(model, before, hidden, users=users, k=k),
    }
    return {kind: [each for each in of_kind if len(each.hits) == k] for kind, of_kind in lists.items()}


def calibration_error(chance: Floats, hits: Floats) -> float:
    """Return the mean gap between chance and share watched over `BINS` groups of equally many; lower is better.

    Examples
    --------
    >>> calibration_error(np.array([[0.1, 0.3]] * 10), np.array([[0.0, 1.0], [0.0, 0.0]] * 5))
    0.15
    """
    mean, watched, share = _groups(chance, hits)
    return float(np.round(np.sum(share * np.abs(mean - watched)), 12))


def _reliability(
    name: str, lists: Sequence[Listed], slopes: Floats, before: Sequence[Listed], seed: int
) -> Reliability:
    hits = np.array([each.hits for each in lists], dtype=np.float64)  # (n_users, k)
    chance = logistic(np.array([each.features @ slopes for each in lists]))
    by_place = np.broadcast_to(np.mean([each.hits for each in before], axis=0), hits.shape)
    return Reliability(
        histories=name,
        users=len(lists),
        chance=float(chance.mean()),
        watched=float(hits.mean()),
        error=bootstrap_interval(calibration_error, chance, hits, seed=seed),
        error_by_place=calibration_error(by_place, hits),
        skill=bootstrap_interval(_skill, chance, by_place, hits, seed=seed),
        bins=_bins(chance, hits),
    )


def _groups(chance: Floats, hits: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean chance, share watched and share of the recommendations of each group, shape (BINS,) each."""
    order = np.argsort(chance, axis=None, kind="stable")
    rows = np.array_split(order, BINS)
    mean, watched = (np.array([values.ravel()[group].mean() for group in rows]) for values in (chance, hits))
    return mean, watched, np.array([len(group) for group in rows]) / chance.size


def _bins(chance: Floats, hits: Floats) -> tuple[tuple[float, float, float, float], ...]:
    mean, watched, share = _groups(chance, hits)
    ends = wilson_interval(watched, share * chance.size)
    return tuple(zip(*(values.tolist() for values in (mean, watched, *ends)), strict=True))


def _skill(chance: Floats, by_place: Floats, hits: Floats) -> float:
    return float(1 - np.mean((chance - hits) ** 2) / np.mean((by_place - hits) ** 2))
