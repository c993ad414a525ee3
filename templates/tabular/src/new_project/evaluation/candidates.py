"""What is tried, from the median to trees, and the cross-validation that compares it."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from new_project.config import TARGET_FORM, ModelSettings
from new_project.data.load import Split
from new_project.evaluation.evaluate import METRICS
from new_project.models.fit import Fitted, predictions
from portfolio_shared.evaluation.regression import mean_absolute_error
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval, better_by_more_than_chance, bootstrap_interval
from portfolio_shared.results import Candidate

Candidates = dict[str, Candidate[Fitted]]

CANDIDATES = {
    "median": ("median", False),
    "ridge": ("ridge", False),
    "trees": ("trees", False),
    "ridge of the logarithm": ("ridge", True),
    "trees of the logarithm": ("trees", True),
}
"""Name -> which member, and whether it learns the logarithm: only where every target is above 0. The simplest first."""
BASELINES = ("median", "ridge")
"""Candidates that are measured on the test split beside the chosen model."""
COLUMNS = (
    Column("mae_mean", "mean absolute error", TARGET_FORM),
    Column("mae_sd", "sd over folds", TARGET_FORM),
    Column("fit_seconds", "fit, s", ".2f"),
)


def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    log: Callable[[Candidate[Fitted]], None] = lambda _: None,
) -> Candidates:
    """Cross-validate every candidate on the folds of the training part; return them by name, the best first."""
    candidates: Candidates = {}
    for name, (member, logarithm) in CANDIDATES.items():
        if not logarithm or split.train.target.min() > 0:
            candidates[name] = cross_validate(name, member, split, settings, log=logarithm, seed=seed)
            log(candidates[name])
    return dict(sorted(candidates.items(), key=lambda item: item[1].metrics["mae_mean"]))


def cross_validate(
    name: str, member: str, split: Split, settings: ModelSettings, *, log: bool, seed: int
) -> Candidate[Fitted]:
    """Fit a candidate on all folds but one, predict that one, and measure it."""
    predicted, errors, started = np.full(len(split.train), np.nan), [], time.perf_counter()
    for out, inside, outside in split.folds():
        predicted[out] = predictions(inside, outside.records, settings, member, log=log, seed=seed)
        errors.append(mean_absolute_error(outside.target, predicted[out]))
    metrics = {
        "mae_mean": float(np.mean(errors)),
        "mae_sd": float(np.std(errors, ddof=1)),
        "fit_seconds": (time.perf_counter() - started) / len(errors),
    }
    return Candidate(name, metrics, Fitted(member, log, predicted, tuple(errors)), servable=member != "median")


def choose(candidates: Mapping[str, Candidate[Fitted]]) -> str:
    """Return the name of the candidate to serve: the simplest that no other one beats by more than chance."""
    best, *others = [candidates[name] for name in CANDIDATES if name in candidates and candidates[name].servable]
    for candidate in others:
        if better_by_more_than_chance(candidate.model.fold_errors, best.model.fold_errors):
            best = candidate
    return best.name


def evaluate_baselines(
    split: Split, settings: ModelSettings, candidates: Mapping[str, Candidate[Fitted]], *, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Fit these candidates on the training part and measure them on the test part."""
    metrics = {}
    for name, candidate in candidates.items():
        how = candidate.model
        found = predictions(split.train, split.test.records, settings, how.member, log=how.log, seed=seed)
        metrics[name] = {
            key: bootstrap_interval(metric, split.test.target, found, seed=seed) for key, metric in METRICS.items()
        }
    return metrics
