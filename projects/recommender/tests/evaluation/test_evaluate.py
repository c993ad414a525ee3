"""Lists for many users, and their comparison with what was hidden."""

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film
from recommender.data.ratings import Ratings
from recommender.evaluation.evaluate import (
    Task,
    accuracy,
    compare_ndcg,
    evaluate,
    judge_lists,
    lists_for,
    make_task,
    recommend_all,
)
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.popularity import Popularity
from recommender.models.predictor import Predictor


def table(users: list[int], items: list[int]) -> Ratings:
    n = len(users)
    return Ratings(
        np.array(users, dtype=np.int32),
        np.array(items, dtype=np.int32),
        np.full(n, 4.0, dtype=np.float32),
        np.arange(n),
        3,
        4,
    )


def test_lists_leave_out_the_history_and_end_with_free_places() -> None:
    model = Popularity(np.array([4, 3, 2, 1], dtype=np.float32))
    before = table([0, 0, 2, 2, 2], [0, 2, 1, 2, 3])
    lists = lists_for(model, before, np.array([0, 2]), k=3, weigh=HistoryWeights())
    np.testing.assert_array_equal(lists, [[1, 3, -1], [0, -1, -1]])


def test_only_the_users_of_the_lists_are_judged() -> None:
    hidden = table([0, 1, 2, 2], [3, 0, 0, 1])
    judged = judge_lists(np.array([[1, 3, -1], [0, -1, -1]]), np.array([0, 2]), hidden)
    np.testing.assert_array_equal(judged.hits, [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(judged.n_relevant, [1, 2])


FILMS = Catalogue(
    tuple(Film(10 * i, f"film {i}", 2000, ("Drama", "War")[: 1 + i % 2], (f"film {i}",)) for i in range(1, 5))
)


@pytest.fixture
def small() -> Task:
    """Users 0 and 2 rated films 0 and 2, and 1 to 3; hidden are film 3 of user 0, and film 0 of user 2."""
    return Task(table([0, 0, 2, 2], [0, 2, 1, 2]), table([0, 2], [3, 0]), np.array([0, 2]), FILMS)


def test_the_keys_name_what_is_looked_for(small: Task) -> None:
    assert small.keys == ["0:40", "2:10"]
    fewer = Task(small.before, small.hidden, np.array([2]), FILMS)
    assert fewer.keys == ["2:10"]
    assert fewer.digest != small.digest


def test_metrics_are_means_over_users_who_all_count(small: Task) -> None:
    found = evaluate(np.array([[1, 3], [3, 1]]), small, k=2)  # a hit in second place, and none
    assert found.per_user["ndcg"].tolist() == pytest.approx([1 / np.log2(3), 0])
    assert found.metrics["ndcg"].estimate == pytest.approx(0.5 / np.log2(3))
    assert found.metrics["ndcg"].low == 0
    assert found.metrics["hit_rate"].estimate == 0.5
    assert found.at_k["ndcg_at_2"] == found.metrics["ndcg"]
    assert found.coverage == 2 / 4


def test_lists_with_one_film_have_no_diversity(small: Task) -> None:
    with pytest.raises(ValueError, match="fewer than two items"):
        evaluate(np.array([[3, -1], [0, -1]]), small, k=2)


def test_metrics_of_kind_are_by_hand() -> None:
    before = table([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 2])
    task = Task(before, table([0, 1], [2, 3]), np.array([0, 1]), FILMS)
    found = evaluate(np.array([[2, 3], [2, 3]]), task, k=2)
    # One of three people rated film 2; nobody rated film 3, which counts as once.
    assert found.per_user["novelty"].tolist() == pytest.approx([np.log2(3)] * 2)
    assert found.per_user["popularity_lift"].tolist() == pytest.approx([(1 / 3) / ((1 + 2 / 3) / 2) - 1] * 2)
    # Film 2 is drama, film 3 drama and war.
    assert found.per_user["diversity"].tolist() == pytest.approx([1 - 1 / np.sqrt(2)] * 2)


def test_a_task_is_for_all_users_or_for_a_draw_of_them() -> None:
    before = table([0] * 4 + [1] * 4 + [2] * 4, [0, 1, 2, 3] * 3)
    with pytest.raises(ValueError, match="0 users can be evaluated"):
        make_task(before, table([0], [3]), FILMS)


def test_a_draw_repeats_and_counts_films_in_what_comes_before(sample) -> None:
    from recommender.data.splits import split_by_user_time

    split = split_by_user_time(sample.ratings)
    one, again = (make_task(split.train, split.validation, sample.catalogue, max_users=25, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.users, again.users)
    assert len(set(one.users)) == 25
    other = make_task(split.train, split.validation, sample.catalogue, max_users=25, seed=4)
    assert set(one.users) != set(other.users)
    np.testing.assert_array_equal(one.catalogue.n_ratings, split.train.item_counts())


def test_the_predictor_is_asked_with_each_users_history(small: Task) -> None:
    factors = np.array([[0.5, 0], [0, 0.5], [0.3, 0.3], [0.4, 0]], dtype=np.float32)
    predictor = Predictor(FILMS, ItemFactors(factors, np.ones(4, dtype=np.bool_)), HistoryWeights())
    lists = recommend_all(predictor, small, k=3)
    expected = lists_for(predictor.model, small.before, small.users, k=3, weigh=predictor.weigh)
    np.testing.assert_array_equal(lists, expected)


def test_films_beyond_the_task_are_misses(small: Task) -> None:
    """The predictor knows a film that the task does not: it keeps its place in the list, and is never relevant."""
    more = Catalogue((*FILMS.films, Film(99, "film 9", 2000, ("Drama",), ("film 9",))))
    factors = np.array([[0.5, 0], [0, 0.5], [0.3, 0.3], [0.2, 0], [0.6, 0.6]], dtype=np.float32)
    predictor = Predictor(more, ItemFactors(factors, np.ones(5, dtype=np.bool_)), HistoryWeights())
    lists = recommend_all(predictor, small, k=2)
    assert (lists[:, 0] >= 4).all()
    assert judge_lists(lists, small.users, small.hidden).hits[:, 0].tolist() == [False, False]
    assert accuracy(lists, small, k=1)["ndcg"].tolist() == [0, 0]


def test_a_comparison_is_below_zero_where_the_challenger_is_better() -> None:
    champion = np.array([0.1, 0.2, 0.3, 0.4])
    found = compare_ndcg(champion + 0.1, champion)
    assert tuple(found.difference) == pytest.approx((-0.1, -0.1, -0.1))
    assert found.n == 4
    assert compare_ndcg(champion - 0.1, champion).difference.low > 0
