"""Rank and penalty of the served EASE for the data at hand: a small grid on the validation part, within a budget.

One decomposition serves the whole grid, so a trial costs no more than lists for the validation's users. Taken is the
first point on the way from the settings in use to the best that is not worse than the best by more than one standard
error of the paired difference (Breiman et al. 1984, section 3.4.3), and from which nobody's history can be read back
completely (`recommender.evaluation.privacy`). More directions than the settings have are never tried: those are what
docs/privacy.md measured.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.ranking import EMPTY
from recommender.config import EaseSettings, ModelSettings
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.privacy import read_back
from recommender.evaluation.task import Floats, Ints, Task
from recommender.models.ease import Directions
from recommender.models.fit import decompose_full
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.top_k import best

RANKS = (1, 1 / 2, 1 / 4)
PENALTIES = (1, 5 / 3, 2 / 3, 8 / 3, 1 / 3)
"""Times the settings in use, which come first: of rank 256 and a penalty of 300 down to 64, and from 100 to 800."""
Point = tuple[int | None, float]
Weighed = tuple[NDArray[np.int32], NDArray[np.float32]]
"""The films of a history, and their weights."""
MOST_USERS, ATTACKED = 2_000, 300  # drawn of more
AT_ONCE = 256  # histories: bounds the memory of their scores


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and their nDCG on the validation part."""

    rank: int | None
    penalty: float
    ndcg: float


