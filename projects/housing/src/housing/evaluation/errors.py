"""Where the model fails: errors by kind of house, and the houses with the largest errors and a sentence on why."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.evaluation.evaluate import Evaluation
from housing.models.predictor import Predictor

QUINTILES = ("1 (cheapest)", "2", "3", "4", "5 (most expensive)")
AGES = ("under 10 years", "10 to 29", "30 to 49", "50 to 79", "80 and more")
USUAL = {
    "sale_condition": ("Normal",),
    "sale_type": ("WD", "New"),
    "ms_zoning": ("RL", "RM", "RH", "RP", "FV"),
    "functional": ("Typ",),
}
"""Codes that do not explain an unusual price."""
EXPENSIVE = 500_000
"""Dollars: above it a house is among the few that are looked at one by one."""


@dataclass(frozen=True)
class Group:
    """How well the model does on one kind of house."""

    by: str
    name: str
    houses: int
    rmsle: float
    bias: float  # mean of log predicted - log true: above 0 is overpriced
    coverage: float


@dataclass(frozen=True)
class Miss:
    """A house with one of the largest errors, and a sentence on why."""

    key: str
    price: float
    predicted: float
    low: float
    high: float
    why: str


def by_group(evaluation: Evaluation) -> list[Group]:
    """Break the errors down by price quintile, age, condition of sale and neighborhood."""
    frame, paid = evaluation.sales.frame, evaluation.sales.prices
    quintile = np.searchsorted(np.quantile(paid, [0.2, 0.4, 0.6, 0.8]), paid, side="right")
    age = np.searchsorted([10, 30, 50, 80], (frame["yr_sold"] - frame["year_built"]).to_numpy(), side="right")
    names = {
        "price quintile": np.array(QUINTILES)[quintile],
        "age at sale": np.array(AGES)[age],
        "condition of sale": frame["sale_condition"].to_numpy(dtype=str),
        "neighborhood": frame["neighborhood"].to_numpy(dtype=str),
    }
    return [
        _group(by, name, labels == name, evaluation)
        for by, labels in names.items()
        for name in (AGES if by == "age at sale" else np.unique(labels).tolist())
        if name in labels
    ]


def _group(by: str, name: str, rows: NDArray[np.bool_], evaluation: Evaluation) -> Group:
    paid = evaluation.sales.prices[rows]
    error = np.log(evaluation.predicted[rows] / paid)
    inside = (evaluation.low[rows] <= paid) & (paid <= evaluation.high[rows])
    rmsle = float(np.sqrt(np.mean(error**2)))
    return Group(by, name, int(rows.sum()), rmsle, float(error.mean()), float(inside.mean()))


def worst(evaluation: Evaluation, predictor: Predictor, *, n: int = 10) -> list[Miss]:
    """Return the houses with the largest relative errors, and what the record says about each."""
    error = np.abs(np.log(evaluation.predicted / evaluation.sales.prices))
    return [_miss(int(i), evaluation, predictor) for i in np.argsort(-error)[:n]]


def expensive(evaluation: Evaluation, predictor: Predictor, *, above: float = EXPENSIVE) -> list[Miss]:
    """Return the houses for which more was paid, the most expensive first."""
    paid = evaluation.sales.prices
    return [_miss(int(i), evaluation, predictor) for i in np.argsort(-paid)[: int(np.sum(paid > above))]]


def _miss(i: int, evaluation: Evaluation, predictor: Predictor) -> Miss:
    sales = evaluation.sales
    paid = float(sales.prices[i])
    record = {str(name): value for name, value in sales.frame.iloc[i].items()}
    (house,) = predictor.predict([sales.records[i]], explain=True)
    comparables = house.explanation.comparables if house.explanation else []
    nearby = float(np.median([sale.price for sale in comparables]))
    why = _why(record, paid, house.price, nearby)
    return Miss(str(record["pid"]), paid, house.price, house.interval.low, house.interval.high, why)


def _why(record: Mapping[str, object], paid: float, predicted: float, nearby: float) -> str:
    """Say from the record why the price may be unlike the model's; facts of the record, no guess about people."""
    reasons = []
    for name, codes in USUAL.items():
        code, column = record[name], columns()[name]
        if code is not None and code not in codes:
            reasons.append(f"{column.label.lower()} {column.choices[str(code)].lower()}")
    if float(str(record["overall_cond"])) <= 3 or float(str(record["overall_qual"])) <= 3:
        reasons.append(f"quality {record['overall_qual']:.0f}, condition {record['overall_cond']:.0f}")
    if not reasons:
        reasons.append("a normal sale whose record shows nothing unusual: the reason is not in the data")
    direction = "Overpriced" if predicted > paid else "Underpriced"
    return (
        f"{direction} by {abs(np.expm1(np.log(predicted / paid))):.0%}; {', '.join(reasons)}; "
        f"the five most similar sales have a median of {nearby:,.0f} dollars."
    )
