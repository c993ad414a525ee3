"""How far order alone gets: a Markov chain of films and sequence rules beside the served model, and both together."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.config import ModelSettings
from recommender.data.load import Dataset
from recommender.data.splits import Split, split_by_pause
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.task import Floats, Task, lists_for, make_task
from recommender.models.fit import UNWEIGHTED, Recipe, Scorer, recipes
from recommender.models.history_weights import HistoryWeights
from recommender.models.sequence import fit_sequence_rules

WINDOWS, LASTS = (10, 20, 50, 100), (2, 5, 10, 20)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SERVED, CHAIN, RULES, BOTH = "served model", "Markov chain", "sequence rules", "served model plus sequence rules"


@dataclass(frozen=True)
class Chosen:
    """What is best on the validation part: of the rules, and their share in the sum of both models' scores."""

    window: int
    last: int
    share: float


@dataclass(frozen=True)
class Order:
    """The nDCG of each model on a test, and the served model's less that of each of the others, paired."""

    users: int
    ndcg: dict[str, Interval]
    difference: dict[str, Interval]


@dataclass(frozen=True)
class Sum:
    """Two models' scores added, each with mean 0 and standard deviation 1 over the films that the first recommends."""

    first: Scorer
    second: Scorer
    share: float

    def scores(self, items: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score every film, shape (n_items,): the second model's scores count `share`, the first's the rest."""
        total = self.first.scores(items, weights)
        live = np.isfinite(total)
        first, second = (_standard(scores[live]) for scores in (total, self.second.scores(items, weights)))
        total[live] = (1 - self.share) * first + self.share * second
        return total


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_order(
    data: Dataset, split: Split, settings: ModelSettings, chosen: str, *, k: int = 10, seed: int = 0
) -> tuple[Chosen, dict[str, Order]]:
    """Choose the rules on the validation part; measure them on the test, and on one that begins a day later."""
    pause = split_by_pause(data.ratings, data.catalogue)
    validation, test, later = (
        make_task(before, hidden, data.catalogue, seed=seed)
        for before, hidden in (
            (split.train, split.validation),
            (split.before_test, split.test),
            (pause.before_test, pause.test),
        )
    )
    best = choose_rules(validation, _recipe(validation, settings, chosen, seed), k=k)
    measured = {
        name: compare_order(task, _recipe(task, settings, chosen, seed), best, k=k, seed=seed)
        for name, task in (("validation", validation), ("test", test), ("pause", later))
    }
    return best, measured


def choose_rules(task: Task, served: Recipe, *, k: int) -> Chosen:
    """Return the window, the number of films that vote, and then the share in the sum that have the highest nDCG."""
    fitted = {window: fit_sequence_rules(task.before, window=window, last=1) for window in WINDOWS}

    def quality(model: Scorer, weigh: HistoryWeights = UNWEIGHTED) -> float:
        return float(_ndcg(model, task, weigh, k).mean())

    def rules(window: int, last: int) -> Scorer:
        return replace(fitted[window], last=last)

    window, last = max(product(WINDOWS, LASTS), key=lambda pair: quality(rules(*pair)))
    first = served.fit(task.before.matrix())
    share = max(SHARES, key=lambda share: quality(Sum(first, rules(window, last), share), served.weigh))
    return Chosen(window, last, share)


def compare_order(task: Task, served: Recipe, best: Chosen, *, k: int, seed: int) -> Order:
    """Fit the models on the histories of a task and compare their lists, person by person."""
    model, rules = served.fit(task.before.matrix()), fit_sequence_rules(task.before, window=best.window, last=best.last)
    ndcg = {
        SERVED: _ndcg(model, task, served.weigh, k),
        RULES: _ndcg(rules, task, UNWEIGHTED, k),
        CHAIN: _ndcg(fit_sequence_rules(task.before, window=1, last=1), task, UNWEIGHTED, k),
        BOTH: _ndcg(Sum(model, rules, best.share), task, served.weigh, k),
    }
    return Order(
        users=len(task.users),
        ndcg={name: bootstrap_interval(np.mean, values, seed=seed) for name, values in ndcg.items()},
        difference={
            name: bootstrap_interval(np.mean, ndcg[SERVED] - values, seed=seed)
            for name, values in ndcg.items()
            if name != SERVED
        },
    )


def _recipe(task: Task, settings: ModelSettings, chosen: str, seed: int) -> Recipe:
    return recipes(settings, task.before, task.catalogue, seed=seed)[chosen]


def _ndcg(model: Scorer, task: Task, weigh: HistoryWeights, k: int) -> Floats:
    return accuracy(lists_for(model, task, k=k, weigh=weigh), task, k=k)["ndcg"]


def _standard(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((scores - scores.mean()) / (scores.std() or 1.0), dtype=np.float32)
