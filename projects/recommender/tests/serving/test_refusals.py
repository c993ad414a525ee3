"""What the API refuses: every wrong value by its field, with the value and the bound."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recommender.config import ServeSettings
from recommender.models.predictor import Predictor
from recommender.serving.app import create_app

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
Ask = Callable[..., Json]
Refused = Callable[[httpx.Response], list[Json]]


@pytest.mark.parametrize(
    ("change", "field", "value", "bound"),
    [
        ({"k": 0}, "k", 0, {"ge": 1}),
        ({"k": 101}, "k", 101, {"le": 100}),
        ({"diversity": 1.5}, "diversity", 1.5, {"le": 1}),
        ({"year_from": 1492}, "year_from", 1492, {"ge": 1870}),
        ({"year_to": 3000}, "year_to", 3000, {"le": 2100}),
        ({"year_from": 2000, "year_to": 1999}, "year_from", 2000, {"le": 1999}),
        ({"history": [{"film_id": 1}, {"film_id": 2, "rating": 6}]}, "history.1.rating", 6, {"le": 5}),
        ({"history": [{"film_id": 0}]}, "history.0.film_id", 0, {"ge": 1}),
        ({"history": [{"film_id": 1}] * 501}, "history", None, {"max_length": 500, "actual_length": 501}),
    ],
)
def test_a_wrong_value_is_named_with_its_bound(
    *, service: httpx.Client, refused: Refused, change: Json, field: str, value: object, bound: Json
) -> None:
    (error,) = refused(service.post("/v1/recommendations", json={"history": []} | change))

    assert (error["field"], error["value"], error["bound"]) == (field, value, bound)
    assert error["message"]


def test_plain_ids_are_answered_with_what_stands_for_a_film(service: httpx.Client, refused: Refused) -> None:
    one = refused(service.post("/v1/recommendations", json={"history": [318, {"film_id": 0}]}))
    several = refused(service.post("/v1/recommendations/batch", json={"histories": [[], ["296"]]}))

    assert [(error["field"], error["value"]) for error in one] == [("history.0", 318), ("history.1.film_id", 0)]
    assert [(error["field"], error["value"]) for error in several] == [("histories.1.0", "296")]
    for error in (one[0], several[0]):
        assert error["message"].endswith('film_id and, where there are stars, rating: {"film_id": 318, "rating": 4.5}')
    assert one[1]["bound"] == {"ge": 1}


def test_an_unknown_genre_is_answered_with_the_known_ones(
    service: httpx.Client, refused: Refused, predictor: Predictor
) -> None:
    genres = predictor.catalogue.genre_names
    request = {"history": [], "genres": [genres[0], "Dram"], "exclude_genres": ["Horor"]}

    errors = refused(service.post("/v1/recommendations", json=request))

    assert [(error["field"], error["value"]) for error in errors] == [
        ("genres.1", "Dram"),
        ("exclude_genres.0", "Horor"),
    ]
    assert all(error["message"].endswith(", ".join(genres)) for error in errors)


def test_a_genre_cannot_be_wanted_and_excluded_at_once(
    service: httpx.Client, refused: Refused, predictor: Predictor
) -> None:
    genre = predictor.catalogue.genre_names[0]

    (error,) = refused(
        service.post("/v1/recommendations", json={"history": [], "genres": [genre], "exclude_genres": [genre]})
    )

    assert (error["field"], error["value"]) == ("exclude_genres.0", genre)


def test_an_unknown_field_is_refused(service: httpx.Client, refused: Refused) -> None:
    (error,) = refused(service.post("/v1/recommendations", json={"history": [], "histroy": 3}))
    (other,) = refused(service.post("/v1/recommendations/batch", json={"histories": [[]], "history": []}))

    assert (error["field"], error["value"], other["field"]) == ("histroy", 3, "history")


@pytest.mark.parametrize(
    ("count", "bound"),
    [(0, {"min_length": 1}), (1001, {"max_length": 1000})],
    ids=["none", "too many"],
)
def test_the_number_of_histories_is_bounded(service: httpx.Client, refused: Refused, count: int, bound: Json) -> None:
    (error,) = refused(service.post("/v1/recommendations/batch", json={"histories": [[]] * count}))

    assert error["field"] == "histories"
    assert error["bound"].items() >= bound.items()


def test_each_history_of_a_batch_is_bounded(service: httpx.Client, refused: Refused) -> None:
    histories = [[], [{"film_id": 1}] * 501, [{"film_id": 1}] * 502]

    errors = refused(service.post("/v1/recommendations/batch", json={"histories": histories, "k": 200}))

    assert [error["field"] for error in errors] == ["k", "histories.1", "histories.2"]
    assert errors[2]["bound"] == {"max_length": 500, "actual_length": 502}


@pytest.mark.parametrize(("count", "k"), [(1000, 21), (201, 100)])
def test_the_films_of_a_batch_are_bounded_together(service: httpx.Client, refused: Refused, count: int, k: int) -> None:
    """The answer is held in memory whole: 1,000 histories of 100 films each would be too much of it."""
    (error,) = refused(service.post("/v1/recommendations/batch", json={"histories": [[]] * count, "k": k}))

    assert (error["field"], error["value"]) == ("k", k)
    assert error["bound"] == {"le": 20_000 // count, "max_batch": 20_000}
    assert f"at most {20_000 // count} films for each of {count} histories, 20000 in all" in error["message"]
    allowed = service.post("/v1/recommendations/batch", json={"histories": [[]] * count, "k": 20_000 // count})
    assert allowed.status_code == 200


def test_limits_are_settings(serving: Serving, bundle: Path, ask: Ask, refused: Refused) -> None:
    limits = {"max_history": 2, "max_k": 3, "max_histories": 4, "max_batch": 8, "max_query": 4}
    with serving(create_app(ServeSettings(bundle=bundle, **limits))) as client:
        assert client.get("/v1/catalogue").json()["limits"] == limits
        assert len(ask(client, [{"film_id": 1}] * 2, k=3)["recommendations"]) == 3
        wrong = {"history": [{"film_id": 1}] * 3, "k": 4}
        assert [e["field"] for e in refused(client.post("/v1/recommendations", json=wrong))] == ["k", "history"]
        assert client.get("/v1/films?query=abcd").status_code == 200
        assert refused(client.get("/v1/films?query=abcde"))[0]["bound"]["max_length"] == 4
        assert refused(client.get("/v1/films?ids=1,2,3"))[0]["bound"]["max_length"] == 2
        batch = {"histories": [[]] * 4, "k": 2}
        assert client.post("/v1/recommendations/batch", json=batch).status_code == 200
        (error,) = refused(client.post("/v1/recommendations/batch", json=batch | {"k": 3}))
        assert (error["field"], error["bound"]) == ("k", {"le": 2, "max_batch": 8})
        (error,) = refused(client.post("/v1/recommendations/batch", json={"histories": [[]] * 5, "k": 1}))
        assert (error["field"], error["bound"]) == ("histories", {"max_length": 4, "actual_length": 5})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"),
        ("?query=a&ids=1", "query"),
        ("?query=", "query"),
        (f"?query={'x' * 101}", "query"),
        ("?ids=1,a", "ids"),
        ("?ids=1,", "ids"),
        (f"?ids={','.join(['1'] * 501)}", "ids"),
        ("?query=a&limit=0", "limit"),
        ("?query=a&limit=51", "limit"),
        ("?query=a&limt=5", "limt"),
    ],
)
def test_films_are_asked_for_in_one_way(service: httpx.Client, refused: Refused, query: str, field: str) -> None:
    errors = refused(service.get(f"/v1/films{query}"))

    assert [error["field"] for error in errors] == [field]
