"""The model under MLflow's own commands: names the pictures of a table, a file in base64 a row (`set_adapter`)."""

import base64
import binascii

import pandas as pd

from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import Predictor
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a picture: its label, the label's probability, and why that is unsure, or nothing."""
    return pd.DataFrame([_classify(predictor, str(picture)) for picture in table["picture"]])


def _classify(predictor: Predictor, picture: str) -> dict[str, str | float]:
    try:
        data = base64.b64decode(picture, validate=True)
    except binascii.Error as error:
        raise ValueError(f"picture: expected a file in base64 ({error})") from error
    (prediction,) = predictor.predict([prepare(data, predictor.preprocessing, limits=ImageLimits())])
    label = int(prediction.probabilities.argmax())
    return {
        "label": predictor.labels[label],
        "probability": float(prediction.probabilities[label]),
        "unsure": prediction.unsure or "",
    }


set_adapter(Predictor.load, predict)
