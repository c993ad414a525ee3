"""What the API accepts, and how the model's answers read in its terms."""

import sys

import numpy as np
import pytest
from pydantic import ValidationError

from recommender.data.catalogue import Catalogue
from recommender.data.catalogue import Film as CatalogueFilm
from recommender.models.prediction import Prediction, Seen
from recommender.serving.answers import answer_of
from recommender.serving.schemas import EXAMPLE, RecommendationRequest, Result

ALIEN, BRAZIL, CHARADE = (
    CatalogueFilm(number, name, year, genres, (name,))
    for number, name, year, genres in [
        (11, "Alien", 1979, ("Horror", "Sci-Fi")),
        (12, "Brazil", 1985, ("Fantasy", "Sci-Fi")),
        (13, "Charade", None, ()),
    ]
)


def answer(score: float, *contributions: float) -> Result:
    """Return what is shown of a film for which two others speak, who add so much to its score."""
    added = np.array([[*contributions]], dtype=np.float32)
    named = np.arange(1, 1 + added.size)[None]
    films = Catalogue((ALIEN, BRAZIL, CHARADE))
    chosen, scores = np.array([0]), np.array([score], dtype=np.float32)
    prediction = Prediction(films, chosen, scores, [None], named, added, "history", (7,))
    return Result.model_validate_json(b"{%b}" % answer_of(prediction).fields())


def test_the_example_is_a_request_and_its_films_are_what_the_predictor_takes() -> None:
    request = RecommendationRequest.model_validate(EXAMPLE)

    in_movielens, at_imdb = request.history[:3], request.history[3:]
    assert [(seen.film_id, seen.stars) for seen in in_movielens] == [(1, 4.5), (260, 5.0), (1196, None)]
    assert [seen.stars for seen in at_imdb] == [seen.stars for seen in in_movielens]
    assert all(isinstance(seen, Seen) for seen in request.history)
    assert (request.k, request.exclude_genres, request.year_from, request.year_to) == (5, ["Horror"], 1970, None)


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


def test_no_film_with_plain_numbers_takes_a_call_of_python_and_words_are_numbers_still() -> None:
    def calls_for(film: dict[str, object]) -> int:
        calls: list[str] = []
        sys.setprofile(lambda _frame, event, _argument: calls.append(event) if event == "call" else None)
        try:
            read = RecommendationRequest.model_validate({"history": [film] * 100})
        finally:
            sys.setprofile(None)
        assert [(seen.film_id, seen.stars) for seen in read.history] == [(318, 4.0)] * 100
        return calls.count("call")

    assert calls_for({"film_id": 318, "rating": 4}) < 50
    assert calls_for({"film_id": "318", "rating": "4.0"}) > 200


@pytest.mark.parametrize(
    ("score", "shares"), [(0.5, [0.6, 0.2]), *((score, [0.75, 0.25]) for score in (0.2, 0.0, -1.0))]
)
def test_shares_are_parts_of_the_score_and_never_more_than_one(score: float, shares: list[float]) -> None:
    # Below 0.4 other films of the history take away what these two add beyond the score.
    (shown,) = answer(score, 0.3, 0.1).recommendations

    assert shown.score == pytest.approx(score)
    assert [reason.film.title for reason in shown.reasons] == ["Brazil", "Charade"]
    assert [reason.share for reason in shown.reasons] == pytest.approx(shares)
