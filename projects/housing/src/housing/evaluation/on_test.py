"""What is asked of the test houses beside their metrics: folds beside the test, who is covered, what a guess costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.columns import Record
from housing.data.house import sparsely
from housing.data.load import Sales, Split
from housing.evaluation.candidates import BASELINES, MEMBER_WEIGHTS, baselines, cross_validate_members
from housing.evaluation.errors import EXPENSIVE, QUINTILES
from housing.evaluation.evaluate import Evaluation, at_level_of_sales
from housing.evaluation.fairness import THIRDS, thirds_of_town
from housing.models.fit import OutOfFold
from housing.models.predictor import Predictor
from portfolio_shared.data.splits import group_folds
from portfolio_shared.evaluation.regression import mean_absolute_error
from portfolio_shared.evaluation.uncertainty import Interval, paired_bootstrap

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ALL, USUAL, ABOVE = "all", "up to", "above"
OTHER_FOLDS = 4
"""How many other ways to draw the folds are tried."""
QUALITY = range(1, 11)
"""The grades that a visitor can give to the overall quality."""


@dataclass(frozen=True)
class Part:
    """The errors of the training houses when they were in the fold held out, beside those of the test houses.

    Dollars are mean absolute errors, shares are of the price paid; 0 where there is no such house.
    """

    name: str
    fold_houses: int
    fold_dollars: float
    fold_share: float
    test_houses: int
    test_dollars: float
    test_share: float


@dataclass(frozen=True)
class Held:
    """Which share of some test houses' prices lies inside their interval, with all fields and with the ten alone."""

    by: str
    name: str
    houses: int
    full: float
    sparse: float


def folds_beside_test(out_of_fold: OutOfFold, evaluation: Evaluation) -> list[Part]:
    """Return the errors on folds and on the test: of all houses, without the most expensive, and of those alone."""
    folds = out_of_fold.prices, np.exp(out_of_fold.log_prices)
    test = evaluation.sales.prices, evaluation.predicted
    kinds: dict[str, Callable[[Floats], Bools]] = {
        ALL: lambda paid: paid > 0,
        USUAL: lambda paid: paid <= EXPENSIVE,
        ABOVE: lambda paid: paid > EXPENSIVE,
    }
    return [Part(name, *_errors(*folds, kind), *_errors(*test, kind)) for name, kind in kinds.items()]


def _errors(paid: Floats, predicted: Floats, kind: Callable[[Floats], Bools]) -> tuple[int, float, float]:
    rows = kind(paid)
    n, missed = int(rows.sum()), np.abs(paid - predicted)[rows]
    return n, float(missed.sum() / max(1, n)), float((missed / paid[rows]).sum() / max(1, n))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def differences_on_test(split: Split, predictor: Predictor, evaluation: Evaluation) -> dict[str, Interval]:
    """Return by how many dollars each member and each baseline errs more than the served model, paired."""
    test, fits = split.test, baselines(seed=0)
    said = {
        name: at_level_of_sales(replace(predictor, linear_weight=weight), test.records)[0]
        for name, weight in MEMBER_WEIGHTS.items()
    }
    for name in BASELINES:
        said[name] = np.exp(fits[name](split.train.records, split.train.prices, test.records))
    return {
        name: paired_bootstrap(mean_absolute_error, test.prices, evaluation.predicted, predicted).difference
        for name, predicted in said.items()
    }


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def with_other_folds(
    split: Split, settings: ModelSettings, *, threads: int, advance: Callable[[str], None] = lambda _: None
) -> list[float]:
    """Return the served model's mean absolute error, in dollars, on folds that were drawn in other ways."""
    errors = []
    for seed in range(1, OTHER_FOLDS + 1):
        folds = group_folds(split.train.keys, n_folds=split.n_folds, seed=seed)
        again = replace(split, validation=folds)
        served, *_ = cross_validate_members(again, settings, seed=0, threads=threads, advance=advance)
        errors.append(mean_absolute_error(split.train.prices, np.exp(served.model.log_prices)))
    return errors


def held(evaluation: Evaluation, predictor: Predictor, train: Sales) -> list[Held]:
    """Return the coverage in fifths of the price paid and of the price predicted, and in thirds of the town."""
    sales = evaluation.sales
    paid, place = sales.prices, sales.frame["neighborhood"].to_numpy(dtype=str)
    _, low, high = at_level_of_sales(predictor, [sparsely(record) for record in sales.records])
    full, sparse = (evaluation.low <= paid) & (paid <= evaluation.high), (low <= paid) & (paid <= high)
    kinds = {
        "price paid": dict(zip(QUINTILES, _fifths(paid), strict=True)),
        "price predicted": dict(zip(QUINTILES, _fifths(evaluation.predicted), strict=True)),
        "neighborhood": {
            third: np.isin(place, members) for third, members in zip(THIRDS, thirds_of_town(train), strict=True)
        },
    }
    return [
        Held(by, name, int(rows.sum()), float(full[rows].mean()), float(sparse[rows].mean()))
        for by, groups in kinds.items()
        for name, rows in groups.items()
        if rows.any()
    ]


def _fifths(prices: Floats) -> list[Bools]:
    fifth = np.searchsorted(np.quantile(prices, [0.2, 0.4, 0.6, 0.8]), prices, side="right")
    return [fifth == k for k in range(len(QUINTILES))]


def quality_off_by_one(evaluation: Evaluation, predictor: Predictor) -> dict[str, dict[str, float]]:
    """Return what happens if a visitor with ten fields grades the house's quality one too low, or one too high.

    `change` is the median change of the price, as a share; `median_error` the median absolute error in dollars.
    """
    asked, paid = [sparsely(record) for record in evaluation.sales.records], evaluation.sales.prices
    usual = at_level_of_sales(predictor, asked)[0]
    found = {}
    for name, step in {"too low": -1, "too high": 1}.items():
        grades = [min(max(int(float(str(record["overall_qual"]))) + step, QUALITY[0]), QUALITY[-1]) for record in asked]
        guessed: list[Record] = [
            {**record, "overall_qual": float(grade)} for record, grade in zip(asked, grades, strict=True)
        ]
        price = at_level_of_sales(predictor, guessed)[0]
        found[name] = {
            "change": float(np.median(price / usual - 1)),
            "median_error": float(np.median(np.abs(price - paid))),
        }
    return found


def sizes(predictor: Predictor) -> Mapping[str, int]:
    """Return the bytes of each file of the saved model, and the columns of the linear member's basis."""
    with TemporaryDirectory() as folder:
        predictor.save(Path(folder))
        files = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    return files | {"linear columns": len(predictor.linear.coefficient)}
