"""Classify files and folders of any number, a few at a time on several cores; rows stay in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from image_classifier.data.folders import is_hidden
from image_classifier.data.images import ImageError, ImageLimits, prepare, read_file
from image_classifier.models.predictor import Predictor
from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult, partial_of, refusal, write_rows

COLUMNS = ("file", "label", "probability", "label_set", "unsure", "error")
"""Most probable label, its probability, labels that may be true, why none is sure, why a file has no prediction."""

SEPARATOR = "; "  # between the labels of a set
AHEAD = 4
"""Files for each thread that are begun before the first of them is written."""
MOST_THREADS = 8
"""Unless more are asked for: each may hold a picture of `images.LARGE` pixels, 64 MB."""


def predict_file(
    source: Path | Sequence[Path],
    target: Path,
    predictor: Predictor,
    *,
    limits: ImageLimits | None = None,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Classify files and write a CSV file with a row for each; no file is lost.

    Parameters
    ----------
    source
        Files, and folders, of which every file is taken that is not hidden, those in folders below as well.
    target
        File to write; replaced when everything is written, so that a broken run leaves no half file.
    limits
        What a file may hold, by default as in the service.
    threads
        How many read and classify, each a file at a time; by default `cores()`. The answers are the same.

    Raises
    ------
    FileError
        If there is no source, one does not exist, or there is no file in any; nothing is classified then.
    """
    allowed = limits or ImageLimits()
    sources = [source] if isinstance(source, Path) else source
    if not sources:
        raise FileError("no files: name pictures, or folders of pictures")
    if missing := [str(path) for path in sources if not path.exists()]:
        raise FileError(f"no such file or folder: {', '.join(missing)}")
    own = {target.absolute(), partial_of(target.resolve())}
    files = (path for entry in sources for path in _files(entry) if path.absolute() not in own)
    if (first := next(files, None)) is None:
        raise FileError(f"no files in {', '.join(map(str, sources))}; hidden ones are not looked at")
    rows = _in_order(lambda path: _row(path, predictor, allowed), chain([first], files), threads or cores())
    return write_rows(target, COLUMNS, rows, advance=advance)


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may use, by the quota of its container as well; at most MOST_THREADS."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most, period = quota.read_text(encoding="utf-8").split() if quota.exists() else ("max", "")
    return min(count, MOST_THREADS, count if most == "max" else -(-int(most) // int(period)))


def _in_order(answer: Callable[[Path], list[str]], files: Iterable[Path], threads: int) -> Iterator[list[str]]:
    """Yield the answers in the order of the files; no more than a few files for each thread are begun."""
    waiting: deque[Future[list[str]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for path in files:
            waiting.append(pool.submit(answer, path))
            if len(waiting) == AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _files(source: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield a file, or the files of a folder in order, then those of its folders; links are followed, but not round.

    Raises
    ------
    FileError
        If a folder cannot be listed.
    """
    if not source.is_dir():
        yield source
        return
    place = source.resolve()
    if place in above:
        return
    try:
        entries = sorted(path for path in source.iterdir() if not is_hidden(path.name))
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from error
    for path in sorted(entries, key=Path.is_dir):
        yield from _files(path, above | {place})


def _row(path: Path, predictor: Predictor, limits: ImageLimits) -> list[str]:
    try:
        picture = prepare(read_file(path, limits), predictor.preprocessing, limits=limits)
    except ImageError as error:
        return [str(path), *refusal(COLUMNS[1:], str(error))]
    except OSError as error:
        return [str(path), *refusal(COLUMNS[1:], f"cannot be read: {error.strerror}")]
    (prediction,) = predictor.predict([picture])
    top = int(prediction.probabilities.argmax())
    return [
        str(path),
        predictor.labels[top],
        f"{prediction.probabilities[top]:.4f}",
        SEPARATOR.join(predictor.labels[label] for label in prediction.label_set),
        prediction.unsure or "",
        "",
    ]
