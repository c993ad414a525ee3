"""From the published file to clean, validated, split sales.

Source: De Cock (2011), "Ames, Iowa: Alternative to the Boston Housing Data as an End of Semester
Regression Project", Journal of Statistics Education 19(3). 2,930 sales of 2006 to 2010.

Nothing is dropped silently: every row that is repaired or excluded is counted in a `DataReport`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from housing.data.cells import UNKNOWN
from housing.data.columns import Record, column_name, columns
from housing.data.consistency import broken_rules
from housing.data.reading import TableReader, emptied_columns
from housing.data.repair import SPELLED
from housing.data.values import table_of, value_of
from portfolio_shared.data.checks import DataError, DataReport, validate_frame
from portfolio_shared.data.download import RemoteFile
from portfolio_shared.data.sources import Sample, Source, resolve_source
from portfolio_shared.data.splits import group_folds, hash_split
from portfolio_shared.data.tables import FileError, misshapen, open_table

KEY = "pid"
TARGET = "sale_price"
TEST_FRACTION = 0.2
SPLIT_SEED = 0
LARGE = 4000
"""Square feet of living area: five houses are larger, and three of them were sold partly built and cheaply."""

AMES = RemoteFile(
    path="ames/AmesHousing.txt",
    urls=(
        "https://jse.amstat.org/v19n3/decock/AmesHousing.txt",
        "http://jse.amstat.org/v19n3/decock/AmesHousing.txt",
    ),
    # One text, three spellings of its headings: the first digest was seen on a public copy ("first Flr SF"), the
    # others are computed from it with the documentation's "1st Flr SF" and with "Year Remod/Add" as well.
    sha256=(
        "6e15a34faf63a5b433bd94cef6d2d4bcead1bcfcf47f69ffe212ec4ae48f9dc9",
        "320e4341030916bf9b4359cbaceb4aa07bda8b6294bced2ecf1be5cc720e1250",
        "6cfe6cb525ba437de428653a1040e2aed7d696640bf75203786a6d7a0e67cfcc",
    ),
    text=True,
)
SAMPLE = Sample(
    path=Path(__file__).with_name("sample") / "AmesHousing.txt.gz",
    name="2,930 sales in Ames, Iowa, 2006 to 2010",
    sha256="000266b4afed8ed81a8bfab6e86d8b56f6a060d5ef4c88db1c094fd0194ff0fc",
    whole=True,
)


@dataclass(frozen=True)
class Sales:
    """Clean sales.

    Attributes
    ----------
    frame
        One row a sale: `pid`, the input columns (numbers as float64 with NaN for unknown, codes as
        str with None for unknown) and `sale_price` in dollars.
    records
        The input columns, one record a row.
    """

    frame: pd.DataFrame
    records: list[Record]

    @property
    def prices(self) -> NDArray[np.float64]:
        """Sale prices in dollars, shape (n_rows,)."""
        return self.frame[TARGET].to_numpy(dtype=np.float64)

    @property
    def keys(self) -> list[str]:
        return self.frame[KEY].tolist()

    def take(self, mask: NDArray[np.bool_]) -> "Sales":
        """Return the sales where `mask`, shape (n_rows,), is true."""
        return Sales(self.frame.loc[mask].reset_index(drop=True), list(compress(self.records, mask)))


@dataclass(frozen=True)
class Dataset:
    """All sales, where they come from (`sha256` is of the text, packed or not), and what was done to them."""

    source: Source
    name: str
    sha256: str
    report: DataReport
    sales: Sales


@dataclass(frozen=True)
class Split:
    """The training part, its cross-validation folds (the fold of each row, shape (n,)), and the frozen test part."""

    train: Sales
    validation: NDArray[np.int64]
    test: Sales

    @property
    def n_folds(self) -> int:
        return int(self.validation.max()) + 1

    def folds(self) -> Iterator[tuple[NDArray[np.bool_], Sales, Sales]]:
        """Yield, for each fold, its rows in the training part, the sales to fit to, and the held-out ones."""
        for k in range(self.n_folds):
            out = self.validation == k
            yield out, self.train.take(~out), self.train.take(out)


def load(setting: str) -> Dataset:
    """Read, clean and validate the sales that `setting` names: auto, sample, full, or the path of a file.

    Raises
    ------
    DataError
        If the file breaks the schema; the message names column, rule, number of rows and examples.
    """
    source = resolve_source(setting, AMES, SAMPLE)
    raw, sha256 = read_file(source.path), hashlib.sha256(read_text(source.path)).hexdigest()
    report = DataReport(name=f"Ames sales ({source.kind})", rows_read=len(raw))
    frame = validate_frame(clean(raw, report), sales_schema(), source=str(source.path))
    records = to_records(frame)
    refuse_impossible(frame, records, source=str(source.path))
    frame = frame.reset_index(drop=True)
    name = f"{len(frame):,} sales of {source.path.name}" if source.kind == "path" else SAMPLE.name
    return Dataset(source, name, sha256, report, Sales(frame, records))


def is_sample(setting: str) -> bool:
    """Return whether the setting leads to less than the public data: never, because all of them ship."""
    return resolve_source(setting, AMES, SAMPLE).kind == "sample"


def split(dataset: Dataset, *, folds: int = 5, fold_seed: int = SPLIT_SEED) -> Split:
    """Split off the frozen test part by a hash of the parcel number, and deal the training part into folds.

    A parcel stays on its side when rows are added, removed or reordered.
    """
    sales = dataset.sales
    is_test = hash_split(sales.keys, test_fraction=TEST_FRACTION, seed=SPLIT_SEED)
    train = sales.take(~is_test)
    return Split(train, group_folds(train.keys, n_folds=folds, seed=fold_seed), sales.take(is_test))


def read_file(path: Path) -> pd.DataFrame:
    """Read a file of sales, packed or not, as text: cell for cell, with its own headings; the index holds the lines.

    Raises
    ------
    FileError
        If it is no such table, or a row has another number of cells than the heading.
    """
    with open_table(path, known=lambda heading: column_name(heading) is not None) as table:
        rows = list(table.rows())
        for line, cells in rows:
            if broken := misshapen(line, cells, len(table.headings)):
                raise FileError(f"{path}: {broken}; correct the line, or drop what does not belong to the table")
        frame = pd.DataFrame([cells for _, cells in rows], [line for line, _ in rows], table.headings, dtype=str)
        frame.attrs["semicolons"] = table.separator == ";"
    return frame


def read_text(path: Path) -> bytes:
    """Return the bytes of a text file with LF line ends, unpacked if its name ends in ``.gz``."""
    stored = path.read_bytes()
    try:
        text = gzip.decompress(stored) if path.suffix == ".gz" else stored
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no whole gzip file: {error}") from error
    return text.replace(b"\r\n", b"\n")


def clean(raw: pd.DataFrame, report: DataReport) -> pd.DataFrame:
    """Turn text cells with the file's headings into typed columns, and count every repair; lines stay the index."""
    named = _rename(raw)
    semicolons = bool(raw.attrs.get("semicolons", False))
    places = {name: place for place, name in enumerate(columns())}
    emptied = emptied_columns(places, [[named[name].tolist() for name in columns()]])
    text = _exclude(named.apply(lambda cells: cells.str.strip()), report)
    cells = [text[name].tolist() for name in columns()]
    if emptied:
        report.notes.append(f'No NA, but empty cells, as after pandas: read as "has none" in {", ".join(emptied)}.')
    table, changes = TableReader(places, semicolons=semicolons, emptied=emptied).read(cells)
    frame = pd.DataFrame({KEY: text[KEY]})
    for name, column in columns().items():
        unreadable = np.isinf(table[name])
        if column.is_numeric:
            _refuse_text(text.loc[unreadable, name])
            frame[name] = table[name]
        else:  # a code that no table has is named by the schema
            codes = [value_of(name, number) for number in np.where(unreadable, np.nan, table[name])]
            frame[name] = pd.Series(codes, text.index, dtype=object).mask(unreadable, text[name])
    frame[TARGET] = _prices(text[TARGET])
    changes = [change for change in changes if change[1] != SPELLED or change[2].any()]
    by_rule = [(f"{name}: {rule}" if rule == SPELLED else rule, where) for name, rule, where in changes]
    for rule in dict(by_rule):
        report.repair(rule, int(np.any([where for each, where in by_rule if each == rule], axis=0).sum()))
    _note(frame, report)
    return frame.copy()


