"""The model under MLflow's own commands, such as `mlflow models serve`.

MLflow stores this file with the model as code and runs it on loading; nothing is pickled. It is not imported by the
project itself.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from housing.data.house import validated
from housing.models.storage import load


class HousingModel(PythonModel):
    """Prices houses given as a table whose columns are the fields of the API."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was stored with the model."""
        self.predictor = load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row a house: price, low and high in dollars."""
        del context, params
        cells = model_input.astype(object).where(model_input.notna(), None)
        records = [
            validated({str(name): cell for name, cell in row.items()}) for row in cells.to_dict(orient="records")
        ]
        houses = self.predictor.predict(records)
        return pd.DataFrame(
            [{"price": house.price, "low": house.interval.low, "high": house.interval.high} for house in houses]
        )


set_model(HousingModel())
