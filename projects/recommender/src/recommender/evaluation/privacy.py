"""What can be read from a model about the people it learned from: two attacks, each with everything a bundle holds.

The first reads histories back from nothing but the factors: the films that stand closest to a person's rarest films.
The second knows half of a history, and asks the model for the other half. Neither proves that nothing else can be
read; a model that fails against them is not private.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recommender.models.fold_in import FoldIn
from recommender.models.item_factors import ItemFactors
from recommender.models.top_k import best

KEYS = 5  # of a person's rarest films, each tried alone, and all of them together
NEARLY = 0.9
LEAST_FILMS = 2 * KEYS  # of shorter histories the keys alone would be half

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Model = ItemFactors | FoldIn


@dataclass(frozen=True)
class Exposure:
    """What the attacks found in one model.

    Attributes
    ----------
    n_read
        Number of people whose history was to be read: those it learned from, but for those with very few films.
    read_completely, read_nearly
        Share of these people whose history was read to the last film, and to over 90 %.
    share_read
        Mean share of a history that was read.
    precision_members, precision_non_members
        Precision of the guess at the other half: for people it learned from, and for others. How much the first is
        above the second is what the model remembers, and not what it understands.
    """

    n_read: int
    read_completely: float
    read_nearly: float
    share_read: float
    precision_members: float
    precision_non_members: float


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def attack(model: Model, X: sp.csr_array, *, members: Ints, non_members: Ints, seed: int = 0) -> Exposure:
    """Run both attacks on X, shape (n_users, n_items): 1 where a user rated a film.

    `members` and `non_members` are rows of X: whom the model learned from, and whom it did not. The seed draws which
    half of a history is known.
    """
    read = read_back(model, X, members)
    return Exposure(
        n_read=len(read),
        read_completely=float(np.mean(read >= 1)),
        read_nearly=float(np.mean(read > NEARLY)),
        share_read=float(np.mean(read)),
        precision_members=float(np.mean(complete(model, X, members, seed=seed))),
        precision_non_members=float(np.mean(complete(model, X, non_members, seed=seed))),
    )


def read_back(model: Model, X: sp.csr_array, users: Ints, *, raters: Ints | None = None) -> Floats:
    """Return the share of each user's history that their rarest films lead to, shape (n_users,), from 0 to 1.

    The attacker knows how long the history is and which of its films are the rarest. The guess is the films with the
    largest products with the factors of one of them, or with the sum of all, or by cosine: whichever finds most, as
    if the attacker could tell. Histories are of films that the model recommends: of no other film does it hold
    anything that depends on people. People with fewer than `LEAST_FILMS` of them are left out. `raters`, shape
    (n_items,), is how many people rated each film, where X does not hold everybody.
    """
    live = np.flatnonzero(model.recommendable)
    rated = sp.csr_array(X[:, live])
    popularity = np.asarray(rated.sum(axis=0)) if raters is None else raters[live]
    factors = model.factors[live]
    lengths = np.sqrt(model.own[live])[:, None]
    unit = np.divide(factors, lengths, out=np.zeros_like(factors), where=lengths > 0)
    shares = []
    for user in users:
        history = rated.indices[rated.indptr[user] : rated.indptr[user + 1]]
        if len(history) >= LEAST_FILMS:
            rarest = history[np.lexsort((history, popularity[history]))][:KEYS]
            guesses = [[key] for key in rarest] + [rarest]
            shares.append(max(_share_read(V, np.array(keys), history) for V in (factors, unit) for keys in guesses))
    return np.array(shares)


def _share_read(vectors: NDArray[np.float32], keys: Ints, history: NDArray[np.integer]) -> float:
    """Return the share of the history, but for the keys, among as many films with the largest products with them."""
    products = vectors @ vectors[keys].sum(axis=0)
    products[keys] = -np.inf
    guess = best(products, len(history) - len(keys))
    return float(np.isin(guess, history).mean())


def complete(model: Model, X: sp.csr_array, users: Ints, *, seed: int = 0) -> Floats:
    """Return how much of a guess at half of each history is right when the other half is known, shape (n_users,).

    The guess is what the model recommends for the known half, as many films as are hidden; both halves are drawn.
    """
    rng = np.random.default_rng(seed)
    shares = []
    for user in users:
        history = rng.permutation(X.indices[X.indptr[user] : X.indptr[user + 1]])
        given, hidden = np.sort(history[: len(history) // 2]), history[len(history) // 2 :]
        scores = model.scores(given, np.ones(len(given), dtype=np.float32))
        scores[given] = -np.inf
        shares.append(np.isin(best(scores, len(hidden)), hidden).mean())
    return np.array(shares)
