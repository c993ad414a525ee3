"""The service on a real model and real sockets: what it answers, and that it is what the predictor says."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from command_line import Run, command_line

from portfolio_shared.bundle import bundle_digest
from recommender.data.catalogue import Catalogue, Film, Filters
from recommender.models.prediction import Prediction, Seen
from recommender.models.predictor import Predictor
from recommender.models.search import FilmSearch
from recommender.serving.app import smoke_test
from recommender.serving.schemas import EXAMPLE, EXAMPLE_REQUEST

Json = dict[str, Any]
Ask = Callable[..., Json]
Refused = Callable[[httpx.Response], list[Json]]


def as_json(history: list[Seen]) -> list[Json]:
    return [{"film_id": seen.film_id, "rating": seen.stars} for seen in history]


def ids_of(answer: Json) -> list[int]:
    return [recommendation["film"]["film_id"] for recommendation in answer["recommendations"]]


def shown(film: Film) -> Json:
    return {"film_id": film.id, "title": film.name, "year": film.year, "genres": list(film.genres)}


def same(answer: Json, offline: Prediction) -> None:
    """Assert that an answer is what the predictor says."""
    assert answer["popular"] == (offline.basis == "popularity")
    assert answer["unknown"] == list(offline.unknown)
    assert [item["film"] for item in answer["recommendations"]] == [
        shown(recommendation.film) for recommendation in offline.recommendations
    ]
    for item, recommendation in zip(answer["recommendations"], offline.recommendations, strict=True):
        assert item["score"] == pytest.approx(recommendation.score, rel=1e-5)
        assert item["chance"] == (recommendation.chance and pytest.approx(recommendation.chance, rel=1e-5))
        assert [reason["film"] for reason in item["reasons"]] == [
            shown(reason.film) for reason in recommendation.reasons
        ]
        whole = max(recommendation.score, sum(reason.contribution for reason in recommendation.reasons))
        assert [reason["share"] for reason in item["reasons"]] == pytest.approx(
            [reason.contribution / whole for reason in recommendation.reasons]
        )


def test_the_service_answers_what_the_predictor_says(
    service: httpx.Client, predictor: Predictor, histories: list[list[Seen]], ask: Ask
) -> None:
    for history in [*histories, []]:
        same(ask(service, as_json(history), k=20), predictor.recommend(history, k=20))


def test_every_option_reaches_the_predictor(
    service: httpx.Client, predictor: Predictor, histories: list[list[Seen]], ask: Ask
) -> None:
    wanted, unwanted = predictor.catalogue.genre_names[:2]
    plain = ids_of(ask(service, as_json(histories[0]), k=30))
    years = predictor.catalogue.years[[predictor.catalogue.position[film] for film in plain]]
    first, last = int(years.min()), int(years.max())
    cases: list[tuple[Json, Json]] = [
        ({"genres": [wanted]}, {"filters": Filters(genres=(wanted,))}),
        ({"exclude_genres": [unwanted]}, {"filters": Filters(without_genres=(unwanted,))}),
        ({"year_from": first + 1}, {"filters": Filters(year_from=first + 1)}),
        ({"year_to": last - 1}, {"filters": Filters(year_to=last - 1)}),
        ({"diversity": 0.7}, {"diversity": 0.7}),
    ]
    for options, offline in cases:
        answer = ask(service, as_json(histories[0]), k=30, **options)
        same(answer, predictor.recommend(histories[0], k=30, **offline))
        assert ids_of(answer) != plain, options


def test_a_batch_answers_each_history_as_if_it_were_alone(
    service: httpx.Client, histories: list[list[Seen]], ask: Ask
) -> None:
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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_line("recommender", monkeypatch, capsys)


def test_a_stream_and_a_file_answer_as_the_service_does(
    service: httpx.Client, bundle: Path, histories: list[list[Seen]], run: Run, tmp_path: Path
) -> None:
    genre = service.get("/v1/catalogue").json()["genres"][0]
    several = [*map(as_json, histories), [], [{"film_id": 2_000_000_000}]]
    asked = [{"history": history} for history in several]
    asked.append({"history": several[0], "k": 3, "exclude_genres": [genre], "diversity": 0.2})
    wrong = [{"k": 101}, {"genres": [genre], "exclude_genres": [genre]}, {"history": [318]}, {"histroy": []}]
    wrong.append({"history": [{"film_id": 1}] * 501})
    lines = [*asked, *({"history": []} | change for change in wrong)]
    stream, table, target = (tmp_path / name for name in ("in.ndjson", "in.csv", "out.csv"))
    stream.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as cells:
        csv.writer(cells).writerows([["history"], *([json.dumps(history)] for history in several)])

    code, out, err = run("predict", "--follow", stream, "--bundle", bundle)
    assert (code, err.splitlines()[-1]) == (1, f"{stream}: {len(asked)} histories answered, {len(wrong)} refused")
    assert run("predict", table, "-o", target, "--bundle", bundle)[0] == 0

    served = [service.post("/v1/recommendations", json=line).json() for line in lines]
    streamed = [json.loads(line) for line in out.splitlines()]
    kept = ("popular", "unknown", "recommendations")
    assert streamed[: len(asked)] == [{name: answer[name] for name in kept} for answer in served[: len(asked)]]
    assert streamed[len(asked) :] == [
        {"line": number, "error": {"detail": problem["detail"], "errors": problem["errors"]}}
        for number, problem in enumerate(served[len(asked) :], start=len(asked) + 1)
    ]
    with target.open(newline="", encoding="utf-8") as cells:
        rows = list(csv.DictReader(cells))
    for row, answer in zip(rows, streamed[: len(several)], strict=True):
        assert row["films"] == " ".join(map(str, ids_of(answer)))
        assert row["unknown"] == " ".join(map(str, answer["unknown"]))


@pytest.mark.parametrize("path", ["/v1/films?query=a", "/v1/films?ids=1", "/v1/films/{}/similar", "/v1/catalogue"])
def test_every_response_names_its_model_and_its_request(
    service: httpx.Client, bundle: Path, predictor: Predictor, path: str
) -> None:
    film, headers = predictor.catalogue.films[0], {"X-Request-ID": "films-1"}
    answer = service.post("/v1/recommendations", json={"history": []}, headers=headers)
    assert list(answer.json()) == ["id", "model", "popular", "unknown", "recommendations", "interleaved_with"]
    assert answer.json()["interleaved_with"] is None
    for response in (answer, service.get(path.format(film.id), headers=headers)):
        body = response.json()
        assert list(body)[:2] == ["id", "model"]
        assert UUID(body["id"]).version == 7
        assert response.headers["x-request-id"] == "films-1"
        assert body["model"] == {"name": "recommender", "version": bundle_digest(bundle)[:12]}


def test_reasons_are_films_of_the_history_and_shares_of_the_score(
    service: httpx.Client, histories: list[list[Seen]], ask: Ask
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


def test_an_unknown_film_is_reported_and_changes_nothing(
    service: httpx.Client, histories: list[list[Seen]], ask: Ask
) -> None:
    history = as_json(histories[0])

    without = ask(service, history)
    both = ask(service, [{"film_id": 2_000_000_001}, *history, {"film_id": 2_000_000_000, "rating": 1}])

    assert both["unknown"] == [2_000_000_001, 2_000_000_000]
    assert both["recommendations"] == without["recommendations"]
    assert ask(service, [{"film_id": 2_000_000_000}])["popular"] is True


def longest_word(film: Film) -> str:
    words: list[str] = re.findall(r"[A-Za-z]+", film.name)
    return max(words, key=len, default="")


@pytest.fixture(scope="module")
def well_known(predictor: Predictor) -> Film:
    """Return a film that many people rated, with a word that is long enough to be mistyped."""
    by_raters = sorted(predictor.catalogue.films, key=lambda film: -film.n_ratings)
    return next(film for film in by_raters if len(longest_word(film)) >= 7)


def test_a_search_matches_a_name_a_beginning_and_a_typo(
    service: httpx.Client, predictor: Predictor, well_known: Film
) -> None:
    word = longest_word(well_known)
    typo = word.replace(word[3], "", 1)

    for query in (well_known.name, f"{well_known.name} {well_known.year}", word[:5].upper(), typo):
        films = service.get("/v1/films", params={"query": query, "limit": 50}).json()["films"]
        assert shown(well_known) in films, query
    answer = service.get("/v1/films", params={"query": word[0], "limit": 3}).json()
    assert answer["films"] == [shown(film) for film in predictor.search.find(word[0], limit=3)]
    assert len(answer["films"]) == 3
    assert len(service.get("/v1/films", params={"query": word[0]}).json()["films"]) == 8


def test_films_come_by_their_ids_in_that_order(service: httpx.Client, predictor: Predictor) -> None:
    first, second, *_, last = predictor.catalogue.films

    answer = service.get("/v1/films", params={"ids": f"{last.id},{first.id},2000000000,{second.id}"}).json()

    assert answer["films"] == [shown(film) for film in (last, first, second)]
    assert answer["unknown"] == [2_000_000_000]


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


def test_an_unknown_film_has_no_similar_ones(service: httpx.Client, refused: Refused) -> None:
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


def test_the_smoke_test_refuses_a_model_that_knows_nothing_and_an_index_of_other_films(predictor: Predictor) -> None:
    silent = replace(predictor.model, factors=np.zeros_like(predictor.model.factors))
    with pytest.raises(ValueError, match="popularity"):
        smoke_test(replace(predictor, model=silent))
    mistaken = replace(predictor)
    vars(mistaken)["search"] = FilmSearch(Catalogue((Film(1, "Zzyzx", 2000, (), ("Zzyzx",), 1),)))
    with pytest.raises(ValueError, match="does not find it"):
        smoke_test(mistaken)


def test_the_documentation_shows_the_bounds_and_an_example_that_works(service: httpx.Client, ask: Ask) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]

    rating = schemas["SeenFilm"]["properties"]["rating"]["anyOf"][0]
    assert (rating["minimum"], rating["maximum"]) == (0.5, 5)
    assert schemas["SeenFilm"]["required"] == ["film_id"]
    assert schemas["RecommendationRequest"]["examples"] == [EXAMPLE]
    request = EXAMPLE_REQUEST
    headers = {"Content-Type": request.content_type}
    response = service.post(request.path, content=request.body, headers=headers)
    answer = response.json()
    assert len(answer["recommendations"]) == EXAMPLE["k"]
    assert not answer["popular"]
    assert answer["unknown"] == [1, 260, 1196]  # numbers of MovieLens, which a model of the sample does not know


def test_a_thousand_histories_are_one_request(service: httpx.Client, histories: list[list[Seen]]) -> None:
    several = [as_json(histories[i % len(histories)][: 1 + i % 37]) for i in range(1000)]

    response = service.post("/v1/recommendations/batch", json={"histories": several})

    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert len(results) == 1000
    assert all(len(result["recommendations"]) == 10 for result in results)
    assert len({json.dumps(result) for result in results}) > 300  # not one answer a thousand times
