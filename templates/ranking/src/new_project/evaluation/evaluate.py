"""Metrics with intervals of the lists on the hidden events, and the comparison with the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from new_project.config import MIN_HISTORY, MODEL_NAME, K
from new_project.data.items import CatalogItem
from new_project.data.load import Events, Split, load, split
from new_project.models.predictor import Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.ranking import EMPTY, judge, ranking_metrics
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

Floats = NDArray[np.float64]
METRIC_LABELS = {"ndcg": f"nDCG@{K}", "recall": f"recall@{K}", "hit_rate": f"hit rate@{K}"}
SUMMARY = "ndcg"


@dataclass(frozen=True)
class Task:
    """Of each user that is tested the ids before, oldest first, and those after, which a list should name."""

    histories: tuple[tuple[str, ...], ...]
    hidden: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Evaluation:
    """What the hidden events say of a model's lists: one value a user, and means with their 95 % intervals."""

    task: Task
    per_user: dict[str, Floats]
    metrics: dict[str, Interval]


def make_task(before: Events, after: Events, items: Sequence[CatalogItem]) -> Task:
    """Return the task of continuing the histories in `before` with what comes in `after`, where both have enough."""
    ids = [item.id for item in items]
    rows = [
        (tuple(ids[number] for number in history), tuple(ids[number] for number in hidden))
        for history, hidden in zip(before.histories(), after.histories(), strict=True)
        if len(history) >= MIN_HISTORY and len(hidden)
    ]
    return Task(*map(tuple, zip(*rows, strict=True)))


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Ask the predictor for the lists of the test's users, and measure them."""
    return measure(predictor, make_task(split.before_test, split.test, split.items), seed=seed)


def measure(predictor: Predictor, task: Task, *, seed: int = 0) -> Evaluation:
    """Measure the lists of a predictor; a hidden item that it did not learn counts as missed."""
    per_user = accuracy(predictor, task)
    metrics = {name: bootstrap_interval(np.mean, values, seed=seed) for name, values in per_user.items()}
    return Evaluation(task, per_user, metrics)


def accuracy(predictor: Predictor, task: Task) -> dict[str, Floats]:
    """Return the metrics of the first K places, one value for each user of the task."""
    numbers = {id_: number for number, id_ in enumerate(sorted({id_ for ids in task.hidden for id_ in ids}))}
    lists = np.full((len(task.hidden), K), EMPTY)
    for row, prediction in enumerate(predictor.predict(task.histories)):
        for place, each in enumerate(prediction.recommendations):  # what is hidden of nobody is never relevant
            lists[row, place] = numbers.get(each.item.id, len(numbers) + place)
    owners = np.repeat(np.arange(len(task.hidden)), [len(ids) for ids in task.hidden])
    judged = judge(lists, owners, [numbers[id_] for ids in task.hidden for id_ in ids])
    metrics = ranking_metrics(judged, K)
    return {name: metrics[name] for name in METRIC_LABELS}


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate the nDCG of the same users, as an error: this model's minus the champion's."""
    theirs, ours = accuracy(champion, evaluation.task)["ndcg"], evaluation.per_user["ndcg"]
    return paired_bootstrap(lambda ideal, reached: float(np.mean(ideal - reached)), np.ones(len(ours)), theirs, ours)


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test of these data."""
    manifest, data = read_manifest(bundle, project=MODEL_NAME), load(setting)
    console.print(data.source.reason)
    parts = split(data)
    if split_digest(parts.test.keys) != manifest.data.test_split_sha256:
        console.print("These are not the events that the bundle was tested on: it may have learned from some of them.")
    evaluation = evaluate(Predictor.load(bundle), parts, seed=int(str(manifest.config["seed"])))
    for name, interval in evaluation.metrics.items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
