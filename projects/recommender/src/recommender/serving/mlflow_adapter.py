"""The model under MLflow's own commands: a table of histories, a text a row, and how many films each shall get.

MLflow stores this file with the model as code and runs it on loading; the project itself does not import it.
"""

import pandas as pd

from portfolio_shared.tracking.adapter import set_adapter
from recommender.models.predictor import Predictor
from recommender.serving.history_text import parse_history

DEFAULT_K = 10


def predict(predictor: Predictor, histories: pd.DataFrame) -> pd.DataFrame:
    """Return one row a history: the ids of the films, best first, as text between spaces."""
    lengths = histories["k"].fillna(DEFAULT_K) if "k" in histories else pd.Series(DEFAULT_K, index=histories.index)
    films = []
    for history, k in zip(histories["history"], lengths, strict=True):
        if k != int(k):
            raise ValueError(f"k = {k}: expected a whole number")
        films.append(predictor.recommend(parse_history(str(history)), k=int(k), n_reasons=0).film_ids)
    return pd.DataFrame({"films": films})


set_adapter(Predictor.load, predict)
