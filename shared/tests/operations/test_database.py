"""How the database is opened: its schema, what is no database, and what no message says of a password."""

import sys
from contextlib import closing
from subprocess import PIPE, Popen
from urllib.parse import quote

import psycopg
import pytest
from postgresql_server import PASSWORD

from portfolio_shared.operations import database as database_module
from portfolio_shared.operations.database import ConnectionLostError, RefusedRowError, StoreError
from portfolio_shared.operations.store import LoggedPrediction, connect


def logged(name: str) -> LoggedPrediction:
    return LoggedPrediction(name, 1.0, "toy", "3", "/v1/prices", "", 2, 1.5, '{"a":1}', '{"b":2}')


def ids(store) -> list[str]:
    return [row.id for row in store.predictions("toy", since=0, until=1e12)]


# The schema


OPEN = """
import sys
from portfolio_shared.operations.store import LoggedPrediction, connect
sys.stdin.readline()
store = connect(sys.argv[1])
store.insert([LoggedPrediction(sys.argv[2], 1.0, "toy", "3", "/", "", 1, 1.0, "{}", "{}")])
"""


@pytest.mark.long
def test_processes_that_open_a_new_database_at_once_all_find_it_complete(store_url):
    names = list("abcd")
    commands = [[sys.executable, "-c", OPEN, store_url, name] for name in names]
    processes = [Popen(command, stdin=PIPE, stderr=PIPE) for command in commands]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [b""] * 4
    with closing(connect(store_url)) as store:
        assert ids(store) == names
        assert store.execute("SELECT version FROM schema_version") == [(1,), (2,)]


def test_a_database_of_newer_code_is_refused_and_left_alone(store_url):
    with closing(connect(store_url)) as store:
        store.execute("INSERT INTO schema_version VALUES (99)")
        store.insert([logged("a")])
    with pytest.raises(StoreError, match="has schema 99, and this code knows 2: update the code"):
        connect(store_url)


def test_a_schema_that_fails_half_way_leaves_nothing(store_url, tmp_path, monkeypatch):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "001.sql").write_text("CREATE TABLE first (a TEXT); CREATE TABLE first (a TEXT);")
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "files", lambda _: tmp_path)
        with pytest.raises(StoreError, match="already exists"):
            connect(store_url)
    with closing(connect(store_url)) as store, pytest.raises(StoreError, match="first"):
        store.execute("SELECT * FROM first")


# What cannot be opened


def test_places_that_hold_no_database_are_named_in_one_line(tmp_path):
    (tmp_path / "file").write_text("no database, and long enough to be read as one" * 10)
    for path in (tmp_path / "file", tmp_path / "file" / "log.db", tmp_path):
        with pytest.raises(StoreError) as caught:
            connect(f"sqlite:///{path}")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="expected an address"):
        connect("mysql://me:s3cret@host/db")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cret@host@127.0.0.1:1/db",
        "postgresql://me:s3cret/x@127.0.0.1:1/db",
        "postgresql://me:12/s3cret@127.0.0.1:1/db",
        "postgresql://me:s3cret?@127.0.0.1:1/db",
        "postgresql://me:s3cret@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=s3cret",
        "postgresql://me:s3cret@127.0.0.1:1/db?nonsense=1",
        "postgresql://me:s3cret x@127.0.0.1:1/db",
        "postgresql://me:s3cret%zz@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=s3cret x",
    ],
)
def test_no_message_about_postgresql_holds_a_part_of_the_password(address):
    with pytest.raises(StoreError) as caught:
        connect(address)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_and_a_database_that_is_not_there_are_named(postgresql):
    wrong = postgresql.url().replace(quote(PASSWORD, safe=""), "wr0ng")
    with pytest.raises(StoreError, match="password authentication failed for user") as caught:
        connect(wrong)
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(StoreError, match='database "nothing" does not exist') as caught:
        connect(postgresql.url("nothing"))
    assert PASSWORD not in str(caught.value)


def test_without_the_driver_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'psycopg\[binary\]'"):
        connect("postgresql://me@127.0.0.1:1/db")


def test_sqlite_alone_loads_no_driver_of_postgresql(loaded_by):
    assert "psycopg" not in loaded_by("portfolio_shared.operations.store")


def test_a_session_that_is_ended_is_a_store_error_and_the_next_connection_works(postgresql):
    url = postgresql.new_database("ended")
    with closing(connect(url)) as store:
        ((process,),) = store.execute("SELECT pg_backend_pid()")
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [process])
        with pytest.raises(ConnectionLostError, match="cannot be used"):
            store.insert([logged("a")])
    with closing(connect(url)) as store:
        store.insert([logged("a")])
        assert ids(store) == ["a"]


# While it is open


def test_a_path_that_cannot_be_looked_at_is_a_store_error(tmp_path, monkeypatch):
    with closing(connect(f"sqlite:///{tmp_path}/log.db")) as store:

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.stat", refuse)
            with pytest.raises(StoreError, match="cannot be looked at: Permission denied"):
                store.insert([logged("a")])
        store.insert([logged("b")])
        assert ids(store) == ["b"]


def test_a_row_that_the_database_refuses_is_told_from_an_outage(store_url):
    with closing(connect(store_url)) as store:
        with pytest.raises(RefusedRowError, match="refuses a row"):
            store.insert([logged("a"), logged("b")._replace(at=None)])  # type: ignore[arg-type]
        assert ids(store) == []


def test_text_that_postgresql_has_no_place_for_is_refused(postgresql):
    with closing(connect(postgresql.new_database("nul"))) as store, pytest.raises(RefusedRowError):
        store.insert([logged("a")._replace(request="a\0b")])


def test_a_large_deletion_leaves_no_large_file_behind(tmp_path):
    with closing(connect(f"sqlite:///{tmp_path}/log.db")) as store:
        store.insert(logged(f"{i}")._replace(request="x" * 500_000) for i in range(20))
        store.retain("toy", since=2.0, megabytes=1.0)
        for i in range(3):
            store.insert([logged(f"new{i}")])
        assert (tmp_path / "log.db-wal").stat().st_size <= 4_000_000
