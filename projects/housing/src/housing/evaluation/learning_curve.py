"""What more houses would bring: the error by the number of houses to learn from."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from housing.config import ModelSettings
from housing.data.load import Split
from housing.models.fit import fit_members
from portfolio_shared.evaluation import charts
from portfolio_shared.evaluation.regression import root_mean_squared_log_error

SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def learning_curve(
    split: Split, settings: ModelSettings, *, threads: int, advance: Callable[[str], None]
) -> dict[int, list[float]]:
    """Return number of training houses -> RMSLE on each held-out fold, for growing shares of the other folds."""
    curve: dict[int, list[float]] = {}
    for share in SHARES:
        size = round(share * len(split.validation) * 0.8)
        for k, (_, inside, outside) in enumerate(split.folds()):
            used = np.random.default_rng(k).permutation(len(inside.records))[: int(share * len(inside.records))]
            members = fit_members([inside.records[i] for i in used], inside.prices[used], settings, threads=threads)
            predicted = members.log_prices(outside.records).blend(settings.linear_weight)
            curve.setdefault(size, []).append(root_mean_squared_log_error(outside.prices, np.exp(predicted)))
            advance(f"{len(used):,} houses")
    return curve


def draw_learning_curve(curve: Mapping[int, list[float]]) -> Figure:
    """Draw the learning curve with one standard error of the folds' mean."""
    errors = np.array(list(curve.values()))
    mean, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
    return charts.line_with_band(
        list(curve),
        {"RMSLE": (mean, mean - spread, mean + spread)},
        xlabel="Houses to learn from",
        ylabel="RMSLE of held-out houses",
        title="Error by the number of houses to learn from",
    )
