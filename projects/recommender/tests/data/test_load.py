"""Whichever way data come in, they are named, hashed by what was read, and split alike."""

import hashlib

import numpy as np
import pytest

from recommender.data.load import Dataset, is_sample, load, split
from recommender.data.sample import write_sample


def test_the_sample_is_the_same_each_time_and_says_what_it_is(sample: Dataset) -> None:
    again = load("sample")
    assert (again.source.kind, again.name) == ("sample", "generated film ratings")
    np.testing.assert_array_equal(again.ratings.items, sample.ratings.items)
    assert again.sha256 == sample.sha256


def test_a_folder_is_named_and_hashed_by_what_was_read(tmp_path):
    folder = write_sample(tmp_path / "mine", n_users=20, n_films=60, mean_ratings=30)
    loaded = load(str(folder))
    assert (loaded.source.kind, loaded.name) == ("path", "film ratings in mine")
    # Another order of the lines gives the same ratings; another title does not.
    header, *lines = (folder / "ratings.csv").read_text(encoding="utf-8").splitlines()
    by_hash = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    (folder / "ratings.csv").write_text("\n".join([header, *by_hash]) + "\n", encoding="utf-8")
    assert load(str(folder)).sha256 == loaded.sha256
    movies = (folder / "movies.csv").read_text(encoding="utf-8")
    (folder / "movies.csv").write_text(movies.replace("Drama", "Western"), encoding="utf-8")
    assert load(str(folder)).sha256 != loaded.sha256


def test_the_public_data_in_the_cache_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    write_sample(tmp_path / "ml-100k", n_users=20, n_films=60, mean_ratings=30)
    loaded = load("auto", dataset="100k")
    assert (loaded.source.kind, loaded.name) == ("full", "MovieLens 100k")
    assert not is_sample("auto", dataset="100k")
    assert is_sample("sample")


def test_the_split_hides_the_last_ratings_of_each_user(sample: Dataset) -> None:
    parts = split(sample)
    assert parts.catalogue is sample.catalogue
    np.testing.assert_array_equal(parts.test.user_counts(), sample.ratings.user_counts() // 5)


@pytest.mark.real_data
def test_latest_small(latest_small: Dataset) -> None:
    assert (len(latest_small.ratings), latest_small.ratings.n_users, len(latest_small.catalogue)) == (
        100_836,
        610,
        9742,
    )
    assert sum(latest_small.report.excluded.values()) == 0
    by_name = {(film.name, film.year): film for film in latest_small.catalogue.films}
    assert by_name["The Matrix", 1999].n_ratings == 278
