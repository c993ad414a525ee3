"""The model under MLflow's own commands: a table of histories, one a row, and how many films each shall get.

MLflow stores this file with the model as code and runs it on loading; the project itself does not import it.
"""

import numpy as np
import pandas as pd

from portfolio_shared.serving.batch import refusal
from portfolio_shared.tracking.adapter import set_adapter
from recommender.models.predictor import Predictor
from recommender.serving.batch import ADDED, HISTORY, answers

DEFAULT_K = 10


def predict(predictor: Predictor, histories: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each history with the columns that `recommender predict` adds; a refused row says why."""
    if HISTORY not in histories:
        raise ValueError(f"expected a column {HISTORY}, found {', '.join(map(str, histories.columns))}")
    lengths = histories["k"].fillna(DEFAULT_K) if "k" in histories else pd.Series(DEFAULT_K, index=histories.index)
    cells = histories[HISTORY].astype(object).where(histories[HISTORY].notna(), None).tolist()
    added: list[list[str]] = [[]] * len(cells)
    for k in lengths.unique().tolist():
        rows = np.flatnonzero(lengths == k).tolist()
        if isinstance(k, (int, float)) and k >= 1 and k % 1 == 0:  # of infinity the remainder is no number
            of_rows = answers(predictor, [cells[row] for row in rows], k=int(k))
        else:
            of_rows = [refusal(ADDED, f"k = {k}: expected a whole number from 1 on")] * len(rows)
        for row, cells_of_row in zip(rows, of_rows, strict=True):
            added[row] = cells_of_row
    return pd.DataFrame(added, columns=list(ADDED))


set_adapter(Predictor.load, predict)
