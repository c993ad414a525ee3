"""What fields are worth: the served model cross-validated without them, and asked without them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from housing.config import ModelSettings
from housing.data.columns import Record
from housing.data.load import Sales, Split
from housing.models.fit import fit_members
from portfolio_shared.evaluation.regression import mean_absolute_error, root_mean_squared_log_error
from portfolio_shared.evaluation.uncertainty import Interval, paired_bootstrap

Floats = NDArray[np.float64]

SALE: Record = {"sale_type": "WD", "sale_condition": "Normal", "mo_sold": 6.0}
"""What a seller does not know for certain before the sale, as it is in most sales."""
PLACE: Record = {"neighborhood": "NAmes"}
TRAINED_WITHOUT: dict[str, Record] = {
    "learned without type, condition and month of the sale": SALE,
    "learned without the month alone": {"mo_sold": 6.0},
    "learned without the neighborhood": PLACE,
}
"""Name -> the value that these fields have in all houses: a constant teaches nothing."""
ASKED_WITHOUT = "asked without type, condition and month of the sale"


@dataclass(frozen=True)
class LeftOut:
    """The error without some fields; the differences are this error minus that of the served model."""

    name: str
    rmsle: float
    mae: float
    rmsle_difference: Interval
    mae_difference: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def leave_out(
    split: Split,
    settings: ModelSettings,
    served: Floats,
    *,
    seed: int = 0,
    threads: int,
    advance: Callable[[str], None] = lambda _: None,
) -> list[LeftOut]:
    """Cross-validate without fields; `served` are the out-of-fold log prices of the served model, shape (n,)."""
    prices, unknown = split.train.prices, dict.fromkeys(SALE)

    def out_of_fold(name: str, taught: Record, asked: Record) -> LeftOut:
        log_prices = np.empty(len(prices))
        for k, (out, inside, outside) in enumerate(split.folds()):
            learned = with_values(inside, taught)
            members = fit_members(learned.records, learned.prices, settings, seed=seed, threads=threads)
            new = with_values(outside, asked).records
            log_prices[out] = members.log_prices(new).blend(settings.linear_weight)
            advance(f"{name}: fold {k + 1}")
        return compared(name, prices, log_prices, served)

    rows = [out_of_fold(name, constant, constant) for name, constant in TRAINED_WITHOUT.items()]
    return [out_of_fold(ASKED_WITHOUT, {}, unknown), *rows]


def n_fits(split: Split) -> int:
    """Return how often `leave_out` calls `advance`."""
    return split.n_folds * (len(TRAINED_WITHOUT) + 1)


def with_values(sales: Sales, values: Record) -> Sales:
    """Return the sales with these values in every record; the prices stay."""
    return replace(sales, records=[{**record, **values} for record in sales.records])


def compared(name: str, prices: Floats, log_prices: Floats, served: Floats) -> LeftOut:
    """Return a row: errors of these log prices, and how much they lie above those of the served model."""
    own, best = np.exp(log_prices), np.exp(served)
    metrics: Sequence[Callable[..., float]] = (root_mean_squared_log_error, mean_absolute_error)
    rmsle, mae = (metric(prices, own) for metric in metrics)
    apart = (paired_bootstrap(metric, prices, best, own).difference for metric in metrics)
    return LeftOut(name, rmsle, mae, *apart)
