"""Fit what is served, and what it is compared with. Training only: this module needs CatBoost and scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from catboost import CatBoostRegressor
from numpy.typing import NDArray
from sklearn.linear_model import Ridge as SklearnRidge
from threadpoolctl import threadpool_limits

from new_project.config import COVERAGE, ModelSettings
from new_project.data.columns import Record
from new_project.data.load import Rows, Split
from new_project.models.features import Encoding, fit_encoding
from new_project.models.libraries import fit_linear, fit_trees
from new_project.models.members import Ridge, Trees
from new_project.models.predictor import Predictor, bands_of
from portfolio_shared.evaluation.conformal import conformal_quantile
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]

ROWS_A_BAND = 40
BANDS = 5


@dataclass(frozen=True)
class Fitted:
    """A candidate: what it is, and what it says of the training rows when they are held out.

    Attributes
    ----------
    member
        `median`, `ridge` or `trees`.
    log
        Whether it learns the logarithm of the target.
    out_of_fold
        Predictions in the unit of the target, shape (n,); NaN for rows that no fold holds out.
    fold_errors
        Mean absolute error of each fold.
    """

    member: str
    log: bool
    out_of_fold: Floats
    fold_errors: tuple[float, ...]


def fit(split: Split, settings: ModelSettings, chosen: Candidate[Fitted], *, seed: int = 0) -> Predictor:
    """Fit the model that is served to the whole training part; its intervals are calibrated on held-out errors.

    An interval is a prediction plus and minus the conformal quantile of the errors of rows with about such a prediction
    (Mondrian conformal prediction with bands of the prediction; Vovk, Gammerman and Shafer 2005, section 4.5).

    Raises
    ------
    ValueError
        If the candidate is a baseline.
    """
    if not chosen.servable:
        raise ValueError(f"expected a candidate that can be served, found the baseline {chosen.name!r}")
    train, log = split.train, chosen.model.log
    encoding, member = fit_member(train, settings, chosen.model.member, log=log, seed=seed)
    predicted, truth = chosen.model.out_of_fold[split.held_out], train.target[split.held_out]
    errors = np.abs(np.log(truth) - np.log(predicted)) if log else np.abs(truth - predicted)
    edges = edges_of(predicted)
    bands = bands_of(edges, predicted)
    reach = [conformal_quantile(errors[bands == band], coverage=COVERAGE) for band in range(len(edges) + 1)]
    least = 0.0 if train.target.min() >= 0 else -np.inf
    return Predictor(encoding, member, log, float(least), edges, np.array(reach), COVERAGE)


def edges_of(predicted: Floats) -> Floats:
    """Return predictions that part the rows into up to `BANDS` bands; where many are equal, bands are fewer."""
    edges: list[float] = []
    for edge in np.unique(np.quantile(predicted, np.arange(1, BANDS) / BANDS, method="lower")):
        below = predicted < edge
        inside = below & (predicted >= edges[-1]) if edges else below
        if min(np.count_nonzero(inside), np.count_nonzero(~below)) >= ROWS_A_BAND:
            edges.append(float(edge))
    return np.array(edges)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_member(
    rows: Rows, settings: ModelSettings, member: str, *, log: bool, seed: int
) -> tuple[Encoding, Ridge | Trees]:
    """Fit a ridge or trees to rows, or to the logarithms of their target."""
    encoding = fit_encoding(rows.records)
    x, y = encoding.matrix(rows.records), np.log(rows.target) if log else rows.target
    if member == "ridge":
        return encoding, fit_linear(SklearnRidge(alpha=settings.ridge), x, y)
    return encoding, fit_trees(CatBoostRegressor, x, y, settings, seed=seed)


def predictions(
    inside: Rows, records: Sequence[Record], settings: ModelSettings, member: str, *, log: bool, seed: int
) -> Floats:
    """Return what a candidate that is fitted to some rows predicts of others, in the unit of the target."""
    if member == "median":
        return np.full(len(records), np.median(inside.target))
    encoding, fitted = fit_member(inside, settings, member, log=log, seed=seed)
    found = fitted.predict(encoding.matrix(records))[:, 0]
    return np.asarray(np.exp(found)) if log else found
