"""What a project says of its predictions to those who watch them: columns, truths, and how right an answer was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel

from portfolio_shared.operations.store import LoggedPrediction

if TYPE_CHECKING:  # a service reads this module before it has set the number of NumPy's threads
    import numpy as np
    from numpy.typing import NDArray

REFERENCE_NAME = "reference.npz"
REFERENCE_ROWS = 2000

Columns: TypeAlias = "dict[str, NDArray[np.float64] | NDArray[np.str_]]"
"""Name -> one value a row: numbers with NaN, or text with "", for what was not given."""

RowColumns: TypeAlias = Callable[[LoggedPrediction], Sequence[Mapping[str, float | str]]]
"""A logged prediction -> the columns of each of its items."""


@dataclass(frozen=True)
class Measure:
    """Something that the truth shows of an answer.

    Attributes
    ----------
    label
        For tables and reports.
    metric
        The metric of the bundle's test split that the mean over feedback is compared with, if there is one.
    better
        Which way is better.
    """

    label: str
    metric: str | None
    better: Literal["lower", "higher"]


def as_it_is(_bundle: Path, reference: "Columns", _window: "Columns") -> "Columns":
    """Return a reference that any window can be compared with."""
    return reference


@dataclass(frozen=True)
class Watch:
    """How the predictions of a project are watched; `serving/observe.py` of each project has one.

    Attributes
    ----------
    model
        Name of the registered model.
    truth
        What feedback says of one item.
    columns
        Folder of the bundle -> what is called with each logged prediction, and returns the columns to watch of each of
        its items. The names and the kinds (numbers, texts) are those of the bundle's reference; what was not given is
        left out.
    measures
        What feedback shows, by name.
    measure
        A logged prediction, the index of an item, its truth -> the measures that it shows.
    comparable
        (folder of the bundle, reference, window) -> the reference as it would be if it had been asked as the window
        was: fields that callers leave out change the price, for example.
    loss
        (prediction, index of an item, its truth) -> the loss that two models are compared by, lower is better; None
        where the truth says nothing. Its difference between two answers is bounded, whatever the truth is.
    loss_label
        What the loss is, for tables and reports.
    about
        (prediction, index of an item) -> what the item is, as a text; of all that a client says of one the last counts.
    doubt
        (prediction, index of an item, its truth) -> why nothing is learned from it, or None: it lies far outside of
        what the logged answer held possible.
    preference
        Where two models' lists were interleaved: (prediction, index, truth, version of the challenger) -> 1 if the
        challenger's part served better, -1 if the champion's did, 0 for a tie, None where the answer was not
        interleaved with that version.
    """

    model: str
    truth: type[BaseModel]
    columns: Callable[[Path], RowColumns]
    measures: Mapping[str, Measure]
    measure: Callable[[LoggedPrediction, int, Any], Mapping[str, float]]
    loss: Callable[[LoggedPrediction, int, Any], float | None]
    loss_label: str
    about: Callable[[LoggedPrediction, int], str]
    doubt: Callable[[LoggedPrediction, int, Any], str | None]
    comparable: Callable[[Path, "Columns", "Columns"], "Columns"] = as_it_is
    preference: Callable[[LoggedPrediction, int, Any, str], float | None] | None = None


def write_reference(folder: Path, reference: "Columns", *, seed: int = 0) -> None:
    """Write up to `REFERENCE_ROWS` rows of a reference, drawn by chance, into the folder of a bundle.

    Raises
    ------
    ValueError
        If the columns differ in length, or one holds neither numbers nor text.
    """
    import numpy as np

    lengths = {name: len(column) for name, column in reference.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected columns of one length, found {lengths}")
    n = next(iter(lengths.values()))
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:REFERENCE_ROWS])
    kept = {name: column[rows] for name, column in reference.items()}
    if odd := [name for name, column in kept.items() if column.dtype.kind not in "fU"]:
        raise ValueError(f"expected numbers or text in {', '.join(odd)}")
    np.savez_compressed(folder / REFERENCE_NAME, allow_pickle=False, **kept)


def read_reference(folder: Path) -> "Columns":
    """Read the reference of a bundle.

    Raises
    ------
    FileNotFoundError
        If the bundle has none, because it was trained by code that wrote none.
    """
    import numpy as np

    with np.load(folder / REFERENCE_NAME, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
