import hashlib

import numpy as np

from recommender.data.load import digest, load_movielens
from recommender.data.read import read_movielens
from recommender.data.sample import write_sample


def test_the_sample_is_the_same_each_time_and_says_what_it_is(sample):
    loaded = load_movielens("sample")
    assert loaded.source.kind == "sample"
    assert loaded.name == "generated film ratings"
    np.testing.assert_array_equal(loaded.movielens.ratings.items, sample.ratings.items)
    assert loaded.sha256 == digest(sample) == load_movielens("sample").sha256


def test_a_folder_is_named_and_hashed_by_what_was_read(tmp_path):
    folder = write_sample(tmp_path / "mine", n_users=20, n_films=60, mean_ratings=30)
    loaded = load_movielens(str(folder))
    assert (loaded.source.kind, loaded.name) == ("path", "film ratings in mine")
    # Another order of the lines gives the same ratings; another title does not.
    header, *lines = (folder / "ratings.csv").read_text(encoding="utf-8").splitlines()
    by_hash = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    (folder / "ratings.csv").write_text("\n".join([header, *by_hash]) + "\n", encoding="utf-8")
    assert digest(read_movielens(folder)) == loaded.sha256
    movies = (folder / "movies.csv").read_text(encoding="utf-8")
    (folder / "movies.csv").write_text(movies.replace("Drama", "Western"), encoding="utf-8")
    assert digest(read_movielens(folder)) != loaded.sha256


def test_the_public_data_in_the_cache_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    write_sample(tmp_path / "ml-100k", n_users=20, n_films=60, mean_ratings=30)
    loaded = load_movielens("auto", dataset="100k")
    assert (loaded.source.kind, loaded.name) == ("full", "MovieLens 100k")
