"""What each column of the table is, read from `columns.toml`, and what a cell of it means."""

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from portfolio_shared.data.numbers import number_of

Value = float | str | None
Record = Mapping[str, Value]
"""The inputs of one row: name in the API -> number, code, date in ISO 8601, or None for what is not known."""

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?", "-"})
"""Cells, in small letters, that hold nothing. The word none is a code: it may mean that there is none."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name, heading
        In the API, and in the file.
    whole
        Of a number: whether all are whole.
    form
        Of a date: how the file writes it, as `strptime` has it; ISO 8601 is always read.
    classes
        Of a target that is a category: its codes, in the order of their numbers.
    """

    name: str
    heading: str
    kind: Literal["number", "category", "date"]
    whole: bool = False
    form: str = ""
    classes: Sequence[str] = ()

    @property
    def label(self) -> str:
        """Return the heading as people read it."""
        return self.heading.replace("_", " ").strip()

    def number(self, value: Value) -> float | None:
        """Return a value of the target as the number that is learned: that of its class, where it has classes."""
        if self.classes:
            return float(self.classes.index(value)) if value in self.classes else None
        return value if isinstance(value, float) else None

    def value(self, cell: str, decimal: str) -> Value:
        """Return what a cell means, None if it holds nothing.

        Raises
        ------
        ValueError
            If it is no number, or no date of the form.
        """
        cell = cell.strip()
        if cell.lower() in MISSING:
            return None
        if self.kind == "number":
            return number_of(cell, decimal)
        return date_of(cell, self.form) if self.kind == "date" else cell


@dataclass(frozen=True)
class Schema:
    """The columns that are inputs, the one that is predicted, and how rows are split.

    Attributes
    ----------
    group
        Heading of the column whose equal values stay on one side of the split; empty for none.
    time, test_from
        Heading of the date by which rows are split, and the first date of the test part; empty for a split by chance.
    example
        A row that every model can answer: the middle of each number, the most frequent code.
    """

    target: Column
    columns: tuple[Column, ...]
    decimal: str
    group: str
    time: str
    test_from: str
    example: Record


def date_of(cell: str, form: str) -> str:
    """Return a date in ISO 8601; one that is in it already may always be given.

    Examples
    --------
    >>> date_of("31/12/2024", "%d/%m/%Y"), date_of("2024-12-31", "%d/%m/%Y")
    ('2024-12-31T00:00:00', '2024-12-31T00:00:00')
    """
    try:
        found = datetime.strptime(cell, form)  # noqa: DTZ007 -- a zone, if there is one, is cut off below
    except ValueError:
        found = datetime.fromisoformat(cell)
    return found.replace(tzinfo=None).isoformat()


@cache
def schema() -> Schema:
    """Read `columns.toml`, which is yours to change."""
    text = files("new_project.data").joinpath("columns.toml").read_text(encoding="utf-8")
    return schema_of(tomllib.loads(text))


def schema_of(stored: dict[str, Any]) -> Schema:
    """Return the schema that a table of TOML describes."""
    columns = tuple(Column(name, **fields) for name, fields in stored["columns"].items())
    rest = {name: stored[name] for name in ("decimal", "group", "time", "test_from", "example")}
    return Schema(Column(**stored["target"]), columns, **rest)


def record_of(row: dict[str, str], repaired: Counter[str]) -> Record:
    """Return the inputs in a row of text; a cell that cannot be read is not known, and counted in `repaired`."""
    record: dict[str, Value] = {}
    for column in schema().columns:
        try:
            record[column.name] = column.value(row.get(column.heading, ""), schema().decimal)
        except ValueError:
            record[column.name] = None
            repaired[f"{column.heading}: no {column.kind}, read as not known"] += 1
    return record


def key_of(record: Record) -> str:
    """Return what names a row by its inputs: rows that are alike stay together, whatever their target."""
    values = [record.get(column.name) for column in schema().columns]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
