"""Files of rows: what is missing is filled, what cannot be read is said, and no row is lost."""

import csv
from pathlib import Path

import pytest

from new_project.data.columns import schema
from new_project.models.predictor import Predictor
from new_project.serving.batch import predict_file
from portfolio_shared.data.tables import FileError


@pytest.fixture
def predictor(small_model) -> Predictor:
    return small_model("new-project").trained.predictor


def run(tmp_path: Path, predictor: Predictor, rows: list[list[str]]):
    source, target, notes = tmp_path / "in.csv", tmp_path / "out.csv", []
    with source.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    result = predict_file(source, target, predictor, note=notes.append)
    with target.open(newline="", encoding="utf-8") as stream:
        return result, list(csv.DictReader(stream)), notes


def test_a_row_gets_what_the_api_answers(tmp_path, predictor):
    example = {column.heading: schema().example[column.name] for column in schema().columns}
    cells = [
        str(value).replace(".", schema().decimal) if isinstance(value, float) else value for value in example.values()
    ]
    result, (row,), notes = run(tmp_path, predictor, [list(example), cells])
    assert (result.done, result.refused, notes) == (1, 0, [])
    assert float(row["prediction"]) == pytest.approx(predictor.predict([schema().example])[0].value)
    assert float(row["low"]) <= float(row["prediction"]) <= float(row["high"])


def test_a_missing_column_is_filled_and_a_broken_cell_is_said(tmp_path, predictor):
    number = next(column for column in schema().columns if column.kind == "number")
    result, (row,), (note,) = run(tmp_path, predictor, [[number.heading, "mine"], ["many", "kept"]])
    assert result.done == 1
    assert row["mine"] == "kept"
    assert row["repaired"] == f"{number.heading}: no number, read as not known"
    assert "columns that are missing" in note


def test_a_file_without_any_column_is_refused(tmp_path, predictor):
    with pytest.raises(FileError, match="none of its headings is a column of this model"):
        run(tmp_path, predictor, [["nothing"], ["1"]])
