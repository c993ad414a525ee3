"""The stages of the ETL: each a file of SQL and a folder of Parquet; what is unchanged is not run again."""

import inspect
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from portfolio_shared.data.download import file_sha256
from portfolio_shared.data.lines import Lines
from portfolio_shared.data.tables import Table
from recommender.data import headings
from recommender.data.etl import text
from recommender.data.etl.engine import Engine, RawText
from recommender.data.etl.manifest import StageRecord, first_changed
from recommender.data.files import Files, RawFilm

SCRIPTS = resources.files("recommender.data.etl")
DONE = "stages.json"  # of an unfinished run: what it has done so far
GRAMS = "grams"  # sums of what is in the stages `LEARNED`, see `recommender.data.gram_job`
RECORDS = TypeAdapter(tuple[StageRecord, ...])


@dataclass(frozen=True)
class Stage:
    """A file of SQL whose last view has the stage's name.

    Attributes
    ----------
    reads
        Stages that it reads, the one whose rows it goes through first.
    cut_by
        The stage by whose users the files are cut, if they are.
    """

    script: str
    reads: tuple[str, ...]
    cut_by: str | None = None

    @property
    def name(self) -> str:
        return self.script.partition("_")[2].removesuffix(".sql")

    @property
    def sql(self) -> str:
        return (SCRIPTS / self.script).read_text(encoding="utf-8")


FILMS, ROWS, RATINGS, PEOPLE, COUNTS, QUARANTINE = "films", "rows", "ratings", "people", "counts", "quarantine"
STAGES = (
    Stage("01_rows.sql", (FILMS,)),
    Stage("02_ratings.sql", (ROWS,), cut_by=ROWS),
    Stage("03_people.sql", (RATINGS,)),
    Stage("04_counts.sql", (RATINGS, FILMS)),
    Stage("05_quarantine.sql", (ROWS, PEOPLE)),
)
LEARNED = (FILMS, RATINGS, PEOPLE, COUNTS)
"""What a training without all ratings in memory reads."""


