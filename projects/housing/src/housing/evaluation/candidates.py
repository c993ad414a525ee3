"""What is tried, from the median to the served blend, and the cross-validation that compares it.

A buyer's rules of thumb come first. The other baselines read the file's own columns, one-hot and ordinal encoded, so
that the table also shows what the features of `models/features.py` are worth. Only the linear member, the trees and
their blend can be served.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.columns import Record, columns
from housing.data.house import sparsely
from housing.data.load import Split
from housing.evaluation.evaluate import METRICS
from housing.models.features import DERIVED, category_names, design
from housing.models.fit import OutOfFold, fit_members
from housing.models.imputation import Typical, complete, fit_typical
from housing.models.intervals import MemberPrices
from portfolio_shared.evaluation.regression import mean_absolute_error, root_mean_squared_log_error
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval, paired_bootstrap
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]
Candidates = dict[str, Candidate[OutOfFold]]

Fit = Callable[[Sequence[Record], Floats, Sequence[Record]], Floats]
"""(training records, prices, new records) -> log prices of the new records, shape (n_new,)."""

BLEND, LINEAR, TREES = "blend", "Huber ridge (linear member)", "CatBoost (tree member)"
MEMBER_WEIGHTS = {LINEAR: 1.0, TREES: 0.0}
"""The weight of the linear member with which a member is served alone."""

BASELINES = ("median", "neighborhood's price per square foot", "ridge", "LightGBM")
"""Baselines that are measured on the test split beside the chosen model."""

COLUMNS = (
    Column("rmsle_mean", "RMSLE", ".4f"),
    Column("rmsle_sd", "sd over folds", ".4f"),
    Column("mae_mean", "MAE, dollars", ",.0f"),
    Column("fit_seconds", "fit, s", ".2f"),
)


# OpenMP and BLAS threads wait for each other in a busy loop: on cores that something else uses too, two threads were
# seen to take 40 times as long as one. CatBoost has its own threads, which do not.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
    log: Callable[[Candidate[OutOfFold]], None] = lambda _: None,
) -> Candidates:
    """Cross-validate every candidate on the folds of the training part; return them by name, the best first.

    `advance` is called with "ridge: fold 1" after each of the `n_fits` fits, `log` with each candidate when measured.
    """
    candidates: Candidates = {}
    for name, fit in baselines(seed=seed).items():
        candidates[name] = cross_validate(name, fit, split, advance=advance)
        log(candidates[name])
    for candidate in cross_validate_members(split, settings, seed=seed, threads=threads, advance=advance):
        candidates[candidate.name] = candidate
        log(candidate)
    return dict(sorted(candidates.items(), key=lambda item: item[1].metrics["rmsle_mean"]))


def choose(candidates: Mapping[str, Candidate[OutOfFold]]) -> str:
    """Return the name of the best candidate that can be served."""
    servable = [candidate for candidate in candidates.values() if candidate.servable]
    return min(servable, key=lambda candidate: candidate.metrics["rmsle_mean"]).name


def chosen_settings(chosen: str, settings: ModelSettings) -> ModelSettings:
    """Return the settings of the chosen candidate: the blend as set, or one of its members alone."""
    return settings.model_copy(update={"linear_weight": MEMBER_WEIGHTS.get(chosen, settings.linear_weight)})


def n_fits(split: Split) -> int:
    """Return how often `compare` calls `advance`."""
    return split.n_folds * (len(baselines(seed=0)) + 1)


def cross_validate(
    name: str, fit: Fit, split: Split, *, advance: Callable[[str], None] = lambda _: None
) -> Candidate[OutOfFold]:
    """Fit a baseline on all folds but one, predict that one, and measure it."""
    log_prices, seconds = np.empty(len(split.validation)), []
    for k, (out, inside, outside) in enumerate(split.folds()):
        started = time.perf_counter()
        log_prices[out] = fit(inside.records, inside.prices, outside.records)
        seconds.append(time.perf_counter() - started)
        advance(f"{name}: fold {k + 1}")
    rmsle, metrics = _measure(log_prices, split, seconds)
    return Candidate(name, metrics, OutOfFold(log_prices, rmsle, split.train.prices), servable=False)


def cross_validate_members(
    split: Split, settings: ModelSettings, *, seed: int, threads: int, advance: Callable[[str], None]
) -> list[Candidate[OutOfFold]]:
    """Measure the blend and its two members, which one fit a fold gives together.

    The time of the predictions for records with the required fields alone is not counted: a candidate does not need
    them, the intervals of the served model do.
    """
    full, sparse = (MemberPrices(np.empty(len(split.validation)), np.empty(len(split.validation))) for _ in range(2))
    seconds = []
    for k, (out, inside, outside) in enumerate(split.folds()):
        started = time.perf_counter()
        members = fit_members(inside.records, inside.prices, settings, seed=seed, threads=threads)
        full.linear[out], full.trees[out] = members.log_prices(outside.records)
        seconds.append(time.perf_counter() - started)
        sparse.linear[out], sparse.trees[out] = members.log_prices([sparsely(record) for record in outside.records])
        advance(f"{BLEND} and its members: fold {k + 1}")
    candidates = []
    for name, weight in {BLEND: settings.linear_weight, **MEMBER_WEIGHTS}.items():
        rmsle, metrics = _measure(full.blend(weight), split, seconds)
        candidates.append(
            Candidate(name, metrics, OutOfFold(full.blend(weight), rmsle, split.train.prices, full, sparse))
        )
    return candidates


def _measure(log_prices: Floats, split: Split, seconds: Sequence[float]) -> tuple[tuple[float, ...], dict[str, float]]:
    """Return each fold's error, and means and standard deviations over folds."""
    prices, predicted = split.train.prices, np.exp(log_prices)
    folds = [split.validation == k for k in range(split.n_folds)]
    rmsle = tuple(root_mean_squared_log_error(prices[rows], predicted[rows]) for rows in folds)
    metrics = {
        "rmsle_mean": float(np.mean(rmsle)),
        "rmsle_sd": float(np.std(rmsle, ddof=1)),
        "mae_mean": float(np.mean([mean_absolute_error(prices[rows], predicted[rows]) for rows in folds])),
        "fit_seconds": float(np.mean(seconds)),
    }
    return rmsle, metrics


