"""The comparison of all candidates on the validation part, and of the baselines on the test."""

import time
from collections.abc import Callable, Mapping

from new_project.config import ModelSettings
from new_project.data.load import Split
from new_project.evaluation.evaluate import accuracy_and_loss, intervals
from new_project.models.fit import COLORS, FREQUENT, PROBE, Fitted, fit_model
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate

BASELINES = (FREQUENT, COLORS)
COLUMNS = (
    Column("log_loss", "log loss", ".3f"),
    Column("accuracy", "accuracy", ".3f"),
    Column("fit_seconds", "fit, s", ".2f"),
)


def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    log: Callable[[Candidate[Fitted]], None] = lambda _: None,
) -> dict[str, Candidate[Fitted]]:
    """Fit every candidate on the training part and measure it on the validation part; the lowest log loss comes first.

    Temperatures are set on the same part: one number each, which no label's order depends on.
    """
    truth, candidates = split.validation.numbers(split.labels), []
    for name in (PROBE, COLORS, FREQUENT):
        started = time.perf_counter()
        model = fit_model(name, split, settings)
        metrics = {"fit_seconds": time.perf_counter() - started}
        measured = intervals(accuracy_and_loss(model.probabilities(split.validation), truth), seed=seed)
        for metric, (estimate, low, high) in measured.items():
            metrics |= {metric: estimate, f"{metric}_low": low, f"{metric}_high": high}
        candidates.append(Candidate(name, metrics, model, servable=name == PROBE))
        log(candidates[-1])
    return {each.name: each for each in sorted(candidates, key=lambda each: each.metrics["log_loss"])}


def choose(candidates: Mapping[str, Candidate[Fitted]]) -> str:
    """Return the name of the candidate with the lowest log loss among those that can be served."""
    return min((each for each in candidates.values() if each.servable), key=lambda each: each.metrics["log_loss"]).name


def evaluate_baselines(
    split: Split, settings: ModelSettings, candidates: Mapping[str, Candidate[Fitted]], *, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Measure these candidates on the test, by name; nothing is fitted again."""
    del settings
    truth = split.test.numbers(split.labels)
    return {
        name: intervals(accuracy_and_loss(candidate.model.probabilities(split.test), truth), seed=seed)
        for name, candidate in candidates.items()
    }
