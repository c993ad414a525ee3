"""The model under MLflow's own commands, such as `mlflow models serve`.

MLflow stores this file with the model as code and runs it on loading; nothing is pickled. It is not imported by the
project itself.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import Predictor


class ImageClassifierModel(PythonModel):
    """Names the pictures of a table: a file in base64 a row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was stored with the model."""
        self.predictor = Predictor.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row a picture: its label, the label's probability, and why that is unsure, or nothing."""
        del context, params
        return pd.DataFrame([self._classify(str(picture)) for picture in model_input["picture"]])

    def _classify(self, picture: str) -> dict[str, str | float]:
        try:
            data = base64.b64decode(picture, validate=True)
        except binascii.Error as error:
            raise ValueError(f"picture: expected a file in base64 ({error})") from error
        (answer,) = self.predictor.predict([prepare(data, self.predictor.preprocessing, limits=ImageLimits())])
        label = int(answer.probabilities.argmax())
        return {
            "label": self.predictor.labels[label],
            "probability": float(answer.probabilities[label]),
            "unsure": answer.unsure or "",
        }


set_model(ImageClassifierModel())
