"""What the API accepts, and how the model's answers read in its terms."""

import pytest
from pydantic import ValidationError

from recommender.data.catalogue import Film as CatalogueFilm
from recommender.models.predictor import Prediction, Reason, Recommendation, Seen
from recommender.serving.schemas import EXAMPLE, BatchRequest, FilmsQuery, RecommendationRequest, Result, result_of

ALIEN, BRAZIL, CHARADE = (
    CatalogueFilm(number, name, year, genres, (name,))
    for number, name, year, genres in [
        (11, "Alien", 1979, ("Horror", "Sci-Fi")),
        (12, "Brazil", 1985, ("Fantasy", "Sci-Fi")),
        (13, "Charade", None, ()),
    ]
)


def answer(score: float, *contributions: float) -> Result:
    reasons = tuple(Reason(film, added) for film, added in zip((BRAZIL, CHARADE), contributions, strict=False))
    return Result(**result_of(Prediction((Recommendation(ALIEN, score, reasons),), "history", (7,))))


def test_the_example_is_a_request_and_its_films_are_what_the_predictor_takes() -> None:
    request = RecommendationRequest.model_validate(EXAMPLE)

    assert [(seen.film_id, seen.stars) for seen in request.history] == [(1, 4.5), (260, 5.0), (1196, None)]
    assert all(isinstance(seen, Seen) for seen in request.history)
    assert (request.k, request.exclude_genres, request.year_from, request.year_to) == (5, ["Horror"], 1970, None)


def test_what_is_left_out_has_a_default() -> None:
    request = RecommendationRequest.model_validate({"history": []})

    assert (request.k, request.genres, request.exclude_genres, request.diversity) == (10, [], [], 0.0)
    assert (request.year_from, request.year_to) == (None, None)


@pytest.mark.parametrize(
    ("history", "where"),
    [
        ([{"film_id": 0}], (0, "film_id")),
        ([{"film_id": 2**31}], (0, "film_id")),
        ([{"rating": 3}], (0, "film_id")),
        ([{"film_id": 1}, {"film_id": 2, "rating": 0.4}], (1, "rating")),
        ([{"film_id": 1, "rating": 5.5}], (0, "rating")),
        ([{"film_id": 1, "rating": float("nan")}], (0, "rating")),
        ([{"film_id": 1, "rating": float("inf")}], (0, "rating")),
        ([{"film_id": 1, "stars": 4}], (0, "stars")),  # the name in the model is none of the API's
        ([{"film_id": 1, "raiting": 4}], (0, "raiting")),
    ],
)
def test_a_film_of_a_history_is_checked_where_it_stands(history: object, where: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as error:
        RecommendationRequest.model_validate({"history": history})

    assert [item["loc"] for item in error.value.errors()] == [("history", *where)]


def test_a_batch_has_histories_and_no_history() -> None:
    assert len(BatchRequest.model_validate({"histories": [[], [{"film_id": 1}]], "k": 3}).histories) == 2


@pytest.mark.parametrize("wrong", [{"histories": []}, {"histories": [[]], "history": []}, {}])
def test_a_batch_without_histories_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BatchRequest.model_validate(wrong)


@pytest.mark.parametrize("asked", [{}, {"query": "alien", "ids": "1"}, {"ids": ""}, {"ids": "1,"}, {"ids": "1,-2"}])
def test_films_are_asked_for_by_words_or_by_ids(asked: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FilmsQuery.model_validate(asked)


def test_ids_are_numbers_in_their_order() -> None:
    assert FilmsQuery.model_validate({"ids": "30,1,007"}).film_ids == [30, 1, 7]


def test_a_film_is_shown_with_its_id_title_year_and_genres() -> None:
    (shown,) = answer(0.5).model_dump()["recommendations"]

    assert shown["film"] == {"film_id": 11, "title": "Alien", "year": 1979, "genres": ("Horror", "Sci-Fi")}


def test_a_share_is_a_part_of_the_score() -> None:
    (shown,) = answer(0.5, 0.3, 0.1).recommendations

    assert shown.score == 0.5
    assert [reason.film.title for reason in shown.reasons] == ["Brazil", "Charade"]
    assert [reason.share for reason in shown.reasons] == pytest.approx([0.6, 0.2])


@pytest.mark.parametrize("score", [0.2, 0.0, -1.0])
def test_shares_never_add_up_to_more_than_one(score: float) -> None:
    # Other films of the history take away what these two add beyond the score.
    (shown,) = answer(score, 0.3, 0.1).recommendations

    assert [reason.share for reason in shown.reasons] == [pytest.approx(0.75), pytest.approx(0.25)]


def test_popular_films_say_so_and_have_no_reasons() -> None:
    result = Result(**result_of(Prediction((Recommendation(ALIEN, 215.0, ()),), "popularity", ())))

    assert (result.popular, result.unknown) == (True, ())
    assert (result.recommendations[0].score, result.recommendations[0].reasons) == (215.0, [])
