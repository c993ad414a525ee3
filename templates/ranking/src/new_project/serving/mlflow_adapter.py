"""The model under MLflow's own commands: a table of histories, one a row; MLflow runs this file, nothing imports it."""

import pandas as pd

from new_project.models.predictor import Predictor
from new_project.serving.batch import ADDED, HISTORY, answers
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each history with the columns that `predict` adds."""
    if HISTORY not in table:
        raise ValueError(f"expected a column {HISTORY}, found {', '.join(map(str, table.columns))}")
    return pd.DataFrame(answers(predictor, table[HISTORY].fillna("").astype(str).tolist()), columns=list(ADDED))


set_adapter(Predictor.load, predict)
