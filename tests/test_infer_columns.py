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


@pytest.mark.parametrize(("code", "given_away"), [("ABCD", ["code"]), ("ABAB", [])])
def test_a_column_that_says_the_class_is_named(code: str, given_away: list[str]) -> None:
    table = {
        "let": ["yes", "yes", "no", "no"] * (N // 4),
        "code": list(code) * (N // 4),
        "size": [str(i % 11) for i in range(N)],
    }
    result = infer.infer(table, ",", "let")
    leaks.find_leaks(result, table)
    assert list(result.leaks) == given_away


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
