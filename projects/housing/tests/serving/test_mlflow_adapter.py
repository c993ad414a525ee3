"""What the file that MLflow runs makes of a table; test_project_mlflow.py tests for all projects that it runs."""

import pandas as pd
import pytest

from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.train import PROJECT

pytestmark = pytest.mark.slow


def answers(learned, predictor, rows):
    return learned.adapter.predict(predictor, pd.DataFrame(rows)).to_dict(orient="records")


def test_every_house_gets_the_price_and_the_interval_of_the_predictor(learned, predictor, trained):
    """The example alone, houses with every column, and a mixture with cells left open."""
    houses = [dict(record) for record in trained.split.test.records[:40]]
    assert any(None in house.values() for house in houses)
    open_cells = dict(EXAMPLE) | {"kitchen_qual": None, "garage_area": None}
    for rows in ([dict(EXAMPLE)], houses, [open_cells, *houses[:3]]):
        assert answers(learned, predictor, rows) == [
            pytest.approx({"price": house.price, "low": house.interval.low, "high": house.interval.high}, rel=1e-9)
            for house in predictor.predict(rows)
        ]


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
def test_what_is_wrong_with_a_house_is_named(learned, predictor, change, message):
    with pytest.raises(ValueError, match=message):
        answers(learned, predictor, [dict(EXAMPLE) | change])
