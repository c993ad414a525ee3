"""Groups of films that the same people rate, found in the served model's factors: how many there are, and for whom.

The factors are cut to their strongest directions and to a length of 1, so that what counts is the direction of a film
and not how many people rated it. k-means then makes k groups. The number k is the one whose groups come back most
surely if the people were others: the model is fitted again to people drawn with replacement (a bootstrap), and the
adjusted Rand index (Hubert and Arabie 1985) says how far both groupings agree: 1 in full, 0 no more than by chance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from threadpoolctl import threadpool_limits

from recommender.config import EaseSettings
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.evaluation.errors import Group, group
from recommender.evaluation.evaluate import Evaluation
from recommender.evaluation.task import Floats, Ints, Task
from recommender.models.fit import fit_full

COUNTS, RESAMPLES, STARTS, DIRECTIONS = tuple(range(2, 11)), 20, 5, 16
RATERS = 10  # films that fewer people rated are in no group: their direction is mostly chance
NAMED, RARE_GENRE = 2, 0.03  # genres in the name of a group; a genre of a smaller share of the films names none
BY = "films most watched: mostly"


@dataclass(frozen=True)
class Taste:
    """A group of films.

    Attributes
    ----------
    name
        Its middle year and the genres that are most frequent in it, against all films.
    films, ratings
        How many films it has, and their share of the ratings of all films that are grouped.
    year, genres
        Median year, and each named genre with how many times as frequent it is as among all films.
    """

    name: str
    films: int
    ratings: float
    year: int
    genres: dict[str, float]


@dataclass(frozen=True)
class Tastes:
    """The groups of the number that is most stable.

    Attributes
    ----------
    stability, without_features
        k -> mean adjusted Rand index over the resamples: of the served model, and of one without genres and years.
    groups
        From the oldest films to the newest.
    items, group_of, places
        Films that enough people rated, shape (n,), the group of each, and where it lies on the map, shape (n, 2).
    """

    stability: dict[int, float]
    without_features: dict[int, float]
    groups: tuple[Taste, ...]
    items: Ints
    group_of: Ints
    places: Floats


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def find_tastes(
    task: Task, settings: EaseSettings, *, seed: int = 0, advance: Callable[[str], None] = lambda _: None
) -> Tastes:
    """Find the groups in a model of the histories of a task; films are the columns, people the rows that are drawn."""
    items = np.flatnonzero(task.before.item_counts() >= RATERS)
    served = settings.model_copy(update={"rank": DIRECTIONS, "min_raters": 1})  # the others are left out here already
    plain = served.model_copy(update={"genre_weight": 0.0, "year_weight": 0.0})
    X = sp.csr_array(task.before.matrix()[:, items])
    films = Catalogue(tuple(task.catalogue.films[item] for item in items.tolist()))
    stability, without = (_stability(X, films, each, seed, advance) for each in (served, plain))
    vectors = directions(X, films, served, seed=seed)
    labels, centers = cluster(vectors, max(stability, key=lambda k: stability[k]), seed=seed)
    by_year = np.argsort([_year(films, labels == label) for label in range(len(centers))], kind="stable")
    group_of = np.argsort(by_year)[labels]
    groups = tuple(_taste(films, group_of == number) for number in range(len(centers)))
    return Tastes(stability, without, groups, items, group_of, flat(vectors, centers))


def taste_groups(evaluation: Evaluation, tastes: Tastes, *, seed: int = 0) -> list[Group]:
    """Return how good the lists are for people by the group that most films of their history belong to."""
    own = mostly_watched(evaluation.task.before, tastes)[evaluation.task.users]
    return [
        group(evaluation, BY, taste.name, own == place, seed=seed)
        for place, taste in enumerate(tastes.groups)
        if (own == place).any()
    ]


def mostly_watched(before: Ratings, tastes: Tastes) -> Ints:
    """Return the group of most films of each person, the older group of a tie; -1 for people without a grouped film."""
    number = np.full(before.n_items, len(tastes.groups))
    number[tastes.items] = tastes.group_of
    counts = np.zeros((before.n_users, len(tastes.groups) + 1))
    np.add.at(counts, (before.users, number[before.items]), 1)
    grouped = counts[:, :-1]
    return np.where(grouped.any(axis=1), grouped.argmax(axis=1), -1)


def directions(X: sp.csr_array, films: Catalogue, settings: EaseSettings, *, seed: int = 0) -> NDArray[np.float64]:
    """Return the films' factors of a fit to X, each of length 1 or of zeros, shape (n_items, n_directions)."""
    factors = fit_full(X, films, settings, seed=seed).factors.astype(np.float64)
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    return np.asarray(np.divide(factors, lengths, out=np.zeros_like(factors), where=lengths > 0))


