"""Cells that are numbers, and those that only look like one."""

import re

import pytest

from portfolio_shared.data.numbers import number_of


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        ("5", ".", 5.0),
        ("-5.", ".", -5.0),
        (".5", ".", 0.5),
        ("1e3", ".", 1000.0),
        ("$1,234.50", ".", 1234.5),
        ("1,234,567", ".", 1234567.0),
        ("95 %", ".", 95.0),
        ("12,5", ",", 12.5),
        ("1.234,5 €", ",", 1234.5),
        ("1,234", ",", 1.234),
    ],
)
def test_a_number_is_read(cell: str, decimal: str, expected: float) -> None:
    assert number_of(cell, decimal) == expected


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        *((cell, ".") for cell in ("12,5", "1,23", "0,125", "1_000", "1,2345", "1.2.3", "e5", ".", "-", "", "nan")),
        *((cell, ",") for cell in ("12.5", "1.23", "1,2,3", "inf", "1e999", "0x1")),
    ],
)
def test_what_is_no_number_is_refused_and_not_guessed(cell: str, decimal: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{cell!r} is no number")):
        number_of(cell, decimal)
