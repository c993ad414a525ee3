"""Where predictions and feedback are kept: what is written, read, and deleted again."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from portfolio_shared.operations.database import Database, StoreError, open_database

ROWS_AT_ONCE = 100  # that are read: a row may hold a thousand houses
ROW_BYTES = 500  # of a row beside its JSON, with its part of the indexes
FEEDBACK_PER_ITEM = 10


class LoggedPrediction(NamedTuple):
    """One answered request.

    `at` is in seconds since 1970, `items` the number of things that were predicted, `subject` a keyed hash of whom the
    request was about, or nothing. `request` and `response` are JSON.
    """

    id: str
    at: float
    model: str
    version: str
    route: str
    subject: str
    items: int
    milliseconds: float
    request: str
    response: str


class Feedback(NamedTuple):
    """What came true of one item of a prediction, as JSON; of several for the same item the latest counts.

    `client` is a keyed hash of who said it, or nothing.
    """

    prediction: str
    item: int
    at: float
    client: str
    truth: str


class Shadow(NamedTuple):
    """What a challenger would have answered to a logged request, as JSON in the form of the logged response."""

    prediction: str
    version: str
    at: float
    milliseconds: float
    response: str


_PREDICTION = ", ".join(f"p.{name}" for name in LoggedPrediction._fields)
_FEEDBACK = ", ".join(f"f.{name}" for name in Feedback._fields)


@dataclass(frozen=True)
class Store:
    """An open prediction log, used by one thread at a time."""

    database: Database

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with `?` for its parameters, and return its rows."""
        return self.database.execute(statement, values)

    def insert(self, rows: Iterable[LoggedPrediction]) -> None:
        """Write predictions, all or none; one that is there already stays as it is."""
        marks = ", ".join("?" * (len(LoggedPrediction._fields) + 1))
        values = ((*row, ROW_BYTES + len(row.request) + len(row.response)) for row in rows)  # one in memory at a time
        with self.database.transaction():
            self.database.execute_many(
                f"INSERT INTO predictions VALUES ({marks}) ON CONFLICT (id) DO NOTHING",  # noqa: S608 - marks of ours
                values,
            )

    def insert_shadows(self, rows: Iterable[Shadow]) -> int:
        """Write what a challenger would have answered; return how many predictions were there to write it beside."""
        written = 0
        with self.database.transaction():
            for row in rows:
                # First, because PostgreSQL then lets nobody else write about this prediction until the end.
                size = ROW_BYTES + len(row.response)
                statement = "UPDATE predictions SET bytes = bytes + ? WHERE id = ? RETURNING id"
                if self.execute(statement, [size, row.prediction]):
                    self.execute("INSERT INTO shadows VALUES (?, ?, ?, ?, ?)", row)
                    written += 1
        return written

    def pairs(
        self, model: str, *, champion: str, challenger: str
    ) -> Iterator[tuple[LoggedPrediction, LoggedPrediction, Feedback]]:
        """Yield what the champion answered, what the challenger would have, and the latest feedback on an item of it.

        By prediction and item; the challenger's is the same prediction with its version, time and response.
        """
        statement = (
            f"SELECT s.version, s.at, s.milliseconds, s.response, {_PREDICTION} "  # noqa: S608 - names of ours
            "FROM predictions p JOIN shadows s ON s.prediction = p.id "
            "WHERE p.id = ? AND p.model = ? AND p.version = ? AND s.version = ?"
        )
        for prediction, truths in groupby(self._said(since=0.0, until=math.inf), key=attrgetter("prediction")):
            for version, at, milliseconds, response, *fields in self.execute(
                statement, [prediction, model, champion, challenger]
            ):
                asked = LoggedPrediction._make(fields)
                answered = asked._replace(version=version, at=at, milliseconds=milliseconds, response=response)
                yield from ((asked, answered, given) for given in truths)

    def shadowed(self, model: str, champion: str, challenger: str) -> tuple[int, int]:
        """Return how many of a champion's predictions the challenger has answered as well, and how many there are.

        Of the time from the first to the last of those that it has: others may still come.
        """
        both = (
            "predictions q JOIN shadows t ON t.prediction = q.id WHERE q.model = ? AND q.version = ? AND t.version = ?"
        )
        statement = (
            "SELECT COUNT(s.prediction), COUNT(*) "  # noqa: S608 - text of ours
            "FROM predictions p LEFT JOIN shadows s ON s.prediction = p.id AND s.version = ? "
            f"WHERE p.model = ? AND p.version = ? AND p.at >= (SELECT MIN(q.at) FROM {both}) "
            f"AND p.at <= (SELECT MAX(q.at) FROM {both})"
        )
        pair = [model, champion, challenger]
        ((answered, asked),) = self.execute(statement, [challenger, model, champion, *pair, *pair])
        return int(answered), int(asked)

    def add_feedback(self, given: Feedback) -> bool:
        """Write feedback; return False, and write nothing, if it says nothing new or its prediction is gone.

        Of an item the latest `FEEDBACK_PER_ITEM` are kept, so that nobody fills the database with contradictions.
        """
        item, size = given[:2], ROW_BYTES + len(given.truth)
        with self.database.transaction():
            # First, because PostgreSQL then lets nobody else write about this prediction until the end.
            found = self.execute("UPDATE predictions SET bytes = bytes WHERE id = ? RETURNING id", [given.prediction])
            statement = "SELECT at, truth FROM feedback WHERE prediction = ? AND item = ? ORDER BY at DESC"
            kept = self.execute(statement, item)
            if not found or (kept and kept[0][1] == given.truth):
                return False
            for at, truth in kept[FEEDBACK_PER_ITEM - 1 :]:
                self.execute("DELETE FROM feedback WHERE prediction = ? AND item = ? AND at = ?", [*item, at])
                size -= ROW_BYTES + len(truth)
            self.execute(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?) ON CONFLICT (prediction, item, at) "
                "DO UPDATE SET client = excluded.client, truth = excluded.truth",
                given,
            )
            self.execute("UPDATE predictions SET bytes = bytes + ? WHERE id = ?", [size, given.prediction])
        return True

    def items_of(self, prediction: str, *, model: str) -> int | None:
        """Return how many items a model's prediction has, None if it is unknown."""
        rows = self.execute("SELECT items FROM predictions WHERE id = ? AND model = ?", [prediction, model])
        return int(rows[0][0]) if rows else None

    def predictions(self, model: str, *, since: float, until: float) -> Iterator[LoggedPrediction]:
        """Yield a model's predictions with since <= at < until, the oldest first, in constant memory."""
        statement = (
            f"SELECT {_PREDICTION} FROM predictions p "  # noqa: S608 - names of ours
            "WHERE model = ? AND at < ? AND (at, id) > (?, ?) ORDER BY at, id LIMIT ?"
        )
        last: tuple[float, str] = since, ""
        while rows := self.execute(statement, [model, until, *last, ROWS_AT_ONCE]):
            yield from map(LoggedPrediction._make, rows)
            last = rows[-1][1], rows[-1][0]

    def feedback(self, model: str, *, since: float, until: float) -> Iterator[tuple[LoggedPrediction, Feedback]]:
        """Yield the latest feedback of each item that was given since <= at < until, with its prediction.

        All of one prediction come together, by item, and with the same object; the oldest prediction is first.
        """
        statement = f"SELECT {_PREDICTION} FROM predictions p WHERE id = ? AND model = ?"  # noqa: S608 - names of ours
        for prediction, truths in groupby(self._said(since=since, until=until), key=attrgetter("prediction")):
            for about in map(LoggedPrediction._make, self.execute(statement, [prediction, model])):
                yield from ((about, given) for given in truths)

    def _said(self, *, since: float, until: float) -> Iterator[Feedback]:
        """Yield the latest feedback of each item that was given since <= at < until, by prediction and item.

        Of all models: by a plan that joins the predictions first, either database may sort everything for each page.
        """
        statement = (
            f"SELECT {_FEEDBACK} FROM feedback f WHERE at >= ? AND at < ? "  # noqa: S608 - names of ours
            "AND (prediction, item, at) > (?, ?, ?) ORDER BY prediction, item, at LIMIT ?"
        )
        latest = Feedback("", 0, 0.0, "", "")
        while rows := self.execute(statement, [since, until, *latest[:3], ROWS_AT_ONCE]):
            for given in map(Feedback._make, rows):
                if latest.prediction and latest[:2] != given[:2]:
                    yield latest
                latest = given
        if latest.prediction:
            yield latest

    def retain(self, model: str, *, since: float, megabytes: float) -> int:
        """Delete a model's predictions from before `since`, then the oldest until the rest fits; return how many."""
        beyond = self.execute(
            "SELECT at FROM (SELECT at, SUM(bytes) OVER (ORDER BY at DESC) AS total FROM predictions WHERE model = ?) "
            "AS sums WHERE total > ? ORDER BY at DESC LIMIT 1",
            [model, megabytes * 1e6],
        )
        full = beyond[0][0] if beyond else 0.0
        return self._delete("model = ? AND (at < ? OR at <= ?)", [model, since, full])[0]

    def forget(self, *, prediction: str = "", subject: str = "") -> tuple[int, int]:
        """Delete one prediction, or all of one subject, with their feedback, and what the subject said of others.

        Returns
        -------
        How many predictions went, and how much feedback on others. The file of SQLite holds no byte of it then.
        """
        where, value = ("id = ?", prediction) if prediction else ("subject = ? AND subject <> ''", subject)
        count = self._delete(where, [value], client=subject)
        if self.database.sqlite and self.execute("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise StoreError("deleted, but a reader keeps old pages in the file beside the database: forget it again")
        return count

    def _delete(self, where: str, values: Sequence[object], *, client: str = "") -> tuple[int, int]:
        """Delete predictions, with which the database deletes their feedback, and then a client's other feedback."""
        with self.database.transaction():
            predictions = len(self.execute(f"DELETE FROM predictions WHERE {where} RETURNING id", values))  # noqa: S608
            feedback = self._delete_feedback(client) if client else 0
        if self.database.sqlite and predictions + feedback:
            self.database.execute_to_end("PRAGMA incremental_vacuum")
        return predictions, feedback

    def _delete_feedback(self, client: str) -> int:
        self.execute(
            "UPDATE predictions SET bytes = bytes - (SELECT SUM(? + LENGTH(f.truth)) FROM feedback f "
            "WHERE f.prediction = predictions.id AND f.client = ?) "
            "WHERE id IN (SELECT prediction FROM feedback WHERE client = ?)",
            [ROW_BYTES, client, client],
        )
        return len(self.execute("DELETE FROM feedback WHERE client = ? RETURNING item", [client]))

    def close(self) -> None:
        """Close the connection."""
        self.database.close()


def connect(url: str) -> Store:
    """Open the prediction log at ``sqlite:///PATH`` (made if it is not there) or ``postgresql://...``.

    Raises
    ------
    StoreError
        If it cannot be opened, or newer code has been at work in it.
    """
    return Store(open_database(url))
