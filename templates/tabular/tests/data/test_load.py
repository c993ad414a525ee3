"""Rows of text to clean, split rows."""

import csv
from pathlib import Path

import numpy as np
import pytest

from new_project.data.columns import date_of, schema
from new_project.data.load import SAMPLE, load, read, split
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.tables import open_table


@pytest.fixture
def table(tmp_path: Path):
    """Return a function: (first rows, changed) -> the path of a table made of the rows that ship."""

    def write(rows: list[list[str]]) -> Path:
        path = tmp_path / "table.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(rows)
        return path

    return write


@pytest.fixture(scope="module")
def shipped() -> list[list[str]]:
    with open_table(SAMPLE.path) as opened:
        return [opened.headings, *(cells for _, cells in opened.rows())]


def test_what_ships_is_read_and_every_row_is_counted():
    data = load("full")
    assert data.report.rows_kept == len(data.rows) >= 100
    assert np.isfinite(data.rows.target).all()
    assert set(data.rows.records[0]) == {column.name for column in schema().columns}


def test_a_second_copy_and_a_row_without_a_target_are_excluded_and_counted(shipped, table):
    place = shipped[0].index(schema().target.heading)
    untold = [*shipped[1][:place], "NA", *shipped[1][place + 1 :]]
    rows, report = read(table([*shipped[:3], shipped[2], untold]))
    assert len(rows) == 2
    assert sorted(report.excluded.values()) == [1, 1]


def test_a_cell_that_is_no_number_is_not_known_and_counted(shipped, table):
    column = next(column for column in schema().columns if column.kind == "number")
    place = shipped[0].index(column.heading)
    rows, report = read(table([shipped[0], [*shipped[1][:place], "many", *shipped[1][place + 1 :]]]))
    assert rows.records[0][column.name] is None
    assert list(report.repaired.values()) == [1]


def test_a_missing_column_is_named(shipped, table):
    place = shipped[0].index(schema().columns[0].heading)
    without = [row[:place] + row[place + 1 :] for row in shipped]
    with pytest.raises(DataError, match="the table has no column"):
        read(table(without))


def test_rows_that_are_alike_are_on_one_side_and_none_is_on_both():
    parts = split(load("full"))
    assert len(parts.train) + len(parts.test) == len(load("full").rows)
    assert not set(parts.train.keys) & set(parts.test.keys)
    assert set(parts.validation) - {-1} == set(range(5))
    for _, inside, outside in parts.folds():
        assert not set(inside.keys) & set(outside.keys)


def test_a_date_has_no_zone_and_one_form():
    assert date_of("31.12.2024", "%d.%m.%Y") == date_of("2024-12-31T00:00:00Z", "%d.%m.%Y") == "2024-12-31T00:00:00"
