"""House prices under MLflow's own commands: a table of houses in, the columns that a file of houses gets out.

Its cells are read as those of a file: what pandas calls NaN or None is an empty cell, 20 and 20.0 are the code 020.
"""

import warnings

import pandas as pd

from housing.data.columns import column_name
from housing.data.house import InvalidHouseError
from housing.models.predictor import Predictor
from housing.serving.pricing import Pricing
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each house: what a file of houses gets; a refused one has no price and says why.

    Raises
    ------
    InvalidHouseError
        If a column is no field of a house.
    """
    headings = [str(heading) for heading in table.columns]
    if strange := [heading for heading in headings if column_name(heading) is None]:
        raise InvalidHouseError(f"columns that are no field of a house: {', '.join(strange)}")
    cells = table.astype(object).where(table.notna(), "").astype(str)
    columns = [cells.iloc[:, place].tolist() for place in range(len(headings))]
    pricing = Pricing(headings, predictor, [columns] if len(cells) else [], note=warnings.warn)
    answers = pd.DataFrame(pricing.answer(columns) if len(cells) else [], columns=list(pricing.added))
    for name, number in (("price", float), ("low", float), ("high", float), ("filled", int)):
        # None and not NaN, which is no JSON; only beside a refused row are numbers objects
        answers[name] = pd.Series([number(cell) if cell else None for cell in answers[name]], dtype=object)
    return answers if answers["error"].any() else answers.infer_objects()


set_adapter(Predictor.load, predict)
