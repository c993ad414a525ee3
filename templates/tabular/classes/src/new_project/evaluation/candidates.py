"""What is tried, from the frequencies of the classes to trees, and the cross-validation that compares it."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from new_project.config import ModelSettings
from new_project.data.columns import schema
from new_project.data.load import Split
from new_project.evaluation.evaluate import METRICS
from new_project.models.fit import Fitted, logits_of
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval, better_by_more_than_chance, bootstrap_interval
from portfolio_shared.results import Candidate

Candidates = dict[str, Candidate[Fitted]]

CANDIDATES = {"class frequencies": "frequencies", "logistic regression": "ridge", "trees": "trees"}
"""Name -> which member. The simplest first."""
BASELINES = ("class frequencies", "logistic regression")
"""Candidates that are measured on the test split beside the chosen model."""
COLUMNS = (
    Column("log_loss_mean", "log loss", ".4f"),
    Column("log_loss_sd", "sd over folds", ".4f"),
    Column("accuracy", "accuracy", ".3f"),
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
    for name, member in CANDIDATES.items():
        candidates[name] = cross_validate(name, member, split, settings, seed=seed)
        log(candidates[name])
    return dict(sorted(candidates.items(), key=lambda item: item[1].metrics["log_loss_mean"]))


def cross_validate(name: str, member: str, split: Split, settings: ModelSettings, *, seed: int) -> Candidate[Fitted]:
    """Fit a candidate on all folds but one, predict that one, and measure it."""
    logits = np.full((len(split.train), len(schema().target.classes)), np.nan)
    errors, started = [], time.perf_counter()
    for out, inside, outside in split.folds():
        logits[out] = logits_of(inside, outside.records, settings, member, seed=seed)
        errors.append(log_loss_error(outside.target.astype(np.int64), softmax(logits[out])))
    held, truth = split.held_out, split.train.target.astype(np.int64)
    metrics = {
        "log_loss_mean": float(np.mean(errors)),
        "log_loss_sd": float(np.std(errors, ddof=1)),
        "accuracy": accuracy_score(truth[held], softmax(logits[held])),
        "fit_seconds": (time.perf_counter() - started) / len(errors),
    }
    return Candidate(name, metrics, Fitted(member, logits, tuple(errors)), servable=member != "frequencies")


def choose(candidates: Mapping[str, Candidate[Fitted]]) -> str:
    """Return the name of the candidate to serve: the simplest that no other one beats by more than chance."""
    best, *others = [candidates[name] for name in CANDIDATES if candidates[name].servable]
    for candidate in others:
        if better_by_more_than_chance(candidate.model.fold_errors, best.model.fold_errors):
            best = candidate
    return best.name


def evaluate_baselines(
    split: Split, settings: ModelSettings, candidates: Mapping[str, Candidate[Fitted]], *, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Fit these candidates on the training part and measure them on the test part, without a temperature."""
    truth, metrics = split.test.target.astype(np.int64), {}
    for name, candidate in candidates.items():
        found = softmax(logits_of(split.train, split.test.records, settings, candidate.model.member, seed=seed))
        metrics[name] = {key: bootstrap_interval(metric, truth, found, seed=seed) for key, metric in METRICS.items()}
    return metrics
