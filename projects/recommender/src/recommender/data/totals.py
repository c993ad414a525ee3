"""What a stored data set says of all people and all films: how much each has, and none of the ratings.

Of 100 million ratings of 600,000 people these are a few megabytes. Pyarrow and NumPy alone read them, because the job
that sums Gram matrices on Spark has no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Part = Literal["train", "before_test"]
"""What a model is fitted on: to be compared on the validation part, or to be served."""

PARTS: tuple[Part, ...] = ("train", "before_test")
BEFORE: Mapping[Part, int] = {"train": 1, "before_test": 2}
"""The first of the stored parts (0 training, 1 validation, 2 test) that does not belong to it."""


@dataclass(frozen=True)
class Totals:
    """Who and what is in a stored data set.

    Attributes
    ----------
    user_ids, film_ids
        Int64, in ascending order: the position in them is the number of a person or a film in all of the project.
    lengths
        Part -> how many films each person rated in it, shape (n_users,).
    raters
        Part -> how many people rated each film in it, shape (n_films,).
    hidden
        How many ratings of each person are in the test, shape (n_users,).
    rated
        How many people rated each film in any part, shape (n_films,).
    """

    user_ids: Ints
    film_ids: Ints
    lengths: Mapping[Part, Ints]
    raters: Mapping[Part, Ints]
    hidden: Ints
    rated: Ints


def read_totals(folder: Path) -> Totals:
    """Read them from a folder that `recommender etl` wrote."""
    film_ids = np.sort(_columns(folder / "films", "film_id")["film_id"])
    people = _columns(folder / "people", "user_id", "n_train", "n_validation", "n_test")
    order = np.argsort(people["user_id"])
    n_train, n_validation, hidden = (people[name][order] for name in ("n_train", "n_validation", "n_test"))
    counts = _columns(folder / "counts", "film_id", "n_train", "n_before_test", "n_ratings")
    place = np.searchsorted(film_ids, counts.pop("film_id"))
    raters = {name: np.zeros(len(film_ids), dtype=np.int64) for name in counts}
    for name, numbers in counts.items():
        raters[name][place] = numbers
    return Totals(
        user_ids=people["user_id"][order],
        film_ids=film_ids,
        lengths={"train": n_train, "before_test": n_train + n_validation},
        raters={"train": raters["n_train"], "before_test": raters["n_before_test"]},
        hidden=hidden,
        rated=raters["n_ratings"],
    )


def _columns(folder: Path, *names: str) -> dict[str, Ints]:
    table = ds.dataset(folder, format="parquet").to_table(columns=list(names))
    return {name: table[name].to_numpy().astype(np.int64) for name in names}