def _rename(raw: pd.DataFrame) -> pd.DataFrame:
    """Rename headings to column names; a missing or an unknown heading is an error, row numbers are left out."""
    raw = raw.drop(columns=[heading for heading in raw.columns if heading in ("", "Unnamed: 0")])
    special = {"pid": KEY, "id": KEY, "saleprice": TARGET, "sale_price": TARGET, "order": "order"}
    names = {heading: special.get(heading.strip().lower()) or column_name(heading) for heading in raw.columns}
    unknown = [heading for heading, name in names.items() if name is None]
    missing = [name for name in (KEY, *columns(), TARGET) if name not in names.values()]
    if unknown or missing:
        raise DataError(
            f"the headings are not those of the Ames data: unknown {unknown or 'none'}, missing {missing or 'none'}"
        )
    if twice := [heading for heading, name in names.items() if list(names.values()).count(name) > 1]:
        raise DataError(f"headings that mean the same: {', '.join(twice)}; drop one of them")
    return raw.rename(columns=names)


def _exclude(text: pd.DataFrame, report: DataReport) -> pd.DataFrame:
    """Exclude rows that cannot be learned from, and count them."""
    repeated = text.drop(columns="order", errors="ignore").duplicated()
    report.exclude("an exact copy of an earlier row", int(repeated.sum()))
    text = text[~repeated]
    conflicting = text[KEY].duplicated(keep=False)
    report.exclude("one parcel number with different contents", int(conflicting.sum()))
    text = text[~conflicting]
    unpriced = ~(_prices(text[TARGET]) > 0)
    report.exclude("no price, or a price of zero or less", int(unpriced.sum()))
    return text[~unpriced]


