"""What each step contributes: the model taken apart, cross-validated inside the training part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from housing.config import LinearSettings, ModelSettings
from housing.data.load import Sales, Split
from housing.evaluation.candidates import Fit, baselines, on_own_columns
from housing.evaluation.families import constant
from housing.models.features import DERIVED
from housing.models.fit import fit_members, fit_trees
from housing.models.linear import fit_linear
from portfolio_shared.evaluation.regression import mean_absolute_error, root_mean_squared_log_error

Floats = NDArray[np.float64]
Both = tuple[Floats, Floats]
"""Log prices of held-out houses, and of those that were fitted to."""

RIDGE, HUBER = "ridge on the file's own columns", "+ Huber's loss (the linear member)"
SERVED = "blend of the two members (served)"
SQUARED_LOSS = 1e6  # Huber's loss with a threshold that nothing reaches


@dataclass(frozen=True)
class Step:
    """One row of the table: cross-validated means over folds; `training_rmsle` is on the rows fitted to."""

    name: str
    rmsle: float
    mae: float
    training_rmsle: float


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def ablate(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    threads: int = 2,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Step]:
    """Cross-validate the steps from a plain model to the served one; `advance` is called once a fold."""
    scores: dict[str, list[tuple[float, float, float]]] = {}
    for k, (_, inside, outside) in enumerate(split.folds()):
        for name, (predicted, fitted) in _steps(inside, outside, settings, seed=seed, threads=threads).items():
            error = root_mean_squared_log_error(outside.prices, np.exp(predicted))
            mae = mean_absolute_error(outside.prices, np.exp(predicted))
            training = root_mean_squared_log_error(inside.prices, np.exp(fitted))
            scores.setdefault(name, []).append((error, mae, training))
        advance(f"fold {k + 1}")
    return [Step(name, *(float(value) for value in np.mean(rows, axis=0))) for name, rows in scores.items()]


def _steps(inside: Sales, outside: Sales, settings: ModelSettings, *, seed: int, threads: int) -> dict[str, Both]:
    """Return what each step predicts of the houses outside and inside; the steps share what they have in common."""
    members = fit_members(inside.records, inside.prices, settings, seed=seed, threads=threads)
    new, old = members.log_prices(outside.records), members.log_prices(inside.records)
    houses, n = members.design(outside.records), len(outside.prices)

    def apart(fit: Fit) -> Both:
        both = fit(inside.records, inside.prices, [*outside.records, *inside.records])
        return both[:n], both[n:]

    def linear(changed: LinearSettings, alike: Sequence[str] = ()) -> Both:
        learned, new = constant(members.houses, alike), constant(houses, alike)
        model = fit_linear(learned, np.log(inside.prices), changed)
        return model.predict(new), model.predict(learned)

    squared = settings.linear.model_copy(update={"huber": SQUARED_LOSS})
    hinges = squared.model_copy(update={"slopes": False})
    # The same trees on neighborhood means that contain each training house's own price.
    naive = members.encoding.transform(members.houses)
    target = np.log(inside.prices) - members.linear.exception(members.houses)
    leaking = replace(members, library_trees=fit_trees(naive, target, settings.trees, seed=seed, threads=threads))
    leaked = tuple(leaking.log_prices(sales.records).trees for sales in (outside, inside))
    return {
        RIDGE: apart(baselines(seed=seed)["ridge"]),
        "+ their logarithms": apart(on_own_columns(with_logarithms())),
        "linear member: products, outliers clipped": linear(
            hinges.model_copy(update={"knots": 0}), alike=tuple(DERIVED)
        ),
        "+ derived features": linear(hinges.model_copy(update={"knots": 0})),
        "+ hinges": linear(hinges),
        "+ neighborhood slopes": linear(squared),
        HUBER: (new.linear, old.linear),
        "trees, naive neighborhood means (the leak)": (leaked[0], leaked[1]),
        "trees, cross-fitted neighborhood means (the tree member)": (new.trees, old.trees),
        SERVED: (new.blend(settings.linear_weight), old.blend(settings.linear_weight)),
    }


def with_logarithms() -> Pipeline:
    """Return the ridge of the baselines on each column and its logarithm."""
    both = make_union(FunctionTransformer(), FunctionTransformer(np.log1p))
    return make_pipeline(both, StandardScaler(), RidgeCV(np.logspace(0, 4, 13)))
