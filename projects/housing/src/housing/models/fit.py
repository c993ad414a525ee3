"""Fit the served model: linear member, tree member, their blend, and its intervals.

Training only: this module needs CatBoost. What it returns needs NumPy alone (`models/predictor.py`).
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from catboost import CatBoostRegressor
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from housing.config import COVERAGE, ModelSettings, ScaleSettings, TreeSettings
from housing.data.columns import Record
from housing.data.house import sparsely
from housing.data.load import Split
from housing.models.comparables import fit_comparables
from housing.models.encoding import Encoding, fit_encoding
from housing.models.features import Design, design, groups
from housing.models.imputation import Complete, Typical, complete, fit_typical
from housing.models.intervals import Calibration, Intervals, MemberPrices
from housing.models.linear import LinearModel, fit_linear
from housing.models.predictor import Predictor, seen_in
from housing.models.trees import SymmetricTrees, from_catboost, mean_of
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]

SCALE_FOLDS = 5
HOUSES_A_BAND = 20  # at least: 95 % intervals need 19 scores


@dataclass(frozen=True)
class OutOfFold:
    """What a candidate predicts of the training houses when they are held out.

    Attributes
    ----------
    log_prices
        Shape (n,).
    fold_rmsle
        Root mean squared error of the log price in each fold.
    prices
        What was paid for these houses, in dollars, shape (n,).
    members, sparse_members
        Predictions of the two members, from all fields and from the required ones alone; None for a baseline.
    """

    log_prices: Floats
    fold_rmsle: tuple[float, ...]
    prices: Floats
    members: MemberPrices | None = None
    sparse_members: MemberPrices | None = None


@dataclass(frozen=True)
class Members:
    """The two fitted members, and what their fit leaves over for the steps after it."""

    typical: Typical
    completed: list[Complete]
    houses: Design
    linear: LinearModel
    encoding: Encoding
    inputs: Floats  # of the trees, cross-fitted, shape (n, F)
    library_trees: list[CatBoostRegressor]

    def log_prices(self, records: Sequence[Record]) -> MemberPrices:
        """Return the log prices that the members give new houses."""
        houses = self.design(records)
        inputs = self.encoding.transform(houses)
        trees: Floats = np.mean([trees.predict(inputs) for trees in self.library_trees], axis=0)
        return MemberPrices(self.linear.predict(houses), trees + self.linear.exception(houses))

    def design(self, records: Sequence[Record]) -> Design:
        """Fill new houses and return them as arrays."""
        return design([complete(record, self.typical)[0] for record in records])


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_members(
    records: Sequence[Record], prices: Floats, settings: ModelSettings, *, seed: int = 0, threads: int
) -> Members:
    """Fit the linear and the tree member to sold houses; prices in dollars, shape (n,)."""
    log_price = np.log(prices)
    typical = fit_typical(records)
    completed = [complete(record, typical)[0] for record in records]
    houses = design(completed)
    linear = fit_linear(houses, log_price, settings.linear)
    # Two or three houses cannot teach the trees what "large and partly built" costs: the exception's own column in the
    # linear member says it for both, and the trees learn what is left.
    target = log_price - linear.exception(houses)
    encoding, inputs = fit_encoding(houses, target, settings.encoding, seed=seed)
    trees = fit_trees(inputs, target, settings.trees, seed=seed, threads=threads)
    return Members(typical, completed, houses, linear, encoding, inputs, trees)


def fit(
    split: Split, settings: ModelSettings, chosen: Candidate[OutOfFold], *, seed: int = 0, threads: int = 2
) -> Predictor:
    """Fit the model that is served to the whole training part.

    The candidate's out-of-fold errors calibrate the intervals: those of full records, and those of records with the
    required fields alone, which are larger.

    Raises
    ------
    ValueError
        If the candidate is a baseline.
    """
    members_of_fold, sparse_of_fold = chosen.model.members, chosen.model.sparse_members
    if members_of_fold is None or sparse_of_fold is None:
        raise ValueError(f"expected a candidate that can be served, found the baseline {chosen.name!r}")
    records, prices = split.train.records, split.train.prices
    members = fit_members(records, prices, settings, seed=seed, threads=threads)
    players = members.encoding.groups()
    trees = mean_of([_as_arrays(trees, players) for trees in members.library_trees])
    weight = settings.linear_weight
    tree_shares = trees.contributions(members.encoding.transform(members.houses), len(groups()))
    shares = weight * members.linear.contributions(members.houses) + (1 - weight) * tree_shares

    intervals = partial(fit_intervals, log_price=np.log(prices), settings=settings, seed=seed, threads=threads)
    # The neighborhood statistics of sparse records contain each house's own price, which the full records' do not.
    # Only the scale reads them, and the measured coverage of sparse records (README) shows no harm.
    sparse_inputs = members.encoding.transform(members.design([sparsely(record) for record in records]))
    return Predictor(
        typical=members.typical,
        linear=members.linear,
        encoding=members.encoding,
        trees=trees,
        linear_weight=weight,
        intervals=intervals(members.inputs, out_of_fold=members_of_fold),
        sparse_intervals=intervals(sparse_inputs, out_of_fold=sparse_of_fold),
        comparables=fit_comparables(members.completed, prices, shares),
        seen=seen_in(records),
    )


def fit_intervals(
    inputs: Floats, log_price: Floats, out_of_fold: MemberPrices, settings: ModelSettings, *, seed: int, threads: int
) -> Intervals:
    """Fit how uncertain a price is, and calibrate the intervals on errors of houses that were held out.

    The scale is the exponential of a fit to log(|error| + floor). It is cross-fitted before the conformal quantile is
    taken: a scale that had seen a house's own error would make the intervals too narrow for new houses.
    """
    predicted = out_of_fold.blend(settings.linear_weight)
    inputs = out_of_fold.scale_inputs(inputs, settings.linear_weight)
    error = log_price - predicted
    target = np.log(np.abs(error) + settings.scale.floor)

    def fit_scale(rows: NDArray[np.bool_]) -> CatBoostRegressor:
        return regressor(settings.scale, seed=seed, threads=threads).fit(inputs[rows], target[rows])

    fold = np.random.default_rng(seed).permutation(len(error)) % SCALE_FOLDS
    scale = np.empty(len(error))
    for k in range(SCALE_FOLDS):
        scale[fold == k] = np.exp(fit_scale(fold != k).predict(inputs[fold == k]))
    trees = _as_arrays(fit_scale(np.ones(len(error), dtype=bool)), np.zeros(inputs.shape[1], dtype=np.int32))
    n_bands = max(1, min(settings.scale.bands, len(error) // HOUSES_A_BAND))
    edges = np.quantile(log_price, np.linspace(0, 1, n_bands + 1)[1:-1])
    bands = np.searchsorted(edges, log_price)
    return Intervals(trees, Calibration(edges, np.abs(error) / scale, bands, settings.scale.excess), COVERAGE)


def fit_trees(
    inputs: Floats, target: Floats, settings: TreeSettings, *, seed: int, threads: int
) -> list[CatBoostRegressor]:
    """Fit one ensemble a seed; the member is their mean."""
    seeds = range(seed, seed + settings.seeds)
    return [regressor(settings, seed=member_seed, threads=threads).fit(inputs, target) for member_seed in seeds]


def regressor(settings: TreeSettings | ScaleSettings, *, seed: int, threads: int) -> CatBoostRegressor:
    options = settings.model_dump(exclude={"floor", "bands", "excess", "seeds"})
    return CatBoostRegressor(
        **options, random_seed=seed, thread_count=threads, verbose=False, allow_writing_files=False
    )


def _as_arrays(trees: CatBoostRegressor, player_of_feature: NDArray[np.int32]) -> SymmetricTrees:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.json"
        trees.save_model(str(path), format="json")
        return from_catboost(json.loads(path.read_text(encoding="utf-8")), player_of_feature)
