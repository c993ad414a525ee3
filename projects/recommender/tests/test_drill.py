"""The people of the drill: who is learned from, who asks and who judges are others, and nobody foresees anything."""

import json
from pathlib import Path

import pytest

from drill_recommender import SCENARIO, before, cut, people
from recommender.data.load import load


def bodies(seed: int, *, drifted: bool) -> dict[str, list[int]]:
    """Return the films of each person's history."""
    calls = SCENARIO.requests(Path(), 1000, drifted, seed)
    assert len({call.body for call in calls}) == len({call.subject for call in calls}) == len(calls) >= 200
    return {call.subject: [film["film_id"] for film in json.loads(call.body)["history"]] for call in calls}


def test_those_who_judge_the_new_model_are_not_those_whom_it_learned_from():
    taught = {subject for seed, drifted in ((1, False), (2, True)) for subject in bodies(seed, drifted=drifted)}
    judges = [bodies(seed, drifted=True) for seed in (3, 4)]
    assert taught.isdisjoint({*judges[0], *judges[1]})
    both = judges[0].keys() & judges[1].keys()
    assert sum(judges[0][subject] != judges[1][subject] for subject in both) > len(both) / 2  # on another day


def test_the_model_learns_from_the_others_without_the_films_of_2013(tmp_path):
    data = load(SCENARIO.data(tmp_path))
    histories = [cut(before(ratings))[0] for ratings in people()[::2] if cut(before(ratings))[1]]
    assert all(data.catalogue.films[item].year != 2013 for item in set(data.ratings.items.tolist()))
    assert len(data.user_ids) == len(histories)
    learned = {
        (user, int(data.catalogue.films[item].id))
        for user, item in zip(data.ratings.users.tolist(), data.ratings.items.tolist(), strict=True)
    }
    assert learned == {(user, int(each.film)) for user, history in enumerate(histories) for each in history}


@pytest.mark.parametrize(("seed", "drifted"), [(1, False), (3, False), (2, True), (5, True)])
def test_what_is_told_comes_after_the_history(seed: int, drifted: bool):
    new = {int(each.film) for ratings in people() for each in ratings if each.new}
    for call in SCENARIO.requests(Path(), 1000, drifted, seed):
        told = SCENARIO.truth(call, {}, 0)["watched"]
        known = {film["film_id"] for film in json.loads(call.body)["history"]}
        assert 1 <= len(told) <= 10
        assert known.isdisjoint({each["film_id"] for each in told})
        assert [each["liked"] for each in told] == [
            True if each.rating >= 7 else False if each.rating <= 4 else None for each in call.item
        ]
        assert bool(known & new) == drifted
        assert drifted or not any(each.new for each in call.item)