def _prices(cells: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    _refuse_text(cells[numbers.isna() & ~cells.isin(UNKNOWN)])
    return numbers.astype(np.float64)


def _refuse_text(wrong: pd.Series) -> None:
    """Raise DataError with the lines of cells that should hold numbers, if there are any."""
    if len(wrong):
        examples = ", ".join(f"{cell!r} in line {line}" for line, cell in wrong.head(3).items())
        raise DataError(f"column {wrong.name}: {len(wrong)} rows are not numbers, for example {examples}")


def _note(frame: pd.DataFrame, report: DataReport) -> None:
    large = frame["gr_liv_area"] > 4000
    unfinished = large & frame["sale_condition"].eq("Partial")
    report.notes.append(
        f"{large.sum()} houses over 4,000 sq ft are kept, {unfinished.sum()} of them sold before completion, cheaply."
    )
    unknown = frame[list(columns())].isna().sum()
    cells = ", ".join(f"{name} {count:,}" for name, count in unknown[unknown > 0].items())
    report.notes.append(f"Cells that stay unknown and are filled by the rules of models/imputation.py: {cells}.")


def sales_schema() -> pa.DataFrameSchema:
    """Return what each column of a clean table must satisfy: type, bounds, codes."""
    inputs = {
        name: pa.Column(
            float if column.is_numeric else object,
            pa.Check.in_range(column.minimum, column.maximum)
            if column.is_numeric
            else pa.Check.isin(list(column.choices)),
            nullable=True,
        )
        for name, column in columns().items()
    }
    price = pa.Column(float, pa.Check.in_range(1_000, 10_000_000))
    return pa.DataFrameSchema({KEY: pa.Column(unique=True), **inputs, TARGET: price}, strict=True)


def refuse_impossible(frame: pd.DataFrame, records: Sequence[Record], *, source: str) -> None:
    """Raise DataError if records break a rule across columns, naming column, rule, rows and examples by their lines."""
    failures = []
    for rule, broken in broken_rules(table_of(records)):
        lines = frame.index[broken].tolist()
        failures.append(f"{rule.field}: {rule.text} fails in {len(lines)} rows, for example lines {lines[:3]}")
    if failures:
        raise DataError("\n  ".join([f"{source}: {len(failures)} rules across columns are broken", *failures]))


def to_records(frame: pd.DataFrame) -> list[Record]:
    """Return the input columns of each row as a record, with None for unknown."""
    inputs = frame[list(columns())].astype(object)
    rows = inputs.where(inputs.notna(), None).to_numpy().tolist()
    return [dict(zip(columns(), row, strict=True)) for row in rows]
