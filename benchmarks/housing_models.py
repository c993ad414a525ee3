"""The five-fold table: the served model against the usual libraries, on all 2,930 Ames houses.

KFold(5, shuffle, random_state=0), log target, everything fitted inside the fold, hyper-parameters frozen before.
They were found by cross-validation inside the training part, which is four fifths of these houses: what optimism that
leaves is discussed in projects/housing/README.md. Writes benchmarks/results/housing.json.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from record import RESULTS, check_limits, finish
from rich.console import Console
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits
from xgboost import XGBRegressor

from housing.config import tuned_settings
from housing.data.columns import Record, columns
from housing.data.load import LARGE, Sales, Split, load
from housing.evaluation.candidates import (
    BLEND,
    Candidates,
    Fit,
    compare,
    cross_validate,
    n_fits,
    on_own_columns,
    slow_baselines,
)
from housing.evaluation.tables import baseline_rows
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import paired_bootstrap
from portfolio_shared.terminal import progress

Floats = NDArray[np.float64]
Row = dict[str, Any]

LIMITS = {"rmsle_mean": 0.112, "rmsle_mean_up_to_4000_sf": 0.106, "mae_mean": 12_400.0}
PAIR = ("CatBoost", "LightGBM 2000 x 0.02")
PAIR_NAME = "average of CatBoost and LightGBM 2000 x 0.02"


def main() -> int:
    """Print the table, write the results; return 1 if the served model misses a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="full or a path (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the tree libraries (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    data = load(options.data)
    console.print(data.source.reason)
    split = five_folds(data.sales)
    others = more_libraries(options.threads)
    with progress(console, "five folds", total=n_fits(split) + split.n_folds * len(others)) as advance:
        candidates = cross_validate_all(split, others, threads=options.threads, advance=advance)
    rows = sorted((measure(name, split, candidates) for name in candidates), key=lambda row: row["rmsle_mean"])
    console.print(terminal_table("Five folds over all houses; difference: served - this", *baseline_rows(rows)))
    recorded = {
        "data_sha256": data.sha256,
        "folds": "KFold(5, shuffle=True, random_state=0)",
        "chosen": BLEND,
        "limits": LIMITS,
        "rows": rows,
    }
    served = next(row for row in rows if row["name"] == BLEND)
    return finish(console, RESULTS / "housing.json", recorded, check_limits(served, LIMITS))


def five_folds(sales: Sales) -> Split:
    """Return all sales as a training part with five folds."""
    fold = np.empty(len(sales.frame), dtype=np.int64)
    for k, (_, held_out) in enumerate(KFold(5, shuffle=True, random_state=0).split(fold)):
        fold[held_out] = k
    return Split(sales, fold, sales)


def more_libraries(threads: int) -> dict[str, Fit]:
    """Return the fits that a training does not compare, at the libraries' defaults unless the name says otherwise."""
    slow = LGBMRegressor(n_estimators=2000, learning_rate=0.02, random_state=0, n_jobs=1, verbose=-1)
    return {
        "XGBoost": on_own_columns(XGBRegressor(random_state=0, n_jobs=threads)),
        "CatBoost": fit_catboost(threads),
        "LightGBM 2000 x 0.02": on_own_columns(slow),
        **slow_baselines(seed=0, threads=threads),
    }


def fit_catboost(threads: int) -> Fit:
    """Fit CatBoost at its defaults, with its own treatment of categories and missing values."""
    categories = [name for name, column in columns().items() if not column.is_numeric]

    def frame(records: Sequence[Record]) -> pd.DataFrame:
        table = pd.DataFrame(list(records))
        table[categories] = table[categories].astype(object).where(table[categories].notna(), "unknown")
        return table

    def fit(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> Floats:
        model = CatBoostRegressor(
            random_seed=0, thread_count=threads, verbose=False, allow_writing_files=False, cat_features=categories
        )
        model.fit(frame(records), np.log(prices))
        return np.asarray(model.predict(frame(new)), dtype=np.float64)

    return fit


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def cross_validate_all(
    split: Split, others: dict[str, Fit], *, threads: int, advance: Callable[[str], None]
) -> Candidates:
    """Return the candidates of a training, the other libraries, and the average of two of those."""
    candidates: Candidates = compare(split, tuned_settings(), threads=threads, advance=advance)
    candidates |= {name: cross_validate(name, fit, split, advance=advance) for name, fit in others.items()}
    first, second = (candidates[name] for name in PAIR)
    average = iter([(first.model.log_prices + second.model.log_prices)[split.validation == k] / 2 for k in range(5)])
    candidates[PAIR_NAME] = cross_validate(PAIR_NAME, lambda *_: next(average), split)
    candidates[PAIR_NAME].metrics["fit_seconds"] = first.metrics["fit_seconds"] + second.metrics["fit_seconds"]
    return candidates


def measure(name: str, split: Split, candidates: Candidates) -> Row:
    """Return one row: means and standard deviations over folds, and the paired difference from the served model."""
    prices, own = split.train.prices, np.exp(candidates[name].model.log_prices)
    usual = split.train.frame["gr_liv_area"].to_numpy() <= LARGE
    folds = [usual & (split.validation == k) for k in range(split.n_folds)]
    metrics = candidates[name].metrics
    row: Row = {
        "name": name,
        "rmsle_mean": metrics["rmsle_mean"],
        "rmsle_sd": metrics["rmsle_sd"],
        "rmsle_mean_up_to_4000_sf": float(
            np.mean([root_mean_squared_log_error(prices[rows], own[rows]) for rows in folds])
        ),
        "mae_mean": metrics["mae_mean"],
        "fit_seconds": metrics["fit_seconds"],
    }
    if name != BLEND:
        served = np.exp(candidates[BLEND].model.log_prices)
        row["difference"] = paired_bootstrap(root_mean_squared_log_error, prices, own, served).difference._asdict()
    return row


if __name__ == "__main__":
    sys.exit(main())
