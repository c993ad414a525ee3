"""Price a file of houses of any length: rows are read, priced and written in chunks of constant size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from housing.data.columns import column_name, columns
from housing.data.reading import places_of
from housing.models.predictor import Predictor
from housing.serving.pricing import Pricing
from portfolio_shared.data.tables import Columns, FileError, Table, misshapen, open_table
from portfolio_shared.serving.batch import BatchResult, predict_columns


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    explain: bool = False,
    note: Callable[[str], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Price every row of a table and write it with the added columns; no row is lost.

    The headings are API fields or the data's own; columns that are neither are passed through.

    Parameters
    ----------
    explain
        Whether to add the average price and what each group of fields adds to it, in dollars: together, the price.
    note
        Called with what a person should know of how the file was read.
    advance
        Called with the number of rows that were answered.

    Raises
    ------
    FileError
        If the file cannot be read as a whole, a required column is missing, two headings mean the same, or one is
        probably misspelt.
    """
    with open_table(source, known=lambda heading: column_name(heading) is not None) as table:
        places = _places(source, table.headings)
        if passed := [name or "(empty)" for place, name in enumerate(table.headings) if place not in places.values()]:
            note(f"{source}: columns that are passed through and say nothing to the model: {', '.join(passed)}")
        semicolons = table.separator == ";"
        pricing = Pricing(table.headings, predictor, _blocks(table), semicolons=semicolons, explain=explain, note=note)
        return predict_columns(table, target, pricing.added, pricing.answer, advance=advance)


def _blocks(table: Table) -> Iterator[Columns]:
    """Yield the cells of a thousand rows or so by column; rows of another width are left out."""
    width = len(table.headings)
    for block in table.blocks(1000):
        if block.lines is not None:
            yield block.columns
        elif rows := [cells for line, cells in block.rows if misshapen(line, cells, width) is None]:
            yield Columns(width, cells=list(zip(*rows, strict=True)))


def _places(source: Path, headings: Sequence[str]) -> Mapping[str, int]:
    """Return column -> place in a row."""
    try:
        places = places_of(headings)
    except ValueError as error:
        raise FileError(f"{source}: {error}") from None
    if missing := sorted(name for name, column in columns().items() if column.required and name not in places):
        raise FileError(f"{source}: expected a heading with the columns {', '.join(missing)}, which are missing")
    return places
