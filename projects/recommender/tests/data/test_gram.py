"""The Gram matrix of a stream of batches is the product that SciPy makes of all ratings, however the stream is cut."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.data import gram as module
from recommender.data.gram import gram_of, gram_of_ratings
from recommender.data.load import Dataset, split
from recommender.data.shaping import emphasis, shaping_films

rows = st.lists(  # of each person: film -> weight
    st.dictionaries(st.integers(0, 5), st.integers(-3, 3), max_size=6), max_size=12
)


def batches_of(arrays: tuple[NDArray[np.generic], ...], cuts: list[int]) -> Iterator[pa.RecordBatch]:
    """The rows in batches that end at these places, some of them empty."""
    names = ["user_id", "place", "weight"][: len(arrays)]
    for each in zip(*(np.split(array, sorted(cuts)) for array in arrays), strict=True):
        yield pa.RecordBatch.from_arrays(list(map(pa.array, each)), names=names)


@given(rows, st.lists(st.integers(0, 60), max_size=5), st.integers(1, 4), st.permutations(range(12)))
def test_any_cut_into_batches_and_blocks_gives_the_product(
    people: list[dict[int, int]], cuts: list[int], at_once: int, ids: list[int]
) -> None:
    triples = [(ids[person], film, weight) for person, row in enumerate(people) for film, weight in row.items()]
    users, films, weights = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    X = np.array([[row.get(film, 0) for film in range(6)] for row in people]).reshape(-1, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS", at_once)
        G = gram_of(batches_of((users, films, weights.astype(np.float64)), cuts), 6)
    np.testing.assert_array_equal(G, X.T @ X)
    assert G.dtype == np.float64


@pytest.mark.real_data
@pytest.mark.parametrize("exponent", [0.0, 0.15])
def test_it_is_what_scipy_makes_of_latest_small(latest_small: Dataset, exponent: float) -> None:
    """Counts of pairs are equal; weighed ones as far as single precision goes."""
    train, ids = split(latest_small).train, np.array([film.id for film in latest_small.catalogue.films])
    films = shaping_films(train.item_counts(), min_raters=5)
    weights = emphasis(train.user_counts(), exponent)
    X = sp.diags_array(weights) @ train.matrix()[:, films].astype(np.float64)
    arrays = (latest_small.user_ids[train.users], ids[train.items])
    options = {"user_ids": latest_small.user_ids.astype(np.int64), "weights": weights, "film_ids": ids[films]}
    G = gram_of_ratings(batches_of(arrays, list(range(0, len(train), 7_777))), **options)
    np.testing.assert_allclose(G, (X.T @ X).toarray(), rtol=0 if exponent == 0 else 1e-6, atol=0)


def test_people_whose_rows_are_apart_are_an_error() -> None:
    apart = (np.array([4, 7, 4]), np.array([0, 1, 2]), np.ones(3))
    with pytest.raises(ValueError, match="rows of 1 people, 4 among them, do not stand together"):
        gram_of(batches_of(apart, [2]), 3)


@pytest.mark.parametrize("place", [-1, 3])
def test_a_position_beyond_the_matrix_is_an_error(place: int) -> None:
    with pytest.raises(ValueError, match=f"from {min(place, 0)} to {max(place, 0)}; expected 0 to 2"):
        gram_of(batches_of((np.array([1, 1]), np.array([0, place]), np.ones(2)), []), 3)


def test_nobody_is_a_matrix_of_zeros() -> None:
    assert not gram_of([], 2).any()