@dataclass(frozen=True)
class Grid:
    """What a search came to.

    Attributes
    ----------
    settings
        Those to go on with.
    trials
        What was tried, the settings in use first.
    planned
        How many trials there were to be; fewer were made where the budget ended before.
    budget
        CPU seconds.
    read_completely
        Share of the attacked histories that were read back completely from the chosen model; above 0 only if that is
        so of every trial.
    """

    settings: ModelSettings
    trials: tuple[Trial, ...]
    planned: int
    budget: float
    read_completely: float

    @property
    def why(self) -> str:
        """The choice in a sentence."""
        first, ease = self.trials[0], self.settings.ease
        (chosen,) = (trial for trial in self.trials if (trial.rank, trial.penalty) == (ease.rank, ease.penalty))
        words = (
            f"EASE: rank {chosen.rank or 'full'} and penalty {chosen.penalty:g}, nDCG {chosen.ndcg:.4f} on validation; "
            f"in use were {first.rank or 'full'} and {first.penalty:g}, {first.ndcg:.4f}; "
            f"{len(self.trials)} of {self.planned} tried"
        )
        if len(self.trials) < self.planned:
            words += f", then {self.budget:g} CPU seconds were spent (--grid-seconds)"
        if self.read_completely > 0:
            words += (
                f". Of so few people, {self.read_completely:.1%} of the histories can be read back completely from any "
                "of these: do not hand the model out"
            )
        return words

    @property
    def warning(self) -> str | None:
        """What to know of a search that a budget ended."""
        if self.budget == 0 or len(self.trials) == self.planned:
            return None
        return (
            f"Warning: the budget ended after {len(self.trials)} of {self.planned} trials; a faster machine may choose "
            "otherwise from the same data and seed. A larger --grid-seconds tries all."
        )

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for the manifest: what was tried, what each scored, what was chosen."""
        ease = self.settings.ease
        return {
            "chosen": {"rank": ease.rank, "penalty": ease.penalty},
            "trials": [asdict(trial) for trial in self.trials],
            "planned": self.planned,
            "budget": self.budget,
            "read_completely": self.read_completely,
        }


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def choose_rank_and_penalty(
    tasks: Sequence[Task],
    settings: ModelSettings,
    *,
    fits: Sequence[Directions] | None = None,
    seed: int = 0,
    k: int = 10,
    budget: float = 10.0,
) -> Grid:
    """Fit on what comes before, measure on what is hidden, and return what to go on with.

    Parameters
    ----------
    tasks
        The validation part, or several of the same users: then a user's nDCG is the mean over them.
    fits
        What was fitted on each task before; None: it is fitted here, on ratings that are all in memory.
    budget
        CPU seconds after which no further trial begins. The settings in use are always tried. The decomposition counts;
        the attack that follows, on at most `ATTACKED` people for each point until one passes, does not.
    """
    started, weigh = time.process_time(), HistoryWeights(**settings.history.model_dump())
    if fits is None:
        fits = [decompose_full(task.before.matrix(), task.catalogue, settings.ease, seed=seed) for task in tasks]
    histories = [weighed_histories(task, weigh) for task in tasks]
    planned, measured = points(settings.ease, min(len(fit.values) for fit in fits)), dict[Point, Floats]()
    for rank, penalty in planned:
        if measured and time.process_time() - started >= budget:
            break
        ndcg = np.full((len(tasks), tasks[0].before.n_users), np.nan)
        for row, task, fit, read in zip(ndcg, tasks, fits, histories, strict=True):
            lists = lists_together(fit.at(penalty=penalty, rank=rank), read, k=k)
            row[task.users] = accuracy(lists, task, k=k)["ndcg"]
        measured[rank, penalty] = np.nanmean(ndcg[:, np.isfinite(ndcg).any(axis=0)], axis=0)
    (rank, penalty), share = pick(measured, fits[0], tasks[0], seed=seed)
    trials = tuple(Trial(*point, float(ndcg.mean())) for point, ndcg in measured.items())
    ease = settings.ease.model_copy(update={"rank": rank, "penalty": penalty})
    return Grid(settings.model_copy(update={"ease": ease}), trials, len(planned), budget, share)


def points(ease: EaseSettings, n_directions: int) -> list[Point]:
    """Return the ranks and penalties to try, the settings in use first, then by rank from the highest."""
    most = min(ease.rank or n_directions, n_directions)
    ranks = [ease.rank if share == 1 else max(1, int(most * share)) for share in RANKS]
    penalties = [ease.penalty if times == 1 else float(f"{ease.penalty * times:.3g}") for times in PENALTIES]
    return list(dict.fromkeys(product(ranks, penalties)))


def pick(measured: Mapping[Point, Floats], directions: Directions, task: Task, *, seed: int) -> tuple[Point, float]:
    """Return the point to go on with, and the share of the histories that were read back completely from it.

    If all can be read from every point, it is the one from which the fewest can be.
    """
    by_ndcg = sorted(measured, key=lambda point: -float(measured[point].mean()))
    first = next(iter(measured))
    ends = [(point[0] or math.inf, point[1]) for point in (first, by_ndcg[0])]
    (least_rank, most_rank), (least_penalty, most_penalty) = (sorted(values) for values in zip(*ends, strict=True))
    on_the_way = [
        (rank, penalty)
        for rank, penalty in measured
        if least_rank <= (rank or math.inf) <= most_rank and least_penalty <= penalty <= most_penalty
    ]
    lost = {point: measured[by_ndcg[0]] - measured[point] for point in on_the_way}
    as_good = [point for point, gap in lost.items() if gap.mean() <= gap.std(ddof=1) / math.sqrt(len(gap))]
    ordered = as_good + [point for point in by_ndcg if point not in as_good]
    X, users = task.before.matrix(), task.users
    drawn = np.random.default_rng(seed).permutation(users)[:ATTACKED]
    shares: dict[Point, float] = {}
    for rank, penalty in ordered:
        read = read_back(directions.at(penalty=penalty, rank=rank), X, drawn, raters=task.catalogue.n_ratings)
        shares[rank, penalty] = float(np.mean(read >= 1)) if len(read) else 0.0
        if shares[rank, penalty] == 0:
            return (rank, penalty), 0.0
    least = min(shares, key=shares.__getitem__)
    return least, shares[least]


def weighed_histories(task: Task, weigh: HistoryWeights) -> list[Weighed]:
    """Return the films of each user of a task, and their weights."""
    histories = [task.history(int(user)) for user in task.users]
    return [(items, weigh(stars)) for items, stars in histories]


def lists_together(model: ItemFactors, histories: Sequence[Weighed], *, k: int) -> Ints:
    """Return what `recommender.evaluation.task.lists_for` does, for many histories in one product of matrices."""
    lists = np.full((len(histories), k), EMPTY, dtype=np.int64)
    live = np.flatnonzero(model.recommendable)
    factors, scale = model.factors[live].T, model.scale[live]
    scores = np.full((AT_ONCE, len(model.factors)), -np.inf, dtype=np.float32)
    for start in range(0, len(histories), AT_ONCE):
        several = histories[start : start + AT_ONCE]
        tastes = np.array([model.fold_in(items, weights) for items, weights in several])
        scores[: len(several), live] = tastes @ factors * scale
        for row, (items, _) in enumerate(several):
            scores[row, items] = -np.inf
            recommended = best(scores[row], k)
            lists[start + row, : len(recommended)] = recommended
    return lists
