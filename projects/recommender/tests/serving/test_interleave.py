"""One list of two models: what a draft promises of any two lists, and the service that drafts."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from small_models import SmallModel

from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.serving.models import ModelNotReady
from recommender.config import ServeSettings
from recommender.data.catalogue import Catalogue
from recommender.models.prediction import Prediction, Seen
from recommender.models.predictor import Predictor
from recommender.serving.answers import Answer, answer_of
from recommender.serving.app import create_app
from recommender.serving.interleave import interleave, team_draft
from recommender.serving.observe import WATCH, Truth, columns_of

Json = dict[str, Any]
rankings = st.lists(st.integers(1, 12), unique=True, max_size=12)
seeds = st.integers(0, 2**64 - 1)


@given(champion=rankings, challenger=rankings, k=st.integers(1, 15), seed=seeds)
def test_a_draft_is_fair_and_loses_no_film(champion: list[int], challenger: list[int], k: int, seed: int) -> None:
    drafted = team_draft(champion, challenger, k, seed)
    films, teams = [film for film, _ in drafted], [team for _, team in drafted]
    assert len(set(films)) == len(films) == min(k, len({*champion, *challenger}))
    assert abs(teams.count("champion") - teams.count("challenger")) <= 1
    assert teams.count(None) == len(films) - min(k, len(champion), len(challenger))
    for team, ranking in (("champion", champion), ("challenger", challenger)):
        picked = [film for film, of in drafted if of == team]
        assert picked == sorted(picked, key=ranking.index)  # each list keeps its order
    assert drafted == team_draft(champion, challenger, k, seed)


@given(ranking=rankings, k=st.integers(1, 15), seed=seeds)
def test_two_models_of_one_mind_change_nothing(ranking: list[int], k: int, seed: int) -> None:
    assert [film for film, _ in team_draft(ranking, ranking, k, seed)] == ranking[:k]


@pytest.mark.parametrize("challenger", [range(10), range(5, 15), range(9, -1, -1), range(20, 23)])
@pytest.mark.parametrize("k", [3, 10])
def test_a_place_in_the_list_wins_nothing(challenger: range, k: int) -> None:
    """People who take what stands on top, whatever it is, prefer neither model: 4,000 drafts, five standard errors."""
    rng, signs = np.random.default_rng(0), []
    for seed in range(4000):
        clicked = rng.random(k) < 0.8 ** np.arange(k)
        teams = [team for _, team in team_draft(range(10), challenger, k, seed)]
        hits = [
            sum(clicked[place] for place, of in enumerate(teams) if of == team) for team in ("challenger", "champion")
        ]
        signs.append(np.sign(hits[0] - hits[1]))
    assert abs(np.mean(signs)) < 5 * np.std(signs) / np.sqrt(len(signs))


def answer(films: list[int], score: bytes, **other: Any) -> Answer:
    return Answer(dict.fromkeys(films, score), **{"basis": "history", "unknown": (), **other})


def test_each_film_is_the_answer_of_the_model_that_picked_it() -> None:
    champion = answer([0, 1, 2, 3], b"1.0", unknown=(7, 8, 9))
    challenger = answer([3, 4, 0], b"2.0", unknown=(9, 7), basis="popularity")
    both, teams = interleave(champion, challenger, k=5, seed=0)
    assert (len(teams), teams[3:]) == (5, [None, None])
    for (film, shown), team in zip(both.recommendations.items(), teams, strict=True):
        whose = team or ("champion" if film in champion.recommendations else "challenger")
        assert shown == (b"1.0" if whose == "champion" else b"2.0")
    assert both.basis == "history"
    assert both.unknown == (7, 9)
    assert interleave(challenger, challenger, k=3, seed=0)[0] == challenger


@dataclass(frozen=True)
class Tried:
    """A service that interleaves, its log, and its second model, which tests may exchange."""

    client: httpx.Client
    url: str
    models: dict[str, Any]

    def last(self) -> LoggedPrediction:
        with closing(connect(self.url)) as store:
            return list(store.predictions("recommender", since=0, until=1e12))[-1]


class Holder:
    """Holds the challenger of a dictionary."""

    def __init__(self, models: dict[str, Any]) -> None:
        self.models = models

    def current(self) -> Any:
        if "challenger" not in self.models:
            raise ModelNotReady("none")
        return self.models["challenger"]


@pytest.fixture
def tried(
    serving: Callable[[FastAPI], AbstractContextManager[httpx.Client]],
    learned: SmallModel,
    tmp_path: Path,
) -> Iterator[Tried]:
    url = f"sqlite:///{tmp_path}/log.db"
    settings = ServeSettings(bundle=learned.bundle, prediction_log=url)
    app = create_app(settings.model_copy(update={"rollout": "interleave"}))  # whose challenger is given below
    models: dict[str, Any] = {}
    with serving(app) as client:
        app.state.rollout._challengers = Holder(models)
        champion = app.state.rollout.models.current()
        models["challenger"] = replace(champion, predictor=learned.own.poor(learned.trained), version="8")
        yield Tried(client, url, models)


def written(tried: Tried, id_: str) -> LoggedPrediction:
    """Return a row of the log as soon as it is written: feedback waits for it."""
    kept = tried.client.post("/v1/feedback", json={"id": id_, "truth": {"watched": []}})
    assert kept.status_code == 202, kept.text
    return tried.last()


def asked(history: list[Seen], **options: Any) -> Json:
    return {"history": [{"film_id": seen.film_id, "rating": seen.stars} for seen in history], **options}


def test_the_service_answers_with_the_films_of_both_and_logs_whose_they_are(
    tried: Tried, predictor: Predictor, histories: list[list[Seen]]
) -> None:
    response = tried.client.post("/v1/recommendations", json=asked(histories[0], k=7))
    body = response.json()
    assert body["interleaved_with"] == "8"
    assert "teams" not in response.text
    row = written(tried, body["id"])
    logged = json.loads(row.response)
    teams = logged.pop("teams")
    assert logged == body
    assert row.version == body["model"]["version"] != "8"
    assert json.loads(row.request) == asked(histories[0], k=7)
    assert sorted([teams.count("champion"), teams.count("challenger")]) == [3, 4]
    alone = {
        team: {each["film"]["film_id"]: each for each in json_of(model.recommend(histories[0], k=7))}
        for team, model in (("champion", predictor), ("challenger", tried.models["challenger"].predictor))
    }
    for recommended, team in zip(body["recommendations"], teams, strict=True):
        expected = alone[team][recommended["film"]["film_id"]]
        assert [reason["film"] for reason in recommended["reasons"]] == [each["film"] for each in expected["reasons"]]
        assert recommended["score"] == pytest.approx(expected["score"], rel=1e-5)


def test_an_interleaved_list_says_nothing_of_the_champion(
    tried: Tried, predictor: Predictor, learned: SmallModel, histories: list[list[Seen]]
) -> None:
    body = tried.client.post("/v1/recommendations", json=asked(histories[0])).json()
    row = written(tried, body["id"])
    films = [each["film"]["film_id"] for each in body["recommendations"]]
    assert WATCH.columns(learned.bundle)(row) == [columns_of(predictor.catalogue, histories[0], [])]
    truth = Truth.model_validate({"watched": [{"film_id": film, "liked": film == films[0]} for film in films]})
    assert WATCH.measure(row, 0, truth) == {}
    teams = json.loads(row.response)["teams"]
    of_challenger = [{"film_id": film} for film, team in zip(films, teams, strict=True) if team == "challenger"]
    assert WATCH.preference is not None
    assert WATCH.preference(row, 0, Truth.model_validate({"watched": of_challenger}), "8") == 1


def json_of(prediction: Prediction) -> list[Json]:
    found: list[Json] = json.loads(b"{%b}" % answer_of(prediction).fields())["recommendations"]
    return found


def other_films(predictor: Predictor) -> Predictor:
    """Return a model whose catalogue lacks every second film, and all that have the first genre."""
    genre, films = predictor.catalogue.genre_names[0], predictor.catalogue.films
    kept = [i for i, film in enumerate(films) if i % 2 and genre not in film.genres]
    model = replace(
        predictor.model,
        factors=predictor.model.factors[kept],
        recommendable=predictor.model.recommendable[kept],
    )
    return replace(predictor, catalogue=Catalogue(tuple(films[i] for i in kept)), model=model)


@pytest.mark.long
def test_a_challenger_of_other_films_has_its_part_where_it_knows_what_is_asked(
    tried: Tried, predictor: Predictor, histories: list[list[Seen]]
) -> None:
    other = other_films(predictor)
    tried.models["challenger"] = replace(tried.models["challenger"], predictor=other)
    genre = predictor.catalogue.genre_names[0]
    known = tried.client.post("/v1/recommendations", json=asked(histories[0], k=5)).json()
    assert known["interleaved_with"] == "8"
    assert known["unknown"] == []
    for options in ({"genres": [genre]}, {"exclude_genres": [genre]}):
        alone = tried.client.post("/v1/recommendations", json=asked(histories[0], k=5, **options)).json()
        assert alone["interleaved_with"] is None
        assert "teams" not in json.loads(written(tried, alone["id"]).response)
    refused = tried.client.post("/v1/recommendations", json=asked(histories[0], genres=["no such"]))
    assert refused.status_code == 422


class Broken:
    catalogue = SimpleNamespace(genre_names=())

    def predict(self, *_: Any, **__: Any) -> None:
        raise FloatingPointError


def test_a_challenger_that_fails_or_goes_away_costs_no_answer(
    tried: Tried, histories: list[list[Seen]], caplog: pytest.LogCaptureFixture
) -> None:
    tried.models["challenger"] = replace(tried.models["challenger"], predictor=Broken())
    failed = tried.client.post("/v1/recommendations", json=asked(histories[0]))
    assert (failed.status_code, failed.json()["interleaved_with"]) == (200, None)
    assert "version 8, failed: the champion answers alone" in caplog.text
    answers = [tried.client.post("/v1/recommendations", json=asked(histories[0])) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert caplog.text.count("the champion answers alone") == 20
    assert tried.client.get("/v1/model").json()["rollout"]["stepped_back"].startswith("errors: 20 of 20 answers")
    tried.models.clear()
    gone = tried.client.post("/v1/recommendations", json=asked(histories[0]))
    assert gone.json()["recommendations"] == failed.json()["recommendations"]


def test_a_batch_is_the_champion_s_alone(tried: Tried, histories: list[list[Seen]]) -> None:
    several = [asked(history)["history"] for history in histories[:2]]
    body = tried.client.post("/v1/recommendations/batch", json={"histories": several}).json()
    tried.models.clear()
    again = tried.client.post("/v1/recommendations/batch", json={"histories": several}).json()
    assert body["results"] == again["results"]
    assert "teams" not in written(tried, body["id"]).response
