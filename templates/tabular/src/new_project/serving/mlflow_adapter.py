"""The model under MLflow's own commands: a table of rows in, the columns that a file of rows gets out."""

import pandas as pd

from new_project.data.columns import schema
from new_project.models.predictor import NUMBERS, Predictor
from new_project.serving.batch import ADDED, answer
from portfolio_shared.data.checks import DataError
from portfolio_shared.tracking.adapter import set_adapter


def predict(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each row; its cells are read as those of a file.

    Raises
    ------
    DataError
        If a column is none of this model.
    """
    headings = [str(heading) for heading in table.columns]
    known = {name for column in schema().columns for name in (column.heading, column.name)}
    if strange := sorted(set(headings) - known):
        raise DataError(f"columns that the model does not know: {', '.join(strange)}")
    cells = table.astype(object).where(table.notna(), "").map(_text).to_numpy().tolist()
    answers = pd.DataFrame(answer(headings, cells, predictor), columns=list(ADDED))
    return answers.astype(dict.fromkeys(NUMBERS, float))


def _text(cell: object) -> str:
    return str(cell).replace(".", schema().decimal) if isinstance(cell, float) else str(cell)


set_adapter(Predictor.load, predict)
