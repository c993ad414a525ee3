"""The model under MLflow's own commands: a picture in base64 a row; MLflow runs this file, and nothing imports it."""

import base64

import pandas as pd

from new_project.data.images import prepare
from new_project.models.predictor import Predictor
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a picture: its label, the label's probability, and why that is unsure, or nothing."""
    return pd.DataFrame([_classify(predictor, str(picture)) for picture in table["picture"]])


def _classify(predictor: Predictor, picture: str) -> dict[str, str | float]:
    (prediction,) = predictor.predict([prepare(base64.b64decode(picture, validate=True))])
    top = max(range(len(predictor.labels)), key=prediction.probabilities.__getitem__)
    return {
        "label": predictor.labels[top],
        "probability": prediction.probabilities[top],
        "unsure": prediction.unsure or "",
    }


set_adapter(Predictor.load, predict)
