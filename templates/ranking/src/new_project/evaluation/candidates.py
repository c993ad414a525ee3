"""The comparison of all candidates on the validation part, and of the baselines on the test."""

import time
from collections.abc import Callable, Mapping

from new_project.config import ModelSettings
from new_project.data.load import Split
from new_project.evaluation.evaluate import evaluate, make_task, measure
from new_project.models.fit import EASE, FITS, NEIGHBORS, POPULARITY, Fitted, fit, fit_model
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate

BASELINES = (POPULARITY, NEIGHBORS, EASE)
COLUMNS = (
    Column("shortfall", "1 - nDCG", ".3f"),
    Column("ndcg", "nDCG", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("hit_rate", "hit rate", ".3f"),
    Column("fit_seconds", "fit, s", ".2f"),
)


def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    log: Callable[[Candidate[Fitted]], None] = lambda _: None,
) -> dict[str, Candidate[Fitted]]:
    """Fit every candidate on the training part and measure it on the validation part; the highest nDCG comes first."""
    task, candidates = make_task(split.train, split.validation, split.items), []
    for name in FITS:
        started = time.perf_counter()
        model = fit_model(name, split.train, split.items, settings)
        seconds = time.perf_counter() - started
        metrics = {"fit_seconds": seconds}
        for metric, interval in measure(model, task, seed=seed).metrics.items():
            metrics |= {metric: interval.estimate, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        candidates.append(Candidate(name, metrics | {"shortfall": 1 - metrics["ndcg"]}, model))
        log(candidates[-1])
    return {each.name: each for each in sorted(candidates, key=lambda each: each.metrics["shortfall"])}


def choose(candidates: Mapping[str, Candidate[Fitted]]) -> str:
    """Return the name of the candidate with the highest nDCG: all can be served, popularity too."""
    return min(candidates.values(), key=lambda candidate: candidate.metrics["shortfall"]).name


def evaluate_baselines(
    split: Split, settings: ModelSettings, candidates: Mapping[str, Candidate[Fitted]], *, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Fit these candidates on everything but the test and measure them on it, by name."""
    return {
        name: evaluate(fit(split, settings, candidate), split, seed=seed).metrics
        for name, candidate in candidates.items()
    }
