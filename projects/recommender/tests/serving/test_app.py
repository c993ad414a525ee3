"""The service on a real model and real sockets: what it answers, what it refuses, and that it says what was meant."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from portfolio_shared.bundle import bundle_digest, read_manifest
from recommender.config import ServeSettings
from recommender.data.catalogue import Catalogue, Film, Filters
from recommender.models.predictor import Answer, Predictor, Seen
from recommender.serving.app import Served, create_app, load, smoke_test
from recommender.serving.schemas import EXAMPLE
from recommender.train import Trained

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def service(serving: Serving, bundle: Path) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=bundle, max_body_bytes=20_000_000))) as client:
        yield client


@pytest.fixture(scope="module")
def served(bundle: Path) -> Served:
    return load(bundle)


@pytest.fixture(scope="module")
def histories(trained: Trained) -> list[list[Seen]]:
    """Return what users of the test saw before it, oldest first, with their stars."""
    before = trained.task.before
    films = [film.id for film in trained.data.movielens.catalogue.films]
    return [
        [Seen(films[item], float(stars)) for item, stars in zip(before.items[rows], before.values[rows], strict=True)]
        for rows in (np.flatnonzero(before.users == user) for user in trained.task.users[:30])
    ]


def as_json(history: list[Seen]) -> list[Json]:
    return [{"film_id": seen.film_id, "rating": seen.stars} for seen in history]


def ask(service: httpx.Client, history: list[Json], **options: Any) -> Json:
    response = service.post("/v1/recommendations", json={"history": history, **options})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def refused(response: httpx.Response) -> list[Json]:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    errors: list[Json] = response.json()["errors"]
    return errors


def ids_of(answer: Json) -> list[int]:
    return [recommendation["film"]["film_id"] for recommendation in answer["recommendations"]]


def shown(film: Film) -> Json:
    return {"film_id": film.id, "title": film.name, "year": film.year, "genres": list(film.genres)}


def same(answer: Json, offline: Answer) -> None:
    """Assert that an answer is what the predictor says."""
    assert answer["popular"] == (offline.basis == "popularity")
    assert answer["unknown"] == list(offline.unknown)
    assert [item["film"] for item in answer["recommendations"]] == [
        shown(recommendation.film) for recommendation in offline.recommendations
    ]
    for item, recommendation in zip(answer["recommendations"], offline.recommendations, strict=True):
        assert item["score"] == pytest.approx(recommendation.score, rel=1e-5)
        assert [reason["film"] for reason in item["reasons"]] == [
            shown(reason.film) for reason in recommendation.reasons
        ]
        whole = max(recommendation.score, sum(reason.contribution for reason in recommendation.reasons))
        assert [reason["share"] for reason in item["reasons"]] == pytest.approx(
            [reason.contribution / whole for reason in recommendation.reasons]
        )


# What is served is what was evaluated


def test_the_service_answers_what_the_predictor_says(
    service: httpx.Client, predictor: Predictor, histories: list[list[Seen]]
) -> None:
    for history in histories:
        same(ask(service, as_json(history), k=20), predictor.recommend(history, k=20))


def test_every_option_reaches_the_predictor(
    service: httpx.Client, predictor: Predictor, histories: list[list[Seen]]
) -> None:
    wanted, unwanted = predictor.catalogue.genre_names[:2]
    middle = int(np.median(predictor.catalogue.years[predictor.catalogue.years > 0]))
    plain = ids_of(ask(service, as_json(histories[0]), k=30))
    cases: list[tuple[Json, Json]] = [
        ({"genres": [wanted]}, {"filters": Filters(genres=(wanted,))}),
        ({"exclude_genres": [unwanted]}, {"filters": Filters(without_genres=(unwanted,))}),
        ({"year_from": middle}, {"filters": Filters(year_from=middle)}),
        ({"year_to": middle}, {"filters": Filters(year_to=middle)}),
        ({"diversity": 0.7}, {"diversity": 0.7}),
    ]
    for options, offline in cases:
        answer = ask(service, as_json(histories[0]), k=30, **options)
        same(answer, predictor.recommend(histories[0], k=30, **offline))
        assert ids_of(answer) != plain, options


def test_a_batch_answers_each_history_as_if_it_were_alone(service: httpx.Client, histories: list[list[Seen]]) -> None:
    genre = service.get("/v1/catalogue").json()["genres"][0]
    options = {"k": 4, "exclude_genres": [genre], "diversity": 0.2}
    several = [as_json(history) for history in histories[:5]] + [[], [{"film_id": 2_000_000_000}]]

    response = service.post("/v1/recommendations/batch", json={"histories": several, **options})

    body = response.json()
    assert list(body) == ["id", "model", "results"]
    alone = [ask(service, history, **options) for history in several]
    assert body["results"] == [
        {name: answer[name] for name in ("popular", "unknown", "recommendations")} for answer in alone
    ]
    assert [result["popular"] for result in body["results"]] == [False] * 5 + [True, True]


def test_every_response_names_its_model_and_its_request(service: httpx.Client, bundle: Path) -> None:
    response = service.post("/v1/recommendations", json={"history": []}, headers={"X-Request-ID": "films-1"})

    body = response.json()
    assert list(body) == ["id", "model", "popular", "unknown", "recommendations"]
    assert body["id"] == response.headers["x-request-id"] == "films-1"
    assert body["model"] == {"name": "recommender", "version": bundle_digest(bundle)[:12]}


@pytest.mark.parametrize("path", ["/v1/films?query=a", "/v1/films?ids=1", "/v1/films/{}/similar", "/v1/catalogue"])
def test_what_is_read_names_its_model_and_its_request(
    service: httpx.Client, bundle: Path, predictor: Predictor, path: str
) -> None:
    film = predictor.catalogue.films[0]
    response = service.get(path.format(film.id), headers={"X-Request-ID": "films-2"})

    body = response.json()
    assert list(body)[:2] == ["id", "model"]
    assert body["id"] == response.headers["x-request-id"] == "films-2"
    assert body["model"] == {"name": "recommender", "version": bundle_digest(bundle)[:12]}


# What an answer promises


def test_seen_films_never_come_back(service: httpx.Client, histories: list[list[Seen]]) -> None:
    for history in histories:
        answer = ask(service, as_json(history), k=100, diversity=0.4)
        assert not set(ids_of(answer)) & {seen.film_id for seen in history}
        assert len(set(ids_of(answer))) == len(ids_of(answer)) > 50


def test_reasons_are_films_of_the_history_and_shares_of_the_score(
    service: httpx.Client, histories: list[list[Seen]]
) -> None:
    named = 0
    for history in histories:
        for recommendation in ask(service, as_json(history))["recommendations"]:
            shares = [reason["share"] for reason in recommendation["reasons"]]
            films = [reason["film"]["film_id"] for reason in recommendation["reasons"]]
            assert shares == sorted(shares, reverse=True)
            assert all(0 < share <= 1 for share in shares)
            assert sum(shares) <= 1 + 1e-9
            assert set(films) <= {seen.film_id for seen in history}
            named += len(films)
    assert named > 2 * 10 * len(histories)


def test_the_only_film_of_a_history_is_the_whole_reason(service: httpx.Client, histories: list[list[Seen]]) -> None:
    answer = ask(service, as_json(histories[0][-1:]))

    for recommendation in answer["recommendations"]:
        assert [reason["share"] for reason in recommendation["reasons"]] == [pytest.approx(1)]


def test_an_empty_history_gets_popular_films_and_says_so(service: httpx.Client, predictor: Predictor) -> None:
    answer = ask(service, [], k=3)

    most_rated = sorted(predictor.catalogue.films, key=lambda film: -film.n_ratings)[:3]
    assert answer["popular"] is True
    assert [item["score"] for item in answer["recommendations"]] == [film.n_ratings for film in most_rated]
    assert all(item["reasons"] == [] for item in answer["recommendations"])


def test_an_unknown_film_is_reported_and_changes_nothing(service: httpx.Client, histories: list[list[Seen]]) -> None:
    history = as_json(histories[0])

    known = ask(service, history)
    both = ask(service, [{"film_id": 2_000_000_001}, *history, {"film_id": 2_000_000_000, "rating": 1}])

    assert both["unknown"] == [2_000_000_001, 2_000_000_000]
    assert both["recommendations"] == known["recommendations"]
    assert ask(service, [{"film_id": 2_000_000_000}])["popular"] is True


def test_of_a_film_that_stands_twice_the_last_one_counts(service: httpx.Client, histories: list[list[Seen]]) -> None:
    first, *others = as_json(histories[0])

    twice = ask(service, [first | {"rating": 0.5}, *others, first])
    once = ask(service, [*others, first])

    assert twice["recommendations"] == once["recommendations"]
    assert twice["recommendations"] != ask(service, [first | {"rating": 0.5}, *others])["recommendations"]


def test_a_film_without_stars_may_say_so_or_say_nothing(service: httpx.Client, histories: list[list[Seen]]) -> None:
    ids = [seen.film_id for seen in histories[1]]

    left_out = ask(service, [{"film_id": film_id} for film_id in ids])
    null = ask(service, [{"film_id": film_id, "rating": None} for film_id in ids])

    assert left_out["recommendations"] == null["recommendations"]


def test_filters_hold_for_every_film(service: httpx.Client, histories: list[list[Seen]]) -> None:
    facts = service.get("/v1/catalogue").json()
    wanted, unwanted = facts["genres"][:2]
    years = {"year_from": facts["year_min"] + 3, "year_to": facts["year_max"] - 3}

    answer = ask(service, as_json(histories[0]), k=100, genres=[wanted], exclude_genres=[unwanted], **years)

    films = [item["film"] for item in answer["recommendations"]]
    assert films
    assert all(wanted in film["genres"] and unwanted not in film["genres"] for film in films)
    assert all(years["year_from"] <= film["year"] <= years["year_to"] for film in films)


# Refusals: field, value and bound


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
    service: httpx.Client, change: Json, field: str, value: object, bound: Json
) -> None:
    (error,) = refused(service.post("/v1/recommendations", json={"history": []} | change))

    assert (error["field"], error["value"], error["bound"]) == (field, value, bound)
    assert error["message"]


def test_an_unknown_genre_is_answered_with_the_known_ones(service: httpx.Client, predictor: Predictor) -> None:
    known = predictor.catalogue.genre_names
    request = {"history": [], "genres": [known[0], "Dram"], "exclude_genres": ["Horor"]}

    errors = refused(service.post("/v1/recommendations", json=request))

    assert [(error["field"], error["value"]) for error in errors] == [
        ("genres.1", "Dram"),
        ("exclude_genres.0", "Horor"),
    ]
    assert all(error["message"].endswith(", ".join(known)) for error in errors)


def test_a_genre_cannot_be_wanted_and_excluded_at_once(service: httpx.Client, predictor: Predictor) -> None:
    genre = predictor.catalogue.genre_names[0]

    (error,) = refused(
        service.post("/v1/recommendations", json={"history": [], "genres": [genre], "exclude_genres": [genre]})
    )

    assert (error["field"], error["value"]) == ("exclude_genres.0", genre)


@pytest.mark.parametrize("name", ["histroy", "film_ids", "n"])
def test_an_unknown_field_is_refused(service: httpx.Client, name: str) -> None:
    (error,) = refused(service.post("/v1/recommendations", json={"history": [], name: 3}))

    assert (error["field"], error["value"]) == (name, 3)


@pytest.mark.parametrize(
    ("count", "bound"),
    [(0, {"min_length": 1}), (1001, {"max_length": 1000})],
    ids=["none", "too many"],
)
def test_the_number_of_histories_is_bounded(service: httpx.Client, count: int, bound: Json) -> None:
    (error,) = refused(service.post("/v1/recommendations/batch", json={"histories": [[]] * count}))

    assert error["field"] == "histories"
    assert error["bound"].items() >= bound.items()


def test_each_history_of_a_batch_is_bounded(service: httpx.Client) -> None:
    histories = [[], [{"film_id": 1}] * 501, [{"film_id": 1}] * 502]

    errors = refused(service.post("/v1/recommendations/batch", json={"histories": histories, "k": 200}))

    assert [error["field"] for error in errors] == ["histories.1", "histories.2", "k"]
    assert errors[1]["bound"] == {"max_length": 500, "actual_length": 502}


@pytest.mark.parametrize(("count", "k"), [(1000, 21), (201, 100)])
def test_the_films_of_a_batch_are_bounded_together(service: httpx.Client, count: int, k: int) -> None:
    """The answer is held in memory whole: 1,000 histories of 100 films each would be too much of it."""
    (error,) = refused(service.post("/v1/recommendations/batch", json={"histories": [[]] * count, "k": k}))

    assert (error["field"], error["value"]) == ("k", k)
    assert error["bound"] == {"le": 20_000 // count, "max_batch": 20_000}
    assert f"at most {20_000 // count} films for each of {count} histories, 20000 in all" in error["message"]
    allowed = service.post("/v1/recommendations/batch", json={"histories": [[]] * count, "k": 20_000 // count})
    assert allowed.status_code == 200


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_no_json(service: httpx.Client, literal: str) -> None:
    body = json.dumps({"history": [{"film_id": 1, "rating": 0}]}).replace('"rating": 0', f'"rating": {literal}')

    response = service.post("/v1/recommendations", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert "not valid JSON" in response.json()["detail"]


def test_limits_are_settings(serving: Serving, bundle: Path) -> None:
    limits = {"max_history": 2, "max_k": 3, "max_histories": 4, "max_batch": 8, "max_query": 4}
    with serving(create_app(ServeSettings(bundle=bundle, **limits))) as client:
        assert client.get("/v1/catalogue").json()["limits"] == limits
        assert len(ask(client, [{"film_id": 1}] * 2, k=3)["recommendations"]) == 3
        wrong = {"history": [{"film_id": 1}] * 3, "k": 4}
        assert [e["field"] for e in refused(client.post("/v1/recommendations", json=wrong))] == ["history", "k"]
        assert client.get("/v1/films?query=abcd").status_code == 200
        assert refused(client.get("/v1/films?query=abcde"))[0]["bound"]["max_length"] == 4
        assert refused(client.get("/v1/films?ids=1,2,3"))[0]["bound"]["max_length"] == 2
        batch = {"histories": [[]] * 4, "k": 2}
        assert client.post("/v1/recommendations/batch", json=batch).status_code == 200
        (error,) = refused(client.post("/v1/recommendations/batch", json=batch | {"k": 3}))
        assert (error["field"], error["bound"]) == ("k", {"le": 2, "max_batch": 8})
        (error,) = refused(client.post("/v1/recommendations/batch", json={"histories": [[]] * 5, "k": 1}))
        assert (error["field"], error["bound"]) == ("histories", {"max_length": 4, "actual_length": 5})


# Films


def longest_word(film: Film) -> str:
    words: list[str] = re.findall(r"[A-Za-z]+", film.name)
    return max(words, key=len, default="")


@pytest.fixture(scope="module")
def well_known(predictor: Predictor) -> Film:
    """Return a film that many people rated, with a word that is long enough to be mistyped."""
    by_raters = sorted(predictor.catalogue.films, key=lambda film: -film.n_ratings)
    return next(film for film in by_raters if len(longest_word(film)) >= 7)


def test_a_film_is_found_by_its_name_a_beginning_and_a_typo(service: httpx.Client, well_known: Film) -> None:
    word = longest_word(well_known)
    typo = word.replace(word[3], "", 1)

    for query in (well_known.name, f"{well_known.name} {well_known.year}", word[:5].upper(), typo):
        films = service.get("/v1/films", params={"query": query, "limit": 50}).json()["films"]
        assert shown(well_known) in films, query
    assert len(service.get("/v1/films", params={"query": word[0], "limit": 3}).json()["films"]) == 3
    assert len(service.get("/v1/films", params={"query": word[0]}).json()["films"]) == 8


def test_search_is_the_index_s(service: httpx.Client, served: Served, well_known: Film) -> None:
    for query in (longest_word(well_known)[:3], "the", "x y z", "?!"):
        found = service.get("/v1/films", params={"query": query}).json()
        assert found["films"] == [shown(film) for film in served.search.find(query, limit=8)]
        assert found["unknown"] == []


def test_films_come_by_their_ids_in_that_order(service: httpx.Client, predictor: Predictor) -> None:
    first, second, *_, last = predictor.catalogue.films

    found = service.get("/v1/films", params={"ids": f"{last.id},{first.id},2000000000,{second.id}"}).json()

    assert found["films"] == [shown(film) for film in (last, first, second)]
    assert found["unknown"] == [2_000_000_000]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"),
        ("?query=a&ids=1", "query"),
        ("?query=", "query"),
        (f"?query={'x' * 101}", "query"),
        ("?ids=1,a", "ids"),
        (f"?ids={','.join(['1'] * 501)}", "ids"),
        ("?query=a&limit=0", "limit"),
        ("?query=a&limit=51", "limit"),
        ("?query=a&limt=5", "limt"),
    ],
)
def test_films_are_asked_for_in_one_way(service: httpx.Client, query: str, field: str) -> None:
    errors = refused(service.get(f"/v1/films{query}"))

    assert [error["field"] for error in errors] == [field]


def test_similar_films_are_the_predictor_s(service: httpx.Client, predictor: Predictor, well_known: Film) -> None:
    answer = service.get(f"/v1/films/{well_known.id}/similar", params={"k": 5}).json()

    assert answer["film"] == shown(well_known)
    assert [item["film"] for item in answer["similar"]] == [
        shown(film) for film, _ in predictor.similar(well_known.id, k=5)
    ]
    similarity = [item["similarity"] for item in answer["similar"]]
    assert similarity == sorted(similarity, reverse=True)
    assert len(similarity) == 5
    assert answer["film"] not in [item["film"] for item in answer["similar"]]


def test_an_unknown_film_has_no_similar_ones(service: httpx.Client) -> None:
    response = service.get("/v1/films/2000000000/similar")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "2000000000" in response.json()["detail"]
    assert [error["field"] for error in refused(service.get("/v1/films/none/similar"))] == ["film_id"]
    assert [error["field"] for error in refused(service.get("/v1/films/1/similar?k=101"))] == ["k"]


def test_the_catalogue_says_what_filters_can_ask_for(service: httpx.Client, predictor: Predictor) -> None:
    facts = service.get("/v1/catalogue").json()

    years = [film.year for film in predictor.catalogue.films if film.year is not None]
    assert {name: facts[name] for name in ("films", "genres", "year_min", "year_max")} == {
        "films": len(predictor.catalogue),
        "genres": list(predictor.catalogue.genre_names),
        "year_min": min(years),
        "year_max": max(years),
    }
    request = {"history": [], "genres": facts["genres"], "year_from": facts["year_min"], "year_to": facts["year_max"]}
    assert service.post("/v1/recommendations", json=request).json()["recommendations"]


# What is refused before it serves


def test_the_smoke_test_passes_the_model(served: Served) -> None:
    smoke_test(served)


def test_the_smoke_test_refuses_a_model_that_knows_nothing(served: Served) -> None:
    model = served.predictor.model
    silent = replace(model, factors=np.zeros_like(model.factors))

    with pytest.raises(ValueError, match="popularity"):
        smoke_test(replace(served, predictor=replace(served.predictor, model=silent)))


def test_the_smoke_test_refuses_an_index_of_other_films(served: Served) -> None:
    other = Catalogue((Film(1, "Zzyzx", 2000, (), ("Zzyzx",), 1),))

    with pytest.raises(ValueError, match="does not find it"):
        smoke_test(replace(served, search=type(served.search)(other)))


# The rest of the service


def test_the_model_is_described_as_in_its_bundle(service: httpx.Client, bundle: Path) -> None:
    manifest = read_manifest(bundle)

    model = service.get("/v1/model").json()

    assert (model["name"], model["project"], model["origin"]) == ("recommender", "recommender", "path")
    assert model["version"] == bundle_digest(bundle)[:12]
    assert model["metrics"] == {name: metric.model_dump() for name, metric in manifest.metrics.items()}
    assert set(model["baselines"]) == set(manifest.baselines)
    assert (model["data"]["source"], model["data"]["rows"]) == ("sample", manifest.data.rows)


def test_the_service_is_ready_and_says_with_what(service: httpx.Client, bundle: Path) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").json()["model"] == {"name": "recommender", "version": bundle_digest(bundle)[:12]}
    assert 'model_info{name="recommender",origin="path",version="' in service.get("/metrics").text


def test_the_page_and_everything_it_loads_is_there(service: httpx.Client) -> None:
    page = service.get("/")

    assert page.headers["content-type"].startswith("text/html")
    loaded = set(re.findall(r'(?:src|href)="([^"#]+)"', page.text))
    assert "static/style.css" in loaded
    for script in [path for path in loaded if path.endswith(".js")]:
        loaded |= {f"web/{path}" for path in re.findall(r'from "(.+?)"', service.get(f"/{script}").text)}
    assert any(path.endswith(".js") for path in loaded)
    for path in loaded:
        assert "//" not in path, f"{path} is on another host"
        assert service.get(f"/{path}").status_code == 200, path
    assert "<style" not in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text), "the content security policy allows no inline script"


def test_the_documentation_shows_the_bounds_and_an_example_that_works(service: httpx.Client) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]

    rating = schemas["SeenFilm"]["properties"]["rating"]["anyOf"][0]
    assert (rating["minimum"], rating["maximum"]) == (0.5, 5)
    assert schemas["SeenFilm"]["required"] == ["film_id"]
    assert schemas["RecommendationRequest"]["examples"] == [EXAMPLE]
    genres = service.get("/v1/catalogue").json()["genres"]
    example = EXAMPLE | {"exclude_genres": [name for name in EXAMPLE["exclude_genres"] if name in genres]}
    assert len(ask(service, **example)["recommendations"]) == EXAMPLE["k"]


def test_a_thousand_histories_are_one_request(service: httpx.Client, histories: list[list[Seen]]) -> None:
    several = [as_json(histories[i % len(histories)][: 1 + i % 37]) for i in range(1000)]

    response = service.post("/v1/recommendations/batch", json={"histories": several})

    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert len(results) == 1000
    assert all(len(result["recommendations"]) == 10 for result in results)
    assert len({json.dumps(result) for result in results}) > 300  # not one answer a thousand times
