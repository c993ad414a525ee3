"""Metrics with intervals of the lists on the hidden ratings, and the comparison with the champion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.bundle import read_manifest
from portfolio_shared.evaluation.diversity import catalogue_coverage, intra_list_diversity, novelty, popularity_lift
from portfolio_shared.evaluation.ranking import EMPTY, ranking_metrics
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap
from recommender.config import MAX_USERS, MODEL_NAME
from recommender.data.drawn import Drawn, draw
from recommender.data.load import load, split
from recommender.data.splits import Split
from recommender.evaluation.task import Floats, Ints, Task, judge_lists, make_task
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor

LONGEST = 50  # length of the lists that are made; metrics look at their first k places

METRIC_LABELS = {
    "ndcg": "nDCG@{k}",
    "precision": "precision@{k}",
    "recall": "recall@{k}",
    "map": "MAP@{k}",
    "mrr": "MRR@{k}",
    "hit_rate": "hit rate@{k}",
    "novelty": "novelty, bits",
    "diversity": "diversity of genres",
    "popularity_lift": "popularity lift",
    "coverage": "share of films recommended",
}
"""Name of a metric without the length of the lists -> what tables call it."""


@dataclass(frozen=True)
class Evaluation:
    """What the hidden ratings say about one model's lists.

    Attributes
    ----------
    task
        Whose histories were continued, and what was hidden.
    k
        Length of the lists that the metrics look at.
    lists
        Shape (n_users, LONGEST): items, best first, -1 where there are too few.
    per_user
        Metric -> one value for each user of the task, shape (n_users,).
    metrics
        Metric with the length of the lists, such as ``ndcg_at_10`` -> mean over users with its 95 % bootstrap interval
        over them. A user without a hit counts as zero.
    coverage
        Share of all films that stand in at least one list; no interval, because a resample of users has fewer.
    baselines
        Of other models on the same task, by name.
    """

    task: Task
    k: int
    lists: Ints
    per_user: dict[str, Floats]
    metrics: dict[str, Interval]
    coverage: float
    baselines: Mapping[str, "Evaluation"] = field(default_factory=dict)

    def metric(self, name: str) -> Interval:
        """Return a metric by its name without the length of the lists, such as ``ndcg``."""
        return self.metrics[f"{name}_at_{self.k}"]


def evaluate(
    predictor: Predictor, split: Split, *, seed: int = 0, k: int = 10, max_users: int = MAX_USERS
) -> Evaluation:
    """Ask the predictor for the lists of the test's users, and measure them."""
    task = make_task(split.before_test, split.test, split.catalogue, max_users=max_users, seed=seed)
    return measure(recommend_all(predictor, task), task, k=k, seed=seed)


def measure(lists: Ints, task: Task, *, k: int, seed: int = 0, n_resamples: int = 1000) -> Evaluation:
    """Measure the first k places of lists, shape (n_users, at least k), in the order of the task's users."""
    counts, n_users = task.catalogue.n_ratings, task.before.n_users
    first = lists[:, :k]
    row = np.full(n_users, -1)
    row[task.users] = np.arange(len(task.users))
    profile = row[task.before.users] >= 0
    profile_rows, profile_items = row[task.before.users[profile]], task.before.items[profile]
    per_user = {
        **accuracy(lists, task, k=k),
        "novelty": novelty(first, counts, n_users),
        "diversity": intra_list_diversity(first, task.catalogue.genres.astype(np.float64)),
        "popularity_lift": popularity_lift(first, counts, n_users, profile_rows, profile_items),
    }
    metrics = {
        f"{name}_at_{k}": bootstrap_interval(np.mean, values, seed=seed, n_resamples=n_resamples)
        for name, values in per_user.items()
    }
    return Evaluation(task, k, lists, per_user, metrics, catalogue_coverage(first, len(task.catalogue)))


