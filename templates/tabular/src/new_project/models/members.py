"""What is learned, as arrays: a ridge or symmetric trees, both predicting with NumPy alone.

CatBoost's default trees ask the same question at every node of a level, so a tree of depth d is d questions and a table
of 2**d answers: no tree library is needed to predict. Written here because ONNX Runtime, the alternative, would be a
library more in the service for these ten lines.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS_AT_ONCE = 256  # their answers to all questions of 800 trees are 1 MB


@dataclass(frozen=True)
class Ridge:
    """A linear model of p columns with K outputs.

    Attributes
    ----------
    fill
        What an unknown number counts as, shape (p,).
    coefficients, intercept
        Shape (p, K) and (K,).
    """

    fill: Floats
    coefficients: Floats
    intercept: Floats

    def predict(self, x: Floats) -> Floats:
        """Return the outputs, shape (n, K), for rows of shape (n, p)."""
        known = np.where(np.isnan(x), self.fill, x)
        # Row by row, so that a row's answer does not depend on which others are asked with it.
        return np.asarray((known[:, :, None] * self.coefficients).sum(axis=1) + self.intercept)


@dataclass(frozen=True)
class Trees:
    """T symmetric trees of depth D with K outputs.

    Attributes
    ----------
    feature, border
        Shape (T, D). Question d of tree t is `x[feature[t, d]] > border[t, d]`; NaN answers no, as CatBoost has it.
    leaf
        Shape (T, 2**D, K). The answer where bit d of the cell's number is the answer to question d.
    bias
        Shape (K,).
    """

    feature: NDArray[np.int32]
    border: NDArray[np.float32]
    leaf: Floats
    bias: Floats

    def predict(self, x: Floats) -> Floats:
        """Return the outputs, shape (n, K), for rows of shape (n, p)."""
        powers = 1 << np.arange(self.feature.shape[1])
        tree = np.arange(len(self.feature))
        sums = []
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = x[start : start + ROWS_AT_ONCE].astype(np.float32)
            cell = (rows[:, self.feature] > self.border) @ powers
            sums.append(self.leaf[tree, cell].sum(axis=1))
        return np.concatenate(sums) + self.bias if sums else np.empty((0, len(self.bias)))


MEMBERS: dict[str, type[Ridge] | type[Trees]] = {"ridge": Ridge, "trees": Trees}


def from_catboost(model: dict[str, Any]) -> Trees:
    """Read symmetric trees in CatBoost's own JSON format; shorter trees are padded with questions that answer no."""
    trees = model["oblivious_trees"]
    scale, bias = model["scale_and_bias"]
    outputs = len(bias)
    depth = max(len(tree["splits"] or []) for tree in trees)
    feature, border = np.zeros((len(trees), depth), np.int32), np.full((len(trees), depth), np.inf, np.float32)
    leaf = np.zeros((len(trees), 2**depth, outputs))
    for t, tree in enumerate(trees):
        splits = tree["splits"] or []
        feature[t, : len(splits)] = [split["float_feature_index"] for split in splits]
        border[t, : len(splits)] = [split["border"] for split in splits]
        leaf[t, : 2 ** len(splits)] = np.reshape(tree["leaf_values"], (-1, outputs))
    return Trees(feature, border, leaf * scale, np.array(bias, dtype=np.float64))
