"""Price a file of houses of any length: rows are read, priced and written in chunks of constant size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from housing.data.cells import meaning
from housing.data.columns import Record, column_name, columns
from housing.data.house import InvalidHouseError, validated
from housing.models.predictor import Predictor
from portfolio_shared.serving import batch
from portfolio_shared.serving.batch import ERROR, BatchResult, FileError, Row

ROWS_AT_ONCE = 500
ADDED = ("price", "low", "high", "filled", ERROR)
"""Columns that are added to the file's own: dollars, how many fields were filled, and why a row has no price."""


def predict_file(
    source: Path, target: Path, predictor: Predictor, *, advance: Callable[[int], None] = lambda _: None
) -> BatchResult:
    """Price every row of a CSV file and write it with the added columns; no row is lost.

    The headings are API fields or the data's own; columns that are neither are passed through. `advance` is called
    with 1 after each row.

    Raises
    ------
    FileError
        If there is no heading, a required column is missing, or two headings mean the same.
    """
    with batch.open_rows(source, added=ADDED) as (headings, rows):
        fields = _fields(source, headings)
        priced = (row for chunk in batch.chunks(rows, ROWS_AT_ONCE) for row in _price(chunk, fields, predictor))
        return batch.write_rows(target, [*headings, *ADDED], priced, advance=advance)


def _fields(source: Path, headings: Sequence[str]) -> Mapping[str, str]:
    """Return heading -> field, for the headings that mean one."""
    names = [(heading, column_name(heading)) for heading in headings]
    fields = {heading: name for heading, name in names if name is not None}
    required = {name for name, column in columns().items() if column.required}
    if missing := sorted(required - set(fields.values())):
        raise FileError(f"{source}: expected a heading with the columns {', '.join(missing)}, which are missing")
    meant = [name or heading for heading, name in names]
    if twice := [heading for heading, name in zip(headings, meant, strict=True) if meant.count(name) > 1]:
        raise FileError(f"{source}: two headings mean the same column: {', '.join(twice)}")
    return fields


def _price(chunk: list[Row], fields: Mapping[str, str], predictor: Predictor) -> Iterator[Row]:
    """Yield each row with its added columns, in order."""
    records = [_record(row, fields) for row in chunk]
    houses = iter(predictor.predict([record for record in records if not isinstance(record, str)]))
    for row, record in zip(chunk, records, strict=True):
        if isinstance(record, str):
            yield row | batch.refusal(ADDED, record)
            continue
        house = next(houses)
        yield row | {
            "price": f"{house.price:.2f}",
            "low": f"{house.interval.low:.2f}",
            "high": f"{house.interval.high:.2f}",
            "filled": str(len(house.filled)),
            ERROR: "",
        }


def _record(row: Row, fields: Mapping[str, str]) -> Record | str:
    """Return the row as a record, or why it is none."""
    if broken := batch.misshapen(row):
        return broken
    cells = {name: row[heading] for heading, name in fields.items()}
    try:
        return validated({name: meaning(name, cell) for name, cell in cells.items()})
    except InvalidHouseError as error:
        return str(error)
