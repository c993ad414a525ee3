"""What an ETL folder says of itself: which engine made which files out of what, and what was left out."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.download import file_sha256

MANIFEST = "manifest.json"


class Record(BaseModel):
    """A part of the manifest; an unknown or missing key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StageRecord(Record):
    """One stage: what went in, and the files that came out.

    Attributes
    ----------
    engine
        Name and version.
    sql_sha256
        Of the file of SQL; of the films, which are read by Python, of nothing.
    inputs
        Name of each input to a hash of its content, or to its value; ``code`` is the Python that runs stages.
    files
        Path of each file below the folder, with forward slashes, to its SHA-256.
    columns
        Name to type as Parquet has it; ``schema`` in the file.
    """

    name: str
    engine: str
    sql_sha256: str
    inputs: dict[str, str]
    rows_in: int
    rows_out: int
    seconds: float
    files: dict[str, str]
    columns: dict[str, str] = Field(alias="schema")


class SourceRecord(Record):
    """The files that were read: the folder's name, of which kind of data, and name to SHA-256 of each."""

    name: str
    kind: Literal["sample", "full", "path"] = "path"
    files: dict[str, str]


class Manifest(Record):
    """The whole folder; rows read, repaired, excluded and notes are those of a `DataReport`."""

    engine: str
    source: SourceRecord
    stages: tuple[StageRecord, ...]
    rows_read: int
    repaired: dict[str, int]
    excluded: dict[str, int]
    notes: tuple[str, ...]

    def report(self) -> DataReport:
        """Return the account of the ratings, without what is to be said of the films."""
        counts = {"repaired": dict(self.repaired), "excluded": dict(self.excluded), "notes": list(self.notes)}
        return DataReport(f"ratings of {self.source.name}", self.rows_read, **counts)  # type: ignore[arg-type]

    def stage(self, name: str) -> StageRecord:
        """Return the record of a stage, or raise DataError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise DataError(f"the tables of {self.source.name} have no {name}: run `recommender etl` again")


def is_etl_folder(path: Path) -> bool:
    """Return whether a path is a folder that the ETL wrote."""
    return (path / MANIFEST).is_file() and (path / "ratings").is_dir()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises
    ------
    DataError
        If there is none, or it is not of this form.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{folder} has no {MANIFEST}: expected a folder that `recommender etl` wrote") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise DataError(f"{folder / MANIFEST}: {place}: {problem['msg']}; write the folder anew") from error


def first_changed(folder: Path, stages: Iterable[StageRecord]) -> Path | None:
    """Return the first file of stages that is missing or is not the one that was written, if there is one."""
    for stage in stages:
        for name, sha256 in stage.files.items():
            path = folder / name
            if not path.is_file() or file_sha256(path) != sha256:
                return path
    return None


@contextmanager
def checked(folder: Path, names: Iterable[str]) -> Iterator[Manifest]:
    """Yield the manifest, while the files of the stages `names` are read.

    Raises
    ------
    DataError
        With the first file that is not the one that was written; or at the end, if the folder was written anew: files
        are opened one after another, so some may have been old and some new.
    """
    manifest = read_manifest(folder)
    again = DataError(f"{folder} was written anew meanwhile: try again")
    try:
        _require_unchanged(folder, map(manifest.stage, names))
        yield manifest
    except Exception as error:
        if _written_anew(folder, manifest):  # then that is why
            raise again from error
        raise
    if _written_anew(folder, manifest):
        raise again


def _require_unchanged(folder: Path, stages: Iterable[StageRecord]) -> None:
    if changed := first_changed(folder, stages):
        raise DataError(f"{changed} is missing or was changed after it was written: run `recommender etl` again")


def _written_anew(folder: Path, manifest: Manifest) -> bool:
    try:
        return read_manifest(folder) != manifest
    except DataError:  # between two renames there is none
        return True
