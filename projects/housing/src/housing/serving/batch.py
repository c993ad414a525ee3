"""Price a file of houses of any length: rows are read, priced and written in chunks of constant size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from housing.data.cells import meaning
from housing.data.columns import Record, column_name, columns
from housing.data.house import InvalidHouseError, validated
from housing.models.predictor import Predictor
from portfolio_shared.data.tables import FileError, open_table
from portfolio_shared.serving.batch import ERROR, BatchResult, predict_rows, refusal

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
    with open_table(source, known=lambda heading: column_name(heading) is not None) as table:
        fields = _fields(source, table.headings)
        return predict_rows(table, target, ADDED, lambda rows: _price(rows, fields, predictor), advance=advance)


def _fields(source: Path, headings: Sequence[str]) -> Mapping[int, str]:
    """Return place in a row -> field, for the headings that mean one."""
    names = [(heading, column_name(heading)) for heading in headings]
    fields = {place: name for place, (_, name) in enumerate(names) if name is not None}
    required = {name for name, column in columns().items() if column.required}
    if missing := sorted(required - set(fields.values())):
        raise FileError(f"{source}: expected a heading with the columns {', '.join(missing)}, which are missing")
    meant = [name or heading for heading, name in names]
    if twice := [heading for heading, name in zip(headings, meant, strict=True) if meant.count(name) > 1]:
        raise FileError(f"{source}: two headings mean the same column: {', '.join(twice)}")
    return fields


def _price(rows: list[list[str]], fields: Mapping[int, str], predictor: Predictor) -> Iterator[Sequence[str]]:
    """Yield the added cells of each row, in order."""
    records = [_record(row, fields) for row in rows]
    houses = iter(predictor.predict([record for record in records if not isinstance(record, str)]))
    for record in records:
        if isinstance(record, str):
            yield refusal(ADDED, record)
            continue
        house = next(houses)
        prices = (house.price, house.interval.low, house.interval.high)
        yield [*(f"{price:.2f}" for price in prices), str(len(house.filled)), ""]


def _record(row: list[str], fields: Mapping[int, str]) -> Record | str:
    """Return the row as a record, or why it is none."""
    try:
        return validated({name: meaning(name, row[place]) for place, name in fields.items()})
    except InvalidHouseError as error:
        return str(error)
