"""From the files of a data set to a folder of clean tables, with SQL: see `stages.py`.

A run works in a folder beside the output, ``.NAME.next``, which takes its place when all stages are done. Who reads the
output at that moment may have opened files of both: `recommender.data.etl.manifest.checked` refuses them at the end. A
run that was killed goes on where it stopped.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from portfolio_shared.data.archives import naming
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.sources import Source
from portfolio_shared.data.tables import FileError
from recommender.data.etl.engine import Engine
from recommender.data.etl.manifest import MANIFEST, Manifest, SourceRecord, is_etl_folder, read_manifest
from recommender.data.etl.stages import DONE, FILMS, GRAMS, LEARNED, QUARANTINE, ROWS, STAGES, Run, link
from recommender.data.etl.text import note_columns
from recommender.data.files import Files, find_files
from recommender.data.films import films_of
from recommender.data.source import folder_of

UNREADABLE = "row that is no rating"
REASONS = (
    "rating outside 0.5 to 5.0 stars",
    "rating of a film that the list of films does not have",
    "rating that the user replaced by a later one of the same film",
)
"""Why rows are left out, as the SQL and `data/read.py` say it."""
OUT_OF_TEN = "Format: MovieTweetings, recognized by the films' IMDb ids; ratings from 0 to 10 were halved."
HALVED = "rating of 0 of 10, read as half a star"


def run_etl(
    source: Source, output: Path, engine: Engine, *, most_unreadable: float, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Write the tables of a data set, and return their manifest; what is unchanged is not written again.

    Parameters
    ----------
    source
        Of files that `recommender.data.read.read_ratings` can read as well.
    output
        Folder that is not there yet, or one that an earlier run wrote.
    most_unreadable
        Share of the rows that may be no rating; they are put into quarantine, and with more the file is taken for
        one of another format.
    say
        Called with a line for each stage, and of what cannot be kept.

    Raises
    ------
    DataError
        If the files are not of the format, too many rows are none, or another run writes the folder.
    EngineError
        If the engine gives up, for lack of memory or disk for example. The output is as it was then.
    """
    folder = folder_of(source)
    work, old = (output.with_name(f".{output.name}.{part}") for part in ("next", "old"))
    with locked(output):
        _recover(output, old)
        before = _before(output, say)
        if before:
            (output / DONE).unlink(missing_ok=True)  # left by a run that was killed when all was done
        work.mkdir(exist_ok=True)
        with naming(source.path, folder):
            run = Run(find_files(folder), engine, work, (output, before.stages if before else ()), say)
            manifest = _filled(run, source, most_unreadable=most_unreadable)
        if run.written or run.resumed or manifest != before:
            kept = (output / GRAMS).glob("*.npy") if before and _learned(before) == _learned(manifest) else ()
            link(output, work, GRAMS, [f"{GRAMS}/{path.name}" for path in kept])
            _publish(work, output, old)
        shutil.rmtree(work, ignore_errors=True)
    return manifest


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep others from writing a folder; who does so already may ask again.

    Raises
    ------
    DataError
        If another run writes it, or nothing can be written beside it.
    """
    path = output.resolve()
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0, is_singleton=True):
            yield
    except Timeout as error:
        if lock.exists():
            raise DataError(f"another run writes {output}: wait for its end") from None
        raise DataError(f"nothing can be written in {path.parent}: name another folder than {output}") from error


def _before(output: Path, say: Callable[[str], None]) -> Manifest | None:
    """Return what the last run said of the folder, unless that cannot be read."""
    if not output.exists():
        return None
    if not is_etl_folder(output):
        raise DataError(f"{output} is there and was not written by `recommender etl`: name another folder")
    try:
        return read_manifest(output)
    except DataError as error:
        ours = {MANIFEST, DONE, GRAMS, FILMS, *(stage.name for stage in STAGES)}
        if others := sorted(path.name for path in output.iterdir() if path.name not in ours):
            raise DataError(f"{error}; but {others[0]!r} there is not of `recommender etl`: move it away") from error
        say(f"{error}, which is done now")
        return None


def _learned(manifest: Manifest) -> list[dict[str, str]]:
    """Return the files that Gram matrices are summed of, with their hashes."""
    return [stage.files for stage in manifest.stages if stage.name in LEARNED]


def _filled(run: Run, source: Source, *, most_unreadable: float) -> Manifest:
    """Run the stages in the folder of a run, and write the manifest there."""
    files, engine = run.files, run.engine
    films = list(files.read_films())
    if not films_of(films, DataReport("films", 0)):
        raise FileError(f"{files.films}: it has no films")
    note_columns(files)
    run.films(films)
    for stage in STAGES:
        run.stage(stage)
        engine.view(stage.name, run.work / stage.name)
        if stage.name == ROWS:
            _check(files, engine, most_unreadable=most_unreadable)
    texts = {path.name: run.sources[path] for path in (files.ratings, files.films)}
    manifest = Manifest(
        engine=engine.name,
        source=SourceRecord(name=source.path.name, kind=source.kind, files=texts),
        stages=tuple(run.records.values()),
        rows_read=run.records[ROWS].rows_out,
        repaired=_repaired(engine) if files.out_of_ten else {},
        excluded=_excluded(engine),
        notes=((OUT_OF_TEN,) if files.out_of_ten else ()) + tuple(files.notes),
    )
    (run.work / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    return manifest


def _check(files: Files, engine: Engine, *, most_unreadable: float) -> None:
    """Raise DataError if too many rows are no ratings, or none of them can be used."""
    counts = _counts(engine, f"SELECT coalesce(reason, ''), count(*) FROM {ROWS} GROUP BY 1")  # noqa: S608
    total, unreadable = sum(counts.values()), counts.get(UNREADABLE, 0)
    if unreadable > most_unreadable * total:
        query = f"SELECT line, place FROM {ROWS} WHERE reason = '{UNREADABLE}' ORDER BY place LIMIT 3"  # noqa: S608
        lines = ", ".join(repr(line[:80]) for line in _column(engine, query))
        raise DataError(
            f"{files.ratings}: {unreadable:,} of {total:,} rows are no ratings, more than the share of "
            f"{most_unreadable:g} that is put up with, for example {lines}; expected a whole number for user, film and "
            "seconds since 1970, and stars"
        )
    if not counts.get(""):
        raise DataError(f"{files.ratings}: none of {total} rows can be used: {counts}")


def _repaired(engine: Engine) -> dict[str, int]:
    return _counts(engine, f"SELECT '{HALVED}', count(*) FROM {ROWS} WHERE is_repaired")  # noqa: S608


def _excluded(engine: Engine) -> dict[str, int]:
    counts = _counts(engine, f"SELECT reason, count(*) FROM {QUARANTINE} GROUP BY 1")  # noqa: S608
    unreadable = {UNREADABLE: counts[UNREADABLE]} if UNREADABLE in counts else {}
    return unreadable | {reason: counts.get(reason, 0) for reason in REASONS}


def _counts(engine: Engine, query: str) -> dict[str, int]:
    rows = [batch.to_pydict().values() for batch in engine.batches(query)]
    return {str(key): int(count) for keys, counts in rows for key, count in zip(keys, counts, strict=True)}


def _column(engine: Engine, query: str) -> list[Any]:
    return [value for batch in engine.batches(query) for value in batch.column(0).to_pylist()]


def _recover(output: Path, old: Path) -> None:
    """Undo or end what a run that was killed between two renames left."""
    if old.exists() and not output.exists():
        old.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _publish(work: Path, output: Path, old: Path) -> None:
    if output.exists():
        output.rename(old)
    work.rename(output)
    (output / DONE).unlink()  # not before: a run that is killed until here has nothing to do again
    shutil.rmtree(old, ignore_errors=True)