def baselines(*, seed: int) -> dict[str, Fit]:
    """Return rules of thumb, and the usual libraries at their defaults on the file's own columns."""
    lightgbm = LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True)
    return {
        "median": lambda _, prices, new: np.full(len(new), np.median(np.log(prices))),
        "neighborhood's median": in_neighborhood(lambda _: 1.0),
        "neighborhood's price per square foot": in_neighborhood(lambda record: float(str(record["gr_liv_area"]))),
        "linear regression": on_own_columns(LinearRegression()),
        "ridge": on_own_columns(make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 13)))),
        "HistGradientBoosting": on_own_columns(HistGradientBoostingRegressor(random_state=seed)),
        "LightGBM": on_own_columns(lightgbm),
    }


def slow_baselines(*, seed: int, threads: int) -> dict[str, Fit]:
    """Return baselines that no training waits for: the report and the benchmark compare them.

    The forest is at its defaults. The network's width and penalty are the best of nine pairs, by the folds of the
    training part: (64, 32), (128,) and (256, 128) units with 0.01, 1 and 10.
    """
    network = MLPRegressor(hidden_layer_sizes=(128,), alpha=10, early_stopping=True, max_iter=1000, random_state=seed)
    scaled = TransformedTargetRegressor(make_pipeline(StandardScaler(), network), transformer=StandardScaler())
    return {
        "random forest": on_own_columns(RandomForestRegressor(random_state=seed, n_jobs=threads)),
        "neural network": on_own_columns(scaled),
    }


def in_neighborhood(size: Callable[[Record], float]) -> Fit:
    """Return a buyer's rule: the median price a unit of size in the neighborhood, or in town where none was sold."""

    def fit(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> Floats:
        place = np.array([record["neighborhood"] for record in records])
        unit = np.log(prices / [size(record) for record in records])
        median = {name: float(np.median(unit[place == name])) for name in np.unique(place)}
        in_town = float(np.median(unit))
        return np.array([median.get(record["neighborhood"], in_town) + np.log(size(record)) for record in new])

    return fit


def differences(candidates: Mapping[str, Candidate[OutOfFold]], chosen: str) -> dict[str, dict[str, Interval]]:
    """Return how much each other candidate's errors lie above those of the chosen one: paired, out of fold, all houses.

    Above 0 the chosen one is better.
    """
    best = candidates[chosen].model
    metrics = {"rmsle": root_mean_squared_log_error, "mae": mean_absolute_error}

    def difference(other: OutOfFold) -> dict[str, Interval]:
        pair = np.exp(best.log_prices), np.exp(other.log_prices)
        return {name: paired_bootstrap(metric, best.prices, *pair).difference for name, metric in metrics.items()}

    return {name: difference(candidate.model) for name, candidate in candidates.items() if name != chosen}


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def evaluate_baselines(
    split: Split,
    settings: ModelSettings,  # noqa: ARG001 - the libraries stay at their defaults
    candidates: Mapping[str, Candidate[OutOfFold]],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Fit these baselines on the training part and measure them on the test part."""
    fits, paid = baselines(seed=seed), split.test.prices
    metrics = {}
    for name in candidates:
        predicted = np.exp(fits[name](split.train.records, split.train.prices, split.test.records))
        metrics[name] = {key: bootstrap_interval(metric, paid, predicted, seed=seed) for key, metric in METRICS.items()}
    return metrics


def on_own_columns(regressor: object) -> Fit:
    """Return the fit of a library's regressor to log prices on the file's own columns."""

    def fit(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> Floats:
        typical = fit_typical(records)
        regressor.fit(plain_matrix(records, typical), np.log(prices))  # type: ignore[attr-defined]
        return np.asarray(regressor.predict(plain_matrix(new, typical)), dtype=np.float64)  # type: ignore[attr-defined]

    return fit


def plain_matrix(records: Sequence[Record], typical: Typical) -> Floats:
    """Return the file's own columns as numbers: quantities, ordinals as levels, one column a code; shape (n, p)."""
    houses = design([complete(record, typical)[0] for record in records])
    own = houses.numbers[:, : -len(DERIVED)]
    sizes = [len(columns()[name].choices) for name in category_names()]
    one_hot = [houses.codes[:, [i]] == np.arange(size) for i, size in enumerate(sizes)]
    return np.concatenate([own, *one_hot], axis=1, dtype=np.float64)
