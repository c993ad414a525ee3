"""Metrics of the lists of many users, and the comparison of two models on the same users."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from recommender.data.catalogue import Catalogue, Film
from recommender.data.ratings import Ratings
from recommender.evaluation.evaluate import (
    accuracy,
    compare_ndcg,
    compare_with_champion,
    evaluate,
    evaluate_bundle,
    leads,
    measure,
    recommend_all,
)
from recommender.evaluation.task import Task, judge_lists, lists_for
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
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


FILMS = Catalogue(
    tuple(Film(10 * i, f"film {i}", 2000, ("Drama", "War")[: 1 + i % 2], (f"film {i}",)) for i in range(1, 5))
)


@pytest.fixture
def two_users() -> Task:
    """Users 0 and 2 rated films 0 and 2, and 1 to 3; hidden are film 3 of user 0, and film 0 of user 2."""
    before = table([0, 0, 2, 2], [0, 2, 1, 2])
    return Task(before, table([0, 2], [3, 0]), np.array([0, 2]), FILMS.counted(before.item_counts()))


def test_metrics_are_means_over_users_who_all_count(two_users: Task) -> None:
    measured = measure(np.array([[1, 3], [3, 1]]), two_users, k=2)  # a hit in second place, and none
    assert measured.per_user["ndcg"].tolist() == pytest.approx([1 / np.log2(3), 0])
    assert measured.metric("ndcg").estimate == pytest.approx(0.5 / np.log2(3))
    assert measured.metric("ndcg").low == 0
    assert measured.metric("hit_rate").estimate == 0.5
    assert measured.metrics["ndcg_at_2"] == measured.metric("ndcg")
    assert measured.coverage == 2 / 4


def test_metrics_of_kind_are_by_hand() -> None:
    before = table([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 2])
    task = Task(before, table([0, 1], [2, 3]), np.array([0, 1]), FILMS.counted(before.item_counts()))
    measured = measure(np.array([[2, 3], [2, 3]]), task, k=2)
    # One of three people rated film 2; nobody rated film 3, which counts as once.
    assert measured.per_user["novelty"].tolist() == pytest.approx([np.log2(3)] * 2)
    assert measured.per_user["popularity_lift"].tolist() == pytest.approx([(1 / 3) / ((1 + 2 / 3) / 2) - 1] * 2)
    # Film 2 is drama, film 3 drama and war.
    assert measured.per_user["diversity"].tolist() == pytest.approx([1 - 1 / np.sqrt(2)] * 2)


def test_the_predictor_is_asked_with_each_users_history(two_users: Task) -> None:
    factors = np.array([[0.5, 0], [0, 0.5], [0.3, 0.3], [0.4, 0]], dtype=np.float32)
    predictor = Predictor(FILMS, ItemFactors(factors, np.ones(4, dtype=np.bool_)), HistoryWeights())
    lists = recommend_all(predictor, two_users, k=3)
    expected = lists_for(predictor.model, two_users, k=3, weigh=predictor.weigh)
    np.testing.assert_array_equal(lists, expected)


def test_films_beyond_the_task_are_misses(two_users: Task) -> None:
    """The predictor knows a film that the task does not: it keeps its place in the list, and is never relevant."""
    more = Catalogue((*FILMS.films, Film(99, "film 9", 2000, ("Drama",), ("film 9",))))
    factors = np.array([[0.5, 0], [0, 0.5], [0.3, 0.3], [0.2, 0], [0.6, 0.6]], dtype=np.float32)
    predictor = Predictor(more, ItemFactors(factors, np.ones(5, dtype=np.bool_)), HistoryWeights())
    lists = recommend_all(predictor, two_users, k=2)
    assert (lists[:, 0] >= 4).all()
    assert judge_lists(lists, two_users.users, two_users.hidden).hits[:, 0].tolist() == [False, False]
    assert accuracy(lists, two_users, k=1)["ndcg"].tolist() == [0, 0]


def test_a_comparison_is_below_zero_where_the_challenger_is_better() -> None:
    champion = np.array([0.1, 0.2, 0.3, 0.4])
    compared = compare_ndcg(champion + 0.1, champion)
    assert tuple(compared.difference) == pytest.approx((-0.1, -0.1, -0.1))
    assert compared.n == 4
    assert compare_ndcg(champion - 0.1, champion).difference.low > 0


def test_a_champion_is_compared_on_the_users_of_the_new_model(trained, bundle):
    """With itself there is no difference; with one whose hits were taken away there is."""
    evaluation, champion = trained.evaluation, Predictor.load(bundle)
    same = compare_with_champion(evaluation, champion)
    assert tuple(same.difference) == (0, 0, 0)
    assert same.n == len(evaluation.task.users)
    worse = measure(np.tile(np.arange(60), (same.n, 1)), evaluation.task, k=10)
    compared = compare_with_champion(worse, champion)
    assert compared.difference.low > 0  # above 0: the champion is better
    lost = evaluation.metric("ndcg").estimate - worse.metric("ndcg").estimate
    assert compared.difference.estimate == pytest.approx(lost)


def test_films_that_a_champion_does_not_know_count_as_not_recommended(trained):
    """A champion with half of the films still answers, and scores less."""
    predictor = trained.predictor
    half = np.arange(len(predictor.catalogue)) % 2 == 0
    films = tuple(film for film, kept in zip(predictor.catalogue.films, half, strict=True) if kept)
    factors, recommendable = predictor.model.factors[half], predictor.model.recommendable[half]
    model = replace(predictor.model, factors=factors, recommendable=recommendable)
    smaller = replace(predictor, catalogue=Catalogue(films), model=model)
    assert compare_with_champion(trained.evaluation, smaller).difference.high < 0


def test_films_that_only_the_champion_knows_are_misses(trained):
    """Twins of all films, which the champion puts beside them: half of its places are taken by films without hits."""
    predictor = trained.predictor
    films = predictor.catalogue.films
    twins = tuple(replace(film, id=film.id + 100_000_000) for film in films)
    doubled = {name: np.concatenate([getattr(predictor.model, name)] * 2) for name in ("factors", "recommendable")}
    model = replace(predictor.model, **doubled)
    larger = replace(predictor, catalogue=Catalogue((*films, *twins)), model=model)
    assert compare_with_champion(trained.evaluation, larger).difference.high < 0


def test_of_many_users_the_evaluation_draws_some(trained):
    few = evaluate(trained.predictor, trained.split, max_users=30)
    assert len(few.lists) == len(few.task.users) == 30


def test_a_bundle_evaluated_on_other_data_names_them_as_others(bundle, write_slice, tmp_path, capsys):
    other = write_slice(tmp_path / "other", 60)
    evaluate_bundle(bundle, str(other), Console(width=200))
    printed = capsys.readouterr().out
    assert "These are not the ratings that the bundle was tested on" in printed
    assert "nDCG@10: " in printed


@pytest.mark.long
def test_a_lead_is_the_difference_on_the_same_people(trained):
    evaluation = trained.evaluation
    found = leads(evaluation)
    assert set(found) == set(evaluation.baselines)
    for name, other in evaluation.baselines.items():
        lead, apart = found[name]["ndcg"], evaluation.metric("ndcg").estimate - other.metric("ndcg").estimate
        assert lead.estimate == pytest.approx(apart)
        assert lead.low < lead.estimate < lead.high
