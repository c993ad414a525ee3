"""Price a file of houses of any length: rows are read, priced and written in chunks of constant size."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from housing.data.cells import meaning
from housing.data.columns import Record, column_name, columns
from housing.data.house import ImpossibleHouseError, InvalidHouseError, validated
from housing.models.predictor import Predictor

ROWS_AT_ONCE = 500
ADDED = ("price", "low", "high", "filled", "error")
"""Columns that are added to the file's own: dollars, how many fields were filled, and why a row has no price."""

Row = dict[str, str]


class FileError(ValueError):
    """A file that cannot be priced at all; the message says what is wrong with its heading."""


@dataclass(frozen=True)
class BatchResult:
    """How many rows were priced, and how many were refused with a reason in the column `error`."""

    priced: int
    refused: int


def predict_file(
    source: Path, target: Path, predictor: Predictor, *, advance: Callable[[int], None] = lambda _: None
) -> BatchResult:
    """Price every row of a CSV file and write it with the added columns; no row is lost.

    Parameters
    ----------
    source
        CSV with a heading of API fields or of the data's own headings; columns that are neither are passed through.
    target
        File to write; replaced when everything is written, so that a broken run leaves no half file.
    advance
        Called with the number of rows after each chunk.

    Raises
    ------
    FileError
        If there is no heading, a required column is missing, or two headings mean the same.
    """
    partial = target.with_name(target.name + ".part")
    priced = refused = 0
    try:
        with (
            source.open(newline="", encoding="utf-8-sig") as reading,
            partial.open("w", newline="", encoding="utf-8") as writing,
        ):
            reader = csv.DictReader(reading)
            fields = _fields(source, reader.fieldnames or ())
            writer = csv.DictWriter(writing, [*(reader.fieldnames or ()), *ADDED], extrasaction="ignore")
            writer.writeheader()
            for chunk in _chunks(source, reader):
                answers = list(_answers(chunk, fields, predictor))
                writer.writerows([row | answer for row, answer in zip(chunk, answers, strict=True)])
                refused += sum(1 for answer in answers if answer["error"])
                priced += sum(1 for answer in answers if not answer["error"])
                advance(len(chunk))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return BatchResult(priced, refused)


def _fields(source: Path, headings: Sequence[str]) -> Mapping[str, str]:
    """Return heading -> field, for the headings that mean one."""
    names = [(heading, column_name(heading)) for heading in headings]
    fields = {heading: name for heading, name in names if name is not None}
    required = {name for name, column in columns().items() if column.required}
    if missing := sorted(required - set(fields.values())):
        raise FileError(f"{source}: expected a heading with the columns {', '.join(missing)}, which are missing")
    if taken := sorted(set(ADDED) & set(headings)):
        raise FileError(f"{source}: rename the columns {', '.join(taken)}, whose names are those of the added ones")
    meant = [name or heading for heading, name in names]
    if twice := [heading for heading, name in zip(headings, meant, strict=True) if meant.count(name) > 1]:
        raise FileError(f"{source}: two headings mean the same column: {', '.join(twice)}")
    return fields


def _chunks(source: Path, reader: Iterator[Row]) -> Iterator[list[Row]]:
    try:
        while chunk := list(islice(reader, ROWS_AT_ONCE)):
            yield chunk
    except csv.Error as error:
        raise FileError(f"{source}: {error}; is a quotation mark never closed?") from error


def _answers(chunk: list[Row], fields: Mapping[str, str], predictor: Predictor) -> Iterator[Row]:
    """Yield the added columns of each row, in order."""
    records = [_record(row, fields) for row in chunk]
    houses = iter(predictor.predict([record for record in records if not isinstance(record, str)]))
    for record in records:
        if isinstance(record, str):
            yield dict.fromkeys(ADDED, "") | {"error": record}
            continue
        house = next(houses)
        yield {
            "price": f"{house.price:.2f}",
            "low": f"{house.interval.low:.2f}",
            "high": f"{house.interval.high:.2f}",
            "filled": str(len(house.filled)),
            "error": "",
        }


def _record(row: Row, fields: Mapping[str, str]) -> Record | str:
    """Return the row as a record, or why it is none."""
    if None in row or None in row.values():  # what the csv module does with too many and too few cells
        return "the row has more or fewer cells than the heading"
    cells = {name: row[heading] for heading, name in fields.items()}
    try:
        return validated({name: meaning(name, cell) for name, cell in cells.items()})
    except (InvalidHouseError, ImpossibleHouseError) as error:
        return str(error)
