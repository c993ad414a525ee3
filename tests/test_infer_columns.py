"""What `make new-project KIND=tabular` takes the columns of a table for."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checkout import ROOT

GENERATOR = ROOT / "templates" / "tabular" / "generator"
N = 200


def load(name: str) -> ModuleType:
    sys.path.insert(0, str(GENERATOR))
    try:
        spec = importlib.util.spec_from_file_location(name, GENERATOR / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(GENERATOR))


infer, leaks = load("infer"), load("leaks")
PRICE = [str(100 + (37 * i) % 97 + i % 3) for i in range(N)]


@pytest.fixture
def found() -> Callable[..., Any]:
    """Return a function: (heading -> cells) -> what was inferred of them beside a price."""

    def run(separator: str = ",", **columns: list[str]) -> Any:
        table = {"price": PRICE, "size": [str(i % 11) for i in range(N)], **columns}
        result = infer.infer(table, separator, "price")
        leaks.find_leaks(result, table)
        infer.complete(result, table)
        return result

    return run


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", "5"], {"kind": "number", "whole": True}),
        (["1.5", "2", ""], {"kind": "number", "whole": False}),
        (["$1,200", "$950", "NA"], {"kind": "number", "whole": True}),
        (["true", "false", "?"], {"kind": "category"}),
        (["INLAND", "NEAR BAY", "ISLAND"], {"kind": "category"}),
        (["2024-03-01", "2024-04-02", "2024-05-03"], {"kind": "date", "form": ""}),
        (["31/12/2024", "01/02/2024", "15/03/2024"], {"kind": "date", "form": "%d/%m/%Y"}),
        (["12/31/2024", "02/01/2024", "03/15/2024"], {"kind": "date", "form": "%m/%d/%Y"}),
    ],
)
def test_a_column_is_a_number_a_category_or_a_date(
    found: Callable[..., Any], cells: list[str], expected: dict[str, Any]
) -> None:
    column = found(other=[cells[i * i % 7 % 3] for i in range(N)]).columns["other"]
    assert column == {"heading": "other", **expected}


@pytest.mark.parametrize(
    ("heading", "cells", "why"),
    [
        ("id", [f"{7 * i % 1009}" for i in range(N)], "an id"),
        ("PassengerId", [f"{i + 1}" for i in range(N)], "an id"),
        ("row", [f"{i}" for i in range(N)], "it numbers the rows"),
        ("same", ["x"] * N, "it is 'x' in every row"),
        ("hardly", ["5"] * 3 + [""] * (N - 3), "197 of 200 rows do not have it"),
        ("ticket", [f"A{i}" for i in range(N)], "different codes"),
        ("about", ["a long text about this one" + " and more" * (i % 5) for i in range(N)], "a text"),
    ],
)
def test_a_column_that_says_nothing_is_left_out_with_its_reason(
    found: Callable[..., Any], heading: str, cells: list[str], why: str
) -> None:
    result = found(**{heading: cells})
    assert why in result.left_out[heading]
    assert list(result.columns) == ["size"]


def test_an_id_of_several_rows_is_a_group(found: Callable[..., Any]) -> None:
    result = found(customer_id=[f"c{i // 3}" for i in range(N)])
    assert result.group == "customer_id"
    assert "stay on one side" in result.left_out["customer_id"]


def test_of_two_ids_of_groups_the_larger_groups_stay_together(found: Callable[..., Any]) -> None:
    bills, customers = [f"b{i // 2}" for i in range(N)], [f"c{i // 3}" for i in range(N)]
    for columns in ({"bill_id": bills, "customer_id": customers}, {"customer_id": customers, "bill_id": bills}):
        result = found(**columns)
        assert result.group == "customer_id"
        assert (
            result.left_out["bill_id"] == "an id of a group, but those of customer_id, which are larger, stay together"
        )


@pytest.mark.parametrize(
    ("columns", "given_away"),
    [
        ({"price_in_cents": [f"{100 * int(price)}" for price in PRICE]}, ["price_in_cents"]),
        (
            {
                "first": [f"{int(price) * (i % 5) // 5}" for i, price in enumerate(PRICE)],
                "rest": [f"{int(price) - int(price) * (i % 5) // 5}" for i, price in enumerate(PRICE)],
            },
            ["first", "rest"],
        ),
        ({"nearly": [f"{int(price) + i % 29}" for i, price in enumerate(PRICE)]}, []),
    ],
)
def test_a_column_that_gives_the_target_away_is_named(
    found: Callable[..., Any], columns: dict[str, list[str]], given_away: list[str]
) -> None:
    result = found(**columns)
    assert list(result.leaks) == given_away
    assert not set(result.leaks) & {column["heading"] for column in result.columns.values()}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (PRICE, {"kind": "number", "whole": True}),
        ([f"{i % 7 / 2}" for i in range(N)], {"kind": "number", "whole": False}),
        ([str(i % 3) for i in range(N)], {"kind": "category", "classes": ["0", "1", "2"]}),
        (["yes", "no"] * (N // 2), {"kind": "category", "classes": ["no", "yes"]}),
    ],
)
def test_a_target_is_a_number_or_has_classes(cells: list[str], expected: dict[str, Any]) -> None:
    assert infer.target_of("price", cells, ".") == expected


def leaks_of_a_class(let: list[str], **columns: list[str]) -> dict[str, str]:
    """Return what gives a class away, and why."""
    table = {"let": let, **columns}
    result = infer.infer(table, ",", "let")
    leaks.find_leaks(result, table)
    return dict(result.leaks)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (list("ABCD") * (N // 4), "it says the class itself"),
        ([f"{i % 4 // 2 * 500 + i}.5" for i in range(N)], "it says the class itself"),
        ([f"{(i % 4 < 2) * 500 + i}.5" for i in range(N)], "it says the class itself"),
        (["", "", "2024-03-01", "2024-03-02"] * (N // 4), "where it is missing says the class itself"),
        (list("ABAB") * (N // 4), None),
        ([f"{i * i % 97}.5" for i in range(N)], None),
    ],
)
def test_a_column_that_says_the_class_is_named(column: list[str], why: str | None) -> None:
    found = leaks_of_a_class(["yes", "yes", "no", "no"] * (N // 4), code=column, size=[str(i % 11) for i in range(N)])
    assert found == ({"code": why} if why else {})


def test_three_classes_in_a_row_are_read_off_a_number() -> None:
    grades = [("low", "middle", "high")[i % 3] for i in range(N)]
    points = [f"{i % 3 * 1000 + i}" for i in range(N)]
    assert list(leaks_of_a_class(grades, points=points, size=[str(i % 11) for i in range(N)])) == ["points"]


def test_where_nearly_all_rows_are_of_one_class_a_column_that_says_nothing_is_kept() -> None:
    n = 30_000
    fraud = ["yes" if i % 1200 == 7 else "no" for i in range(n)]
    place = [("north", "south", "east")[i * i % 3] for i in range(n)]
    code = [("x" if i % 1200 == 7 else "y") for i in range(n)]
    assert list(leaks_of_a_class(fraud, size=[str(i % 11) for i in range(n)], place=place, code=code)) == ["code"]


@pytest.mark.parametrize(
    ("cells", "separator", "expected"),
    [
        (["1,5", "2,25"], ";", ","),
        (["1.5", "2.25"], ",", "."),
        (["1.234,5", "99,5"], ";", ","),
        (["1,234", "5,678"], ",", "."),
        (["1,234", "5,678"], ";", ","),
        (["5", "6"], ";", "."),
    ],
)
def test_the_decimal_separator_is_seen(cells: list[str], separator: str, expected: str) -> None:
    assert infer.decimal_of([cells], separator) == expected


def test_a_date_splits_the_rows_and_a_constant_one_does_not(found: Callable[..., Any]) -> None:
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(N)]
    assert (found(day=days).time, found(day=days).test_from) == ("day", "2024-06-21T00:00:00")
    two = found(day=["2024-01-01", "2024-01-02"] * (N // 2))
    assert (two.time, two.test_from) == ("", "")


def test_headings_become_names_that_an_api_can_have(found: Callable[..., Any]) -> None:
    numbers = [str(i * i % 13) for i in range(N)]
    result = found(**{"Total (m²)": numbers, "total m": numbers, "class": numbers, "json": numbers, "1st": numbers})
    assert list(result.columns) == ["size", "total_m", "total_m_2", "class_", "json_", "column_1st"]


def test_the_example_is_a_usual_row(found: Callable[..., Any]) -> None:
    result = found(place=["north"] * 120 + ["south"] * 80)
    assert result.example == {"size": 5.0, "place": "north"}
    assert Path(GENERATOR / "infer.py").is_file()
