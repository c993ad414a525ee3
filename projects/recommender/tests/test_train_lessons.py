"""What feedback teaches the films' model: people of the prediction log, some of whom are held back as judges."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.operations.lessons import MIN_CLIENTS, Lesson, Lessons
from portfolio_shared.operations.store import LoggedPrediction
from recommender.serving.observe import Truth
from recommender.train import PROJECT, as_many_as_may_count, learn, person_of

Json = dict[str, Any]


def quiet() -> Console:
    return Console(quiet=True)


def lesson(
    history: list[Json], watched: list[Json], *, shown: Sequence[int] = (), client: str = "", **answered: str
) -> Lesson:
    """Return what somebody said that they watched, after an answer with these films."""
    answer = {"recommendations": [{"film": {"film_id": film}} for film in shown], **answered}
    bodies = json.dumps({"history": history}), json.dumps(answer)
    row = LoggedPrediction("", 0, "recommender", "1", "/v1/recommendations", client, 1, 1.0, *bodies)
    return Lesson(row, 0, Truth.model_validate({"watched": watched}), client, at=1.7e9)


def test_a_person_of_the_log_has_their_history_and_what_they_watched_since():
    history = [{"film_id": 3, "rating": 5}, {"film_id": 4}, {"film_id": 5, "rating": 2}, {"film_id": 3, "rating": 1}]
    watched = [{"film_id": 9, "liked": True}, {"film_id": 5, "liked": None}, {"film_id": 4, "liked": False}]
    person = person_of(lesson(history, watched, client="ann"))
    assert list(person.stars) == [3, 9, 5, 4]  # in the order in which they were seen last
    np.testing.assert_array_equal(list(person.stars.values()), [1.0, 4.5, np.nan, 1.5])
    assert (person.at, person.client) == (1.7e9, "ann")
    longest = person_of(lesson([{"film_id": film} for film in range(1, 501)], watched))
    assert list(longest.stars)[-4:] == [500, 9, 5, 4]
    assert len(longest.stars) == 500


@pytest.mark.parametrize(("ratings", "learned"), [(100, 4), (40, 4), (39, 3), (30, 2), (1, 0)])
def test_people_of_the_log_have_a_fifth_of_the_ratings_at_most(ratings, learned):
    lessons = Lessons(
        tuple(lesson([], [{"film_id": n}, {"film_id": 7}, {"film_id": 8}][: 3 - n % 2]) for n in range(1, 5)),
        (),
        {"learned": 4},
    )
    allowed = as_many_as_may_count(lessons, SimpleNamespace(before_test=range(ratings)), min_raters=1)
    assert allowed.learned == lessons.learned[4 - learned :]
    left_out = {"more than 20% of the ratings": 4 - learned} if learned < 4 else {}
    assert allowed.counts == ({"learned": learned} if learned else {}) | left_out


@pytest.mark.long
def test_people_of_the_log_are_learned_from_and_those_held_back_are_not(quick):
    before = learn(quick, quiet())
    films = before.predictor.catalogue.films
    rare = [film.id for film in films if film.n_ratings == 1][:3]
    common = [films[item].id for item in np.argsort(-before.predictor.catalogue.n_ratings)[:8].tolist()]
    seen, then = [{"film_id": film} for film in common], [{"film_id": film, "liked": True} for film in rare]
    everybody = tuple(lesson(seen, then, shown=common, client=f"person-{n}") for n in range(30 + MIN_CLIENTS))
    lessons = Lessons(everybody[:30], everybody[30:], {"learned": 30, "held back": MIN_CLIENTS})
    after = learn(quick, quiet(), lessons=lessons)

    assert after.lessons == lessons
    assert after.evaluation.task.digest == before.evaluation.task.digest
    rows = PROJECT.describe(quick, after).data.rows
    assert (rows["people of the log"], rows["train"]) == (30, len(after.split.before_test))
    assert "people of the log" not in PROJECT.describe(quick, before).data.rows
    assert after.split.before_test.n_users == before.split.before_test.n_users + 30
    rated = {film.id: film.n_ratings for film in after.predictor.catalogue.films}
    assert [rated[film] for film in rare] == [30] * 3  # those of the log alone: one person of the data is too few
    assert [rated[film] for film in common] == [
        before.predictor.catalogue.films[before.predictor.catalogue.position[film]].n_ratings + 30 for film in common
    ]
    columns = PROJECT.reference(quick, after)
    assert len(columns["popularity"]) == np.count_nonzero(after.split.before_test.user_counts())

    compared = PROJECT.recent(after, before.predictor, lessons.held_back)
    assert compared.n == MIN_CLIENTS
    assert compared.difference.high < 0  # who learned what people watch finds it
    told_of_shown = [
        lesson(seen, [{"film_id": film} for film in common], shown=common, client=str(n)) for n in range(MIN_CLIENTS)
    ]
    interleaved = [lesson(seen, then, shown=common, client=str(n), interleaved_with="2") for n in range(60)]
    nameless = [lesson(seen, then, shown=common) for _ in range(30)]  # who may be anybody, learned from or not
    assert PROJECT.recent(after, before.predictor, told_of_shown + interleaved) is None
    both = PROJECT.recent(after, before.predictor, [*lessons.held_back, *interleaved, *nameless])
    assert both == compared
    assert PROJECT.recent(after, before.predictor, lessons.held_back[1:]) is None
