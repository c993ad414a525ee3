"""Whichever way data come in, they are named, hashed by what was read, and split alike."""

import hashlib

import numpy as np
import pytest

from recommender.data.load import Dataset, is_sample, load, split
from recommender.data.source import SAMPLE


def test_the_sample_says_what_it_is_and_its_name_is_true() -> None:
    data = load("sample")
    assert (data.source.kind, data.name) == ("sample", SAMPLE.name)
    assert data.name == f"{len(data.ratings):,} ratings of MovieTweetings, 2013"
    assert (data.ratings.n_users, len(data.catalogue)) == (1669, 3106)
    years = data.ratings.times.astype("datetime64[s]").astype("datetime64[Y]").astype(str)
    assert set(years) == {"2013"}
    assert data.report.repaired == {"rating of 0 of 10, read as half a star": 5}
    assert sum(data.report.excluded.values()) == 0
    assert (data.ratings.item_counts() >= 3).all()
    by_name = {(film.name, film.year): film for film in data.catalogue.films}
    assert by_name["The Matrix", 1999].id == 133093  # tt0133093 at IMDb


def test_a_folder_is_named_and_hashed_by_what_was_read(write_slice, tmp_path):
    folder = write_slice(tmp_path / "mine", 20)
    loaded = load(str(folder))
    assert (loaded.source.kind, loaded.name) == ("path", "film ratings in mine")
    # Another order of the lines gives the same ratings; another title does not.
    lines = (folder / "ratings.dat").read_text(encoding="utf-8").splitlines()
    by_hash = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    (folder / "ratings.dat").write_text("\n".join(by_hash) + "\n", encoding="utf-8")
    assert load(str(folder)).sha256 == loaded.sha256
    movies = (folder / "movies.dat").read_text(encoding="utf-8")
    (folder / "movies.dat").write_text(movies.replace("Drama", "Western"), encoding="utf-8")
    assert load(str(folder)).sha256 != loaded.sha256


def test_the_public_data_in_the_cache_are_named(write_slice, tmp_path, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    write_slice(tmp_path / "ml-100k", 20)
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
