"""What runs again and what does not; a folder through errors, kills and other hands; memory."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from portfolio_shared.data import lines, tables
from portfolio_shared.data.checks import DataError
from recommender.data import headings
from recommender.data.etl import duckdb_engine, stages
from recommender.data.etl import run as run_module
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.engine import EngineError
from recommender.data.etl.manifest import Manifest, read_manifest
from recommender.data.load import Dataset, load

ALL = ["films", "rows", "ratings", "people", "counts", "quarantine"]
Etl = Callable[..., tuple[Manifest, list[str]]]
Check = Callable[[Dataset, Dataset], None]


def test_what_is_unchanged_is_not_run_again(etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, ran = etl(source, out)
    assert ran == ALL
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again, ran = etl(source, out)
    assert (again, ran) == (first, [])
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == [".out.lock"]


def test_the_text_is_decoded_once_for_its_columns_and_once_to_be_cut(
    etl: Etl, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, decoded = tables._check, []
    monkeypatch.setattr(tables, "_check", lambda path, *rest: (decoded.append(path.name), check(path, *rest)))
    etl(source, tmp_path / "out")
    assert decoded == ["movies.csv", "ratings.csv", "ratings.csv"]
    etl(source, tmp_path / "out")
    assert decoded[3:] == ["movies.csv", "ratings.csv"]


def test_a_new_rating_runs_what_depends_on_it(check_equal: Check, etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    etl(source, out)
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("77,7,4.0,5\r\n")
    manifest, ran = etl(source, out)
    assert ran == ALL[1:]
    assert manifest.rows_read == 401
    check_equal(load(str(out)), load(str(source)))


def test_a_line_that_no_rating_comes_of_runs_no_stage_whose_input_is_the_same(
    check_equal: Check, etl: Etl, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    etl(source, out)
    with (source / "movies.csv").open("a", encoding="utf-8") as stream:
        stream.write("500,Nobody saw it (2001),Drama\n")
    _, ran = etl(source, out)
    assert ran == ["films", "rows", "counts"]
    check_equal(load(str(out)), load(str(source)))


@pytest.mark.parametrize(
    ("script", "expected"), [("05_quarantine.sql", ["quarantine"]), ("02_ratings.sql", ["ratings"])]
)
def test_changed_sql_runs_its_stage(
    etl: Etl, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, script: str, expected: list[str]
) -> None:
    """A remark changes no row, so what reads the stage's files is as it was."""
    out = tmp_path / "out"
    etl(source, out)
    copies = tmp_path / "scripts"
    copies.mkdir()
    for stage in stages.STAGES:
        (copies / stage.script).write_text(stage.sql)
    with (copies / script).open("a") as stream:
        stream.write("-- a remark\n")
    monkeypatch.setattr(stages, "SCRIPTS", copies)
    assert etl(source, out)[1] == expected


