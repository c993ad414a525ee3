"""The people of a stored data set who are looked at, with everything that they rated: all that training loads of it.

Who is drawn depends on a hash of the person's id, not on who else is there: as data grow, most of those drawn stay.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError
from portfolio_shared.operations.watch import REFERENCE_ROWS
from recommender.data.catalogue import Catalogue
from recommender.data.etl.manifest import Manifest, checked, is_etl_folder
from recommender.data.etl.stages import LEARNED, RATINGS
from recommender.data.etl.stored import stored_films
from recommender.data.load import Dataset
from recommender.data.ratings import Ratings
from recommender.data.source import resolve_dataset
from recommender.data.splits import MIN_HISTORY, TEST, TRAIN, VALIDATION, Split, exclusions
from recommender.data.totals import Ints, Totals, read_totals


@dataclass(frozen=True)
class Drawn:
    """A stored data set, as far as it is loaded.

    Attributes
    ----------
    manifest
        What was read; the folder may have another one by now.
    data
        As `recommender.data.load.load` has it, but for `ratings`, which are those of the people below.
    split
        The parts of their ratings; `excluded` is counted of everybody.
    totals
        What is said of everybody.
    people
        Shape (n,): the numbers of those who are evaluated, in ascending order.
    reference
        Shape (n,): the same of those with whom later requests are compared; with any history, however short.
    """

    folder: Path
    manifest: Manifest
    data: Dataset
    split: Split
    totals: Totals
    people: Ints
    reference: Ints


def draw(setting: str, *, max_users: int, seed: int) -> Drawn:
    """Load what training needs of a stored data set.

    Raises
    ------
    DataError
        If the setting is not the path of a folder that `recommender etl` wrote, or the folder was changed since then or
        is written anew while it is read.
    """
    source = resolve_dataset(setting, dataset="latest-small")
    folder = source.path
    if not is_etl_folder(folder):
        raise DataError(f"{folder}: expected a folder that `recommender etl` wrote; it can read {folder} and write one")
    with checked(folder, LEARNED) as manifest:
        totals, report = read_totals(folder), manifest.report()
        catalogue = Catalogue(tuple(stored_films(folder, report))).counted(totals.rated)
        people = lowest(suitable_people(totals), totals, most=max_users, seed=seed)
        reference = lowest(np.flatnonzero(totals.lengths["before_test"]), totals, most=REFERENCE_ROWS, seed=seed)
        ratings, split = read_people(folder, totals, catalogue, np.union1d(people, reference))
        digest = digest_of(folder, totals, catalogue)
    if unrated := int((totals.rated == 0).sum()):
        report.notes.append(f"{unrated} of {len(catalogue)} films have no rating.")
    name = f"film ratings in {folder.name}"
    data = Dataset(source, name, digest, report, ratings, catalogue, totals.user_ids.astype(np.int32))
    return Drawn(folder, manifest, data, split, totals, people, reference)


def suitable_people(totals: Totals) -> Ints:
    """Return the numbers of the people who can be evaluated: `recommender.data.splits.evaluated_users` of everybody."""
    return np.flatnonzero((totals.lengths["before_test"] >= MIN_HISTORY) & (totals.hidden > 0))


def lowest(people: Ints, totals: Totals, *, most: int, seed: int) -> Ints:
    """Return these people, in ascending order; of too many those with the lowest SHA-256 of "seed:id".

    Every engine of SQL has that hash too. Fewer of the same people are some of more.
    """
    if len(people) <= most:
        return people
    ids = totals.user_ids[people].tolist()
    hashes = [hashlib.sha256(f"{seed}:{user}".encode()).digest() for user in ids]
    return people[np.sort(np.argsort(np.array(hashes), kind="stable")[:most])]


def read_people(folder: Path, totals: Totals, catalogue: Catalogue, people: Ints) -> tuple[Ratings, Split]:
    """Return all ratings of these people, and their parts; people and films keep their numbers among all.

    Exclusions are counted of everybody, as when all ratings are in memory.
    """
    columns = ["user_id", "film_id", "stars", "at", "part"]
    drawn = ds.field("user_id").isin(pa.array(totals.user_ids[people].astype(np.int32)))
    stored = ds.dataset(folder / RATINGS, format="parquet")
    # A few batches ahead, not the usual dozens: they are decoded and held before the filter sees them.
    table = stored.to_table(columns=columns, filter=drawn, batch_readahead=2, fragment_readahead=1)
    users, items, values, times, part = (table[name].to_numpy() for name in columns)
    numbers = np.searchsorted(totals.user_ids, users).astype(np.int32)
    positions = np.searchsorted(totals.film_ids, items).astype(np.int32)
    order = np.lexsort((positions, times, numbers))
    stars, at = values.astype(np.float32)[order], times.astype(np.int64)[order]
    sizes = {"n_users": len(totals.user_ids), "n_items": len(totals.film_ids)}
    ratings = Ratings(numbers[order], positions[order], stars, at, **sizes)
    return ratings, _parts(ratings, part[order], catalogue, totals)


def digest_of(folder: Path, totals: Totals, catalogue: Catalogue) -> str:
    """Return what `recommender.data.load.load` says of the same data, column by column as they stream by."""
    digest = hashlib.sha256(totals.user_ids.astype(np.int32).tobytes())
    numbers = {"user_id": totals.user_ids, "film_id": totals.film_ids}
    stored = ds.dataset(sorted((folder / RATINGS).glob("*.parquet")), format="parquet")
    for name, kind in (("user_id", np.int32), ("film_id", np.int32), ("stars", np.float32), ("at", np.int64)):
        for batch in stored.to_batches(columns=[name], batch_readahead=2, fragment_readahead=1):
            values = batch.column(0).to_numpy()
            values = np.searchsorted(numbers[name], values) if name in numbers else values
            digest.update(values.astype(kind).tobytes())
    films = [asdict(film) for film in catalogue.films]
    digest.update(json.dumps(films, ensure_ascii=False).encode())
    return digest.hexdigest()


def _parts(ratings: Ratings, part: NDArray[np.int8], catalogue: Catalogue, totals: Totals) -> Split:
    train, validation, test = (ratings.where(part == number) for number in (TRAIN, VALIDATION, TEST))
    excluded = exclusions(totals.lengths["before_test"], totals.hidden, totals.raters["before_test"], totals.rated)
    return Split(train, validation, test, ratings.where(part != TEST), catalogue, excluded)
