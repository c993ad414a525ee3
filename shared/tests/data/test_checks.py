"""Broken tables and the words they are refused with; the account of repaired and excluded rows."""

import io

import pandas as pd
import pandera.pandas as pa
import pytest
from rich.console import Console

from portfolio_shared.data.checks import DataError, DataReport, validate_frame

SCHEMA = pa.DataFrameSchema(
    {
        "year": pa.Column(int, pa.Check.in_range(1800, 2020)),
        "price": pa.Column(float, pa.Check.gt(0)),
        "kind": pa.Column(str, pa.Check.isin(["a", "b"]), nullable=True),
        "id": pa.Column(str, unique=True),
    },
    strict=True,
)


def frame(**changes):
    columns: dict[str, list[object]] = {
        "year": [1900, 1950, 2000, 2010, 2020],
        "price": [1.0, 2.0, 3.0, 4.0, 5.0],
        "kind": ["a", "b", "a", None, "b"],
        "id": ["p", "q", "r", "s", "t"],
    }
    return pd.DataFrame({**columns, **changes}, index=["r1", "r2", "r3", "r4", "r5"])


def refusal(table, schema=SCHEMA):
    with pytest.raises(DataError) as caught:
        validate_frame(table, schema, source="houses.csv")
    return str(caught.value).split("\n")


def test_types_are_converted_where_the_schema_says_so_and_the_input_stays():
    schema = pa.DataFrameSchema({"year": pa.Column(int)}, coerce=True)
    table = pd.DataFrame({"year": ["1900", "1950"]})
    assert validate_frame(table, schema, source="x")["year"].tolist() == [1900, 1950]
    assert table["year"].tolist() == ["1900", "1950"]


def test_a_broken_rule_names_column_rule_rows_and_three_examples():
    assert refusal(frame(price=[-1.0, -2.0, 3.0, -4.0, -5.0])) == [
        "houses.csv: 1 rule is broken",
        "  price: greater_than(0) fails in 4 rows, for example -1.0 in row 'r1'; -2.0 in row 'r2'; -4.0 in row 'r4'",
    ]


def test_missing_values_duplicates_and_types_are_rules_too():
    lines = refusal(frame(price=[None, 2.0, 3.0, 4.0, 5.0], id=["p", "p", "r", "s", "t"]))
    assert lines[0] == "houses.csv: 2 rules are broken"
    assert "  price: not_nullable fails in 1 row, for example nan in row 'r1'" in lines
    assert "  id: field_uniqueness fails in 2 rows, for example 'p' in row 'r1'; 'p' in row 'r2'" in lines
    assert any(line.startswith("  year: dtype('int64') fails") for line in refusal(frame(year=["a", "b", 1, 2, 3])))


def test_columns_that_are_missing_or_unknown_are_named():
    lines = refusal(frame().rename(columns={"year": "yaer"}))
    assert "  table: columns that are missing: year" in lines
    assert "  table: columns that are not expected: yaer" in lines


def test_a_rule_across_a_few_columns_shows_the_values_of_the_row():
    schema = pa.DataFrameSchema(checks=pa.Check(lambda t: t["sold"] >= t["built"], error="sold after it was built"))
    table = pd.DataFrame({"sold": [2000, 1990], "built": [1990, 2000]}, index=[10, 11])
    assert refusal(table, schema)[1:] == [
        "  table: sold after it was built fails in 1 row, for example sold = 1990, built = 2000 in row 11"
    ]


def test_a_rule_across_many_columns_shows_the_row_alone():
    schema = pa.DataFrameSchema(checks=pa.Check(lambda t: t["c0"] > 0, error="c0 above zero"))
    table = pd.DataFrame({f"c{i}": [1, 0] for i in range(9)})
    assert refusal(table, schema)[1:] == ["  table: c0 above zero fails in 1 row, for example row 1"]


def test_a_rule_about_a_whole_column_has_no_rows():
    schema = pa.DataFrameSchema({"x": pa.Column(int, pa.Check(lambda x: x.mean() > 5, error="mean above 5"))})
    assert refusal(pd.DataFrame({"x": [1, 2]}), schema)[1:] == ["  x: mean above 5 fails as a whole: False"]


def test_a_broken_index_is_named():
    schema = pa.DataFrameSchema({"x": pa.Column(int)}, index=pa.Index(int, pa.Check.ge(0)))
    table = pd.DataFrame({"x": [1, 2]}, index=[-1, 0])
    assert refusal(table, schema)[1:] == [
        "  index: greater_than_or_equal_to(0) fails in 1 row, for example -1 in row -1"
    ]


def test_the_report_adds_up():
    report = DataReport("houses", rows_read=10)
    report.repair("year with two digits", 3)
    report.repair("year with two digits", 1)
    report.exclude("no price", 2)
    report.exclude("exact duplicate", 0)
    report.notes.append("five houses are larger than 4,000 square feet")
    assert report.as_dict() == {
        "name": "houses",
        "rows_read": 10,
        "rows_kept": 8,
        "repaired": {"year with two digits": 4},
        "excluded": {"no price": 2, "exact duplicate": 0},
        "notes": ["five houses are larger than 4,000 square feet"],
    }


@pytest.mark.parametrize("rows", [-1, 9])
def test_more_rows_than_there_are_cannot_be_excluded(rows):
    report = DataReport("houses", rows_read=10)
    report.exclude("no price", 2)
    with pytest.raises(ValueError, match=f"'duplicate': the number of rows must lie between 0 and 8, not {rows}"):
        report.exclude("duplicate", rows)
    assert report.rows_kept == 8


def test_the_report_as_markdown():
    report = DataReport("houses | raw", rows_read=2930)
    report.repair("a | b", 5)
    report.exclude("no price", 1000)
    report.notes.append("A note.")
    assert report.as_markdown().splitlines() == [
        r"| houses \| raw | rows |",
        "| --- | ---: |",
        "| read | 2,930 |",
        r"| repaired: a \| b | 5 |",
        "| excluded: no price | 1,000 |",
        "| kept | 1,930 |",
        "",
        "A note.",
    ]


def test_the_report_in_the_terminal_shows_labels_as_they_are():
    report = DataReport("houses", rows_read=2930)
    report.exclude("code [red]", 1000)
    report.notes.append("[bold] is no markup")
    out = io.StringIO()
    Console(file=out, width=80).print(report.as_table())
    for text in ("houses", "2,930", "excluded: code [red]", "1,000", "1,930", "[bold] is no markup"):
        assert text in out.getvalue()
