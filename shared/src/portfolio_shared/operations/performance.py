"""How right the answers were that feedback came in on, beside what the test split had promised."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from portfolio_shared.bundle import MetricValue
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.operations.store import Feedback, LoggedPrediction
from portfolio_shared.operations.watch import Measure, Watch
from portfolio_shared.operations.window import UNREADABLE, named

MIN_CLUSTERS = 30  # people or predictions of equal size, below which nothing is said of the mean
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Measured:
    """One measure over the feedback of a window.

    Attributes
    ----------
    rows, clusters
        Truths, and the people or predictions that they are of: what one person says counts together.
    effective
        So many clusters of equal size would say as much (`effective_number`).
    mean
        With its 95 % bootstrap interval over clusters; none with fewer than two.
    test
        The metric of the test split, if the measure is compared with one.
    p
        Chance of a mean as bad as this one, or worse, if nothing had changed; none where it is not compared.
    level
        At or below which `p` is an alarm.
    """

    name: str
    label: str
    better: str
    rows: int
    clusters: int
    effective: float
    mean: Interval | None
    test: MetricValue | None
    p: float | None
    level: float

    @property
    def alarm(self) -> bool:
        """Whether it is worse by more than chance."""
        return self.p is not None and self.p <= self.level


@dataclass(frozen=True)
class Performance:
    """What the feedback of a window shows.

    Attributes
    ----------
    rows
        Truths of the version that is looked at.
    others
        Truths of predictions by other versions, which are not compared.
    unreadable
        Truths that the project's code could not read.
    reason
        Which error the first of these was, without a value of it.
    """

    measures: tuple[Measured, ...]
    rows: int
    others: int
    unreadable: int
    reason: str


def performance(
    watch: Watch,
    feedback: Iterable[tuple[LoggedPrediction, Feedback]],
    metrics: Mapping[str, MetricValue],
    *,
    version: str,
    alpha: float,
) -> Performance:
    """Compare what feedback shows of a version with its test split; those that can be share the level."""
    said: dict[str, dict[str, list[float]]] = {name: {} for name in watch.measures}
    rows = others = unreadable = 0
    reason = ""
    for prediction, given in feedback:
        if prediction.version != version:
            others += 1
            continue
        rows += 1
        try:
            truth = watch.truth.model_validate_json(given.truth)
            shown = {name: _finite(value) for name, value in watch.measure(prediction, given.item, truth).items()}
        except UNREADABLE as error:
            unreadable += 1
            reason = reason or named(error)
            continue
        for name, value in shown.items():
            said[name].setdefault(prediction.subject or prediction.id, []).append(value)
    measures = [
        _measured(name, measure, list(said[name].values()), metrics.get(measure.metric or ""))
        for name, measure in watch.measures.items()
    ]
    level = alpha / max(1, sum(measure.p is not None for measure in measures))
    return Performance(tuple(replace(measure, level=level) for measure in measures), rows, others, unreadable, reason)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a measure is {value}")
    return float(value)


def _measured(name: str, measure: Measure, clusters: list[list[float]], test: MetricValue | None) -> Measured:
    sums = np.array([math.fsum(values) for values in clusters])
    counts = np.array([len(values) for values in clusters], dtype=np.float64)
    mean = p = None
    if len(clusters) > 1:
        mean = bootstrap_interval(lambda total, n: float(total.sum() / n.sum()), sums, counts)
    effective = effective_number(counts)
    if mean is not None and test is not None and effective >= MIN_CLUSTERS:
        p = chance_of_worse(sums, counts, test, higher_is_better=measure.better == "higher")
    rows, n = int(counts.sum()), len(clusters)
    return Measured(name, measure.label, measure.better, rows, n, effective, mean, test, p, 0.0)


def effective_number(counts: NDArray[np.float64]) -> float:
    """Return how many clusters of equal size say as much about a mean as clusters of these sizes (Kish 1965).

    >>> effective_number(np.ones(30)), round(effective_number(np.array([1.0] * 29 + [1000.0])), 1)
    (30.0, 1.1)
    """
    return float(counts.sum() ** 2 / np.square(counts).sum()) if len(counts) else 0.0


def chance_of_worse(
    sums: NDArray[np.float64], counts: NDArray[np.float64], test: MetricValue, *, higher_is_better: bool
) -> float:
    """Return the chance of a mean over clusters as bad as this one, if the test's estimate were of the same population.

    Welch's t-test from the test's estimate and interval: its rows are not in the bundle. The degrees of freedom are
    those of the effective number of clusters, which has to be `MIN_CLUSTERS`: one that outweighs the others decides
    the mean and hides its spread. Errors have a long tail upwards, which makes the test careful: their mean and their
    standard deviation rise together.

    Parameters
    ----------
    sums, counts
        Of the values of each cluster.

    Examples
    --------
    >>> test = MetricValue(estimate=1.0, low=0.9, high=1.1)
    >>> values = np.array([1.4, 1.6, 1.5, 1.3, 1.7])
    >>> round(chance_of_worse(values, np.ones(5), test, higher_is_better=False), 4)
    0.0001
    >>> round(chance_of_worse(values, np.ones(5), test, higher_is_better=True), 4)
    0.9999
    """
    n, mean = effective_number(counts), sums.sum() / counts.sum()
    of_mean = n / (n - 1) * np.square(sums - mean * counts).sum() / counts.sum() ** 2
    known = test.low is not None and test.high is not None
    of_test = ((test.high - test.low) / (2 * NORMAL_95)) ** 2 if known else 0.0  # type: ignore[operator]
    worse = (test.estimate - mean) if higher_is_better else (mean - test.estimate)
    if (variance := of_mean + of_test) == 0:
        return float(worse <= 0)
    freedom = variance**2 / (of_mean**2 / (n - 1)) if of_mean else math.inf
    return float(stats.t.sf(worse / math.sqrt(variance), freedom))
