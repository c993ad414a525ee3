"""What the penalty of EASE does to its error: bias and variance, of popular films and of rare ones.

EASE is fitted to guess every cell of a person's row (1: rated, 0: not) from the rest of the row. So its own squared
error can be taken apart as a textbook does. One person in five is held out. The model is fitted again and again to
people drawn with replacement from the others, and guesses the rows of those held out::

    expected (cell - guess)^2  =  (cell - expected guess)^2  +  variance of the guesses
                                  bias^2 and noise              how much a guess depends on who was drawn

For such draws both are estimated without bias from R refits: the variance with R - 1, and the mean of R guesses still
varies by a share of 1 / R of it, which is taken off the bias. A cell is seen once, so bias and noise (what nobody can
know of a person) cannot be parted: no model makes the first part zero.

All draws are from one set of people and overlap, so variance is that of drawing again and not that of new people. For
those it is too small or too large, by how EASE answers to people who are drawn twice and to the third of them whom a
draw leaves out; which of the two is not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portfolio_shared.data.splits import group_folds
from recommender.data.ratings import Ratings
from recommender.models.ease import decompose
from recommender.models.item_factors import ItemFactors

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0)
RESAMPLES, FOLDS, LISTED = 20, 5, 10
POPULAR, RARE = "the tenth of the films that most people rated", "the other nine tenths"


@dataclass(frozen=True)
class Spread:
    """What the guesses of refits come to at one penalty.

    Attributes
    ----------
    bias, variance
        Group of films -> squared bias with noise, and variance: shares of the squared error of guessing zero always.
    overlap
        Share of the films of a list of ten that a second refit, to other people drawn, lists for the same person.
    popular
        Share of the films of these lists that are of the popular group.
    """

    penalty: float
    bias: dict[str, float]
    variance: dict[str, float]
    overlap: float
    popular: float


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_spread(
    ratings: Ratings, *, min_raters: int, seed: int = 0, advance: Callable[[str], None] = lambda _: None
) -> list[Spread]:
    """Refit plain EASE at each of `PENALTIES` to `RESAMPLES` draws of people; films are those that enough rated."""
    counts = ratings.item_counts()
    X = sp.csr_array(ratings.matrix()[:, np.flatnonzero(counts >= min_raters)])
    popular = np.argsort(np.argsort(-counts[counts >= min_raters], kind="stable")) < X.shape[1] / 10
    fold = group_folds([str(user) for user in range(X.shape[0])], n_folds=FOLDS, seed=seed)
    learned, held_out = sp.csr_array(X[fold != 0]), sp.csr_array(X[fold == 0])
    rng, tallies = np.random.default_rng(seed), [_Tally(held_out) for _ in PENALTIES]
    for _ in range(RESAMPLES):
        drawn = sp.csr_array(learned[rng.integers(0, learned.shape[0], learned.shape[0])])
        directions = decompose(drawn, min_raters=0)
        for penalty, tally in zip(PENALTIES, tallies, strict=True):
            tally.add(directions.at(penalty=penalty))
        advance("people drawn again")
    return [tally.spread(penalty, popular) for penalty, tally in zip(PENALTIES, tallies, strict=True)]


class _Tally:
    """Running sums over the refits at one penalty."""

    def __init__(self, held_out: sp.csr_array) -> None:
        self.held_out = held_out
        self.cells = held_out.toarray().astype(np.float64)
        self.total, self.squares = np.zeros_like(self.cells), np.zeros_like(self.cells)
        self.lists: list[NDArray[np.intp]] = []

    def add(self, model: ItemFactors) -> None:
        """Guess all cells of the people held out, each from the rest of its row."""
        folded = self.held_out @ model.factors  # (n_people, rank)
        guesses = (folded @ model.factors.T - self.cells * model.own) * model.scale
        self.total += guesses
        self.squares += guesses**2
        unseen = np.where(self.cells > 0, -np.inf, guesses)
        self.lists.append(np.argpartition(-unseen, LISTED, axis=1)[:, :LISTED])

    def spread(self, penalty: float, popular: NDArray[np.bool_]) -> Spread:
        """Return the means over the refits."""
        mean = self.total / RESAMPLES
        variance = (self.squares / RESAMPLES - mean**2) * RESAMPLES / (RESAMPLES - 1)
        bias = (self.cells - mean) ** 2 - variance / RESAMPLES
        groups = {POPULAR: popular, RARE: ~popular}
        zero = {name: float((self.cells[:, films] ** 2).sum()) for name, films in groups.items()}
        pairs = zip(self.lists, self.lists[1:], strict=False)
        return Spread(
            penalty=penalty,
            bias={name: float(bias[:, films].sum()) / zero[name] for name, films in groups.items()},
            variance={name: float(variance[:, films].sum()) / zero[name] for name, films in groups.items()},
            overlap=float(np.mean([_common(first, second) for first, second in pairs])),
            popular=float(np.mean([popular[listed].mean() for listed in self.lists])),
        )


def _common(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    return float(np.mean([len(np.intersect1d(*rows)) / LISTED for rows in zip(first, second, strict=True)]))
