"""The linear probe: a logistic regression on features of the pretrained trunk, which stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from image_classifier.models.trunk import Features
from portfolio_shared.evaluation.classification import log_loss_error

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Inverse strengths of the penalty that are tried on validation."""
FLOOR = 0.3
"""Of 2,533 photographs in no test part, as many were named right after learning from 340 of the sample at 288 pixels
(at the strength 0.03): 87.2 % with features as they are, 87.9 % with mirror images, 88.7 % with middles as well, and
89.1 % where features are scaled too."""


@dataclass(frozen=True)
class Head:
    """One linear layer on pooled features.

    It follows the mean over the grid, so the logit of a class is the mean of its class-activation map plus the bias
    (Zhou et al. 2016): the map shows exactly what the logit is made of.

    Attributes
    ----------
    weight, bias
        [n_classes, n_features] and [n_classes]: logits are ``features @ weight.T + bias``.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Return logits [n, n_classes]."""
        return np.asarray(features.astype(np.float64) @ self.weight.T + self.bias)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_probe(
    features: Features,
    labels: NDArray[np.int64],
    held_out: Features,
    held_out_labels: NDArray[np.int64],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[Head, float]:
    """Fit a logistic regression for each strength; return that of the least log loss on held-out pictures, and it.

    Features that vary much do not count for more than others: each is divided by its standard deviation, to which a
    share of the mean one is added, because one that hardly varies is noise.
    """
    scales = features.std(axis=0, dtype=np.float64)
    scales += FLOOR * scales.mean()
    scales /= scales.mean()
    regression = LogisticRegression(max_iter=3000, tol=1e-3, warm_start=True)
    tried = []
    for strength in strengths:
        fitted = regression.set_params(C=strength).fit(features / scales, labels)
        loss = log_loss_error(held_out_labels, fitted.predict_proba(held_out / scales))
        weight, bias = fitted.coef_ / scales, fitted.intercept_.copy()
        if len(weight) == 1:  # scikit-learn has one row for two classes
            weight, bias = (np.concatenate([np.zeros_like(row), row]) for row in (weight, bias))
        tried.append((loss, Head(weight, bias), strength))
    _, head, strength = min(tried, key=lambda each: each[0])
    return head, strength
