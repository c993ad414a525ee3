"""Classify files and folders of any number: pictures are read, classified and written one after the other."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_classifier.data.images import ImageError, ImageLimits, prepare
from image_classifier.models.predictor import Predictor

COLUMNS = ("file", "label", "probability", "label_set", "unsure", "error")
"""Most probable label, its probability, labels that may be true, why none is sure, why a file has no answer."""

SEPARATOR = "; "  # between the labels of a set

Row = dict[str, str]


class FileError(ValueError):
    """A path that leads nowhere; nothing is classified then."""


@dataclass(frozen=True)
class BatchResult:
    """How many files were classified, and how many were refused with a reason in the column `error`."""

    classified: int
    refused: int


def predict_files(
    sources: Sequence[Path],
    target: Path,
    predictor: Predictor,
    *,
    limits: ImageLimits | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Classify files and write a CSV file with a row for each; no file is lost.

    Parameters
    ----------
    sources
        Files, and folders, of which every file is taken, those in folders below as well.
    target
        File to write; replaced when everything is written, so that a broken run leaves no half file.
    limits
        What a file may hold, by default as in the service.
    advance
        Called with 1 after each file.

    Raises
    ------
    FileError
        If there is no source, or one does not exist.
    """
    limits = limits or ImageLimits()
    if not sources:
        raise FileError("no files: name pictures, or folders of pictures")
    if missing := [str(source) for source in sources if not source.exists()]:
        raise FileError(f"no such file or folder: {', '.join(missing)}")
    partial = target.with_name(target.name + ".part")
    own = {target.absolute(), partial.absolute()}
    classified = refused = 0
    try:
        # A file name need not be UTF-8: its bytes are written as they are.
        with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as writing:
            writer = csv.DictWriter(writing, COLUMNS)
            writer.writeheader()
            for path in (path for source in sources for path in _files(source)):
                if path.absolute() in own:
                    continue
                row = _row(path, predictor, limits)
                writer.writerow(row)
                refused += bool(row["error"])
                classified += not row["error"]
                advance(1)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return BatchResult(classified, refused)


def _files(source: Path) -> Iterator[Path]:
    """Yield a file, or the files of a folder in order; a folder that cannot be listed is an error."""
    if not source.is_dir():
        yield source
        return

    def fail(error: OSError) -> None:
        raise FileError(f"{error.filename}: {error.strerror}") from error

    for folder, folders, names in os.walk(source, onerror=fail):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _row(path: Path, predictor: Predictor, limits: ImageLimits) -> Row:
    try:
        picture = prepare(_read(path, limits), predictor.preprocessing, limits=limits)
    except ImageError as error:
        return dict.fromkeys(COLUMNS, "") | {"file": str(path), "error": str(error)}
    except OSError as error:
        return dict.fromkeys(COLUMNS, "") | {"file": str(path), "error": f"cannot be read: {error.strerror}"}
    (answer,) = predictor.predict([picture])
    top = int(answer.probabilities.argmax())
    return {
        "file": str(path),
        "label": predictor.labels[top],
        "probability": f"{answer.probabilities[top]:.4f}",
        "label_set": SEPARATOR.join(predictor.labels[label] for label in answer.label_set),
        "unsure": answer.unsure or "",
        "error": "",
    }


def _read(path: Path, limits: ImageLimits) -> bytes:
    if not path.is_file():  # a pipe would be waited for without end
        raise FileNotFoundError(0, "it is no file, or a link that leads nowhere")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.max_bytes:
            most = f"{limits.max_bytes / 1e6:g} MB"
            raise ImageError("too_many_bytes", f"The file has {size / 1e6:.1f} MB, and {most} is the most. Shrink it.")
        return stream.read()
