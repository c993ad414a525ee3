"""Bias and variance, measured: models refitted to bootstrap samples, and what they say of the houses left out of them.

The mean squared error of the log price is a sum: what the mean of many refits is still wrong by (squared bias, with
the noise that no model can know), and how far a single refit lies from that mean (variance).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.load import Split
from housing.evaluation.candidates import BLEND, LINEAR, TREES, Fit, baselines, on_own_columns, slow_baselines
from housing.models.fit import fit_members
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval

Floats = NDArray[np.float64]

REFITS = 20
SINGLE_TREE = "one decision tree"
FROM_BASELINES = ("ridge", "LightGBM")


@dataclass(frozen=True)
class Spread:
    """The two parts of a model's mean squared error of the log price, each with its 95 % interval over houses."""

    name: str
    bias: Interval
    """Squared bias and noise."""
    variance: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def bias_and_variance(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    threads: int,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Spread]:
    """Refit each model to bootstrap samples of the training part; `advance` is called once a sample.

    A sample leaves out about 37 % of the houses, and those are priced. The test part is not touched.
    """
    train, log_price = split.train, np.log(split.train.prices)
    n, said = len(log_price), dict[str, Floats]()
    for sample in range(REFITS):
        drawn = np.random.default_rng(seed + sample).integers(n, size=n)
        out = np.setdiff1d(np.arange(n), drawn)
        inside = [train.records[i] for i in drawn]
        new = [train.records[i] for i in out]
        members = fit_members(inside, train.prices[drawn], settings, seed=seed, threads=threads).log_prices(new)
        predicted = {BLEND: members.blend(settings.linear_weight), LINEAR: members.linear, TREES: members.trees}
        for name, fit in others(seed=seed, threads=threads).items():
            predicted[name] = fit(inside, train.prices[drawn], new)
        for name, values in predicted.items():
            said.setdefault(name, np.full((REFITS, n), np.nan))[sample, out] = values
        advance(f"refit {sample + 1}")
    return [Spread(name, *parts(values, log_price, seed=seed)) for name, values in said.items()]


def others(*, seed: int, threads: int) -> dict[str, Fit]:
    """Return the models beside the served one and its members: a single tree, the forest, boosting and the ridge."""
    return {
        SINGLE_TREE: on_own_columns(DecisionTreeRegressor(random_state=seed)),
        "random forest": slow_baselines(seed=seed, threads=threads)["random forest"],
        **{name: baselines(seed=seed)[name] for name in FROM_BASELINES},
    }


def parts(said: Floats, log_price: Floats, *, seed: int = 0) -> tuple[Interval, Interval]:
    """Return (squared bias and noise, variance) of predictions, shape (refits, n), NaN where a house was fitted to.

    Houses that were left out less than twice say nothing of the variance and are not counted. A mean of m refits is
    off by variance / m, which is taken off the squared bias.
    """
    times = np.sum(~np.isnan(said), axis=0)
    said, log_price, times = said[:, times > 1], log_price[times > 1], times[times > 1]
    variance = np.nanvar(said, axis=0, ddof=1)
    bias = (np.nanmean(said, axis=0) - log_price) ** 2 - variance / times
    return (
        bootstrap_interval(lambda values: float(values.mean()), bias, seed=seed),
        bootstrap_interval(lambda values: float(values.mean()), variance, seed=seed),
    )
