"""EASE: the best linear model that predicts each film of a history from all the others, in closed form.

With X the users x items matrix of what was rated, EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse
Data", equations 6 to 8) is ``B = I - P / diag(P)`` with ``P = (Xt X + penalty I)^-1``, an items x items matrix.
Nothing of that size is needed. With the singular values s of X and its right singular vectors V,
``penalty P = I - V diag(s^2 / (s^2 + penalty)) Vt``, so B follows from the factors ``A = V sqrt(s^2 / (s^2 +
penalty))`` as `recommender.models.item_factors` has it. V comes from the smaller side:

========  ==========================================  ====================================================
side      eigenvectors of                             time and memory
========  ==========================================  ====================================================
users     ``X Xt``, users x users                     users^3 + ratings x users; users^2 + items x rank
items     ``Xt X``, items x items                     items^3; items^2
random    neither: products of X with thin matrices   ratings x rank + items x rank^2; (users + items) x rank
========  ==========================================  ====================================================

The first two are exact at full rank, and a test proves them equal to each other and to the textbook's inverse. The
third (Halko, Martinsson and Tropp 2011, algorithm 4.4) finds the strongest directions only; it takes over where the
smaller side exceeds `LARGEST_EIGENPROBLEM`.

Features of the films themselves make it better: further rows below X (Jeunen, Van Balen and Goethals 2020,
"Closed-Form Models for Collaborative Filtering with Side-Information"). So does counting long histories a little
less. Fewer directions than X has, and films that enough users rated, cost next to nothing and keep single histories
out of the factors: in exact EASE, the partners of a film that one user rated *are* that user's history.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from recommender.data.shaping import LARGEST_EIGENPROBLEM, emphasis
from recommender.models.item_factors import ItemFactors

EXTRA_DIRECTIONS, POWER_STEPS = 32, 4  # of the randomized method
NEGLIGIBLE = 1e-12  # of the largest eigenvalue: directions below it are rounding errors
Side = Literal["auto", "users", "items", "random"]


def fit_ease(
    X: sp.csr_array,
    *,
    penalty: float,
    features: sp.csr_array | None = None,
    length_exponent: float = 0.0,
    min_raters: int = 1,
    rank: int | None = None,
    side: Side = "auto",
    seed: int = 0,
) -> ItemFactors:
    """Fit the model to X, shape (n_users, n_items): 1 where a user rated a film.

    Parameters
    ----------
    penalty
        More of it trusts rare coincidences less.
    features
        Shape (n_features, n_items): rows to put below X, already multiplied by how much they shall count.
    length_exponent
        A user with n ratings counts ``(n / mean of n) ** -length_exponent`` in the fit: with 0 all users alike,
        with more those who rated everything less.
    min_raters
        Films that fewer users rated are known by their features alone: their ratings do not enter the model,
        they change nothing for other films, and they are not recommended.
    rank
        Number of directions to keep, the strongest; None keeps all, which is exact EASE.
    side
        How to compute it; ``auto`` takes the smaller exact side up to `LARGEST_EIGENPROBLEM`.

    Raises
    ------
    ValueError
        If all directions are asked of a matrix that is too large.
    """
    directions = decompose(
        X, features=features, length_exponent=length_exponent, min_raters=min_raters, rank=rank, side=side, seed=seed
    )
    return directions.at(penalty=penalty, rank=rank)


@dataclass(frozen=True)
class Directions:
    """The decomposition of X, which takes nearly all the time of a fit: one serves every penalty and smaller rank.

    Attributes
    ----------
    values
        Float64, shape (rank,): squared singular values, the largest first.
    films
        Float64, shape (n_items, rank): the columns of X in the directions of its left singular vectors.
    recommendable
        Bool, shape (n_items,): films that enough users rated.
    """

    values: NDArray[np.float64]
    films: NDArray[np.float64]
    recommendable: NDArray[np.bool_]

    def at(self, *, penalty: float, rank: int | None = None) -> ItemFactors:
        """Return the model: with ``X = U diag(s) Vt`` its factors are ``Xt U / sqrt(s^2 + penalty)``.

        For a film that shaped the directions that is its row of ``V s / sqrt(s^2 + penalty)``.
        """
        factors = self.films[:, :rank] / np.sqrt(self.values[:rank] + penalty)
        return ItemFactors(np.ascontiguousarray(factors, dtype=np.float32), self.recommendable)


def decompose(
    X: sp.csr_array,
    *,
    features: sp.csr_array | None = None,
    length_exponent: float = 0.0,
    min_raters: int = 1,
    rank: int | None = None,
    side: Side = "auto",
    seed: int = 0,
) -> Directions:
    """Find the strongest directions of X, shape (n_users, n_items); for the parameters see `fit_ease`."""
    rated = X.astype(bool).astype(np.float64)
    enough = np.asarray(rated.sum(axis=0)) >= min_raters
    counted = emphasis(np.asarray(rated.sum(axis=1)), length_exponent)
    rows = sp.csr_array(sp.diags_array(counted) @ rated @ sp.diags_array(enough.astype(np.float64)))
    if features is not None:
        rows = sp.csr_array(sp.vstack([rows, features]))
    # Films that few rated do not shape the directions, but they get their place among them.
    shaping = sp.csr_array(rows[:, np.flatnonzero(enough)])
    chosen = _choose_side(shaping.shape, rank) if side == "auto" else side
    if chosen == "users":
        values, left = strongest((shaping @ shaping.T).toarray(), rank)
    elif chosen == "items":
        values, left = _to_rows(shaping, *strongest((shaping.T @ shaping).toarray(), rank))
    else:
        values, left = _from_random(shaping, rank, seed)
    return Directions(values, np.asarray(rows.T @ left), enough)


def _choose_side(shape: tuple[int, int], rank: int | None) -> Side:
    if min(shape) <= LARGEST_EIGENPROBLEM:
        return "users" if shape[0] <= shape[1] else "items"
    if rank is None:
        raise ValueError(
            f"all directions of a matrix of {shape[0]} x {shape[1]} take too long: choose a rank (256, for example), "
            f"or another model above {LARGEST_EIGENPROBLEM} rows on the smaller side"
        )
    return "random"


def _from_random(rows: sp.csr_array, rank: int | None, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if rank is None:
        raise ValueError("the randomized method needs a rank")
    width = min(rank + EXTRA_DIRECTIONS, *rows.shape)
    basis = rows.T @ np.random.default_rng(seed).standard_normal((rows.shape[0], width))
    for _ in range(POWER_STEPS):
        basis = rows.T @ (rows @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]  # (n_items, width)
    seen = rows @ basis
    values, vectors = strongest(seen.T @ seen, rank)
    return _to_rows(rows, values, basis @ vectors)


def _to_rows(
    rows: sp.csr_array, values: NDArray[np.float64], V: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the squared singular values and left singular vectors, from the right ones V: ``U = rows V / s``."""
    kept = values > values.max() * NEGLIGIBLE
    return values[kept], np.asarray((rows @ V[:, kept]) / np.sqrt(values[kept]))


def strongest(gram: NDArray[np.float64], rank: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues of a symmetric matrix, at most `rank`, and their vectors as columns.

    The matrix is worked in, and is of no use afterwards.
    """
    n = len(gram)
    if rank is None or rank >= n:
        values, vectors = np.linalg.eigh(gram)
    else:
        # A few of many: half the time of all of them, and no second and third matrix of that size. Transposed, it
        # lies as LAPACK wants it.
        values, vectors = scipy.linalg.eigh(gram.T, subset_by_index=(n - rank, n - 1), overwrite_a=True, driver="evr")
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