# Two BLAS threads that wait for each other were seen to take 100 ms for what one does in 1, on busy cores.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def recommend_all(predictor: Predictor, task: Task, *, k: int = LONGEST, diversity: float = 0.0) -> Ints:
    """Ask the served model for a list for each user of the task, as the API would; shape (n_users, k).

    The predictor may have other films than the task: what it does not know of a history it cannot use, and what it
    recommends beyond the task's films stands in the list as a number past its last item, which is never relevant.
    """
    position, ids = task.catalogue.position, [film.id for film in task.catalogue.films]
    lists = np.full((len(task.users), k), EMPTY, dtype=np.int64)
    for row, user in enumerate(task.users):
        items, stars = task.history(int(user))
        history = [Seen(ids[item], value) for item, value in zip(items.tolist(), stars.tolist(), strict=True)]
        recommended = predictor.recommend(history, k=k, diversity=diversity, n_reasons=0).recommendations
        for place, recommendation in enumerate(recommended):
            lists[row, place] = position.get(recommendation.film.id, len(ids) + place)
    return lists


def accuracy(lists: Ints, task: Task, *, k: int) -> dict[str, Floats]:
    """Return the accuracy metrics of the first k places, one value a user; films may be beyond the task's."""
    metrics = ranking_metrics(judge_lists(lists, task.users, task.hidden), k)
    return {name: metrics[name] for name in METRIC_LABELS if name in metrics}


def leads(evaluation: Evaluation, *, seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Return for each baseline and metric the mean of the model's value minus the baseline's on the same users."""
    # Of differences between two models on the same users, the interval of the mean is the paired one.
    return {
        name: {
            metric: bootstrap_interval(np.mean, values - other.per_user[metric], seed=seed)
            for metric, values in evaluation.per_user.items()
        }
        for name, other in evaluation.baselines.items()
    }


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate the nDCG of the same users, as an error: this model's minus the champion's.

    The champion gets the same histories. Films that it does not know are missing from its histories and from its
    lists, where they count as not recommended.
    """
    lists = recommend_all(champion, evaluation.task)
    return compare_ndcg(evaluation.per_user["ndcg"], accuracy(lists, evaluation.task, k=evaluation.k)["ndcg"])


def compare_ndcg(challenger: Floats, champion: Floats) -> PairedComparison:
    """Compare two models by the nDCG of the same users, shape (n_users,) each; below 0 the challenger is better."""

    def mean_shortfall(ideal: Floats, reached: Floats) -> float:
        return float(np.mean(ideal - reached))

    return paired_bootstrap(mean_shortfall, np.ones(len(champion)), champion, challenger)


def task_of_test(drawn: Drawn) -> Task:
    """Return the task of the people drawn of a stored data set: to continue what they rated before the test."""
    parts, raters = drawn.split, drawn.totals.raters["before_test"]
    return Task(parts.before_test, parts.test, drawn.people, parts.catalogue.counted(raters))


def evaluate_bundle(bundle: Path, setting: str, console: Console, *, dataset: str = "latest-small") -> None:
    """Print the metrics of a bundle on the frozen test of these data."""
    manifest = read_manifest(bundle, project=MODEL_NAME)
    k, max_users, seed = (int(str(manifest.config[name])) for name in ("k", "max_users", "seed"))
    if manifest.config.get("engine"):  # the people whom that training drew, and nobody else is loaded
        drawn = draw(setting, max_users=max_users, seed=seed)
        data, task = drawn.data, task_of_test(drawn)
    else:
        data = load(setting, dataset=dataset)
        parts = split(data)
        task = make_task(parts.before_test, parts.test, data.catalogue, max_users=max_users, seed=seed)
    console.print(data.source.reason)
    if task.digest != manifest.data.test_split_sha256:
        console.print("These are not the ratings that the bundle was tested on: it may have learned from some of them.")
    for name, values in accuracy(recommend_all(Predictor.load(bundle), task), task, k=k).items():
        interval = bootstrap_interval(np.mean, values, seed=seed)
        console.print(f"{METRIC_LABELS[name].format(k=k)}: {with_interval(interval)}")
