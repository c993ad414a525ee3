"""Two models on people of the log: whose word counts, and what a list is worth."""

import math

import pytest

from recommender.evaluation.recent import Watched, shortfalls
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor

SEEN = [Seen(1), Seen(2)]


@pytest.mark.parametrize(
    ("films", "judges"),
    [((), False), ((1,), False), ((3,), False), ((3, 1), False), ((4,), True), ((3, 4), True)],
    ids=["nothing", "seen before", "shown", "shown and seen", "another", "both"],
)
def test_who_tells_of_shown_films_alone_judges_no_other_list(films: tuple[int, ...], judges: bool) -> None:
    assert Watched(SEEN, frozenset({3}), frozenset(films)).judges is judges


def test_a_list_falls_short_by_what_its_ndcg_lacks(predictor: Predictor, histories: list[list[Seen]]) -> None:
    history = histories[0]
    shown = [recommended.film.id for recommended in predictor.recommend(history, k=5).recommendations]
    people = [
        Watched(history, frozenset(), frozenset(films))
        for films in (shown, shown[:1], shown[1:2], {2_000_000_000}, {shown[0], history[0].film_id})
    ]
    expected = [0, 0, 1 - 1 / math.log2(3), 1, 0]  # the last one's second film was seen before
    assert shortfalls(predictor, people, k=5) == pytest.approx(expected)
