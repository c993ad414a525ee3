"""What is watched of films: numbers by hand, the same from a log, and windows that have drifted or have not."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from portfolio_shared.operations.drift import drift
from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.operations.watch import Columns, read_reference, write_reference
from recommender.config import ServeSettings
from recommender.data.catalogue import Catalogue, Film
from recommender.data.load import Dataset, split
from recommender.models.fit import FULL, recipes, refit
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.serving import observe
from recommender.serving.answers import answer_of
from recommender.serving.app import create_app
from recommender.serving.observe import DECIMALS, WATCH, Truth, columns_of, reference
from recommender.train import Trained

Json = dict[str, Any]
FILMS = Catalogue(
    (
        Film(1, "One", 2020, (), ("One",), n_ratings=5),
        Film(2, "Two", 2000, (), ("Two",), n_ratings=1),
        Film(3, "Undated", None, (), ("Undated",), n_ratings=8),
    )
)


@pytest.mark.parametrize(
    ("own", "popularity", "unknown"),
    [
        ((), (math.log(5) + math.log(1)) / 2, 2 / 3),  # of 1, 2 and 99 only 1 has five raters
        ((1, 2), math.log(4), 1.0),  # without the person nobody rated 2, and four rated 1
        ((2,), math.log(5), 2 / 3),  # what they rated of 1 was held out, and is in no count
    ],
)
def test_the_columns_of_a_history(own: tuple[int, ...], popularity: float, unknown: float) -> None:
    history = [Seen(1, 1.0), Seen(2), Seen(99, 3.0), Seen(1, 4.0)]  # of a film that stands there twice, the last counts
    assert columns_of(FILMS, history, [3, 98], own=own) == {
        "history_length": 3,
        "share_rated": 0.67,
        "mean_stars": 3.5,
        "popularity": round(popularity, 1),
        "age": 10,
        "unknown_share": round(unknown, 2),
        "recommended_popularity": round(math.log(8), 1),
    }


@pytest.mark.parametrize(
    ("history", "answered", "expected"),
    [
        ([], [3], {}),
        ([Seen(3)], [], {"history_length": 1, "share_rated": 0, "popularity": 2.1, "unknown_share": 0}),
        ([Seen(99)], [98], {"history_length": 1, "share_rated": 0, "unknown_share": 1}),
    ],
    ids=["empty", "undated and unrated, filtered answer", "unknown"],
)
def test_what_was_not_given_has_no_column(history: list[Seen], answered: list[int], expected: Json) -> None:
    assert columns_of(FILMS, history, answered) == expected


@pytest.fixture
def logged(
    serving: Callable[[FastAPI], AbstractContextManager[httpx.Client]], bundle: Path, tmp_path: Path
) -> Callable[..., list[LoggedPrediction]]:
    """Return a function: requests to a service that keeps a log -> what the log has of them."""

    def logged(*requests: tuple[str, Json]) -> list[LoggedPrediction]:
        url = f"sqlite:///{tmp_path}/log.db"
        with serving(create_app(ServeSettings(bundle=bundle, prediction_log=url))) as client:
            for path, body in requests:
                assert client.post(path, json=body).status_code == 200
        with closing(connect(url)) as store:
            return list(store.predictions("recommender", since=0, until=1e12))

    return logged


def test_a_log_has_the_columns_of_each_history_of_each_request(
    logged: Callable[..., list[LoggedPrediction]], bundle: Path, predictor: Predictor, histories: list[list[Seen]]
) -> None:
    first, second = ([{"film_id": seen.film_id, "rating": seen.stars} for seen in each] for each in histories[:2])
    genre = predictor.catalogue.genre_names[0]
    rows = logged(
        ("/v1/recommendations", {"history": first}),
        ("/v1/recommendations/batch", {"histories": [first, second, []], "k": 7}),
        ("/v1/recommendations", {"history": first, "exclude_genres": [genre]}),
        ("/v1/recommendations", {"history": first, "diversity": 0.5}),
        ("/v1/recommendations", {"history": first, "k": 4}),
    )
    answers = [predictor.recommend(history).recommendations for history in histories[:2]]
    of_first, of_second = (
        columns_of(predictor.catalogue, history, [each.film.id for each in answer])
        for history, answer in zip(histories[:2], answers, strict=True)
    )
    assert set(of_first) == set(DECIMALS)
    narrowed = {name: value for name, value in of_first.items() if name != "recommended_popularity"}
    columns = WATCH.columns(bundle)
    assert [columns(row) for row in rows] == [[of_first], [of_first, of_second, {}], *[[narrowed]] * 3]


def row_of(predictor: Predictor, history: Sequence[Seen]) -> LoggedPrediction:
    """Return what a log would have of a request with one history."""
    asked = {"history": [{"film_id": seen.film_id, "rating": seen.stars} for seen in history]}
    answer = (b"{%b}" % answer_of(predictor.recommend(history)).fields()).decode()
    return LoggedPrediction("", 0, "recommender", "", "/v1/recommendations", "", 1, 1.0, json.dumps(asked), answer)


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        ([], {}),
        ([(0, True)], {"liked": 1}),
        ([(0, True), (3, False), (0, None)], {"liked": 0}),  # the last word on a film counts
        ([(0, True), (1, False), (None, True)], {"liked": 0.5, "found": 2 / 3}),
        ([(None, True)], {"found": 0}),
    ],
    ids=["nothing", "liked", "taken back", "another film too", "another film"],
)
def test_feedback_shows_what_was_found_of_what_was_watched_and_what_was_liked_of_that(
    predictor: Predictor, histories: list[list[Seen]], watched: list[tuple[int | None, bool | None]], expected: Json
) -> None:
    shown = [each.film.id for each in predictor.recommend(histories[0]).recommendations]
    said = [{"film_id": 2_000_000_000 if place is None else shown[place], "liked": liked} for place, liked in watched]
    measured = WATCH.measure(row_of(predictor, histories[0]), 0, Truth.model_validate({"watched": said}))
    assert measured == expected
    assert set(expected) <= set(WATCH.measures)


def test_a_film_that_was_seen_before_is_neither_found_nor_missed(
    predictor: Predictor, histories: list[list[Seen]]
) -> None:
    row, shown = row_of(predictor, histories[0]), predictor.recommend(histories[0]).recommendations[0].film.id
    again = [{"film_id": histories[0][0].film_id}]
    for others, expected in (([], {}), ([shown], {}), ([shown, 2_000_000_000], {"found": 0.5})):
        said = again + [{"film_id": film} for film in others]
        assert WATCH.measure(row, 0, Truth.model_validate({"watched": said})) == expected


def test_a_person_is_who_is_named_or_else_the_history(predictor: Predictor, histories: list[list[Seen]]) -> None:
    row = row_of(predictor, histories[0])
    batch = row._replace(request=json.dumps({"histories": [[], json.loads(row.request)["history"]]}))
    assert WATCH.about(row, 0) == WATCH.about(batch, 1) != WATCH.about(batch, 0)
    assert WATCH.about(row._replace(subject="ann"), 0) == WATCH.about(batch._replace(subject="ann"), 0) == "ann"


TEAMS = ["champion", "challenger", "challenger", "champion", None]


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        ([], 0),
        ([(1, None)], 1),
        ([(3, True)], -1),
        ([(0, None), (2, True)], 0),
        ([(0, True), (1, True), (2, None)], 1),
        ([(1, False), (3, None)], -1),  # a film that was disliked was no service
        ([(1, True), (1, False)], 0),  # the last word on a film counts
        ([(4, True), (99, True)], 0),  # of no team, and not in the list
    ],
)
def test_the_team_whose_films_were_watched_more_often_is_preferred(
    predictor: Predictor, histories: list[list[Seen]], watched: list[tuple[int, bool | None]], expected: int
) -> None:
    row = row_of(predictor, histories[0])
    answer = json.loads(row.response)
    shown = [each["film"]["film_id"] for each in answer["recommendations"]][: len(TEAMS)]
    answer |= {"recommendations": answer["recommendations"][: len(TEAMS)], "teams": TEAMS, "interleaved_with": "8"}
    said = [
        {"film_id": shown[place] if place < len(shown) else 2_000_000_000, "liked": liked} for place, liked in watched
    ]
    truth = Truth.model_validate({"watched": said})
    assert observe.preference(row._replace(response=json.dumps(answer)), 0, truth, "8") == expected
    assert observe.preference(row._replace(response=json.dumps(answer)), 0, truth, "7") is None  # another experiment
    assert observe.preference(row, 0, truth, "8") is None


@pytest.mark.parametrize(("films", "doubted"), [(0, False), (100, False), (101, True)])
def test_nobody_watches_more_than_a_hundred_films_in_a_month(films: int, doubted: bool) -> None:
    said = [{"film_id": film} for film in range(1, films + 1)]
    why = WATCH.doubt(LoggedPrediction(*[""] * 10), 0, Truth.model_validate({"watched": said + said[:1]}))
    assert (why == "more than 100 films watched since") is doubted


def test_nobody_s_row_can_be_put_together_again(
    trained: Trained, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack with the code alone: undo the shuffles of a seed that everybody knows."""
    asked, true = [], set()

    def told(catalogue: Catalogue, history: list[Seen], answered: list[int], *, own: set[int]) -> dict[str, float]:
        row = columns_of(catalogue, history, answered, own=own)
        asked.append((len(history), len(own)))
        true.add(tuple(row[name] for name in DECIMALS))
        return row

    monkeypatch.setattr(observe, "columns_of", told)
    everything, learned = trained.data.ratings, trained.split.before_test
    columns = reference(predictor.catalogue, everything, learned, lambda _: predictor)
    assert np.sum(asked, axis=0).tolist() == [len(everything), len(learned)]
    write_reference(tmp_path, columns)
    columns = read_reference(tmp_path)
    draw, n = np.random.default_rng(0), len(asked)
    draw.permutation(n)  # of the people
    undone = [columns[name][np.argsort(draw.permutation(n))] for name in DECIMALS]
    for rows in (zip(*columns.values(), strict=True), zip(*undone, strict=True)):
        assert true.isdisjoint(rows)


