"""Classify the pictures of a folder, one after the other; rows stay in order, and a refused file says why."""

from collections.abc import Callable, Iterator
from pathlib import Path

from new_project.data.images import ImageError, read
from new_project.models.predictor import Predictor
from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult, refusal, write_rows

COLUMNS = ("file", "label", "probability", "label_set", "unsure", "error")


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    note: Callable[[str], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Classify a picture, or all files in a folder and those below, and write a row for each; no file is lost.

    Raises
    ------
    FileError
        If there is nothing to classify.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    visible = [path for path in files if not path.name.startswith(".") and path.absolute() != target.absolute()]
    if not visible or not source.exists():
        raise FileError(f"{source}: no such file, or a folder without pictures")
    if hidden := len(files) - len(visible):
        note(f"{hidden} files are hidden, or the file that is written, and not looked at")

    def rows() -> Iterator[list[str]]:
        for path in visible:
            yield _row(path, predictor)

    return write_rows(target, COLUMNS, rows(), advance=advance)


def _row(path: Path, predictor: Predictor) -> list[str]:
    try:
        (prediction,) = predictor.predict([read(path)])
    except (ImageError, OSError) as error:
        return [str(path), *refusal(COLUMNS[1:], str(error))]
    top = max(range(len(predictor.labels)), key=prediction.probabilities.__getitem__)
    label_set = "; ".join(predictor.labels[label] for label in prediction.label_set)
    probability = f"{prediction.probabilities[top]:.4f}"
    return [str(path), predictor.labels[top], probability, label_set, prediction.unsure or "", ""]
