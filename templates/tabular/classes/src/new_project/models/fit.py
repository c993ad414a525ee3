"""Fit what is served, and what it is compared with. Training only: this module needs CatBoost and scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from catboost import CatBoostClassifier
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from new_project.config import COVERAGE, ModelSettings
from new_project.data.columns import Record, schema
from new_project.data.load import Rows, Split
from new_project.models.features import Encoding, fit_encoding
from new_project.models.libraries import fit_linear, fit_trees
from new_project.models.members import Ridge, Trees
from new_project.models.predictor import Predictor, as_logits
from portfolio_shared.evaluation.classification import fit_temperature, label_set_threshold, softmax
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]

FEW = round(1 / (1 - COVERAGE))
LEAST = 1e-6  # probability of a class: the logarithm of what never occurs is finite


@dataclass(frozen=True)
class Fitted:
    """A candidate: what it is, and what it says of the training rows when they are held out.

    Attributes
    ----------
    member
        `frequencies`, `ridge` (a logistic regression with that penalty) or `trees`.
    out_of_fold
        Logits, shape (n, K); NaN for rows that no fold holds out.
    fold_errors
        Log loss of each fold.
    """

    member: str
    out_of_fold: Floats
    fold_errors: tuple[float, ...]


def fit(split: Split, settings: ModelSettings, chosen: Candidate[Fitted], *, seed: int = 0) -> Predictor:
    """Fit the model that is served to the whole training part; it is calibrated on rows that were held out.

    The temperature makes the probabilities of the held-out rows true (Guo et al. 2017). The thresholds of the sets of
    classes, one a class, let them hold the rare classes as often as the others (label-conditional conformal prediction;
    Vovk, Gammerman and Shafer 2005, section 4.5). A class of too few rows for that is in every set.

    Raises
    ------
    ValueError
        If the candidate is a baseline.
    """
    if not chosen.servable:
        raise ValueError(f"expected a candidate that can be served, found the baseline {chosen.name!r}")
    encoding, member = fit_member(split.train, settings, chosen.model.member, seed=seed)
    truth, logits = split.train.target[split.held_out].astype(np.int64), chosen.model.out_of_fold[split.held_out]
    temperature = fit_temperature(truth, logits)
    found = softmax(logits / temperature)
    thresholds = [
        label_set_threshold(truth[truth == k], found[truth == k], coverage=COVERAGE)
        if (truth == k).sum() >= FEW
        else 0.0
        for k in range(found.shape[1])
    ]
    return Predictor(encoding, member, temperature, np.array(thresholds), COVERAGE)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_member(rows: Rows, settings: ModelSettings, member: str, *, seed: int) -> tuple[Encoding, Ridge | Trees]:
    """Fit a logistic regression or trees to rows."""
    encoding = fit_encoding(rows.records)
    x, y = encoding.matrix(rows.records), rows.target.astype(np.int64)
    if member == "ridge":
        return encoding, fit_linear(LogisticRegression(C=1 / settings.ridge, max_iter=1000), x, y)
    return encoding, fit_trees(CatBoostClassifier, x, y, settings, seed=seed)


def logits_of(inside: Rows, records: Sequence[Record], settings: ModelSettings, member: str, *, seed: int) -> Floats:
    """Return what a candidate that is fitted to some rows says of others, shape (n, K)."""
    if member == "frequencies":
        counts = np.bincount(inside.target.astype(np.int64), minlength=len(schema().target.classes))
        return np.tile(np.log(np.maximum(counts / counts.sum(), LEAST)), (len(records), 1))
    encoding, fitted = fit_member(inside, settings, member, seed=seed)
    return as_logits(fitted.predict(encoding.matrix(records)))
