"""What is loaded of a stored data set: some people, whole, and of everybody what the reader in memory says."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portfolio_shared.data.checks import DataError
from recommender.data import drawn as module
from recommender.data.drawn import Drawn, draw
from recommender.data.load import Dataset, load, split
from recommender.data.splits import Split, evaluated_users
from recommender.data.totals import read_totals


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 people with from one to sixty ratings of 90 films; two are rated by one person each, last of all."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("few")
    lengths = np.minimum(rng.geometric(0.08, 200), 60)
    rows = [
        f"{user * 3},{film + 1},{rng.integers(1, 11) / 2},{rng.integers(0, 1000)}"
        for user, length in enumerate(lengths)
        for film in rng.choice(87, length, replace=False, p=np.arange(87, 0, -1) / np.arange(88).sum())
    ]
    rows += [f"{3 * user},{film},4.5,2000" for user, film in zip(np.argsort(-lengths)[:2], (88, 89), strict=True)]
    films = [f"{film + 1},Film {film} ({1950 + film}),Drama|War" for film in range(90)]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows, ""]), encoding="utf-8")
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films, ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tables(source: Path, store: Callable[[Path], Path]) -> Path:
    return store(source)


@pytest.fixture(scope="module")
def whole(source: Path) -> tuple[Dataset, Split]:
    data = load(str(source))
    return data, split(data)


def test_when_everybody_is_drawn_it_is_what_the_reader_in_memory_says(
    tables: Path, whole: tuple[Dataset, Split]
) -> None:
    data, parts = whole
    drawn = draw(str(tables), max_users=1_000, seed=0)
    assert drawn.data.sha256 == data.sha256
    assert drawn.data.catalogue == data.catalogue
    assert drawn.data.report.as_dict() == data.report.as_dict() | {"name": drawn.data.report.name}
    assert drawn.split.excluded == parts.excluded
    assert list(parts.excluded.values()) == [61, 0, 2, 2]
    np.testing.assert_array_equal(drawn.data.user_ids, data.user_ids)
    np.testing.assert_array_equal(drawn.people, evaluated_users(parts.before_test, parts.test))
    assert len(drawn.people) < len(drawn.reference) == len(data.user_ids)
    for name in ("train", "validation", "test", "before_test"):
        ours, theirs = getattr(drawn.split, name), getattr(parts, name)
        for column in ("users", "items", "values", "times"):
            np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
        assert (ours.n_users, ours.n_items) == (theirs.n_users, theirs.n_items)


def test_totals_are_counted_of_all_ratings(tables: Path, whole: tuple[Dataset, Split]) -> None:
    data, parts = whole
    totals = read_totals(tables)
    np.testing.assert_array_equal(totals.user_ids, data.user_ids)
    np.testing.assert_array_equal(totals.film_ids, [film.id for film in data.catalogue.films])
    for name in ("train", "before_test"):
        np.testing.assert_array_equal(totals.lengths[name], getattr(parts, name).user_counts())
        np.testing.assert_array_equal(totals.raters[name], getattr(parts, name).item_counts())
    np.testing.assert_array_equal(totals.hidden, parts.test.user_counts())
    np.testing.assert_array_equal(totals.rated, data.ratings.item_counts())


def drawn_of(tables: Path, most: int, seed: int = 0, *, reference: int = 7) -> Drawn:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REFERENCE_ROWS", reference)
        return draw(str(tables), max_users=most, seed=seed)


def test_some_people_are_loaded_whole_and_nobody_else(tables: Path, whole: tuple[Dataset, Split]) -> None:
    data, parts = whole
    drawn = drawn_of(tables, 20)
    assert (len(drawn.people), len(drawn.reference)) == (20, 7)
    loaded = np.union1d(drawn.people, drawn.reference)
    np.testing.assert_array_equal(np.unique(drawn.data.ratings.users), loaded)
    expected = data.ratings.where(np.isin(data.ratings.users, loaded))
    np.testing.assert_array_equal(drawn.data.ratings.items, expected.items)
    np.testing.assert_array_equal(drawn.data.ratings.values, expected.values)
    assert drawn.data.sha256 == data.sha256
    assert drawn.split.excluded == parts.excluded


def test_who_is_drawn_is_decided_by_a_hash_that_each_language_has(tables: Path) -> None:
    few, more, other = drawn_of(tables, 20), drawn_of(tables, 40), drawn_of(tables, 20, seed=1)
    ids = few.totals.user_ids
    assert set(few.people) < set(more.people)
    assert set(few.people) != set(other.people)
    hashes = {
        user: hashlib.sha256(f"0:{ids[user]}".encode()).hexdigest() for user in module.suitable_people(few.totals)
    }
    assert set(few.people) == set(sorted(hashes, key=hashes.__getitem__)[:20])
    # Whoever comes later displaces somebody, and moves nobody else.
    fewer = replace(few.totals, hidden=np.where(np.arange(len(ids)) % 4 == 0, 0, few.totals.hidden))
    before = module.lowest(module.suitable_people(fewer), fewer, most=20, seed=0)
    assert set(few.people) - set(before) <= set(range(0, len(ids), 4))


def test_other_folders_are_refused(source: Path, tables: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder that `recommender etl` wrote"):
        draw(str(source), max_users=10, seed=0)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from recommender.data.catalogue import Catalogue, Film
from recommender.data.drawn import read_people
from recommender.data.totals import read_totals

films = Catalogue((Film(1, "Film", None, (), ()),))
ratings, _ = read_people(Path(sys.argv[1]), read_totals(Path(sys.argv[2])), films, np.array([3, 150]))
print(len(ratings), pa.default_memory_pool().max_memory())
"""


@pytest.mark.long
def test_memory_is_that_of_the_people_drawn(tables: Path, tmp_path: Path) -> None:
    """Two million ratings, in row groups as the engines write them, are 42 MB; of few people few batches are held."""
    totals, n = read_totals(tables), 2_000_000
    users = np.sort(np.random.default_rng(0).integers(0, len(totals.user_ids), n))
    columns = {
        "user_id": totals.user_ids[users].astype(np.int32),
        "film_id": np.tile(totals.film_ids, n // 90 + 1)[:n].astype(np.int32),
        "stars": np.full(n, 3, dtype=np.float32),
        "at": np.arange(n),
        "part": np.zeros(n, dtype=np.int8),
    }
    (tmp_path / "ratings").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "ratings" / "0000.parquet", row_group_size=122_880)
    # A process of its own: others have left their own peak in this one.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tables)]
    read, peak = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert read == np.isin(users, [3, 150]).sum()
    assert peak < sum(column.nbytes for column in columns.values()) / 2