def test_another_engine_or_version_runs_all_of_the_sql(
    etl: Etl, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    etl(source, out)
    monkeypatch.setattr(DuckDBEngine, "version", "0")
    manifest, ran = etl(source, out)
    assert ran == ALL
    assert {stage.engine for stage in manifest.stages} == {"duckdb 0"}


@pytest.mark.parametrize("module", [tables, lines, headings, stages, duckdb_engine], ids=lambda module: module.__name__)
def test_changed_code_runs_all_stages(
    etl: Etl, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    out = tmp_path / "out"
    etl(source, out)
    copy = tmp_path / "changed.py"
    copy.write_bytes(Path(str(module.__file__)).read_bytes() + b"# a remark\n")
    monkeypatch.setattr(module, "__file__", str(copy))
    assert etl(source, out)[1] == ALL


def test_sums_stay_until_what_they_are_of_changes(etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    etl(source, out)
    (out / "grams").mkdir()
    for name in ("kept.npy", "half.part"):
        (out / "grams" / name).write_text(name)
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("5,7,9.0,5\r\n")  # off the scale
    assert etl(source, out)[1] == ["rows", "ratings", "quarantine"]
    assert [path.read_text() for path in (out / "grams").iterdir()] == ["kept.npy"]
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("77,7,4.0,5\r\n")
    etl(source, out)
    assert not (out / "grams").exists()


@pytest.mark.parametrize("content", ["{", '{"engine": "duckdb"}'])
def test_a_manifest_that_cannot_be_read_is_told_and_all_stages_run(
    check_equal: Check, etl: Etl, source: Path, tmp_path: Path, content: str
) -> None:
    out = tmp_path / "out"
    etl(source, out)
    (out / "manifest.json").write_text(content)
    (out / "thesis.txt").touch()
    with pytest.raises(DataError, match=r"'thesis.txt' there is not of `recommender etl`: move it away"):
        etl(source, out)
    (out / "thesis.txt").unlink()
    assert etl(source, out)[1] == [str(out / "manifest.json"), *ALL]
    check_equal(load(str(out)), load(str(source)))


@pytest.mark.parametrize("name", ["ratings", "films"])
def test_a_file_that_somebody_changed_is_refused_and_written_anew(
    check_equal: Check, etl: Etl, source: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    etl(source, out)
    path = next((out / name).iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{name}/0000.parquet is missing or was changed"):
        load(str(out))
    assert name in etl(source, out)[1]
    check_equal(load(str(out)), load(str(source)))


@pytest.mark.parametrize("damaged", [False, True])
def test_an_engine_that_gives_up_leaves_the_old_folder_and_the_next_run_goes_on(
    check_equal: Check, etl: Etl, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, damaged: bool
) -> None:
    out = tmp_path / "out"
    old, _ = etl(source, out)
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("77,7,4.0,5\r\n")
    write = DuckDBEngine.write

    def full(self: DuckDBEngine, view: str, folder: Path, *, by_user: str | None = None) -> int:
        if view == "people":
            raise EngineError("no space left")
        return write(self, view, folder, by_user=by_user)

    monkeypatch.setattr(DuckDBEngine, "write", full)
    with pytest.raises(EngineError, match="no space"):
        etl(source, out)
    assert read_manifest(out) == old
    assert load(str(out)).report.rows_read == 400
    monkeypatch.undo()
    if damaged:
        path = tmp_path / ".out.next" / "stages.json"
        path.write_bytes(path.read_bytes()[:-1])
        assert etl(source, out)[1] == [str(path), *ALL[1:]]
    else:
        (tmp_path / ".out.next" / ".DS_Store").touch()
        assert etl(source, out)[1] == ALL[3:]
    check_equal(load(str(out)), load(str(source)))


KILLED = """
import os, signal, sys
from pathlib import Path
from portfolio_shared.data.sources import Source
from recommender.data.etl import duckdb_engine, run
engine = duckdb_engine.DuckDBEngine(memory_limit="500MB", temp=Path(sys.argv[3]))
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
where, rename, replace, write_text = sys.argv[4], Path.rename, Path.replace, Path.write_text
if where == "write":
    engine._copy = die  # half way in a stage: its folder is there and holds nothing
elif where == "record":
    Path.replace = lambda self, target: die() if b"people" in self.read_bytes() else replace(self, target)
elif where == "manifest":
    Path.write_text = lambda self, *_, **__: die() if self.name == "manifest.json" else write_text(self, *_, **__)
else:
    Path.rename = lambda self, target: die() if self.name == ".out.next" else rename(self, target)
run.run_etl(Source("path", Path(sys.argv[1]), ""), Path(sys.argv[2]), engine, most_unreadable=0.5)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "again"),
    [("write", ALL[1:]), ("record", ALL[3:]), ("manifest", []), ("between two renames", [])],
)
def test_a_run_that_is_killed_leaves_what_was_there_and_the_next_goes_on(
    check_equal: Check, etl: Etl, source: Path, tmp_path: Path, *, where: str, again: list[str]
) -> None:
    out = tmp_path / "out"
    old, _ = etl(source, out)
    with (source / "ratings.csv").open("a", newline="") as stream:
        stream.write("77,7,4.0,5\r\n")
    arguments = [source, out, tmp_path / "temp-2", where]
    ended = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert ended.returncode == -signal.SIGKILL
    if where == "between two renames":  # the one moment in which there is none
        assert not out.exists()
        assert read_manifest(tmp_path / ".out.old") == old
    else:
        assert read_manifest(out) == old
    assert etl(source, out)[1] == again
    check_equal(load(str(out)), load(str(source)))
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == [".out.lock", "out"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*ALL, "manifest.json"])


def test_two_runs_do_not_write_one_folder(etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with run_module.FileLock(tmp_path / ".out.lock"), pytest.raises(DataError, match="another run writes"):
        etl(source, out)


@pytest.mark.skipif(sys.platform != "linux", reason="there is a folder that not even root can write into")
def test_a_folder_beside_which_nothing_can_be_written_is_named(etl: Etl, source: Path) -> None:
    with pytest.raises(DataError, match="nothing can be written in /proc: name another folder"):
        etl(source, Path("/proc/out"))


LIMITED = """
import resource, sys
from pathlib import Path
from portfolio_shared.data.sources import Source
from recommender.data.etl import duckdb_engine, run
engine = duckdb_engine.DuckDBEngine(memory_limit="250MB", temp=Path(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run.run_etl(Source("path", Path(sys.argv[1]), ""), Path(sys.argv[2]), engine, most_unreadable=0.0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.long
def test_three_million_rows_take_no_more_memory_than_the_limit_says(source: Path, tmp_path: Path) -> None:
    """In a process of its own, whose peak is looked at: as text the rows are 70 MB, and sorting them takes several."""
    engine = DuckDBEngine(memory_limit="500MB", temp=tmp_path / "temp")
    rows = "SELECT hash(i) % 9999 AS userId, 1 + 6 * (hash(i + 1) % 2) AS movieId, 4 AS rating, i AS timestamp"
    engine.run(f"COPY ({rows} FROM range(3000000) t(i)) TO '{source / 'ratings.csv'}' (HEADER)")
    engine.close()
    arguments = [source, tmp_path / "out", tmp_path / "temp-2"]
    ended = subprocess.run([sys.executable, "-c", LIMITED, *map(str, arguments)], check=True, capture_output=True)
    assert int(ended.stdout) < 450  # MB over what was held before; with a limit of 2 GB it is 700
    assert len(load(str(tmp_path / "out")).ratings) == 9999 * 2
