"""Where the model fails: errors by kind of house, and the houses it prices worst with a sentence on why."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.data.load import Sales
from housing.models.predictor import Predictor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Sold houses, and what the model says of them: dollars, shape (n,) each."""

    sales: Sales
    predicted: Floats
    low: Floats
    high: Floats

    @property
    def paid(self) -> Floats:
        return self.sales.prices


@dataclass(frozen=True)
class Group:
    """How well the model does on one kind of house."""

    by: str
    name: str
    houses: int
    rmsle: float
    bias: float  # mean of log predicted - log true: above 0 is too dear
    coverage: float


@dataclass(frozen=True)
class Miss:
    """One of the houses that the model prices worst, with a sentence on why."""

    key: str
    price: float
    predicted: float
    low: float
    high: float
    why: str


def by_group(answers: Answers) -> list[Group]:
    """Break the errors down by price quintile, neighbourhood, age and condition of sale."""
    frame, paid = answers.sales.frame, answers.paid
    quintile = np.searchsorted(np.quantile(paid, [0.2, 0.4, 0.6, 0.8]), paid, side="right")
    age = np.searchsorted([10, 30, 50, 80], (frame["yr_sold"] - frame["year_built"]).to_numpy(), side="right")
    names = {
        "price quintile": np.array(["1 (cheapest)", "2", "3", "4", "5 (dearest)"])[quintile],
        "age at sale": np.array(["under 10 years", "10 to 29", "30 to 49", "50 to 79", "80 and more"])[age],
        "condition of sale": frame["sale_condition"].to_numpy(dtype=str),
        "neighborhood": frame["neighborhood"].to_numpy(dtype=str),
    }
    return [_group(by, name, labels == name, answers) for by, labels in names.items() for name in _ordered(by, labels)]


def _ordered(by: str, labels: NDArray[np.str_]) -> list[str]:
    found = np.unique(labels).tolist()
    order = ["under 10 years", "10 to 29", "30 to 49", "50 to 79", "80 and more"]
    return [name for name in order if name in found] if by == "age at sale" else found


def _group(by: str, name: str, rows: NDArray[np.bool_], answers: Answers) -> Group:
    paid = answers.paid[rows]
    error = np.log(answers.predicted[rows] / paid)
    inside = (answers.low[rows] <= paid) & (paid <= answers.high[rows])
    return Group(
        by, name, int(rows.sum()), float(np.sqrt(np.mean(error**2))), float(error.mean()), float(inside.mean())
    )


def worst(answers: Answers, predictor: Predictor, *, n: int = 10) -> list[Miss]:
    """Return the houses with the largest relative errors, and what the record says about each."""
    error = np.abs(np.log(answers.predicted / answers.paid))
    misses = []
    for i in np.argsort(-error)[:n]:
        row = answers.sales.frame.iloc[i]
        (house,) = predictor.predict([answers.sales.records[i]], explain=True)
        sales = house.explanation.comparables if house.explanation else []
        nearby = float(np.median([sale.price for sale in sales]))
        paid = float(answers.paid[i])
        why = _why(row.to_dict(), paid, house.price, nearby)
        misses.append(Miss(str(row["pid"]), paid, house.price, house.interval.low, house.interval.high, why))
    return misses


def _why(record: Mapping[str, object], true: float, predicted: float, nearby: float) -> str:
    """Say from the record why the price may be unlike the model's; facts of the record, no guess about people."""
    direction = "dearer" if predicted > true else "cheaper"
    reasons = []
    usual = {
        "sale_condition": ("Normal",),
        "sale_type": ("WD", "New"),
        "ms_zoning": ("RL", "RM", "RH", "RP", "FV"),
        "functional": ("Typ",),
    }
    for name, codes in usual.items():
        code, column = record[name], columns()[name]
        if code is not None and code not in codes:
            reasons.append(f"{column.label.lower()} {column.choices[str(code)].lower()}")
    if float(str(record["overall_cond"])) <= 3 or float(str(record["overall_qual"])) <= 3:
        reasons.append(f"quality {record['overall_qual']:.0f}, condition {record['overall_cond']:.0f}")
    if not reasons:
        reasons.append("a normal sale whose record shows nothing unusual: the reason is not in the data")
    return (
        f"Priced {direction} than it sold by {abs(np.expm1(np.log(predicted / true))):.0%}; "
        f"{', '.join(reasons)}; the five most similar sales have a median of {nearby:,.0f} dollars."
    )
