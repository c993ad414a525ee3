"""From the file to clean, split rows. Nothing is dropped silently: what is repaired or excluded is counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from new_project.config import FOLDS, TEST_FRACTION
from new_project.data.columns import Record, key_of, record_of, schema
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.download import file_sha256
from portfolio_shared.data.sources import Sample, Source, resolve_source
from portfolio_shared.data.splits import group_folds, hash_split
from portfolio_shared.data.tables import misshapen, open_table

SPLIT_SEED = 0
LEAST_ROWS, LEAST_OF_CLASS = 20, 5
"""What is left to fit a fold to: all rows, and those of each class."""
GROUPS = 'if the model will be asked of groups that it has seen, set group = "" in columns.toml'
SAMPLE = Sample(
    path=Path(__file__).with_name("sample") / "table.csv.gz",
    name="SAMPLE_NAME",
    sha256="SAMPLE_SHA256",
    whole=True,
)


@dataclass(frozen=True)
class Rows:
    """Clean rows.

    Attributes
    ----------
    records
        The inputs of each row.
    target
        What is predicted, shape (n,).
    keys
        Rows of one key stay on one side of the split.
    dates
        By which rows are split in time, in ISO 8601; empty texts without one.
    """

    records: list[Record]
    target: NDArray[np.float64]
    keys: list[str]
    dates: list[str]

    def __len__(self) -> int:
        return len(self.records)

    def take(self, mask: NDArray[np.bool_]) -> "Rows":
        """Return the rows where `mask`, shape (n,), is true."""
        kept = np.flatnonzero(mask).tolist()
        records, keys, dates = self.records, self.keys, self.dates
        return Rows([records[i] for i in kept], self.target[mask], [keys[i] for i in kept], [dates[i] for i in kept])


@dataclass(frozen=True)
class Dataset:
    """All rows, where they come from, and what was done to them."""

    source: Source
    name: str
    sha256: str
    report: DataReport
    rows: Rows


@dataclass(frozen=True)
class Split:
    """The training part, its folds, and the frozen test part.

    Attributes
    ----------
    validation
        The cross-validation fold of each row of the training part, shape (n,); -1 for the oldest rows of a split in
        time, which no fold holds out.
    in_time
        Whether a fold is predicted by what came before it alone.
    """

    train: Rows
    validation: NDArray[np.int64]
    test: Rows
    in_time: bool = False

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Return which rows of the training part a fold holds out, shape (n,)."""
        return self.validation >= 0

    def folds(self) -> Iterator[tuple[NDArray[np.bool_], Rows, Rows]]:
        """Yield, for each fold, its rows in the training part, the rows to fit to, and the held-out ones."""
        for k in range(int(self.validation.max()) + 1):
            out = self.validation == k
            outside, inside = self.train.take(out), self.validation < k if self.in_time else ~out
            yield out, self.train.take(inside & ~np.isin(self.train.keys, outside.keys)), outside


def load(setting: str) -> Dataset:
    """Read and clean the table that `setting` names: auto, sample, full, or the path of a file.

    Raises
    ------
    DataError
        If a column is missing, or too few rows can be learned from.
    """
    source = resolve_source(setting, None, SAMPLE)
    rows, report = read(source.path)
    rows = on_one_side(rows, report)
    if len(rows) < (least := 20 * FOLDS):
        raise DataError(f"{source.path}: {len(rows)} rows can be learned from, at least {least} are needed")
    name = f"{len(rows):,} rows of {source.path.name}" if source.kind == "path" else SAMPLE.name
    return Dataset(source, name, file_sha256(source.path), report, rows)


def read(path: Path) -> tuple[Rows, DataReport]:
    """Read a file, packed or not: its rows, and what was repaired and excluded."""
    wanted = schema()
    headings = [wanted.target.heading, *(column.heading for column in wanted.columns)]
    keys = [heading for heading in (wanted.group, wanted.time) if heading]
    repaired: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    records, target, groups, times, seen = [], [], [], [], set()
    with open_table(path, known=lambda heading: heading in headings) as table:
        if missing := [heading for heading in (*headings, *keys) if heading not in table.headings]:
            raise DataError(f"{path}: the table has no column {', '.join(missing)}; it has {', '.join(table.headings)}")
        for line, cells in table.rows():
            if broken := misshapen(line, cells, len(table.headings)):
                raise DataError(f"{path}: {broken}")
            row = dict(zip(table.headings, cells, strict=True))
            truth = _target(row[wanted.target.heading])
            if truth is None:
                excluded["the target is missing or cannot be read"] += 1
            elif tuple(cells) in seen:
                excluded["an exact copy of an earlier row"] += 1
            else:
                seen.add(tuple(cells))
                records.append(record_of(row, repaired))
                target.append(truth)
                groups.append(row[wanted.group].strip() if wanted.group else "")
                times.append(date_in(row[wanted.time]) if wanted.time else "")
    report = DataReport(path.name, rows_read=len(records) + sum(excluded.values()))
    for reason, count in excluded.items():
        report.exclude(reason, count)
    for what, count in repaired.items():
        report.repair(what, count)
    gaps = {column.heading: sum(record[column.name] is None for record in records) for column in wanted.columns}
    if unknown := ", ".join(f"{heading} {count:,}" for heading, count in gaps.items() if count):
        report.notes.append(f"Cells that are not known: {unknown}.")
    together = [group or key_of(record) for group, record in zip(groups, records, strict=True)]
    return Rows(records, np.array(target, dtype=np.float64), together, times), report


