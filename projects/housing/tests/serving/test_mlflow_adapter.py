"""What the file that MLflow runs makes of a table; test_project_mlflow.py tests for all projects that it runs."""

import re

import pandas as pd
import pytest

from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.serving.pricing import ADDED
from housing.train import PROJECT

pytestmark = pytest.mark.slow


def answers(learned, predictor, rows):
    return learned.adapter.predict(predictor, pd.DataFrame(rows)).to_dict(orient="records")


def answer(house):
    """What a table has of a prediction, as a file does."""
    dollars = {"price": house.price, "low": house.interval.low, "high": house.interval.high}
    return {**dollars, "filled": len(house.filled), "repaired": "", "error": ""}


@pytest.mark.long
def test_every_house_gets_the_price_and_the_interval_of_the_predictor(learned, predictor, trained):
    """The example alone, houses with every column, and a mixture with cells left open."""
    houses = [dict(record) for record in trained.split.test.records[:40]]
    assert any(None in house.values() for house in houses)
    open_cells = dict(EXAMPLE) | {"kitchen_qual": None, "garage_area": None}
    for rows in ([dict(EXAMPLE)], houses, [open_cells, *houses[:3]]):
        assert answers(learned, predictor, rows) == [answer(house) for house in predictor.predict(rows)]


def test_a_table_of_pandas_is_read_as_the_file_is(learned, predictor, some_rows, dataset, tmp_path):
    """NA has become NaN, whole numbers with gaps have become fractions, and the class of a dwelling is a number."""
    some_rows(2930).to_csv(tmp_path / "sales.csv", index=False)
    table = pd.read_csv(tmp_path / "sales.csv").drop(columns=["Order", "PID", "SalePrice"])
    with pytest.warns(UserWarning, match="as after pandas"):
        priced = learned.adapter.predict(predictor, table)
    price, low, high = predictor.price_and_interval(dataset.sales.records)
    for name, expected in (("price", price), ("low", low), ("high", high)):
        assert priced[name].tolist() == [round(dollars, 2) for dollars in expected.tolist()]


def test_the_example_leaves_out_what_the_api_does_not_require(trained):
    rows = PROJECT.input_example(trained)
    always = {name for name in rows[0] if all(row.get(name) is not None for row in rows)}
    assert always == {name for name, column in columns().items() if column.required}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"full_bath": 9.0}, r"full_bath = 9.*here at most 6"), ({"lot_area": None}, "lot_area")],
)
def test_a_house_that_is_wrong_is_refused_alone_and_says_why(learned, predictor, change, message):
    before, refused, after = answers(learned, predictor, [EXAMPLE, EXAMPLE | change, EXAMPLE])
    assert before == after == answer(predictor.predict([EXAMPLE])[0])
    assert re.search(message, refused.pop("error"))
    assert refused == {"price": None, "low": None, "high": None, "filled": None, "repaired": ""}


def test_what_was_put_right_is_told(learned, predictor):
    (row,) = answers(learned, predictor, [EXAMPLE | {"year_remod_add": 1999}])
    assert row["repaired"] == "year_remod_add: remodeled before it was built: remodeled when built"


def test_a_table_without_rows_has_the_columns_of_an_answer(learned, predictor):
    table = pd.DataFrame(columns=list(EXAMPLE))
    assert learned.adapter.predict(predictor, table).columns.tolist() == list(ADDED)


def test_a_column_that_is_no_field_is_refused_by_name(learned, predictor):
    with pytest.raises(ValueError, match="unheard"):
        answers(learned, predictor, [EXAMPLE | {"unheard": 1.0}])
