"""What is tried, from the median to the served blend, and the cross-validation that compares it.

The peers (median to LightGBM) read the file's own columns, one-hot and ordinal encoded, so that the table also
shows what the features of `features.py` are worth. Only the linear member, the trees and their blend can be served.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.columns import Record, columns
from housing.models.features import DERIVED, category_names, design
from housing.models.fit import Members, fit_members, sparsely
from housing.models.imputation import Typical, complete, fit_typical
from housing.models.predictor import MemberPrices
from portfolio_shared.evaluation.regression import mean_absolute_error, root_mean_squared_log_error

Floats = NDArray[np.float64]
Predict = Callable[[Sequence[Record]], Floats]
"""Records -> log prices, shape (n,)."""

BLEND, LINEAR, TREES = "blend", "Huber ridge (linear member)", "CatBoost (tree member)"
SERVABLE = {BLEND: None, LINEAR: 1.0, TREES: 0.0}
"""Candidates that can be served, and the weight of the linear member that stands for each (None: as set)."""


@dataclass
class Candidate:
    """One candidate's errors on held-out houses.

    Attributes
    ----------
    log_prices
        Out-of-fold predictions, shape (n,).
    rmsle, mae
        Of each fold: root mean squared error of the log price; mean absolute error in dollars.
    fit_seconds
        Of each fold, features included.
    """

    name: str
    log_prices: Floats
    rmsle: list[float] = field(default_factory=list)
    mae: list[float] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)

    def add_fold(self, rows: NDArray[np.bool_], prices: Floats, predicted: Floats, seconds: float) -> None:
        """Record the predictions for the held-out `rows`, shape (n,) of booleans."""
        self.log_prices[rows] = predicted
        self.rmsle.append(root_mean_squared_log_error(prices[rows], np.exp(predicted)))
        self.mae.append(mean_absolute_error(prices[rows], np.exp(predicted)))
        self.fit_seconds.append(seconds)

    @property
    def summary(self) -> dict[str, float]:
        """Mean and standard deviation over folds."""
        return {
            "rmsle_mean": float(np.mean(self.rmsle)),
            "rmsle_sd": float(np.std(self.rmsle, ddof=1)),
            "mae_mean": float(np.mean(self.mae)),
            "fit_seconds": float(np.mean(self.fit_seconds)),
        }


# OpenMP and BLAS threads wait for each other in a busy loop: on cores that something else uses too, two threads were
# seen to take 40 times as long as one. CatBoost has its own threads, which do not.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def cross_validate(
    records: Sequence[Record],
    prices: Floats,
    fold: NDArray[np.int64],
    settings: ModelSettings,
    *,
    seed: int = 0,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
) -> dict[str, Candidate]:
    """Fit every candidate on all folds but one, predict that one; return candidates by name.

    Parameters
    ----------
    fold
        The fold of each row, shape (n,).
    advance
        Called with "fold 1 of 5: Ridge" after each fit, for a progress bar.
    """
    results: dict[str, Candidate] = {}
    n_folds = int(fold.max()) + 1
    for k in range(n_folds):
        held_out = fold == k
        inside, outside = parted(records, held_out)
        fits = {**peers(seed=seed), **served(settings, seed=seed, threads=threads)}
        for fit in fits.values():
            started = time.perf_counter()
            predictions = fit(inside, prices[~held_out], outside)
            seconds = time.perf_counter() - started
            for name, predicted in predictions.items():
                candidate = results.setdefault(name, Candidate(name, np.empty(len(prices))))
                candidate.add_fold(held_out, prices, predicted, seconds)
                advance(f"fold {k + 1} of {n_folds}: {name}")
    return results


Fit = Callable[[Sequence[Record], Floats, Sequence[Record]], dict[str, Floats]]
"""(training records, prices, new records) -> log prices of the new records by candidate."""


def sparse_out_of_fold(
    records: Sequence[Record],
    prices: Floats,
    fold: NDArray[np.int64],
    settings: ModelSettings,
    *,
    seed: int = 0,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
) -> MemberPrices:
    """Return what the members say of held-out houses of which only the required fields are given.

    They learn from complete records, as the served model does.
    """
    linear, trees = np.empty(len(prices)), np.empty(len(prices))
    for k in range(int(fold.max()) + 1):
        held_out = fold == k
        inside, outside = parted(records, held_out)
        members: Members = fit_members(inside, prices[~held_out], settings, seed=seed, threads=threads)
        predicted = members.log_prices([sparsely(record) for record in outside])
        linear[held_out], trees[held_out] = predicted.linear, predicted.trees
        advance(f"fold {k + 1}: required fields alone")
    return MemberPrices(linear, trees)


def parted(records: Sequence[Record], held_out: NDArray[np.bool_]) -> tuple[list[Record], list[Record]]:
    """Return (the records to fit to, the records that are held out)."""
    inside = [record for record, out in zip(records, held_out, strict=True) if not out]
    return inside, [record for record, out in zip(records, held_out, strict=True) if out]


def n_fits(folds: int) -> int:
    """Return how often `cross_validate` calls `advance`."""
    return folds * (len(peers(seed=0)) + len(SERVABLE))


def peers(*, seed: int) -> dict[str, Fit]:
    """Return the baselines and the usual libraries at their defaults, on the file's own columns."""
    gradient = HistGradientBoostingRegressor(random_state=seed)
    lightgbm = LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True)
    return {
        "median": _median,
        "linear regression": _plain("linear regression", LinearRegression()),
        "ridge": _plain("ridge", make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 13)))),
        "HistGradientBoosting": _plain("HistGradientBoosting", gradient),
        "LightGBM": _plain("LightGBM", lightgbm),
    }


def served(settings: ModelSettings, *, seed: int, threads: int) -> dict[str, Fit]:
    """Return the blend and its two members, which one fit gives together."""

    def fit(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> dict[str, Floats]:
        members = fit_members(records, prices, settings, seed=seed, threads=threads)
        predicted = members.log_prices(new)
        return {LINEAR: predicted.linear, TREES: predicted.trees, BLEND: predicted.blend(settings.linear_weight)}

    return {BLEND: fit}


def _median(_: Sequence[Record], prices: Floats, new: Sequence[Record]) -> dict[str, Floats]:
    return {"median": np.full(len(new), np.median(np.log(prices)))}


def _plain(name: str, regressor: object) -> Fit:
    def fit(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> dict[str, Floats]:
        typical = fit_typical(records)
        regressor.fit(plain_matrix(records, typical), np.log(prices))  # type: ignore[attr-defined]
        return {name: regressor.predict(plain_matrix(new, typical))}  # type: ignore[attr-defined]

    return fit


def plain_matrix(records: Sequence[Record], typical: Typical) -> Floats:
    """Return the file's own columns as numbers: quantities, ordinals as levels, one column a code; shape (n, p)."""
    houses = design([complete(record, typical)[0] for record in records])
    own = houses.numbers[:, : -len(DERIVED)]
    sizes = [len(columns()[name].choices) for name in category_names()]
    one_hot = [houses.codes[:, [i]] == np.arange(size) for i, size in enumerate(sizes)]
    return np.concatenate([own, *one_hot], axis=1, dtype=np.float64)
