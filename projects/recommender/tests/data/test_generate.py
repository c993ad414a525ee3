"""Generated ratings: as many as asked for, the same each time, with a taste that drifts and a long tail."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from portfolio_shared.data.checks import DataError
from recommender.data.generate import generate
from recommender.data.load import Dataset, load

RATINGS, FILMS = 20_000, 8_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("generated") / "data", ratings=RATINGS, films=FILMS)


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load(str(folder))


@pytest.mark.long
def test_there_are_as_many_as_asked_for_and_none_is_excluded(data: Dataset) -> None:
    assert len(data.ratings) == data.report.rows_read == data.report.rows_kept == RATINGS
    assert len(data.catalogue) == FILMS
    assert all(film.year and film.genres for film in data.catalogue.films)
    assert set(np.unique(2 * data.ratings.values)) == set(range(1, 11))


@pytest.mark.long
def test_the_same_numbers_give_the_same_files_and_more_begin_with_fewer(tmp_path: Path, folder: Path) -> None:
    again = generate(tmp_path / "again", ratings=RATINGS, films=FILMS)
    other = generate(tmp_path / "other", ratings=100, films=FILMS, seed=1)
    for name in ("movies.csv", "ratings.csv"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
        assert (other / name).read_bytes() != (folder / name).read_bytes()[: (other / name).stat().st_size]
    few = generate(tmp_path / "few", ratings=100, films=FILMS)
    assert (folder / "ratings.csv").read_text().startswith((few / "ratings.csv").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["movies.csv", "ratings.csv"]


def test_a_history_drifts_from_one_taste_to_another(data: Dataset) -> None:
    """Of the first ten films most have one taste, and of the last ten most another, where there are two."""
    tastes = np.array([hash(film.genres) for film in data.catalogue.films])
    moved = same = 0
    for start, end in zip(data.ratings.offsets()[:-1], data.ratings.offsets()[1:], strict=True):
        if end - start >= 40:
            items = data.ratings.items[start:end]
            (first, n_first), (last, n_last) = (
                Counter(tastes[some].tolist()).most_common(1)[0] for some in (items[:10], items[-10:])
            )
            if n_first >= 6 and n_last >= 6:
                moved, same = moved + (first != last), same + (first == last)
    assert moved > 4 * same > 0  # of eight tastes, the second is the first again for one person of eight


def test_few_films_are_rated_by_many(data: Dataset) -> None:
    counts = np.sort(data.ratings.item_counts())[::-1]
    assert counts[: FILMS // 10].sum() > 0.4 * RATINGS
    assert counts[0] < 0.9 * data.ratings.n_users


def test_a_folder_that_is_there_stays_as_it_is(folder: Path) -> None:
    with pytest.raises(DataError, match="is there already"):
        generate(folder, ratings=100)