def cluster(vectors: NDArray[np.float64], k: int, *, seed: int = 0) -> tuple[Ints, NDArray[np.float64]]:
    """Return the group of each row and the centers: the best of several starts of k-means (k-means++, Lloyd)."""
    tries = [kmeans2(vectors, k, minit="++", iter=50, rng=np.random.default_rng((seed, n))) for n in range(STARTS)]
    centers, labels = min(tries, key=lambda found: float(((vectors - found[0][found[1]]) ** 2).sum()))
    return labels.astype(np.int64), centers


def adjusted_rand(first: Ints, second: Ints) -> float:
    """Return how far two groupings of the same things agree: 1 in full, 0 as much as by chance.

    Examples
    --------
    >>> round(adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])), 2)
    1.0
    >>> round(adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])), 2)
    -0.5
    """
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)
    together, of_first, of_second = (_pairs(counts) for counts in (table, table.sum(axis=1), table.sum(axis=0)))
    expected = of_first * of_second / _pairs(np.array([len(first)]))
    return float((together - expected) / ((of_first + of_second) / 2 - expected))


def flat(vectors: NDArray[np.float64], centers: NDArray[np.float64]) -> Floats:
    """Return where each row lies in the plane in which the centers lie furthest apart, shape (n, 2)."""
    axes = np.linalg.svd(centers - centers.mean(axis=0), full_matrices=False)[2][:2]
    axes *= np.sign(axes.sum(axis=1, keepdims=True))  # a decomposition leaves the sign open
    return np.asarray((vectors - centers.mean(axis=0)) @ axes.T)


def _stability(
    X: sp.csr_array, films: Catalogue, settings: EaseSettings, seed: int, advance: Callable[[str], None]
) -> dict[int, float]:
    rng, whole = np.random.default_rng(seed), directions(X, films, settings, seed=seed)
    expected = {k: cluster(whole, k, seed=seed)[0] for k in COUNTS}
    agreed: dict[int, list[float]] = {k: [] for k in COUNTS}
    for number in range(RESAMPLES):
        drawn = sp.csr_array(X[rng.integers(0, X.shape[0], X.shape[0])])
        vectors = directions(drawn, films, settings, seed=seed)
        for k in COUNTS:
            agreed[k].append(adjusted_rand(expected[k], cluster(vectors, k, seed=seed + 1 + number)[0]))
        advance("people drawn again")
    return {k: float(np.mean(values)) for k, values in agreed.items()}


def _taste(films: Catalogue, rows: NDArray[np.bool_]) -> Taste:
    of_all, own = films.genres.mean(axis=0), films.genres[rows].mean(axis=0)
    times = np.where(of_all >= RARE_GENRE, own / np.maximum(of_all, RARE_GENRE), 0.0)
    named = {films.genre_names[genre]: float(times[genre]) for genre in np.argsort(-times)[:NAMED].tolist()}
    year, share = _year(films, rows), float(films.n_ratings[rows].sum() / films.n_ratings.sum())
    return Taste(f"around {year}: {' and '.join(named)}", int(rows.sum()), share, year, named)


def _year(films: Catalogue, rows: NDArray[np.bool_]) -> int:
    years = films.years[rows]
    return int(np.median(years[years > 0]))


def _pairs(counts: NDArray[np.number]) -> float:
    return float((counts * (counts - 1) / 2).sum())
