"""What is tried, from popularity to the served model, and the comparison on the validation part.

The peers are fitted on all films and read a history as a set: every film of it counts alike. Only the two candidates
that can be served know that tastes move and that stars say something, and leave out films that few people rated.
"""

import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from recommender.config import EaseSettings, HistorySettings, ModelSettings
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.evaluation.evaluate import LONGEST, Evaluation, Scorer, Task, evaluate, lists_for
from recommender.models.als import fit_als
from recommender.models.ease import LARGEST_EIGENPROBLEM, fit_ease
from recommender.models.features import film_features
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.neighbours import fit_item_neighbours, fit_user_neighbours
from recommender.models.popularity import fit_popularity
from recommender.models.predictor import Predictor

POPULARITY, USERS, ITEMS, ALS, EASE = "popularity", "user neighbours", "item neighbours", "ALS", "EASE"
FULL, ALS_FADING = "EASE, films known, history fades", "ALS, history fades"
SERVABLE = (FULL, ALS_FADING)
"""Candidates that can be served: they explain themselves, and their bundle holds no row of any user."""

UNWEIGHTED = HistoryWeights()
LATENCY_FILMS, LATENCY_REPEATS = 50, 100

Fitted = tuple[Scorer, float, float]
"""A model, the processor's seconds that its fit took, and the megabytes that arrays took on top of those before."""


@dataclass(frozen=True)
class Recipe:
    """How a candidate is fitted on X, shape (n_users, n_items), and how it reads a history."""

    fit: Callable[[sp.csr_array], Scorer]
    weigh: HistoryWeights


@dataclass(frozen=True)
class Candidate:
    """One candidate after fitting and measuring.

    Attributes
    ----------
    fit_seconds
        Seconds of the processor that the fit took, of all its threads: other work on busy cores does not count.
    fit_megabytes
        Largest memory that arrays took during the fit, beyond what was there before.
    model_megabytes
        Arrays of the fitted model.
    score_milliseconds
        Median over repeats of scoring all films for one history of 50 films.
    """

    name: str
    model: Scorer
    evaluation: Evaluation
    fit_seconds: float
    fit_megabytes: float
    model_megabytes: float
    score_milliseconds: float

    @property
    def summary(self) -> dict[str, float]:
        """What is logged: mean metrics over users, and what the model costs."""
        return {
            **{name: interval.estimate for name, interval in self.evaluation.metrics.items()},
            "coverage": self.evaluation.coverage,
            "fit_seconds": self.fit_seconds,
            "fit_megabytes": self.fit_megabytes,
            "model_megabytes": self.model_megabytes,
            "score_milliseconds": self.score_milliseconds,
        }


def recipes(
    settings: ModelSettings, ratings: Ratings, catalogue: Catalogue, *, seed: int = 0, threads: int = 1
) -> dict[str, Recipe]:
    """Return the candidates that data of this size admit, by name.

    Exact EASE is left out where the smaller side of the matrix is above `LARGEST_EIGENPROBLEM`, and the served form
    of it, which a randomised method fits, above `settings.most_ratings`: from there on the choice falls to ALS.
    """
    peers, fading = settings.peers, settings.history.weights()

    def als(X: sp.csr_array, *, min_raters: int = 1) -> FoldIn:
        return fit_als(X, **settings.als.model_dump(), min_raters=min_raters, seed=seed, threads=threads)

    found = {
        POPULARITY: Recipe(fit_popularity, UNWEIGHTED),
        USERS: Recipe(lambda X: fit_user_neighbours(X, n_neighbours=peers.user_neighbours), UNWEIGHTED),
        ITEMS: Recipe(lambda X: fit_item_neighbours(X, n_neighbours=peers.item_neighbours), UNWEIGHTED),
        ALS: Recipe(als, UNWEIGHTED),
        ALS_FADING: Recipe(lambda X: als(X, min_raters=settings.ease.min_raters), fading),
    }
    if min(ratings.n_users, ratings.n_items) <= LARGEST_EIGENPROBLEM:
        found[EASE] = Recipe(lambda X: fit_ease(X, penalty=peers.ease_penalty), UNWEIGHTED)
    if len(ratings) <= settings.most_ratings:
        found[FULL] = Recipe(lambda X: fit_full(X, catalogue, settings.ease, seed=seed), fading)
    return found


def describe_settings(name: str, settings: ModelSettings) -> str:
    """Say which hyper-parameters a candidate of these settings has."""
    peers, ease, als = settings.peers, settings.ease, settings.als
    factors = f"{als.n_factors} factors, regularization {als.regularization:g}, alpha {als.alpha:g}"
    served = (
        f"penalty {ease.penalty:g}, genres {ease.genre_weight:g}, years {ease.year_weight:g}, length exponent "
        f"{ease.length_exponent:g}, films of {ease.min_raters} people, rank {ease.rank or 'full'}"
    )
    said = {
        POPULARITY: "none",
        USERS: f"{peers.user_neighbours} neighbours",
        ITEMS: f"{peers.item_neighbours} neighbours",
        ALS: factors,
        ALS_FADING: f"{factors}, films of {ease.min_raters} people; {describe_history(settings.history)}",
        EASE: f"penalty {peers.ease_penalty:g}",
        FULL: f"{served}; {describe_history(settings.history)}",
    }
    return said[name]


def describe_history(history: HistorySettings) -> str:
    """Say how a history of these settings is weighed."""
    fading = f"half-life {history.half_life_share:.0%} of the history, at least {history.half_life_films:g} films"
    stars = f"{history.rating_slope:g} a star"
    return (
        f"{fading if history.half_life_share > 0 else 'nothing fades'}, {stars if history.rating_slope else 'no stars'}"
    )


