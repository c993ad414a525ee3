"""The predictor: what it recommends, what it never does, and what it says about its reasons."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalogue import Filters
from recommender.data.load import Dataset
from recommender.evaluation.task import Task, lists_for
from recommender.models.als import fit_als
from recommender.models.chance import LISTED, Chance
from recommender.models.ease import fit_ease
from recommender.models.features import film_features
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor

WEIGH = HistoryWeights(half_life_share=0.2, half_life_films=3, rating_slope=0.2)


@pytest.fixture(scope="module")
def predictor(sample: Dataset) -> Predictor:
    features = film_features(sample.catalogue, genre_weight=1.0, year_weight=1.0)
    model = fit_ease(sample.ratings.matrix(), penalty=50.0, features=features, min_raters=5, rank=64)
    return Predictor(sample.catalogue, model, WEIGH)


def history_of(sample: Dataset, user: int) -> list[Seen]:
    rows = sample.ratings.users == user
    films = [sample.catalogue.films[item].id for item in sample.ratings.items[rows]]
    return [Seen(film, float(stars)) for film, stars in zip(films, sample.ratings.values[rows], strict=True)]


def test_it_recommends_what_the_evaluation_measured(predictor: Predictor, sample: Dataset) -> None:
    task = Task(sample.ratings, sample.ratings, np.array([0, 5, 123]), sample.catalogue)
    lists = lists_for(predictor.model, task, k=10, weigh=WEIGH)
    answers = predictor.predict([history_of(sample, int(user)) for user in task.users], k=10)
    for answer, expected in zip(answers, lists, strict=True):
        assert [r.film.id for r in answer.recommendations] == [sample.catalogue.films[item].id for item in expected]
        assert answer.basis == "history"


def many_histories(sample: Dataset) -> list[list[Seen]]:
    """300 histories: real ones, unrated, disliked, of films that few rated, of unknown ones, of one film, empty."""
    real = [history_of(sample, user) for user in range(120)]
    rare = [film.id for film in sample.catalogue.films if film.n_ratings < 5]
    return [
        *real,
        *([replace(seen, stars=None) for seen in history] for history in real[:60]),
        *([replace(seen, stars=0.5) for seen in history] for history in real[:30]),
        *([Seen(film)] for film in rare[:30]),
        *([*history, Seen(-1), *history[:2]] for history in real[:20]),
        *([Seen(-user)] for user in range(1, 11)),
        *(history[-1:] for history in real[:20]),
        *([[]] * 10),
    ]


@pytest.mark.parametrize("options", [{}, {"k": 40, "diversity": 0.4}, {"filters": Filters(genres=("Comedy",))}])
@pytest.mark.parametrize("served", ["EASE", "ALS"])
def test_what_is_beside_a_history_changes_nothing_of_its_answer(
    predictor: Predictor, sample: Dataset, served: str, options: dict[str, Any]
) -> None:
    """To the last bit: a product of matrices rounds otherwise than that of a matrix and a vector."""
    if served == "ALS":
        als = fit_als(sample.ratings.matrix(), n_factors=8, regularization=2.0, alpha=3.0, iterations=2, min_raters=5)
        predictor = replace(predictor, model=als)
    histories = many_histories(sample)
    assert len(histories) == 300
    together = predictor.predict(histories, **options)
    assert together == [predictor.recommend(history, **options) for history in histories]
    assert {answer.basis for answer in together} == {"history", "popularity"}


def test_the_scores_are_those_of_the_model(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 7)
    items = np.array([sample.catalogue.position[seen.film_id] for seen in history])
    scores = predictor.model.scores(items, WEIGH(np.array([seen.stars for seen in history], dtype=np.float64)))
    for recommendation in predictor.recommend(history, k=30).recommendations:
        expected = scores[sample.catalogue.position[recommendation.film.id]]
        assert recommendation.score == pytest.approx(expected, rel=1e-4)


def test_films_of_the_history_never_come_back(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 3)
    answer = predictor.recommend(history, k=len(sample.catalogue), diversity=0.3)
    returned = {r.film.id for r in answer.recommendations}
    assert not returned & {seen.film_id for seen in history}
    assert (
        len(returned)
        == len(answer.recommendations)
        == int(predictor.model.recommendable.sum())
        - sum(predictor.model.recommendable[sample.catalogue.position[seen.film_id]] for seen in history)
    )


def test_reasons_are_exact_and_come_from_the_history(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 9)
    complete = predictor.recommend(history, k=5, n_reasons=len(history))
    for recommendation in complete.recommendations:
        total = sum(reason.contribution for reason in recommendation.reasons)
        negative = recommendation.score - total  # reasons are positive; the rest is what speaks against the film
        assert negative <= 1e-5
        assert [r.contribution for r in recommendation.reasons] == sorted(
            (r.contribution for r in recommendation.reasons), reverse=True
        )
        assert {r.film.id for r in recommendation.reasons} <= {seen.film_id for seen in history}
    for recommendation in predictor.recommend(history[:1], k=5).recommendations:
        assert recommendation.reasons[0].contribution == pytest.approx(recommendation.score, rel=1e-4)
    assert all(not r.reasons for r in predictor.recommend(history, n_reasons=0).recommendations)


def test_an_empty_history_gets_popular_films_and_says_so(predictor: Predictor) -> None:
    answer = predictor.recommend([], k=5)
    assert answer.basis == "popularity"
    counts = [r.film.n_ratings for r in answer.recommendations]
    assert counts == sorted((film.n_ratings for film in predictor.catalogue.films), reverse=True)[:5]
    assert all(r.reasons == () for r in answer.recommendations)


def test_unknown_films_are_reported_and_the_rest_is_used(predictor: Predictor) -> None:
    film = predictor.recommend([]).recommendations[0].film
    answer = predictor.recommend([Seen(-1), Seen(film.id), Seen(-2)])
    assert answer.unknown == (-1, -2)
    assert answer.basis == "history"
    assert answer.recommendations == predictor.recommend([Seen(film.id)]).recommendations
    assert predictor.recommend([Seen(-1)]).basis == "popularity"


def test_order_and_stars_matter(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 1)
    forward = predictor.recommend(history).recommendations
    assert forward != predictor.recommend(history[::-1]).recommendations
    assert forward != predictor.recommend([replace(seen, stars=None) for seen in history]).recommendations


def test_of_a_film_named_twice_the_last_mention_counts(predictor: Predictor, sample: Dataset) -> None:
    first, second = history_of(sample, 1)[:2]
    twice = predictor.recommend([replace(first, stars=0.5), second, replace(first, stars=5.0)])
    assert twice == predictor.recommend([second, replace(first, stars=5.0)])


def test_filters_hold(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 2)
    filters = Filters(genres=("Comedy", "Action"), without_genres=("Romance",), year_from=1990, year_to=2005)
    answer = predictor.recommend(history, k=50, filters=filters)
    assert answer.recommendations
    for recommendation in answer.recommendations:
        assert {"Comedy", "Action"} & set(recommendation.film.genres)
        assert "Romance" not in recommendation.film.genres
        assert 1990 <= (recommendation.film.year or 0) <= 2005
    assert predictor.recommend(history, filters=Filters(year_to=1880)).recommendations == ()


def test_diversity_changes_the_list_but_not_its_first_film(predictor: Predictor, sample: Dataset) -> None:
    history = history_of(sample, 4)
    plain, diverse = (predictor.recommend(history, diversity=value).recommendations for value in (0.0, 0.7))
    assert plain[0].film == diverse[0].film
    assert {r.film for r in plain} != {r.film for r in diverse}


def test_similar_films_are_ordered_and_share_genres(predictor: Predictor) -> None:
    films = predictor.catalogue.films
    shared = []
    for film in films[::10]:
        similar = predictor.similar(film.id, k=5)
        values = [similarity for _, similarity in similar]
        assert film not in [other for other, _ in similar]
        assert values == sorted(values, reverse=True)
        own, rows = predictor.model.factors[predictor.catalogue.position[film.id]], predictor.model.factors
        others = rows[[predictor.catalogue.position[other.id] for other, _ in similar]]
        cosines = others @ own / np.linalg.norm(others, axis=1) / np.linalg.norm(own)
        np.testing.assert_allclose(values, cosines, atol=1e-5)
        shared += [bool(set(other.genres) & set(film.genres)) for other, _ in similar]
    by_chance = [bool(set(film.genres) & set(other.genres)) for film in films[::10] for other in films[::7]]
    assert np.mean(shared) > 1.5 * np.mean(by_chance)
    with pytest.raises(KeyError):
        predictor.similar(-1)


def test_round_trip(predictor: Predictor, sample: Dataset, tmp_path: Path) -> None:
    predictor.save(tmp_path)
    loaded = Predictor.load(tmp_path)
    history = history_of(sample, 8)
    assert loaded.recommend(history) == predictor.recommend(history)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["factors.npz", "films.json", "weights.json"]


def test_a_chance_belongs_to_the_film_and_the_history_not_to_the_question(
    predictor: Predictor, sample: Dataset, tmp_path: Path
) -> None:
    assert {each.chance for each in predictor.recommend(history_of(sample, 8)).recommendations} == {None}
    sure = replace(predictor, chance=Chance((0.5, 1.3, 0.4, -1.2, 0.9), (-3.7, 0.9, 0.8)))
    sure.save(tmp_path)
    assert Predictor.load(tmp_path).chance == sure.chance
    for history in (history_of(sample, 8), history_of(sample, 8)[-1:], []):
        asked = sure.recommend(history, k=LISTED).recommendations
        chances = {each.film.id: each.chance for each in asked}
        assert 0 < chances[asked[-1].film.id] < chances[asked[0].film.id] < 1
        assert list(chances.values()) == sorted(chances.values(), reverse=True)
        comedies = {"filters": Filters(genres=("Comedy",))}
        for options in ({"k": 5}, {"k": 100}, {"diversity": 0.5}, comedies, {**comedies, "k": 100}, {"n_reasons": 0}):
            again = sure.recommend(history, **options)
            for each in again.recommendations:
                assert each.chance == chances.get(each.film.id, each.chance)
                assert (each.chance is None) == (each.score < asked[-1].score)  # beyond what was fitted
            assert again.recommendations[-1].chance is None or options.get("k") != 100
            assert sure.predict([[], history], **options)[1] == again
    (without,) = sure.predict([[]], chances=False)
    assert {each.chance for each in without.recommendations} == {None}


def test_films_and_factors_must_match_and_a_list_has_a_film(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        predictor.recommend([], k=0)
    short = ItemFactors(predictor.model.factors[:5], predictor.model.recommendable[:5])
    with pytest.raises(ValueError, match="factors of 5"):
        Predictor(predictor.catalogue, short, WEIGH)
