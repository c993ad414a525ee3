"""From the data setting to ratings and films, with a hash of what was read."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from portfolio_shared.data.sources import Source
from recommender.data.read import MovieLens, read_movielens
from recommender.data.sample import write_sample
from recommender.data.source import resolve_dataset


@dataclass(frozen=True)
class Loaded:
    """Data after reading.

    Attributes
    ----------
    source
        Which data these are, and why.
    movielens
        Ratings, films, and the account of every row.
    name
        What to call them.
    sha256
        Of the ratings and films as they were kept: equal for the same data in another format.
    """

    source: Source
    movielens: MovieLens
    name: str
    sha256: str


def load_movielens(setting: str, *, dataset: str = "latest-small") -> Loaded:
    """Find, download or generate the data, and read them.

    Parameters
    ----------
    setting
        ``auto``, ``sample``, ``full`` or a path, see `recommender.data.source.resolve_dataset`.
    dataset
        Which public data set ``auto`` and ``full`` mean.
    """
    source = resolve_dataset(setting, dataset=dataset)
    if source.path is None:
        with tempfile.TemporaryDirectory() as folder:
            movielens = read_movielens(write_sample(Path(folder) / "sample"))
        return Loaded(source, movielens, "generated film ratings", digest(movielens))
    movielens = read_movielens(source.path)
    name = f"MovieLens {dataset}" if source.kind == "full" else f"film ratings in {source.path.name}"
    return Loaded(source, movielens, name, digest(movielens))


def digest(movielens: MovieLens) -> str:
    """Return the SHA-256 of ratings, ids and films in their order, which does not depend on that of the files."""
    ratings = movielens.ratings
    found = hashlib.sha256()
    for array in (movielens.user_ids, ratings.users, ratings.items, ratings.values, ratings.times):
        found.update(array.tobytes())
    films = [asdict(film) for film in movielens.catalogue.films]
    found.update(json.dumps(films, ensure_ascii=False).encode())
    return found.hexdigest()
