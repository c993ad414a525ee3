"""Answers: reasons that sum to scores, unknown items, popular items where nothing is known."""

from dataclasses import replace

import numpy as np
import pytest

from new_project.data.items import CatalogItem
from new_project.models.predictor import Predictor

ITEMS = tuple(
    CatalogItem(id_, title) for id_, title in [("a", "Alien (1979)"), ("b", "Aliens"), ("c", "Heat"), ("d", "Up")]
)
WEIGHTS = np.array([[0, 0.5, 0.2, 0], [0.5, 0, 0.1, 0], [0.2, 0.1, 0, -0.3], [0, 0, -0.3, 0]], dtype=np.float32)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(ITEMS, np.array([5, 4, 3, 2]), WEIGHTS)


def test_later_items_count_more(predictor: Predictor) -> None:
    recent = replace(predictor, half_life=1.0)
    (prediction,) = recent.predict([["b", "a", "b"]], k=1)

    adds = {reason.item.id: reason.adds for reason in prediction.recommendations[0].reasons}
    assert adds == {"a": pytest.approx(0.5 * 0.2), "b": pytest.approx(0.1)}


def test_reasons_and_the_rest_sum_to_the_score(predictor: Predictor) -> None:
    (prediction,) = predictor.predict([["a", "b", "d", "a", "x"]], k=2)

    assert (prediction.basis, prediction.unknown) == ("history", ("x",))
    (heat,) = prediction.recommendations
    assert heat.item.title == "Heat"
    assert [reason.item.id for reason in heat.reasons] == ["a", "b"]
    assert heat.others == pytest.approx(-0.3)
    assert sum(reason.adds for reason in heat.reasons) + heat.others == pytest.approx(heat.score)


@pytest.mark.parametrize("history", [[], ["x"]])
def test_where_nothing_is_known_most_people_choose(predictor: Predictor, history: list[str]) -> None:
    (prediction,) = predictor.predict([history], k=2)

    assert prediction.basis == "popularity"
    assert [each.item.id for each in prediction.recommendations] == ["a", "b"]
    assert all(not each.reasons for each in prediction.recommendations)


def test_a_search_needs_all_words_and_has_the_most_chosen_first(predictor: Predictor) -> None:
    assert [item.id for item in predictor.find("ali", limit=5)] == ["a", "b"]
    assert [item.id for item in predictor.find("1979 ali", limit=5)] == ["a"]
    assert [item.id for item in predictor.find("", limit=1)] == ["a"]


def test_what_was_saved_answers_the_same(predictor: Predictor, tmp_path) -> None:
    predictor.save(tmp_path)
    assert Predictor.load(tmp_path).predict([["a"], []]) == predictor.predict([["a"], []])
