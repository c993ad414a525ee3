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
from urllib.parse import urlsplit

from portfolio_shared.addresses import hold, without_secrets

SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"
BUSY_SECONDS = 5.0  # how long one writer waits for another
ROWS_AT_ONCE = 100  # that are read: a row may hold a thousand houses
ROW_BYTES = 500  # of a row beside its JSON, with its part of the indexes
FEEDBACK_PER_ITEM = 10


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


_PREDICTION = ", ".join(f"p.{name}" for name in LoggedPrediction._fields)
_FEEDBACK = ", ".join(f"f.{name}" for name in Feedback._fields)


@dataclass(frozen=True)
class Store:
    """An open database; a connection is used by one thread at a time."""

    connection: Any  # of DB-API 2, in autocommit mode
    errors: type[Exception]  # of the driver
    file: tuple[Path, int] | None = None  # of SQLite, with its inode

    @property
    def sqlite(self) -> bool:
        """Whether this is SQLite, and otherwise PostgreSQL."""
        return self.file is not None

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with `?` for its parameters, and return its rows."""
        return self._run("execute", statement, values)

    def _run(self, method: str, statement: str, *values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self.file and _inode(self.file[0]) != self.file[1]:  # SQLite would write on, to a file without a name
            raise StoreError(f"somebody has moved or deleted {self.file[0]}")
        try:
            with closing(self.connection.cursor()) as cursor:
                getattr(cursor, method)(statement if self.sqlite else statement.replace("?", "%s"), *values)
                return list(cursor.fetchall()) if cursor.description and method == "execute" else []
        except self.errors as error:
            raise StoreError(f"the prediction log cannot be used: {_reason(error)}") from error

    def insert(self, rows: Iterable[LoggedPrediction]) -> None:
        """Write predictions, all or none; one that is there already stays as it is."""
        marks = ", ".join("?" * (len(LoggedPrediction._fields) + 1))
        values = [(*row, ROW_BYTES + len(row.request) + len(row.response)) for row in rows]
        with self._transaction():
            self._run("executemany", f"INSERT INTO predictions VALUES ({marks}) ON CONFLICT (id) DO NOTHING", values)  # noqa: S608

    def add_feedback(self, given: Feedback) -> bool:
        """Write feedback; return False, and write nothing, if it says nothing new or its prediction is gone.

        Of an item the latest `FEEDBACK_PER_ITEM` are kept, so that nobody fills the database with contradictions.
        """
        item, size = given[:2], ROW_BYTES + len(given.truth)
        with self._transaction():
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
        statement = (
            f"SELECT {_FEEDBACK} FROM feedback f JOIN predictions p ON p.id = f.prediction "  # noqa: S608 - names of ours
            "WHERE p.model = ? AND f.at >= ? AND f.at < ? AND (f.prediction, f.item) > (?, ?) AND NOT EXISTS ("
            "SELECT 1 FROM feedback g "
            "WHERE g.prediction = f.prediction AND g.item = f.item AND g.at > f.at AND g.at < ?) "
            "ORDER BY f.prediction, f.item LIMIT ?"
        )
        about: LoggedPrediction | None = None
        last: tuple[str, int] = "", 0
        while rows := self.execute(statement, [model, since, until, *last, until, ROWS_AT_ONCE]):
            for given in map(Feedback._make, rows):
                if about is None or about.id != given.prediction:
                    found = self.execute(f"SELECT {_PREDICTION} FROM predictions p WHERE id = ?", given[:1])  # noqa: S608
                    if not found:  # forgotten since
                        continue
                    about = LoggedPrediction._make(found[0])
                yield about, given
            last = rows[-1][0], rows[-1][1]

    def retain(self, model: str, *, since: float, megabytes: float) -> int:
        """Delete a model's predictions from before `since`, then the oldest until the rest fits; return how many."""
        beyond = self.execute(
            "SELECT at FROM (SELECT at, SUM(bytes) OVER (ORDER BY at DESC) AS total FROM predictions WHERE model = ?) "
            "AS sums WHERE total > ? ORDER BY at DESC LIMIT 1",
            [model, megabytes * 1e6],
        )
        full = beyond[0][0] if beyond else 0.0
        return self._delete("model = ? AND (at < ? OR at <= ?)", [model, since, full])

    def forget(self, *, prediction: str = "", subject: str = "") -> int:
        """Delete one prediction, or all of one subject, with their feedback; return how many predictions went.

        Of a subject the feedback on predictions of others goes as well. The file of SQLite holds no byte of it then.
        """
        if subject:
            self.execute("DELETE FROM feedback WHERE client = ? AND client <> ''", [subject])
        where, value = ("id = ?", prediction) if prediction else ("subject = ? AND subject <> ''", subject)
        count = self._delete(where, [value])
        if self.sqlite and self.execute("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise StoreError("deleted, but a reader keeps old pages in the file beside the database: forget it again")
        return count

    def _delete(self, where: str, values: Sequence[object]) -> int:
        with self._transaction():
            self.execute(f"DELETE FROM feedback WHERE prediction IN (SELECT id FROM predictions WHERE {where})", values)  # noqa: S608
            count = len(self.execute(f"DELETE FROM predictions WHERE {where} RETURNING id", values))  # noqa: S608
        if self.sqlite and count:
            self._run("executescript", "PRAGMA incremental_vacuum")  # `execute` would give one page back
        return count

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE" if self.sqlite else "BEGIN")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(StoreError):  # a full disk has rolled back already; the first error is the one to tell
                self.execute("ROLLBACK")
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
        store = _sqlite(Path(url.removeprefix(SQLITE)))
    elif url.startswith(POSTGRESQL):
        store = _postgresql(url)
    else:
        raise StoreError(f"expected an address that begins with {SQLITE} or {POSTGRESQL}")
    try:
        _migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def _sqlite(path: Path) -> Store:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives the files beside it the same; requests are nobody else's to read
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # The first two before any table is made: large pages halve what it costs to write a row. Write-ahead logging
        # lets readers read meanwhile; 250 pages of it are 4 MB.
        layout = ("page_size = 16384", "auto_vacuum = INCREMENTAL", "journal_mode = WAL", "wal_autocheckpoint = 250")
        for pragma in (*layout, "synchronous = NORMAL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return Store(connection, sqlite3.Error, (path, _inode(path)))


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def _postgresql(url: str) -> Store:
    try:
        import psycopg  # only where PostgreSQL is asked for
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs a driver ({error}): pip install 'psycopg[binary]'") from error
    hold(url)
    if not _is_address(url):  # the driver's own text would hold a part of the password
        raise StoreError("no address of PostgreSQL: write special characters of a password as %-codes")
    # A server that went away without a word is noticed within some seconds, on an open connection as well.
    silence: Any = {"connect_timeout": int(BUSY_SECONDS), "tcp_user_timeout": int(BUSY_SECONDS * 1000)}
    try:
        connection = psycopg.connect(url, autocommit=True, keepalives_idle=int(BUSY_SECONDS), **silence)
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL cannot be reached: {_reason(error)}") from None
    return Store(connection, psycopg.Error)


def _is_address(url: str) -> bool:
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        return False
    return port != 0 and parts.netloc.count("@") <= 1 and "@" not in parts.path + parts.query + parts.fragment


def _reason(error: Exception) -> str:
    """Return the first line of a driver's message, without secrets; PostgreSQL's others may quote rows."""
    return without_secrets((str(error) or type(error).__name__).splitlines()[0])


def _migrate(store: Store) -> None:
    """Run the numbered files of SQL that the database has not seen; two processes may do this at once."""
    scripts = sorted(files("portfolio_shared.operations").joinpath("sql").iterdir(), key=lambda file: file.name)
    with store._transaction():  # noqa: SLF001 - of this module
        if not store.sqlite:
            store.execute("SELECT pg_advisory_xact_lock(hashtext('portfolio_shared.operations'))")
        store.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        ((version,),) = store.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        if version > len(scripts):
            raise StoreError(f"the database has schema {version}, and this code knows {len(scripts)}: update the code")
        for number, script in enumerate(scripts[version:], start=version + 1):
            for statement in filter(str.strip, script.read_text(encoding="utf-8").split(";")):
                store.execute(statement)
            store.execute("INSERT INTO schema_version VALUES (?)", [number])
