"""What a folder says of itself protects who reads it."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portfolio_shared.data.checks import DataError, DataReport
from recommender.data import drawn
from recommender.data.drawn import draw
from recommender.data.etl import stored
from recommender.data.etl.manifest import Manifest, checked, read_manifest
from recommender.data.load import load

Etl = Callable[..., tuple[Manifest, list[str]]]
READERS = [(stored, lambda out: load(str(out))), (drawn, lambda out: draw(str(out), max_users=5, seed=0))]


@pytest.mark.parametrize(("module", "read"), READERS, ids=["load", "draw"])
def test_who_reads_while_the_folder_is_written_anew_is_refused(
    etl: Etl,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    module: ModuleType,
    read: Callable[[Path], Any],
) -> None:
    """The films are those of the old tables, the ratings those of the new."""
    out, stored_films = tmp_path / "out", stored.stored_films
    etl(source, out)

    def slowly(folder: Path, report: DataReport) -> Any:
        films = stored_films(folder, report)
        with (source / "ratings.csv").open("a", newline="") as stream:
            stream.write("7,7,4.0,99\r\n")
        etl(source, out)
        return films

    monkeypatch.setattr(module, "stored_films", slowly)
    with pytest.raises(DataError, match="out was written anew meanwhile: try again"):
        read(out)
    monkeypatch.undo()
    read(out)


@pytest.mark.parametrize(("raised", "seen"), [(OSError, DataError), (KeyboardInterrupt, KeyboardInterrupt)])
def test_an_error_while_tables_are_replaced_is_told_by_that_but_an_interrupt_is_one(
    etl: Etl, source: Path, tmp_path: Path, raised: type[BaseException], seen: type[BaseException]
) -> None:
    out = tmp_path / "out"
    etl(source, out)

    def read() -> None:
        with checked(out, ["people"]):
            (out / "manifest.json").unlink()
            raise raised

    with pytest.raises(seen) as told:
        read()
    assert isinstance(told.value.__cause__ or told.value, raised)


def test_an_error_while_tables_stay_is_itself(etl: Etl, source: Path, tmp_path: Path) -> None:
    etl(source, tmp_path / "out")
    with pytest.raises(ZeroDivisionError), checked(tmp_path / "out", ["people"]):
        raise ZeroDivisionError


def test_tables_are_checked_before_any_is_read(etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    etl(source, out)
    path = out / "people" / "0000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"people/0000\.parquet is missing or was changed"):
        draw(str(out), max_users=5, seed=0)


def test_a_stage_that_a_folder_does_not_have_is_named(etl: Etl, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    etl(source, out)
    manifest = read_manifest(out)
    older = manifest.model_copy(update={"stages": manifest.stages[:3]})
    (out / "manifest.json").write_text(older.model_dump_json(by_alias=True))
    with pytest.raises(DataError, match="the tables of source have no people"):
        draw(str(out), max_users=5, seed=0)
