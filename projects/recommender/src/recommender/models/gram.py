"""EASE from the Gram matrix of all ratings, for more of them than memory holds; see `ease.py` for what EASE is.

Of any number of ratings the fit needs ``G = Xt X``, a sum over people that streams by or is made elsewhere
(`recommender.data.gram_job`). Its side is the films that shape the model, at most `LARGEST_EIGENPROBLEM`: the most
rated. Where that is all films that enough people rated, the model is that of `ease.py`. Films beyond the limit are
known by their features alone, as those are that too few people rated, and are not recommended.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError
from recommender.config import EaseSettings
from recommender.data.catalogue import Catalogue
from recommender.data.etl.manifest import Manifest
from recommender.data.gram_job import path_of
from recommender.data.ratings import Ratings
from recommender.data.shaping import emphasis, shaping_films
from recommender.data.totals import Part, Totals
from recommender.models.ease import NEGLIGIBLE, Directions, strongest
from recommender.models.features import features_of
from recommender.models.item_factors import ItemFactors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Gram:
    """The sum over all people of ``x xT``, x a person's row of films times how much the person counts.

    Attributes
    ----------
    matrix
        Float64, shape (n, n).
    films
        Shape (n,): positions of its films in the catalogue, in ascending order.
    raters
        Shape (n_films,): how many people rated each film.
    lengths
        Shape (n_users,): how many films each person rated.
    """

    matrix: Floats
    films: Ints
    raters: Ints
    lengths: Ints

    def without(self, ratings: Ratings, settings: EaseSettings) -> "Gram":
        """Return the matrix as if the people of these ratings had rated nothing.

        Parameters
        ----------
        ratings
            All that they rated in this part.
        settings
            Those of the sum.

        Their rows are subtracted. The others count by their length beside the mean of all, which changes for all by
        one factor, and films that too few of the others rated shape nothing any more. A film that the limit of the
        sum left out stays out, even where the others rated it more than one that is in: its sums are not kept.
        """
        people = np.unique(ratings.users)
        lengths = self.lengths.copy()
        lengths[people] = 0
        raters = self.raters - ratings.item_counts()
        factor = (_mean(lengths) / _mean(self.lengths)) ** (2 * settings.length_exponent)
        rows = np.zeros((len(people), len(self.films)))
        kept = np.isin(ratings.items, self.films)
        users, items = ratings.users[kept], ratings.items[kept]
        weights = emphasis(self.lengths, settings.length_exponent)
        rows[np.searchsorted(people, users), np.searchsorted(self.films, items)] = weights[users]
        matrix = rows.T @ rows
        np.subtract(self.matrix, matrix, out=matrix)
        matrix *= factor
        enough = raters[self.films] >= settings.min_raters
        if not enough.all():
            matrix = matrix[np.ix_(enough, enough)]
        return Gram(matrix, self.films[enough], raters, lengths)


def read_gram(folder: Path, totals: Totals, settings: EaseSettings, part: Part, manifest: Manifest) -> Gram:
    """Read the matrix of a part of a stored data set, which `recommender.data.gram_job` summed.

    Raises
    ------
    DataError
        If there is none of the ratings that the manifest names, which those of the totals are.
    """
    try:
        matrix = np.load(path_of(folder, settings, part, manifest), allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{folder} was written anew meanwhile, or was not summed: try again") from None
    films = shaping_films(totals.raters[part], min_raters=settings.min_raters)
    return Gram(matrix, films, totals.raters[part], totals.lengths[part])


def fit_gram(gram: Gram, catalogue: Catalogue, settings: EaseSettings) -> ItemFactors:
    """Return what `recommender.models.fit.fit_full` does, of a matrix in place of the ratings."""
    return decompose_gram(gram, catalogue, settings).at(penalty=settings.penalty, rank=settings.rank)


def decompose_gram(gram: Gram, catalogue: Catalogue, settings: EaseSettings) -> Directions:
    """Return what `recommender.models.fit.decompose_full` does, of a matrix in place of the ratings."""
    features = features_of(catalogue, settings)  # F, shape (n_features, n_films)
    own = features[:, gram.films].toarray()
    values, V = strongest(_sum(own.T @ own, gram.matrix), settings.rank)  # which is of 200 MB, and gone afterwards
    kept = values > values[0] * NEGLIGIBLE
    lengths, V = np.sqrt(values[kept]), V[:, kept]  # of the directions
    # Films that shape nothing get their place by their features, see `Directions.films`: with X = U s Vt, U of the
    # features' rows is F V / s.
    films = features.T @ (own @ V / lengths)
    films[gram.films] = V * lengths
    return Directions(values[kept], films, np.isin(np.arange(len(gram.raters)), gram.films))


def _sum(total: Floats, other: Floats) -> Floats:
    """Add to a matrix in its place."""
    total += other
    return total


def _mean(lengths: Ints) -> float:
    return float(np.maximum(lengths, 1).mean())
