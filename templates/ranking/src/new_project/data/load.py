"""From a CSV file of users and items to clean, split events: who chose what, in which order."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from new_project.config import MIN_HISTORY, TEST_SHARE
from new_project.data.items import SEPARATOR, CatalogItem
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.sources import Sample, Source, resolve_source
from portfolio_shared.data.tables import FileError, Table, misshapen, open_table

SAMPLE = Sample(
    path=Path(__file__).with_name("sample") / "events.csv.gz",
    name="19,996 ratings of MovieTweetings, 2013",
    sha256="3256703e7da8b5a409ef2ac8889ffa13fd3d1c51d475a0c874027d3fce87809f",
    whole=True,
)

COLUMNS = {
    "user": {"user", "userid", "customer", "customerid", "person", "session", "sessionid", "reviewer", "reviewerid"},
    "item": {"item", "itemid", "movie", "movieid", "product", "productid", "article", "articleid", "asin", "isbn"},
    "title": {"title", "name", "description", "productname", "itemname"},
    "rating": {"rating", "stars", "score"},
    "time": {"time", "timestamp", "date", "datetime", "invoicedate", "createdat"},
}
"""Column -> headings that mean it, in lower case and without anything that is no letter."""


@dataclass(frozen=True)
class Events:
    """Who chose what, in order of user and then time; a pair occurs once.

    Attributes
    ----------
    users, items
        Shape (n_events,): their numbers, from 0.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    @property
    def keys(self) -> list[str]:
        """One "user:item" for each event."""
        return [f"{user}:{item}" for user, item in zip(self.users.tolist(), self.items.tolist(), strict=True)]

    def where(self, rows: NDArray[np.bool_]) -> "Events":
        """Return the events that `rows` marks."""
        return replace(self, users=self.users[rows], items=self.items[rows])

    def counts(self) -> NDArray[np.int64]:
        """Return how many people chose each item, shape (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    def histories(self) -> list[NDArray[np.int64]]:
        """Return the items of each user, oldest first."""
        return np.split(self.items, np.cumsum(np.bincount(self.users, minlength=self.n_users))[:-1])


@dataclass(frozen=True)
class Dataset:
    """Data after reading and cleaning; `sha256` is of the events kept and the titles."""

    source: Source
    name: str
    sha256: str
    report: DataReport
    events: Events
    items: tuple[CatalogItem, ...]


@dataclass(frozen=True)
class Split:
    """Each user's last events are the test, those before them the validation part, the others train.

    Models are chosen by fitting on `train`; what is served is fitted on both (`before_test`).
    """

    train: Events
    validation: Events
    test: Events
    before_test: Events
    items: tuple[CatalogItem, ...]
    excluded: dict[str, int]


def load(setting: str) -> Dataset:
    """Find the data and read them; for the settings see `resolve`.

    Raises
    ------
    DataError
        If the file is no table, has no columns of users and items, or too few of both.
    """
    source = resolve(setting)
    name = f"choices in {source.path.name}" if source.kind == "path" else SAMPLE.name
    with open_table(source.path, known=is_known) as table:
        report, rows = _read(table, name)
    if not rows:
        raise DataError(f"{source.path}: no row is left: {report.as_dict()['excluded']}")
    users = {name: number for number, name in enumerate(sorted({row[0] for row in rows}))}
    titles = {item: title for _, item, title, _ in rows}
    items = tuple(CatalogItem(item, titles[item]) for item in sorted(titles))
    number = {item.id: position for position, item in enumerate(items)}
    pairs = {(users[user], number[item]): time for user, item, _, time in rows}  # the last mention counts
    report.exclude("chosen again later by the same user", len(rows) - len(pairs))
    ordered = sorted(pairs, key=lambda pair: (pair[0], pairs[pair], pair[1]))
    user_numbers, item_numbers = np.array(ordered, dtype=np.int64).T
    digest = hashlib.sha256(repr((ordered, items)).encode("utf-8", "surrogateescape")).hexdigest()
    return Dataset(source, name, digest, report, Events(user_numbers, item_numbers, len(users), len(items)), items)


def resolve(setting: str) -> Source:
    """Turn the data setting into a source: ``auto``, ``sample`` and ``full`` are what ships, else it is a path."""
    return resolve_source(setting, None, SAMPLE)


def is_sample(setting: str) -> bool:
    """Return whether the data setting leads to a sample; nothing is read."""
    return resolve(setting).kind == "sample"


def split(dataset: Dataset) -> Split:
    """Hide the last fifth of each user's events, and the same number before them; nothing is drawn.

    Users of whom fewer than five events would be left are not tested, and all of theirs are learned from.
    """
    events = dataset.events
    counts = np.bincount(events.users, minlength=events.n_users)
    hidden = np.floor(counts * TEST_SHARE + 1e-9).astype(np.int64)
    hidden[counts - 2 * hidden < MIN_HISTORY] = 0
    from_end = np.cumsum(counts)[events.users] - 1 - np.arange(len(events))
    n_hidden = hidden[events.users]
    test = from_end < n_hidden
    validation = ~test & (from_end < 2 * n_hidden)
    if np.count_nonzero(hidden) < 2:
        raise DataError(f"{dataset.name}: {np.count_nonzero(hidden)} users can be tested; expected two with 8 events")
    excluded = {"users with too few events to be tested": int((hidden == 0).sum())}
    train, held_out, tested, before_test = map(events.where, (~test & ~validation, validation, test, ~test))
    return Split(train, held_out, tested, before_test, dataset.items, excluded)


def example_inputs(split: Split) -> list[list[str]]:
    """Return a few histories of ids, and one of nothing known, whose answers must survive saving."""
    histories = [part.tolist() for part in split.before_test.histories() if len(part)][:3]
    return [*([split.items[number].id for number in history] for history in histories), ["?"]]


def example_rows(split: Split) -> list[Mapping[str, object]]:
    """Return rows as the MLflow adapter reads them."""
    return [{"history": SEPARATOR.join(history)} for history in example_inputs(split)]


def is_known(heading: str) -> bool:
    """Return whether a heading means a column that is read."""
    return _column(heading) is not None


def columns_of(table: Table) -> dict[str, int]:
    """Return where each column stands, of two that mean the same the first.

    Raises
    ------
    FileError
        If there is none of users, or none of items.
    """
    place: dict[str, int] = {}
    for position, heading in enumerate(table.headings):
        if (column := _column(heading)) is not None:
            place.setdefault(column, position)
    if missing := [f"{column}s" for column in ("user", "item") if column not in place]:
        found = ", ".join(table.headings)[:300]
        raise FileError(f"{table.path}: no column of {' and '.join(missing)}; expected user and item, found {found}")
    return place


def _column(heading: str) -> str | None:
    """Return which column a heading means."""
    plain = re.sub("[^a-z]", "", heading.casefold())
    return next((column for column, names in COLUMNS.items() if plain in names), None)


def _read(table: Table, name: str) -> tuple[DataReport, list[tuple[str, str, str, float]]]:
    """Return the report and the rows that are kept: user, item, title and time, in order of time."""
    place = columns_of(table)
    rows = list(table.rows())
    report = DataReport(name, rows_read=len(rows))
    whole = [cells for line, cells in rows if misshapen(line, cells, len(table.headings)) is None]
    report.exclude("row of another width than the heading", len(rows) - len(whole))
    named = [cells for cells in whole if cells[place["user"]].strip() and cells[place["item"]].strip()]
    report.exclude("no user or no item", len(whole) - len(named))
    liked = list(_liked(named, place, report))
    timed = [(cells, _time(cells[place["time"]]) if "time" in place else 0.0) for cells in liked]
    kept = [
        (cells[place["user"]].strip(), cells[place["item"]].strip(), cells[place.get("title", place["item"])], time)
        for cells, time in timed
        if time is not None
    ]
    report.exclude("time that is neither a number nor a date", len(timed) - len(kept))
    if "time" not in place:
        report.notes.append("No column of times: the order of the file is taken for the order of events.")
        kept = [(user, item, title, float(position)) for position, (user, item, title, _) in enumerate(kept)]
    return report, sorted(kept, key=lambda row: row[3])


def _liked(rows: list[list[str]], place: dict[str, int], report: DataReport) -> Iterator[list[str]]:
    """Yield the rows whose rating is not in the lower half of the scale; without ratings all of them."""
    if "rating" not in place or not rows:
        yield from rows
        return
    ratings = [_number(cells[place["rating"]]) for cells in rows]
    given = [rating for rating in ratings if rating is not None]
    unread = [cells[place["rating"]] for cells, rating in zip(rows, ratings, strict=True) if rating is None]
    if len(unread) > len(given):
        raise DataError(f"{len(unread)} of {len(rows)} ratings are no numbers, such as {unread[0]!r}; expected numbers")
    report.exclude("rating that is no number", len(unread))
    middle = (min(given) + max(given)) / 2
    report.exclude(f"rating below {middle:g}, the middle of the scale", sum(rating < middle for rating in given))
    yield from (cells for cells, rating in zip(rows, ratings, strict=True) if rating is not None and rating >= middle)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _time(text: str) -> float | None:
    """Return seconds since 1970 of a number or of a date as ISO 8601 has it."""
    if (number := _number(text)) is not None:
        return number
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        return None