def on_one_side(rows: Rows, report: DataReport) -> Rows:
    """Drop rows before the test part whose group is in it as well: a split in time parts groups, and none is on both.

    A tenant with rows in both parts would be recognized, not predicted.
    """
    if not schema().test_from:
        return rows
    is_test = tested(rows)
    both = ~is_test & np.isin(rows.keys, rows.take(is_test).keys)
    report.exclude("before the test part, of a group that is in it", int(both.sum()))
    return rows.take(~both)


def tested(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are the test part, shape (n,)."""
    if start := schema().test_from:
        return np.array([date >= start for date in rows.dates], dtype=np.bool_)
    return hash_split(rows.keys, test_fraction=TEST_FRACTION, seed=SPLIT_SEED)


def date_in(cell: str) -> str:
    """Return the date that a row is split by; an empty text where it cannot be read."""
    column = next(column for column in schema().columns if column.heading == schema().time)
    try:
        return str(column.value(cell, schema().decimal) or "")
    except ValueError:
        return ""


def _target(cell: str) -> float | None:
    try:
        return schema().target.number(schema().target.value(cell, schema().decimal))
    except ValueError:
        return None


def is_sample(setting: str) -> bool:
    """Return whether the setting leads to less than all of the data: never, because all of them ship."""
    return resolve_source(setting, None, SAMPLE).kind == "sample"


def split(dataset: Dataset) -> Split:
    """Split off the frozen test part: the newest rows where there is a date, else by a hash of each row's key.

    A row stays on its side when rows are added, removed or reordered. With a date, folds are stretches of time as well,
    and each is predicted by what came before it; the oldest rows are in none.

    Raises
    ------
    DataError
        If a part has too few rows, or too few of a class.
    """
    rows, in_time = dataset.rows, bool(schema().test_from)
    is_test = tested(rows)
    train, test = rows.take(~is_test), rows.take(is_test)
    if len(train) <= FOLDS or not len(test):
        why = f"{len(train):,} rows can be learned from, and {len(test):,} tested; {GROUPS}"
        raise DataError(f"{dataset.source.path}: {why}")
    if in_time:
        edges = np.sort(train.dates)[len(train) * np.arange(1, FOLDS + 1) // (FOLDS + 1)]
        parts = Split(train, np.searchsorted(edges, train.dates, side="right") - 1, test, in_time=True)
    else:
        parts = Split(train, group_folds(train.keys, n_folds=FOLDS, seed=SPLIT_SEED), test)
    if why := _too_few(parts):
        raise DataError(f"{dataset.source.path}: {why}")
    return parts


def _too_few(parts: Split) -> str:
    """Return why the parts cannot be learned from, or an empty text."""
    classes = schema().target.classes
    for number, (_, inside, outside) in enumerate(parts.folds(), start=1):
        if len(inside) < LEAST_ROWS or not len(outside):
            return f"{len(inside)} rows can be learned from for fold {number}, expected {LEAST_ROWS} or more; {GROUPS}"
        for label, name in enumerate(classes):
            if (count := int((inside.target == label).sum())) < LEAST_OF_CLASS:
                found = f"{count} rows of class {name!r} can be learned from for fold {number}"
                return f"{found}, expected {LEAST_OF_CLASS} or more; merge it with another one, or drop it"
    return ""


def example_inputs(split: Split) -> Sequence[Record]:
    """Return inputs whose predictions must be the same before and after a bundle is written."""
    return [schema().example, *split.train.records[:5]]


def example_rows(_split: Split) -> Sequence[Record]:
    """Return rows that show MLflow the type of each column, and that each may be left out."""
    return [schema().example, {}]
