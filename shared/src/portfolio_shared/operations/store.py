"""Where predictions and feedback are kept: a file of SQLite, or a database of PostgreSQL.

Own code on the two drivers: SQLAlchemy costs a service 1.7 s and 35 MB to say these ten statements.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"
BUSY_SECONDS = 5.0  # how long one writer waits for another
ROWS_AT_ONCE = 1000


class StoreError(RuntimeError):
    """The database cannot be used, or is none of this code; the message names no password."""


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


@dataclass(frozen=True)
class Store:
    """An open database; a connection is used by one thread at a time."""

    connection: Any  # of DB-API 2, in autocommit mode
    mark: str  # placeholder of a parameter
    errors: type[Exception]  # of the driver

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with `?` for its parameters, and return its rows."""
        with self._cursor() as cursor:
            cursor.execute(statement.replace("?", self.mark), values)
            return list(cursor.fetchall()) if cursor.description else []

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with closing(self.connection.cursor()) as cursor:
                yield cursor
        except self.errors as error:  # the text of PostgreSQL's driver may hold the address
            reason = str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
            raise StoreError(f"the prediction log cannot be used: {reason}") from error

    def insert(self, rows: Iterable[LoggedPrediction]) -> None:
        """Write predictions, all or none; one that is there already stays as it is."""
        marks = ", ".join([self.mark] * (len(LoggedPrediction._fields) + 1))
        statement = f"INSERT INTO predictions VALUES ({marks}) ON CONFLICT (id) DO NOTHING"  # noqa: S608 - marks alone
        values = [(*row, len(row.request) + len(row.response)) for row in rows]
        with self._transaction() as cursor:
            cursor.executemany(statement, values)

    def add_feedback(self, given: Feedback) -> bool:
        """Write feedback; return whether it says something new, and otherwise write nothing."""
        latest = self.execute(
            "SELECT truth FROM feedback WHERE prediction = ? AND item = ? ORDER BY at DESC LIMIT 1", given[:2]
        )
        if latest and latest[0][0] == given.truth:
            return False
        self.execute("INSERT INTO feedback VALUES (?, ?, ?, ?, ?)", given)
        return True

    def items_of(self, prediction: str, *, model: str) -> int | None:
        """Return how many items a model's prediction has, None if it is unknown."""
        rows = self.execute("SELECT items FROM predictions WHERE id = ? AND model = ?", [prediction, model])
        return int(rows[0][0]) if rows else None

    def predictions(self, model: str, *, since: float, until: float) -> Iterator[LoggedPrediction]:
        """Yield a model's predictions with since <= at < until, the oldest first, in constant memory."""
        columns = ", ".join(LoggedPrediction._fields)
        last, after = since, ""
        while True:
            rows = self.execute(
                f"SELECT {columns} FROM predictions WHERE model = ? AND at < ? AND (at > ? OR (at = ? AND id > ?)) "  # noqa: S608
                "ORDER BY at, id LIMIT ?",
                [model, until, last, last, after, ROWS_AT_ONCE],
            )
            if not rows:
                return
            yield from map(LoggedPrediction._make, rows)
            last, after = rows[-1][1], rows[-1][0]

    def feedback(self, model: str, *, since: float, until: float) -> Iterator[tuple[LoggedPrediction, Feedback]]:
        """Yield the latest feedback of each item that was given since <= at < until, with its prediction."""
        p = ", ".join(f"p.{name}" for name in LoggedPrediction._fields)
        f = ", ".join(f"f.{name}" for name in Feedback._fields)
        rows = self.execute(
            f"SELECT {p}, {f} FROM feedback f JOIN predictions p ON p.id = f.prediction "  # noqa: S608
            "WHERE p.model = ? AND f.at >= ? AND f.at < ? AND NOT EXISTS ("
            "SELECT 1 FROM feedback g "
            "WHERE g.prediction = f.prediction AND g.item = f.item AND g.at > f.at AND g.at < ?) ORDER BY f.at",
            [model, since, until, until],
        )
        n = len(LoggedPrediction._fields)
        for row in rows:
            yield LoggedPrediction._make(row[:n]), Feedback._make(row[n:])

    def retain(self, *, since: float, megabytes: float) -> int:
        """Delete predictions from before `since`, then the oldest until the rest fits; return how many went."""
        beyond = self.execute(
            "SELECT at FROM (SELECT at, SUM(bytes) OVER (ORDER BY at DESC, id) AS total FROM predictions) AS sums "
            "WHERE total > ? ORDER BY at DESC LIMIT 1",
            [megabytes * 1e6],
        )
        oldest = max([since, *(row[0] for row in beyond)])
        return self._delete("at < ? OR at = ?", [oldest, oldest if beyond else since - 1])

    def forget(self, *, prediction: str = "", subject: str = "") -> int:
        """Delete one prediction, or all of one subject, with their feedback; return how many went."""
        return self._delete("id = ?", [prediction]) if prediction else self._delete("subject = ?", [subject])

    def _delete(self, where: str, values: Sequence[object]) -> int:
        with self._transaction() as cursor:
            chosen = f"(SELECT id FROM predictions WHERE {where})".replace("?", self.mark)  # noqa: S608
            cursor.execute(f"DELETE FROM feedback WHERE prediction IN {chosen}", values)  # noqa: S608
            cursor.execute(f"DELETE FROM predictions WHERE {where}".replace("?", self.mark), values)  # noqa: S608
            count = int(cursor.rowcount)
        if self.mark == "?" and count:
            self.execute("PRAGMA incremental_vacuum")  # gives the space back to the disk
        return count

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if self.mark == "?" else "BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(self.errors):  # a full disk has rolled back already; the first error is the one to tell
                    cursor.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def connect(url: str) -> Store:
    """Open a database, and bring its tables up to date.

    Parameters
    ----------
    url
        ``sqlite:///PATH`` (made if it is not there) or ``postgresql://USER:PASSWORD@HOST/DATABASE``.

    Raises
    ------
    StoreError
        If it cannot be opened, or newer code has been at work in it.
    """
    if url.startswith(SQLITE):
        store = Store(_sqlite(Path(url.removeprefix(SQLITE))), "?", sqlite3.Error)
    elif url.startswith(POSTGRESQL):
        store = _postgresql(url)
    else:
        raise StoreError(f"expected an address that begins with {SQLITE} or {POSTGRESQL}")
    _migrate(store)
    return store


