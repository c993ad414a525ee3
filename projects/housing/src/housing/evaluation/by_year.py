"""The split that is not used: learn from the years before, price the last one; beside models that knew all years."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.load import Split
from housing.evaluation.candidates import BASELINES, BLEND, baselines, cross_validate_members
from housing.models.fit import OutOfFold, fit
from portfolio_shared.data.splits import group_folds
from portfolio_shared.evaluation.conformal import interval_coverage
from portfolio_shared.evaluation.regression import mean_error, median_absolute_error, root_mean_squared_log_error
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval, paired_bootstrap
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NextYear:
    """A model on the sales of the last year, learned from the years before alone.

    Attributes
    ----------
    rmsle, median_error, mean_error
        With 95 % intervals over houses; dollars where not relative; a mean error above 0 is too high.
    difference
        This RMSLE minus that of the same kind of model which also knew four fifths of the year's sales, same houses.
    """

    name: str
    rmsle: Interval
    median_error: Interval
    mean_error: Interval
    difference: Interval


@dataclass(frozen=True)
class ByYear:
    """How well the last year is priced by what the years before teach, and how much the intervals hold of it."""

    year: int
    learned: int
    houses: int
    rows: list[NextYear]
    coverage: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def next_year(
    split: Split,
    settings: ModelSettings,
    candidates: Mapping[str, Candidate[OutOfFold]],
    *,
    seed: int = 0,
    threads: int,
) -> ByYear:
    """Learn from the training part's sales before its last year, and price those of the last year."""
    train, sold = split.train, split.train.frame["yr_sold"].to_numpy()
    last = sold == sold.max()
    before, after = train.take(~last), train.take(last)
    parts = Split(before, group_folds(before.keys, n_folds=split.n_folds, seed=seed), after)
    members = cross_validate_members(parts, settings, seed=seed, threads=threads, advance=lambda _: None)
    blend = next(member for member in members if member.name == BLEND)
    price, low, high = fit(parts, settings, blend, seed=seed, threads=threads).price_and_interval(after.records)
    predicted = {BLEND: price}
    for name in BASELINES:
        predicted[name] = np.exp(baselines(seed=seed)[name](before.records, before.prices, after.records))
    rows = [
        row(name, after.prices, own, np.exp(candidates[name].model.log_prices[last]), seed=seed)
        for name, own in predicted.items()
    ]
    coverage = bootstrap_interval(interval_coverage, after.prices, low, high, seed=seed)
    return ByYear(int(sold.max()), len(before.records), len(after.records), rows, coverage)


def row(name: str, paid: Floats, predicted: Floats, knowing: Floats, *, seed: int) -> NextYear:
    """Return the errors of these prices, beside those of models that knew sales of the same year."""
    return NextYear(
        name,
        bootstrap_interval(root_mean_squared_log_error, paid, predicted, seed=seed),
        bootstrap_interval(median_absolute_error, paid, predicted, seed=seed),
        bootstrap_interval(mean_error, paid, predicted, seed=seed),
        paired_bootstrap(root_mean_squared_log_error, paid, knowing, predicted, seed=seed).difference,
    )
