"""House prices under MLflow's own commands: a table of houses in, price, low and high in dollars out.

Its cells are read as those of a file: what pandas calls NaN or None is an empty cell, 20 and 20.0 are the code 020.
"""

import warnings

import pandas as pd

from housing.data.columns import column_name
from housing.data.house import InvalidHouseError
from housing.data.reading import places_of
from housing.models.predictor import Predictor
from housing.serving.pricing import Pricing
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each house: price, low and high in dollars."""
    headings = [str(heading) for heading in table.columns]
    if strange := [heading for heading in headings if column_name(heading) is None]:
        raise InvalidHouseError(f"columns that are no field of a house: {', '.join(strange)}")
    cells = table.astype(object).where(table.notna(), "").astype(str)
    columns = [cells.iloc[:, place].tolist() for place in range(len(headings))]
    answers = Pricing(places_of(headings), predictor, note=warnings.warn).answer(columns) if len(cells) else []
    if wrong := [f"row {number}: {reason}" for number, (*_, reason) in enumerate(answers, start=1) if reason]:
        raise InvalidHouseError("; ".join(wrong[:3]))
    return pd.DataFrame(
        [{"price": float(price), "low": float(low), "high": float(high)} for price, low, high, *_ in answers]
    )


set_adapter(Predictor.load, predict)