def left_out(settings: ModelSettings, ratings: Ratings) -> list[str]:
    """Say which candidates these data are too large for."""
    smaller, said = min(ratings.n_users, ratings.n_items), []
    if smaller > LARGEST_EIGENPROBLEM:
        said.append(f"{EASE}: the smaller side has {smaller:,} rows, and exact EASE ends at {LARGEST_EIGENPROBLEM:,}")
    if len(ratings) > settings.most_ratings:
        said.append(f"{FULL}: {len(ratings):,} ratings, and it ends at {settings.most_ratings:,}; ALS serves")
    return said


def fit_full(X: sp.csr_array, catalogue: Catalogue, settings: EaseSettings, *, seed: int = 0) -> ItemFactors:
    """Fit EASE with the films' genres and years, in factor form."""
    features = None
    if settings.genre_weight > 0 or settings.year_weight > 0:
        features = film_features(catalogue, genre_weight=settings.genre_weight, year_weight=settings.year_weight)
    return fit_ease(
        X,
        penalty=settings.penalty,
        features=features,
        length_exponent=settings.length_exponent,
        min_raters=settings.min_raters,
        rank=settings.rank,
        seed=seed,
    )


# OpenMP and BLAS threads wait for each other in a busy loop: on cores that something else uses too, two threads were
# seen to take 40 times as long as one.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def compare(
    task: Task,
    recipes: dict[str, Recipe],
    *,
    k: int,
    seed: int = 0,
    n_resamples: int = 1000,
    advance: Callable[[str], None] = lambda _: None,
) -> dict[str, Candidate]:
    """Fit every candidate on what the task's users rated before and measure it on what was hidden.

    Parameters
    ----------
    n_resamples
        Of the bootstrap intervals.
    advance
        Called with the name after each candidate, for a progress bar.
    """
    X = task.before.matrix()
    results: dict[str, Candidate] = {}
    for name, recipe in recipes.items():
        model, seconds, megabytes = _measured_fit(recipe.fit, X)
        lists = lists_for(model, task.before, task.users, k=LONGEST, weigh=recipe.weigh)
        results[name] = Candidate(
            name=name,
            model=model,
            evaluation=evaluate(lists, task, k=k, seed=seed, n_resamples=n_resamples),
            fit_seconds=seconds,
            fit_megabytes=megabytes,
            model_megabytes=_bytes(model) / 1e6,
            score_milliseconds=_latency(model, task.before, recipe.weigh) * 1e3,
        )
        advance(name)
    return results


def choose(candidates: Mapping[str, Candidate]) -> str:
    """Return the name of the candidate with the highest nDCG among those that can be served, see `best_servable`."""
    return best_servable({name: one.evaluation.metrics["ndcg"].estimate for name, one in candidates.items()})


def best_servable(ndcg: Mapping[str, float]) -> str:
    """Return which of the candidates, by name with their nDCG, is the best that can be served.

    Raises
    ------
    ValueError
        If none of them can be, or if the best of them is no better than popular films for everybody.
    """
    served = [name for name in SERVABLE if name in ndcg]
    if not served:
        raise ValueError(f"none of {', '.join(ndcg)} can be served; expected one of {', '.join(SERVABLE)}")
    best = max(served, key=lambda name: ndcg[name])
    if POPULARITY in ndcg and ndcg[best] <= ndcg[POPULARITY]:
        raise ValueError(
            f"{best} reaches an nDCG of {ndcg[best]:.4f} and popular films {ndcg[POPULARITY]:.4f}: nothing is worth "
            "serving with these settings on these data; see the README on large data"
        )
    return best


def to_predictor(candidate: Candidate, catalogue: Catalogue, settings: ModelSettings) -> Predictor:
    """Return a servable candidate as what serves."""
    if not isinstance(candidate.model, ItemFactors | FoldIn):
        raise TypeError(f"{candidate.name} cannot be served; expected one of {', '.join(SERVABLE)}")
    return Predictor(catalogue, candidate.model, settings.history.weights())


def by_score(candidates: Mapping[str, Candidate]) -> Sequence[Candidate]:
    """Return the candidates, the highest nDCG first."""
    return sorted(candidates.values(), key=lambda one: -one.evaluation.metrics["ndcg"].estimate)


def _measured_fit(fit: Callable[[sp.csr_array], Scorer], X: sp.csr_array) -> Fitted:
    """Fit once for the time, and once more for the memory: counting it takes time."""
    started = time.process_time()
    model = fit(X)
    seconds = time.process_time() - started
    tracemalloc.start()
    try:
        fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return model, seconds, peak / 1e6


def _bytes(model: Scorer) -> int:
    """Return the size of a model's arrays; what it derives from them on first use does not count."""
    total = 0
    for name in model.__dataclass_fields__:  # type: ignore[attr-defined]
        value = getattr(model, name)
        parts = (value.data, value.indices, value.indptr) if isinstance(value, sp.csr_array) else (value,)
        total += sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
    return total


def _latency(model: Scorer, before: Ratings, weigh: HistoryWeights) -> float:
    """Return the median seconds of scoring all films for the 50 films that most people rated."""
    items = np.sort(np.argsort(-before.item_counts(), kind="stable")[:LATENCY_FILMS])
    weights = weigh(np.full(len(items), np.nan))
    seconds = []
    for _ in range(LATENCY_REPEATS):
        started = time.perf_counter()
        model.scores(items, weights)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
