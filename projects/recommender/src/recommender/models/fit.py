"""How every model is fitted, from popularity to what is served, and the step from a chosen model to a predictor.

The baselines are fitted on all films and read a history as a set: every film of it counts alike. Only the two models
that can be served weigh a history by recency and stars, and leave out films that few people rated.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portfolio_shared.results import Candidate
from recommender.config import EaseSettings, ModelSettings
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.shaping import LARGEST_EIGENPROBLEM
from recommender.data.splits import Split
from recommender.models.als import fit_als
from recommender.models.calibrate import fit_chance
from recommender.models.ease import Directions, decompose, fit_ease
from recommender.models.features import features_of
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.neighbors import fit_item_neighbors, fit_user_neighbors
from recommender.models.popularity import fit_popularity
from recommender.models.predictor import Predictor

POPULARITY, USERS, ITEMS, ALS, EASE = "popularity", "user neighbors", "item neighbors", "ALS", "EASE"
FULL, ALS_RECENT = "EASE with item features, recency-weighted", "ALS, recency-weighted"
SERVABLE = (FULL, ALS_RECENT)
"""Models that can be served: they explain themselves, and their bundle holds no row of any user."""

UNWEIGHTED = HistoryWeights()


class Scorer(Protocol):
    """Any of the models: a score for every film, given the films of a history and their weights."""

    def scores(self, items: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one score per film, higher is better."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted on X, shape (n_users, n_items), and how it reads a history."""

    fit: Callable[[sp.csr_array], Scorer]
    weigh: HistoryWeights


def fit(
    split: Split, settings: ModelSettings, chosen: Candidate[Scorer], *, seed: int = 0, threads: int = 1
) -> Predictor:
    """Fit the chosen candidate on everything but the test, films counted in the same ratings.

    The chances of its recommendations are fitted on the validation part, with the candidate that did not see it.

    Raises
    ------
    TypeError
        If the candidate cannot be served.
    """
    catalogue = split.catalogue.counted(split.before_test.item_counts())
    recipe = recipes(settings, split.before_test, catalogue, seed=seed, threads=threads)[chosen.name]
    with threadpool_limits(limits=1):
        model = recipe.fit(split.before_test.matrix())
        if not isinstance(model, ItemFactors | FoldIn) or not isinstance(chosen.model, ItemFactors | FoldIn):
            raise TypeError(f"{chosen.name} cannot be served; expected one of {', '.join(SERVABLE)}")
        chance = fit_chance(chosen.model, recipe.weigh, split.train, split.validation, seed=seed)
    return Predictor(catalogue, model, recipe.weigh, chance)


def refit(predictor: Predictor, recipe: Recipe, ratings: Ratings) -> Predictor:
    """Return the predictor with a model of other ratings; films, weights of histories and chances stay as they are.

    Raises
    ------
    TypeError
        If the model cannot be served.
    """
    with threadpool_limits(limits=1):
        model = recipe.fit(ratings.matrix())
    if not isinstance(model, ItemFactors | FoldIn):
        raise TypeError(f"a {type(model).__name__} cannot be served")
    return replace(predictor, model=model)


def recipes(
    settings: ModelSettings, ratings: Ratings, catalogue: Catalogue, *, seed: int = 0, threads: int = 1
) -> dict[str, Recipe]:
    """Return the models that data of this size admit, by name; `too_large` says which are missing.

    Exact EASE is left out where the smaller side of the matrix is above `LARGEST_EIGENPROBLEM`, and the served form
    of it, which a randomized method fits, above `settings.most_ratings`: from there on the choice falls to ALS.
    """
    baselines, recent = settings.baselines, HistoryWeights(**settings.history.model_dump())

    def als(X: sp.csr_array, *, min_raters: int = 1) -> FoldIn:
        return fit_als(X, **settings.als.model_dump(), min_raters=min_raters, seed=seed, threads=threads)

    every = {
        POPULARITY: Recipe(fit_popularity, UNWEIGHTED),
        USERS: Recipe(lambda X: fit_user_neighbors(X, n_neighbors=baselines.user_neighbors), UNWEIGHTED),
        ITEMS: Recipe(lambda X: fit_item_neighbors(X, n_neighbors=baselines.item_neighbors), UNWEIGHTED),
        ALS: Recipe(als, UNWEIGHTED),
        ALS_RECENT: Recipe(lambda X: als(X, min_raters=settings.ease.min_raters), recent),
        EASE: Recipe(lambda X: fit_ease(X, penalty=baselines.ease_penalty), UNWEIGHTED),
        FULL: Recipe(lambda X: fit_full(X, catalogue, settings.ease, seed=seed), recent),
    }
    return {name: recipe for name, recipe in every.items() if name not in too_large(settings, ratings)}


def too_large(settings: ModelSettings, ratings: Ratings) -> dict[str, str]:
    """Return the models that are not fitted on data of this size, each with the reason."""
    smaller, reasons = min(ratings.n_users, ratings.n_items), {}
    if smaller > LARGEST_EIGENPROBLEM:
        reasons[EASE] = f"the smaller side has {smaller:,} rows, and exact EASE ends at {LARGEST_EIGENPROBLEM:,}"
    if len(ratings) > settings.most_ratings:
        reasons[FULL] = f"{len(ratings):,} ratings, and it ends at {settings.most_ratings:,}; ALS serves"
    return reasons


def fit_full(X: sp.csr_array, catalogue: Catalogue, settings: EaseSettings, *, seed: int = 0) -> ItemFactors:
    """Fit EASE with the films' genres and years, in factor form."""
    return decompose_full(X, catalogue, settings, seed=seed).at(penalty=settings.penalty, rank=settings.rank)


def decompose_full(X: sp.csr_array, catalogue: Catalogue, settings: EaseSettings, *, seed: int = 0) -> Directions:
    """Return what every penalty, and every rank up to that of the settings, has in common in `fit_full`."""
    return decompose(
        X,
        features=features_of(catalogue, settings),
        length_exponent=settings.length_exponent,
        min_raters=settings.min_raters,
        rank=settings.rank,
        seed=seed,
    )
