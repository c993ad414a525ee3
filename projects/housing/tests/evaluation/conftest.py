"""Evaluations of made-up predictions."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from housing.data.load import Sales
from housing.evaluation.evaluate import Evaluation


@pytest.fixture(scope="session")
def evaluation_of() -> Callable[..., Evaluation]:
    """Return a function: (prices paid, predicted) -> their evaluation without metrics."""

    def build(paid, predicted, *, spread: float = 1.2, **frame) -> Evaluation:
        n = len(paid)
        usual = {
            "pid": [f"{i}" for i in range(n)],
            "gr_liv_area": [1500.0] * n,
            "yr_sold": [2008.0] * n,
            "year_built": [2000.0] * n,
            "sale_condition": ["Normal"] * n,
            "neighborhood": ["NAmes"] * n,
            "sale_price": np.asarray(paid, dtype=float),
        }
        sales = Sales(pd.DataFrame({**usual, **frame}), records=[])
        predicted = np.asarray(predicted, dtype=float)
        return Evaluation(
            sales, predicted, predicted / spread, predicted * spread, metrics={}, sparse={}, calibration={}
        )

    return build
