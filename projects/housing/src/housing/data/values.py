"""One house or a table of houses: what holds across columns is written once, for Python's numbers and for arrays.

A house maps each column to a number, a table to an array of them, shape (n,). A quantity is itself. The code of a
category is its position among the column's choices. The code of an ordinal is its level: 0 for "has none", 1 for the
worst of what there is. What is unknown is NaN.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import NONE, Record, Value, columns

Values = dict[str, Any]
"""Column -> number or array of numbers."""

Change = tuple[str, Any, str, Any]
"""What a rule does: the column, its new value, why, and where it holds (true or false, or an array of these)."""


@dataclass(frozen=True)
class Arithmetic:
    """What numbers and arrays spell differently; one house takes a tenth of the time of an array of one."""

    where: Callable[[Any, Any, Any], Any]
    larger: Callable[[Any, Any], Any]
    smaller: Callable[[Any, Any], Any]
    rounded: Callable[[Any], Any]
    index: Callable[[Any], Any]
    pick: Callable[[Sequence[float], Any], Any]


ONE = Arithmetic(
    where=lambda condition, yes, no: yes if condition else no,
    larger=max,
    smaller=min,
    rounded=lambda number: float(round(number)),
    index=int,
    pick=lambda table, index: table[index],
)
MANY = Arithmetic(
    where=np.where,
    larger=np.maximum,
    smaller=np.minimum,
    rounded=np.rint,
    index=lambda numbers: numbers.astype(np.intp),
    pick=lambda table, indices: np.asarray(table)[indices],
)


@cache
def code_values() -> Mapping[str, Mapping[str, float]]:
    """Return column -> code -> number, for the columns of codes."""
    return {
        name: {
            code: float(number)
            for number, code in enumerate(column.choices, start=column.kind == "ordinal" and NONE not in column.choices)
        }
        for name, column in columns().items()
        if column.choices
    }


@cache
def code(name: str, choice: str) -> float:
    """Return the number of a code.

    Examples
    --------
    >>> code("kitchen_qual", "Po"), code("pool_qc", "None"), code("ms_subclass", "020")
    (1.0, 0.0, 0.0)
    """
    return code_values()[name][choice]


def values_of(record: Record) -> Values:
    """Return a record as numbers.

    Raises
    ------
    KeyError
        If the record has a code that its column has not.
    """
    return _unknown() | given_in(record)


def given_in(record: Record) -> Values:
    """Return what a record says as numbers, without the columns that it leaves open; see `values_of`."""
    numbers = code_values()
    return {
        name: numbers[name][value] if isinstance(value, str) else float(value)
        for name, value in record.items()
        if value is not None
    }


def table_of(records: Sequence[Record]) -> Values:
    """Return records as arrays, shape (n,)."""
    return stacked([values_of(record) for record in records])


def stacked(houses: Sequence[Values]) -> Values:
    """Return houses as one table."""
    return {name: np.array([house[name] for house in houses], dtype=np.float64) for name in columns()}


def unknown(value: Any) -> Any:
    """Return whether a number is unknown, or where an array is."""
    return value != value  # noqa: PLR0124 - NaN is not itself


def known(value: Any) -> Any:
    """Return whether a number is known, or where an array is."""
    return value == value  # noqa: PLR0124


def value_of(name: str, number: float) -> Value:
    """Return what a number of a column stands for; None if it is NaN.

    Examples
    --------
    >>> value_of("kitchen_qual", 1.0), value_of("lot_area", 8450.0), value_of("alley", float("nan"))
    ('Po', 8450.0, None)
    """
    if unknown(number):
        return None
    codes = codes_of(name)
    return float(number) if codes is None else codes[number]


def codes_of(name: str) -> Mapping[float, str] | None:
    """Return number -> code of a column of codes, None of a quantity."""
    return _codes().get(name)


def change_one(house: Values, changes: Iterable[Change]) -> list[tuple[str, float, str]]:
    """Change one house in place as the changes are made up; return which column got what number, and why."""
    made = []
    for name, value, rule, holds in changes:
        if holds:
            house[name] = value
            made.append((name, value, rule))
    return made


def change_many(table: Values, changes: Iterable[Change]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Change a table in place as the changes are made up; return which column is changed why, and in which rows."""
    made = []
    for name, value, rule, holds in changes:
        rows = np.broadcast_to(holds, table[name].shape)
        if rows.any():
            table[name] = np.where(rows, value, table[name])
        made.append((name, rule, rows))
    return made


@cache
def _unknown() -> Values:
    return dict.fromkeys(columns(), float("nan"))


@cache
def _codes() -> Mapping[str, Mapping[float, str]]:
    return {name: {number: code for code, number in table.items()} for name, table in code_values().items()}
