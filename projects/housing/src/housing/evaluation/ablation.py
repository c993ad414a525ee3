"""What each step bought: the model taken apart, cross-validated inside the training part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.config import ModelSettings
from housing.data.columns import Record
from housing.evaluation.candidates import Fit, parted, peers
from housing.models.fit import Members, fit_members, fit_trees
from housing.models.predictor import MemberPrices
from portfolio_shared.evaluation.regression import mean_absolute_error, root_mean_squared_log_error

Floats = NDArray[np.float64]

SQUARED_LOSS = 1e6  # Huber's loss with a threshold that nothing reaches


@dataclass(frozen=True)
class Step:
    """One row of the table: cross-validated means over folds; `training_rmsle` is on the rows fitted to."""

    name: str
    rmsle: float
    mae: float
    training_rmsle: float


def ablate(
    records: Sequence[Record],
    prices: Floats,
    fold: NDArray[np.int64],
    settings: ModelSettings,
    *,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Step]:
    """Cross-validate the steps from a plain model to the served one.

    Parameters
    ----------
    fold
        The fold of each row, shape (n,).
    """
    steps = _steps(settings, threads)
    scores: dict[str, list[tuple[float, float, float]]] = {name: [] for name in steps}
    for k in range(int(fold.max()) + 1):
        out = fold == k
        inside, outside = parted(records, out)
        for name, fit in steps.items():
            predicted, fitted = fit(inside, prices[~out], outside)
            scores[name].append(
                (
                    root_mean_squared_log_error(prices[out], np.exp(predicted)),
                    mean_absolute_error(prices[out], np.exp(predicted)),
                    root_mean_squared_log_error(prices[~out], np.exp(fitted)),
                )
            )
            advance(name)
    return [Step(name, *(float(value) for value in np.mean(rows, axis=0))) for name, rows in scores.items()]


N_STEPS = 8

Both = Callable[[Sequence[Record], Floats, Sequence[Record]], tuple[Floats, Floats]]
"""(training records, prices, new records) -> log prices of the new records, and of the training records."""


def _steps(settings: ModelSettings, threads: int) -> dict[str, Both]:
    linear = settings.linear
    bare = linear.model_copy(update={"huber": SQUARED_LOSS, "slopes": False, "knots": 0})
    hinges = linear.model_copy(update={"huber": SQUARED_LOSS, "slopes": False})
    slopes = linear.model_copy(update={"huber": SQUARED_LOSS})

    def linear_of(changed: object) -> Both:
        return _members(settings.model_copy(update={"linear": changed}), threads, lambda prices: prices.linear)

    return {
        "ridge on the file's own columns": _peer("ridge"),
        "linear member: derived features, logarithms, products": linear_of(bare),
        "+ hinges": linear_of(hinges),
        "+ neighbourhood slopes": linear_of(slopes),
        "+ Huber's loss (the linear member)": linear_of(linear),
        "trees, naive neighbourhood means (the leak)": _leaking(settings, threads),
        "trees, cross-fitted neighbourhood means (the tree member)": _members(
            settings, threads, lambda prices: prices.trees
        ),
        "blend of the two members (served)": _members(
            settings, threads, lambda prices: prices.blend(settings.linear_weight)
        ),
    }


def _peer(name: str) -> Both:
    fit: Fit = peers(seed=0)[name]

    def both(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> tuple[Floats, Floats]:
        predicted = fit(records, prices, [*new, *records])[name]
        return predicted[: len(new)], predicted[len(new) :]

    return both


def _members(settings: ModelSettings, threads: int, pick: Callable[[MemberPrices], Floats]) -> Both:
    def both(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> tuple[Floats, Floats]:
        members: Members = fit_members(records, prices, settings, threads=threads)
        return pick(members.log_prices(new)), pick(members.log_prices(records))

    return both


def _leaking(settings: ModelSettings, threads: int) -> Both:
    """Fit the trees on neighbourhood means that contain each training house's own price."""

    def both(records: Sequence[Record], prices: Floats, new: Sequence[Record]) -> tuple[Floats, Floats]:
        members: Members = fit_members(records, prices, settings, threads=threads)
        naive = members.encoding.transform(members.houses)
        exception = members.linear.exception_effect * members.houses.numbers[:, -1]
        trees = fit_trees(naive, np.log(prices) - exception, settings.trees, seed=0, threads=threads)
        leaking = Members(**{**vars(members), "library_trees": trees})
        return leaking.log_prices(new).trees, leaking.log_prices(records).trees

    return both
