"""Whose histories are continued with what: the lists of a model for them, and how the lists are judged."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.ranking import EMPTY, Judged, judge
from recommender.config import MAX_USERS
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.splits import evaluated_users
from recommender.models.fit import Scorer
from recommender.models.history_weights import HistoryWeights
from recommender.models.top_k import best

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """Whose histories are to be continued, and with what.

    Attributes
    ----------
    before
        What models are fitted on, and the histories.
    hidden
        What comes after; a model must not have seen it.
    users
        Shape (n,): who is evaluated, in ascending order.
    catalogue
        The films, counted in `before` alone: how often a film is rated later is no business of a model's.
    """

    before: Ratings
    hidden: Ratings
    users: Ints
    catalogue: Catalogue

    @property
    def keys(self) -> list[str]:
        """One "user:film" per hidden rating of an evaluated user, by position of the user and id of the film."""
        films = self.catalogue.films
        rows = np.isin(self.hidden.users, self.users)
        pairs = zip(self.hidden.users[rows].tolist(), self.hidden.items[rows].tolist(), strict=True)
        return [f"{user}:{films[item].id}" for user, item in pairs]

    @property
    def digest(self) -> str:
        """SHA-256 that names what is looked for: models with the same one were tested on the same pairs."""
        return split_digest(self.keys)

    @cached_property
    def offsets(self) -> Ints:
        """Where the history of each user starts in `before`, shape (n_users + 1,)."""
        return self.before.offsets()

    def history(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the items and stars of a user's history, oldest first."""
        rows = slice(self.offsets[user], self.offsets[user + 1])
        return self.before.items[rows], self.before.values[rows]


def make_task(
    before: Ratings, hidden: Ratings, catalogue: Catalogue, *, max_users: int = MAX_USERS, seed: int = 0
) -> Task:
    """Return the task of continuing `before` with `hidden`, for all users that can be evaluated or a draw of them.

    Raises
    ------
    ValueError
        If fewer than two users can be evaluated.
    """
    users = evaluated_users(before, hidden)
    if len(users) < 2:
        raise ValueError(f"{len(users)} users can be evaluated, and an interval needs at least two: use more data")
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, size=max_users, replace=False))
    return Task(before, hidden, users, catalogue.counted(before.item_counts()))


def lists_for(model: Scorer, task: Task, *, k: int, weigh: HistoryWeights) -> Ints:
    """Recommend for the users of a task by their histories, each as if they had just arrived.

    Returns
    -------
    ndarray of int64, shape (n_users, k)
        Items, best first, -1 where there are too few; none of the user's history.
    """
    lists = np.full((len(task.users), k), EMPTY, dtype=np.int64)
    for row, user in enumerate(task.users):
        items, stars = task.history(int(user))
        scores = model.scores(items, weigh(stars))
        scores[items] = -np.inf
        recommended = best(scores, k)
        lists[row, : len(recommended)] = recommended
    return lists


def judge_lists(lists: Ints, users: Ints, hidden: Ratings) -> Judged:
    """Compare lists, shape (n, k), with what was hidden of their users, shape (n,), each with at least one rating.

    Any rating makes a film relevant, whatever its stars; those of other users are not looked at.
    """
    row = np.full(hidden.n_users, -1)
    row[users] = np.arange(len(users))
    of_users = row[hidden.users] >= 0
    return judge(lists, row[hidden.users[of_users]], hidden.items[of_users])
