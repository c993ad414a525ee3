"""House prices under MLflow's own commands: a table with the API's fields in, price, low and high in dollars out."""

import pandas as pd

from housing.data.house import validated
from housing.models.predictor import Predictor
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each house: price, low and high in dollars."""
    cells = table.astype(object).where(table.notna(), None)
    records = [validated({str(name): cell for name, cell in row.items()}) for row in cells.to_dict(orient="records")]
    houses = predictor.predict(records)
    return pd.DataFrame(
        [{"price": house.price, "low": house.interval.low, "high": house.interval.high} for house in houses]
    )


set_adapter(Predictor.load, predict)