@pytest.fixture(scope="module")
def halves(sample: Dataset, trained: Trained) -> Callable[[int], tuple[Predictor, Columns, list[list[Seen]]]]:
    """Return a function: seed -> a model of one half of the people, its reference, all that the others rated."""
    everything, before, films = sample.ratings, split(sample).before_test, sample.catalogue.films

    def halves(seed: int) -> tuple[Predictor, Columns, list[list[Seen]]]:
        people = np.random.default_rng(seed).permutation(before.n_users)
        learned = before.where(np.isin(before.users, people[: before.n_users // 2]))
        catalogue = sample.catalogue.counted(learned.item_counts())
        recipe = recipes(trained.settings, learned, catalogue)[FULL]
        predictor = refit(replace(trained.predictor, catalogue=catalogue), recipe, learned)
        others = [everything.where(everything.users == person) for person in people[before.n_users // 2 :]]
        histories = [
            [Seen(films[item].id, float(stars)) for item, stars in zip(each.items, each.values, strict=True)]
            for each in others
        ]

        def without(some: Any) -> Predictor:
            return refit(predictor, recipe, learned.where(~np.isin(learned.users, some)))

        return predictor, reference(catalogue, everything, learned, without), histories

    return halves


def compared(predictor: Predictor, of_training: Columns, histories: Iterable[Sequence[Seen]], folder: Path) -> Any:
    predictor.save(folder)
    columns = WATCH.columns(folder)
    rows = [row for history in histories for row in columns(row_of(predictor, history))]
    window: Columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in DECIMALS}
    return drift(of_training, window, alpha=0.001)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_people_like_those_of_the_training_are_no_drift(halves: Any, seed: int, tmp_path: Path) -> None:
    predictor, of_training, histories = halves(seed)
    found = compared(predictor, of_training, histories, tmp_path)
    assert found.p > 0.01


@pytest.mark.long
@pytest.mark.parametrize(
    ("kept", "column"),
    [
        (lambda film: "Animation" in film.genres, "recommended_popularity"),
        (lambda film: film.year is not None and film.year < 2000, "age"),
    ],
    ids=["animated films", "old films"],
)
def test_people_who_watch_some_films_only_are_a_drift(
    halves: Any, kept: Callable[[Film], bool], column: str, tmp_path: Path
) -> None:
    predictor, of_training, histories = halves(0)
    films, position = predictor.catalogue.films, predictor.catalogue.position
    narrow = [[seen for seen in history if kept(films[position[seen.film_id]])] for history in histories]
    found = compared(predictor, of_training, filter(None, narrow), tmp_path)
    assert found.alarm
    assert {each.name: each.z for each in found.columns}[column] > 5
