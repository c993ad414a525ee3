"""What more houses would bring: the error by the number of houses to learn from, on new houses and on those houses."""

from collections.abc import Callable

import numpy as np

from housing.config import ModelSettings
from housing.data.load import Split
from housing.models.fit import fit_members
from portfolio_shared.evaluation.regression import root_mean_squared_log_error

SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
HELD_OUT, TRAINING = "houses held out", "houses learned from"

Curve = dict[int, dict[str, list[float]]]
"""Number of houses to learn from -> whose error -> RMSLE in each fold."""


def learning_curve(split: Split, settings: ModelSettings, *, threads: int, advance: Callable[[str], None]) -> Curve:
    """Measure the blend on each held-out fold and on its own houses, for growing shares of the other folds."""
    curve: Curve = {}
    for share in SHARES:
        size = round(share * len(split.validation) * 0.8)
        for k, (_, inside, outside) in enumerate(split.folds()):
            used = np.zeros(len(inside.records), dtype=bool)
            used[np.random.default_rng(k).permutation(len(used))[: int(share * len(used))]] = True
            learned = inside.take(used)
            members = fit_members(learned.records, learned.prices, settings, threads=threads)
            for name, sales in ((HELD_OUT, outside), (TRAINING, learned)):
                predicted = np.exp(members.log_prices(sales.records).blend(settings.linear_weight))
                errors = curve.setdefault(size, {}).setdefault(name, [])
                errors.append(root_mean_squared_log_error(sales.prices, predicted))
            advance(f"{used.sum():,} houses")
    return curve
