"""Fit a model of a library, and return it as arrays. Training only: this module needs CatBoost."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from new_project.config import ModelSettings
from new_project.models.members import Ridge, Trees, from_catboost

Floats = NDArray[np.float64]

THREADS = 2
HELD_OUT, PATIENCE = 0.2, 40
"""Share of the rows by which the number of trees is chosen, and after how many trees without a gain it is."""


def fit_linear(model: Any, x: Floats, y: NDArray[Any]) -> Ridge:
    """Fit a linear model of scikit-learn to standardized columns, and return it for the columns as they are."""
    known = ~np.isnan(x)
    fill = np.array(
        [np.median(column[given]) if given.any() else 0.0 for column, given in zip(x.T, known.T, strict=True)]
    )
    filled = np.where(known, x, fill)
    mean, deviation = filled.mean(axis=0), filled.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    model.fit((filled - mean) / scale, y)
    coefficients = np.atleast_2d(model.coef_).T / scale[:, None]
    return Ridge(fill, coefficients, np.atleast_1d(model.intercept_) - mean @ coefficients)


def fit_trees(kind: type[Any], x: Floats, y: NDArray[Any], settings: ModelSettings, *, seed: int) -> Trees:
    """Fit CatBoost's symmetric trees, as many as are best for rows that are held out, and return them as arrays."""
    options = settings.model_dump(exclude={"ridge"})
    options |= {"random_seed": seed, "thread_count": THREADS, "verbose": False, "allow_writing_files": False}
    out = np.random.default_rng(seed).random(len(y)) < HELD_OUT
    first = kind(**options).fit(x[~out], y[~out], eval_set=(x[out], y[out]), early_stopping_rounds=PATIENCE)
    model = kind(**options | {"iterations": first.get_best_iteration() + 1}).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.json"
        model.save_model(str(path), format="json")
        return from_catboost(json.loads(path.read_text(encoding="utf-8")))
