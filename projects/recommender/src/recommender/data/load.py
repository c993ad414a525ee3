"""From the data setting to clean, split data: read and cleaned in `read.py`, split in `splits.py`, hashed here.

Or read from a folder that `recommender etl` wrote, which has been cleaned: the same ratings, the same hash.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.data.archives import naming
from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source
from recommender.data.catalogue import Catalogue
from recommender.data.etl.manifest import is_etl_folder
from recommender.data.etl.stored import read_stored
from recommender.data.ratings import Ratings
from recommender.data.read import read_ratings
from recommender.data.source import SAMPLE, folder_of, resolve_dataset
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
    """Find or download the data, and read them; for the settings see `resolve_dataset`."""
    source = resolve_dataset(setting, dataset=dataset)
    names = {"sample": SAMPLE.name, "full": f"MovieLens {dataset}", "path": f"film ratings in {source.path.name}"}
    folder = folder_of(source)
    with naming(source.path, folder):
        report, ratings, catalogue, user_ids = (read_stored if is_etl_folder(folder) else read_ratings)(folder)
    digest = hashlib.sha256()
    for array in (user_ids, ratings.users, ratings.items, ratings.values, ratings.times):
        digest.update(array.tobytes())
    films = [asdict(film) for film in catalogue.films]
    digest.update(json.dumps(films, ensure_ascii=False).encode())
    return Dataset(source, names[source.kind], digest.hexdigest(), report, ratings, catalogue, user_ids)


def split(dataset: Dataset) -> Split:
    """Hide each user's last 20 % of ratings: nothing is drawn, so the same data have the same split."""
    return split_by_user_time(dataset.ratings, dataset.catalogue)


def is_sample(setting: str, *, dataset: str = "latest-small") -> bool:
    """Return whether the data setting leads to the sample that ships; no rating is read."""
    return resolve_dataset(setting, dataset=dataset).kind == "sample"
