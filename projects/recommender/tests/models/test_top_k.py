"""The best films, and maximal marginal relevance against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.models.top_k import best, contenders, diversify


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -np.inf, 0.5]), min_size=1, max_size=30), st.integers(1, 35))
def test_best_is_a_stable_sort(values: list[float], k: int) -> None:
    scores = np.array(values)
    expected = [i for i in np.argsort(-scores, kind="stable") if scores[i] > -np.inf][:k]
    assert best(scores, k).tolist() == expected


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, -3.0, -np.inf, 1.000001]), min_size=6, max_size=6), min_size=1),
    st.integers(1, 8),
)
def test_contenders_hold_the_best_of_every_row_and_what_rounding_may_have_put_below(
    values: list[list[float]], k: int
) -> None:
    scores = np.array(values, dtype=np.float32)
    rows, columns = contenders(scores, k)
    for row, of_row in enumerate(scores):
        found = columns[rows == row].tolist()
        assert found == sorted(found)
        assert set(best(of_row, k)) <= set(found)
        worst = of_row[best(of_row, k)[-1:]]
        assert all(of_row[column] > worst - 1e-4 for column in found)  # nothing that is clearly below, and no -inf


def by_definition(scores: NDArray[np.float64], vectors: NDArray[np.float64], k: int, diversity: float) -> list[int]:
    order = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > -np.inf]
    high, low = scores[order[0]], scores[order[-1]]
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors.T / lengths / lengths[:, None]
    chosen: list[int] = []
    while len(chosen) < min(k, len(order)):
        rest = [i for i in order if i not in chosen]
        relevance = (scores[rest] - low) / (high - low)
        nearest = np.array([max([0.0, *cosine[i, chosen]]) for i in rest])
        chosen.append(rest[int(np.argmax((1 - diversity) * relevance - diversity * nearest))])
    return chosen


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9, 1.0])
def test_diversify_follows_the_definition(diversity: float) -> None:
    rng = np.random.default_rng(4)
    scores, vectors = rng.random(40), rng.normal(size=(40, 5))
    scores[7] = -np.inf
    assert diversify(scores, vectors, k=8, diversity=diversity).tolist() == by_definition(scores, vectors, 8, diversity)


def test_of_two_alike_films_the_second_waits() -> None:
    scores, vectors = np.array([1.0, 0.9, 0.5, 0.0]), np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert diversify(scores, vectors, k=2, diversity=0.5).tolist() == [0, 2]


def test_films_that_are_out_stay_out_and_equal_scores_do_not_divide_by_zero() -> None:
    scores = np.array([1.0, -np.inf, 1.0])
    assert sorted(diversify(scores, np.zeros((3, 2)), k=3, diversity=0.5)) == [0, 2]
    assert diversify(np.array([-np.inf]), np.zeros((1, 2)), k=3, diversity=0.5).tolist() == []
