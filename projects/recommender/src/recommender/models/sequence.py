"""What came next in other people's histories: a Markov chain of films, and the sequence rules that extend it.

EASE and its neighbors read a history as a bag of films. These models know nothing but order. A Markov chain of first
order counts how often film j came directly after film i, and looks at the last film alone. Sequence rules (Ludewig and
Jannach 2018, "Evaluation of Session-based Recommendation Algorithms", section 3.1) also count what came a few films
later, with a weight of one over the distance, and let the last few films of a history vote.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommender.data.ratings import Ratings

POPULAR = 1e-3  # what popularity counts beside a film that followed once: it only orders what never followed

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SequenceRules:
    """Each of the last films of a history votes for what came after it in other histories.

    Attributes
    ----------
    follows
        Shape (n_items, n_items), sparse: how often the column's film came after the row's, nearer ones counted more.
    popularity
        Shape (n_items,): share of all ratings.
    last
        How many films of a history vote; the vote of the film that lies n films back counts ``1 / n``.
    """

    follows: sp.csr_array
    popularity: Floats
    last: int

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film, shape (n_items,), for a history from its oldest film to its newest; stars do not count."""
        del weights
        voters = items[-self.last :]
        votes = 1.0 / np.arange(len(voters), 0, -1)
        return np.asarray(votes @ self.follows[voters] + POPULAR * self.popularity, dtype=np.float32)


def fit_sequence_rules(ratings: Ratings, *, window: int, last: int) -> SequenceRules:
    """Count which films follow each other at most `window` places apart; 1 and 1 make a Markov chain of first order."""
    follows = sp.csr_array((ratings.n_items, ratings.n_items), dtype=np.float64)
    for distance in range(1, window + 1):
        before, after = ratings.items[:-distance], ratings.items[distance:]
        same = ratings.users[:-distance] == ratings.users[distance:]
        counted = np.full(int(same.sum()), 1.0 / distance)
        follows = follows + sp.csr_array((counted, (before[same], after[same])), shape=follows.shape)
    popularity = (ratings.item_counts() / len(ratings)).astype(np.float32)
    return SequenceRules(sp.csr_array(follows), popularity, last)
