"""Which features bring most: the linear member without one family of derived features, and what moves prices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.columns import Record
from housing.data.load import Split
from housing.models.features import DERIVED, Design, design, number_names
from housing.models.imputation import complete, fit_typical
from housing.models.linear import fit_linear
from housing.models.predictor import Predictor
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.evaluation.uncertainty import Interval, paired_bootstrap

FAMILIES: dict[str, tuple[str, ...]] = {
    "sizes added up": ("total_sf", "finished_sf", "basement_finished_sf", "basement_finished_share"),
    "quality times size": ("quality_x_total_sf", "quality_x_living_area"),
    "grades added or multiplied": ("quality_x_condition", "quality_sum", "basement_finish_score", "garage_score"),
    "ages at the sale": ("age", "remodel_age", "garage_age", "was_remodelled", "months_since_2006"),
    "new, partly built or abnormal sale": ("is_new", "is_partial", "is_abnormal"),
    "a level for large, partly built houses": ("large_and_partial",),
    "bathrooms, size of rooms, share of the lot": (
        *("bathrooms", "baths_per_bedroom", "room_size", "living_to_lot", "log_living_to_lot"),
    ),
    "fireplaces and porches": ("fireplace_score", "porch_sf"),
}
ALL = "all derived features"


@dataclass(frozen=True)
class Family:
    """The linear member's error without a family of features, and how much above its error with all it lies."""

    name: str
    rmsle: float
    difference: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def without_families(split: Split, settings: ModelSettings) -> list[Family]:
    """Cross-validate the linear member without each family, and without all of them; the costliest loss first."""
    prices = split.train.prices
    dropped = {"": (), ALL: tuple(DERIVED), **FAMILIES}
    log_prices = {name: np.empty(len(prices)) for name in dropped}
    for out, inside, outside in split.folds():
        typical = fit_typical(inside.records)
        learned, new = (
            design([complete(record, typical)[0] for record in sales.records]) for sales in (inside, outside)
        )
        for name, features in dropped.items():
            model = fit_linear(constant(learned, features), np.log(inside.prices), settings.linear)
            log_prices[name][out] = model.predict(constant(new, features))
    best = np.exp(log_prices.pop(""))
    families = [
        Family(
            name,
            root_mean_squared_log_error(prices, np.exp(own)),
            paired_bootstrap(root_mean_squared_log_error, prices, best, np.exp(own)).difference,
        )
        for name, own in log_prices.items()
    ]
    return sorted(families, key=lambda family: -family.difference.estimate)


def constant(houses: Design, features: Sequence[str]) -> Design:
    """Return houses that are all alike in these numbers: a linear model can learn nothing from them."""
    numbers = houses.numbers.copy()
    numbers[:, [number_names().index(name) for name in features]] = 0.0
    return replace(houses, numbers=numbers)


def mean_contributions(predictor: Predictor, records: Sequence[Record]) -> dict[str, float]:
    """Return by how many dollars each group of fields moves a price on average, up or down, the largest first."""
    moved: dict[str, list[float]] = {}
    for house in predictor.predict(records, explain=True):
        for contribution in house.explanation.contributions if house.explanation else []:
            moved.setdefault(contribution.group, []).append(abs(contribution.dollars))
    means = {name: float(np.mean(values)) for name, values in moved.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))
