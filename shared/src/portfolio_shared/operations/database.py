"""One connection to a file of SQLite or a database of PostgreSQL, and its errors, said without secrets.

Own code on the two drivers: SQLAlchemy costs a service 1.7 s and 35 MB to say a dozen statements.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from portfolio_shared.addresses import hold, without_secrets

SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"
BUSY_SECONDS = 5.0  # how long one writer waits for another


class StoreError(RuntimeError):
    """The database cannot be used, or is none of this code; the message names no password."""


class ConnectionLostError(StoreError):
    """The connection has ended, or its file is gone; a new one may work."""


class RefusedRowError(StoreError):
    """The database works, and refuses a row that it was given: trying again does not help."""


@dataclass(frozen=True)
class Database:
    """An open database; a connection is used by one thread at a time."""

    connection: Any  # of DB-API 2, in autocommit mode
    driver: ModuleType
    file: tuple[Path, int] | None = None  # of SQLite, with its inode

    @property
    def sqlite(self) -> bool:
        """Whether this is SQLite, and otherwise PostgreSQL."""
        return self.file is not None

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with `?` for its parameters, and return its rows."""
        return self._run("execute", statement, values)

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of parameters."""
        self._run("executemany", statement, rows)

    def execute_to_end(self, statement: str) -> None:
        """Run a statement of SQLite that does a part of its work at each step, without parameters and rows."""
        self._run("executescript", statement)

    def _run(self, method: str, statement: str, *values: Iterable[Any]) -> list[tuple[Any, ...]]:
        if self.file and _inode(self.file[0]) != self.file[1]:  # SQLite would write on, to a file without a name
            raise ConnectionLostError(f"somebody has moved or deleted {self.file[0]}")
        try:
            with closing(self.connection.cursor()) as cursor:
                getattr(cursor, method)(statement if self.sqlite else statement.replace("?", "%s"), *values)
                return list(cursor.fetchall()) if cursor.description and method == "execute" else []
        except (self.driver.DataError, self.driver.IntegrityError) as error:
            raise RefusedRowError(f"the prediction log refuses a row: {_reason(error)}") from error
        except self.driver.Error as error:
            lost = getattr(self.connection, "closed", False)  # SQLite's has no such attribute, and no such end
            kind = ConnectionLostError if lost else StoreError
            raise kind(f"the prediction log cannot be used: {_reason(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the statements of a ``with`` block, all or none."""
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


def open_database(url: str) -> Database:
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
        database = _sqlite(Path(url.removeprefix(SQLITE)))
    elif url.startswith(POSTGRESQL):
        database = _postgresql(url)
    else:
        raise StoreError(f"expected an address that begins with {SQLITE} or {POSTGRESQL}")
    try:
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _sqlite(path: Path) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives the files beside it the same; requests are nobody else's to read
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # The first two before any table is made: with pages of 64 kB, which hold several answers, a row costs less than
        # half. Write-ahead logging lets readers read meanwhile; 64 pages of it are 4 MB.
        layout = ("page_size = 65536", "auto_vacuum = INCREMENTAL", "journal_mode = WAL", "wal_autocheckpoint = 64")
        # A large deletion leaves no large file behind, and a connection keeps few pages in memory.
        limits = ("journal_size_limit = 4000000", "cache_size = -1500")
        for pragma in (*layout, *limits, "synchronous = NORMAL", "secure_delete = ON", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return Database(connection, sqlite3, (path, _inode(path)))


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"{path} cannot be looked at: {error.strerror}") from error


def _postgresql(url: str) -> Database:
    try:
        import psycopg  # only where PostgreSQL is asked for
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs a driver ({error}): pip install 'psycopg[binary]'") from error
    hold(url)
    try:
        readable = _is_address(url) and bool(psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        readable = False
    if not readable:  # the driver's own text would hold a part of the password
        raise StoreError("no address of PostgreSQL: write special characters of a password as %-codes")
    # A server that went away without a word is noticed within some seconds, on an open connection as well.
    silence: Any = {"connect_timeout": int(BUSY_SECONDS), "tcp_user_timeout": int(BUSY_SECONDS * 1000)}
    try:
        connection = psycopg.connect(url, autocommit=True, keepalives_idle=int(BUSY_SECONDS), **silence)
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL cannot be reached: {_reason(error)}") from None
    return Database(connection, psycopg)


def _is_address(url: str) -> bool:
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        return False
    return port != 0 and parts.netloc.count("@") <= 1 and "@" not in parts.path + parts.query + parts.fragment


def _reason(error: Exception) -> str:
    """Return the first line of a driver's message, without secrets; PostgreSQL's others may quote rows."""
    return without_secrets((str(error) or type(error).__name__).splitlines()[0])


def _migrate(database: Database) -> None:
    """Run the numbered files of SQL that the database has not seen; two processes may do this at once."""
    scripts = sorted(files("portfolio_shared.operations").joinpath("sql").iterdir(), key=lambda file: file.name)
    with database.transaction():
        if not database.sqlite:
            database.execute("SELECT pg_advisory_xact_lock(hashtext('portfolio_shared.operations'))")
        database.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        ((version,),) = database.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        if version > len(scripts):
            raise StoreError(f"the database has schema {version}, and this code knows {len(scripts)}: update the code")
        for number, script in enumerate(scripts[version:], start=version + 1):
            for statement in filter(str.strip, script.read_text(encoding="utf-8").split(";")):
                database.execute(statement)
            database.execute("INSERT INTO schema_version VALUES (?)", [number])
