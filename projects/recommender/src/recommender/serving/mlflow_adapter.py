"""The model under MLflow's own commands, such as `mlflow models serve`.

MLflow stores this file with the model as code and runs it on loading; nothing is pickled. It is not imported by the
project itself.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from recommender.models.predictor import Predictor
from recommender.serving.history_text import parse_history

DEFAULT_K = 10


class RecommenderModel(PythonModel):
    """Recommends films for a table of histories: a text a row, and how many films each shall get."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was stored with the model."""
        self.predictor = Predictor.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row a history: the ids of the films, best first, as text between spaces."""
        del context, params
        lengths = model_input["k"] if "k" in model_input else pd.Series(float("nan"), index=model_input.index)
        lists = [
            self._recommend(str(history), DEFAULT_K if pd.isna(k) else float(k))
            for history, k in zip(model_input["history"], lengths, strict=True)
        ]
        return pd.DataFrame({"films": lists})

    def _recommend(self, history: str, k: float) -> str:
        if k != int(k):
            raise ValueError(f"k = {k}: expected a whole number")
        answer = self.predictor.recommend(parse_history(history), k=int(k), n_reasons=0)
        return " ".join(str(one.film.id) for one in answer.recommendations)


set_model(RecommenderModel())
