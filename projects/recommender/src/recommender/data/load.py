"""From the data setting to clean, split data: read and cleaned in `read.py`, split in `splits.py`, hashed here."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.read import read_movielens
from recommender.data.sample import write_sample
from recommender.data.source import resolve_dataset
from recommender.data.splits import Split, split_by_user_time


@dataclass(frozen=True)
class Dataset:
    """Data after reading and cleaning.

    Attributes
    ----------
    sha256
        Of the ratings and films as they were kept: equal for the same data in another format.
    ratings
        Users and items are numbered in ascending order of their ids.
    catalogue
        All films, rated or not.
    user_ids
        Int32, shape (n_users,): id of each user in the files.
    """

    source: Source
    name: str
    sha256: str
    report: DataReport
    ratings: Ratings
    catalogue: Catalogue
    user_ids: NDArray[np.int32]


def load(setting: str, *, dataset: str = "latest-small") -> Dataset:
    """Find, download or generate the data, and read them; for the settings see `resolve_dataset`."""
    source = resolve_dataset(setting, dataset=dataset)
    if source.path is None:
        with tempfile.TemporaryDirectory() as folder:
            return _read(source, write_sample(Path(folder) / "sample"), "generated film ratings")
    name = f"MovieLens {dataset}" if source.kind == "full" else f"film ratings in {source.path.name}"
    return _read(source, source.path, name)


def split(dataset: Dataset) -> Split:
    """Hide each user's last 20 % of ratings: nothing is drawn, so the same data have the same split."""
    return split_by_user_time(dataset.ratings, dataset.catalogue)


def is_sample(setting: str, *, dataset: str = "latest-small") -> bool:
    """Return whether the data setting leads to the generated sample; no rating is read."""
    return resolve_dataset(setting, dataset=dataset).kind == "sample"


def _read(source: Source, folder: Path, name: str) -> Dataset:
    report, ratings, catalogue, user_ids = read_movielens(folder)
    digest = hashlib.sha256()
    for array in (user_ids, ratings.users, ratings.items, ratings.values, ratings.times):
        digest.update(array.tobytes())
    films = [asdict(film) for film in catalogue.films]
    digest.update(json.dumps(films, ensure_ascii=False).encode())
    return Dataset(source, name, digest.hexdigest(), report, ratings, catalogue, user_ids)
