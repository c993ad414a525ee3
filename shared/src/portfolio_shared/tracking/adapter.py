"""A project's model under MLflow's own commands, such as `mlflow models serve`.

MLflow stores a project's `mlflow_adapter.py` with the model as code and runs it on loading; nothing is pickled.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

P = TypeVar("P")


def set_adapter(load: Callable[[Path], P], predict: Callable[[P, pd.DataFrame], pd.DataFrame]) -> None:
    """Make a predictor the model of the file that MLflow is running.

    `load`: folder of the bundle -> predictor. `predict`: (predictor, table of inputs) -> table with a row for each.
    """
    # Here and not above: MLflow warns while it is imported, which is its own business where it runs the file.
    from mlflow.models import set_model
    from mlflow.pyfunc.model import PythonModel, PythonModelContext

    class Adapter(PythonModel):
        def load_context(self, context: PythonModelContext) -> None:
            self.predictor = load(Path(context.artifacts["bundle"]))

        def predict(
            self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
        ) -> pd.DataFrame:
            del context, params
            return predict(self.predictor, model_input)

    set_model(Adapter())