def _sqlite(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # Before the first table is made; write-ahead logging lets readers read while a row is written.
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return connection


def _postgresql(url: str) -> Store:
    import psycopg  # only where PostgreSQL is asked for

    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=int(BUSY_SECONDS))
    except psycopg.Error as error:  # its text may hold the address
        raise StoreError(f"PostgreSQL cannot be reached: {type(error).__name__}") from None
    return Store(connection, "%s", psycopg.Error)


def _migrate(store: Store) -> None:
    """Run the numbered files of SQL that the database has not seen; two processes may do this at once."""
    scripts = sorted(files("portfolio_shared.operations").joinpath("sql").iterdir(), key=lambda file: file.name)
    with store._transaction() as cursor:  # noqa: SLF001 - of this module
        cursor.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        if store.mark == "%s":
            cursor.execute("LOCK TABLE schema_version")
        cursor.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        version = int(cursor.fetchone()[0])
        if version > len(scripts):
            raise StoreError(f"the database has schema {version}, and this code knows {len(scripts)}: update the code")
        for number, script in enumerate(scripts[version:], start=version + 1):
            for statement in script.read_text(encoding="utf-8").split(";"):
                if statement.strip():
                    cursor.execute(statement)
            cursor.execute(f"INSERT INTO schema_version VALUES ({number})")  # noqa: S608 - a number of ours