@dataclass
class Run:
    """One run of the stages.

    Attributes
    ----------
    work
        Folder that is being filled; it may hold stages of a run that was killed, which are `resumed`.
    before
        Folder of the last finished run, and its stages.
    say
        Called with a line for each stage.
    records
        Of the stages that are done, by name.
    written
        Names of those that were run.
    sources
        The files of text that were read, with their SHA-256.
    """

    files: Files
    engine: Engine
    work: Path
    before: tuple[Path, Sequence[StageRecord]]
    say: Callable[[str], None]
    records: dict[str, StageRecord] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    sources: dict[Path, str] = field(default_factory=dict)
    resumed: tuple[StageRecord, ...] = ()

    def __post_init__(self) -> None:
        for left in self.work.glob(".*"):  # half of a stage
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        path = self.work / DONE
        try:
            self.resumed = RECORDS.validate_json(path.read_bytes()) if path.exists() else ()
        except ValidationError:
            self.say(f"{path}: cannot be read, so all stages of the run that was killed are run again")

    def films(self, films: Sequence[RawFilm]) -> None:
        """Write the films, which Python has read: of every format, and with every check of the reader."""

        def write(folder: Path) -> tuple[int, int]:
            columns = {
                "film_id": pa.array([film.id for film in films], pa.int32()),
                "title": pa.array([film.title for film in films], pa.string()),
                "genres": pa.array(["|".join(film.genres) for film in films], pa.string()),
            }
            folder.mkdir()
            pq.write_table(pa.table(columns), folder / "0000.parquet", compression="zstd")
            return len(films), len(films)

        self._do(FILMS, "", self._source(self.files.films), write)

    def stage(self, stage: Stage) -> None:
        """Run a stage, unless its output is there already."""
        inputs = {name: _sha256(json.dumps(self.records[name].files)) for name in stage.reads}
        if stage.name == ROWS:
            inputs |= self._source(self.files.ratings) | {"out_of_ten": str(self.files.out_of_ten)}

        def write(folder: Path) -> tuple[int, int]:
            for name in stage.reads:
                self.engine.view(name, self.work / name)
            if stage.name == ROWS:
                lines = text.raw_text(self.files, self.work / ".text")
                self.engine.view("lines", lines)
                layout = _write_layout(lines, self.work / ".layout", out_of_ten=self.files.out_of_ten)
                self.engine.view("layout", layout)
            self.engine.run(stage.sql)
            rows_out = self.engine.write(stage.name, folder, by_user=stage.cut_by)
            for scratch in (".text", ".layout"):
                shutil.rmtree(self.work / scratch, ignore_errors=True)
            return rows_out if stage.name == ROWS else self.records[stage.reads[0]].rows_out, rows_out

        self._do(stage.name, stage.sql, inputs, write)

    def _source(self, path: Path) -> dict[str, str]:
        self.sources[path] = file_sha256(path)
        return {path.name: self.sources[path]}

    def _do(self, name: str, sql: str, inputs: dict[str, str], write: Callable[[Path], tuple[int, int]]) -> None:
        engine = f"{self.engine.name} {self.engine.version}"
        inputs["code"] = code_sha256(Table, Lines, Files, headings, text, RawText, type(self.engine), Run)
        key: dict[str, object] = {"name": name, "engine": engine, "sql_sha256": _sha256(sql), "inputs": inputs}
        if record := self._kept(key):
            self.say(f"{name}: unchanged, {record.rows_out:,} rows")
        else:
            begun, folder = time.monotonic(), self.work / f".{name}"
            shutil.rmtree(self.work / name, ignore_errors=True)
            rows_in, rows_out = write(folder)
            folder.rename(self.work / name)
            seconds = round(time.monotonic() - begun, 2)
            counts = {"rows_in": rows_in, "rows_out": rows_out, "seconds": seconds}
            record = StageRecord(**key, **counts, **_described(self.work, name))
            self.written.append(name)
            self.say(f"{name}: {rows_out:,} rows in {seconds:.1f} s")
        self.records[name] = record
        known = {record.name: record for record in self.resumed} | self.records
        unfinished = self.work / f"{DONE}.part"
        unfinished.write_bytes(RECORDS.dump_json(tuple(known.values()), by_alias=True))
        unfinished.replace(self.work / DONE)

    def _kept(self, key: dict[str, object]) -> StageRecord | None:
        """Return the record of a stage with the same engine, SQL and inputs, whose files are in `work` then."""
        for folder, records in ((self.work, self.resumed), self.before):
            for record in records:
                if record.model_dump(include=set(key)) == key and first_changed(folder, [record]) is None:
                    if folder != self.work:
                        link(folder, self.work, record.name, record.files)
                    return record
        return None


def code_sha256(*parts: ModuleType | type) -> str:
    """Return a hash of the files of modules, and of those that classes are in."""
    return sha256(b"".join(Path(inspect.getfile(part)).read_bytes() for part in parts)).hexdigest()


def link(folder: Path, work: Path, part: str, names: Iterable[str]) -> None:
    """Let the files of a folder's part, and no others, be in `work` as well; where there are no links copy them."""
    shutil.rmtree(work / part, ignore_errors=True)
    for name in names:
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / name, target)
        except OSError:
            shutil.copyfile(folder / name, target)


def _described(work: Path, name: str) -> dict[str, dict[str, str]]:
    """Return the hashes of a stage's files, and the types of their columns."""
    paths = sorted((work / name).glob("*.parquet"))
    schema = pq.read_schema(paths[0])
    return {
        "files": {path.relative_to(work).as_posix(): file_sha256(path) for path in paths},
        "schema": {column.name: str(column.type) for column in schema},
    }


def _write_layout(lines: RawText, folder: Path, *, out_of_ten: bool) -> Path:
    """Write how a line is cut as a table of one row: no text has to be quoted in SQL."""
    row = {"separator": lines.separator, "heading": lines.heading, "width": lines.width, "out_of_ten": out_of_ten}
    row |= {f"{name}_cell": place for name, place in lines.columns.items()}
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([row])
    places = [field.with_type(pa.int32()) if field.type == pa.int64() else field for field in table.schema]
    pq.write_table(table.cast(pa.schema(places)), folder / "0000.parquet")
    return folder


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()
