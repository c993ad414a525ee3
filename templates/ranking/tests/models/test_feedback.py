"""What people of the log chose becomes part of what is learned, and judges models."""

import json
from types import SimpleNamespace
from typing import Any

from new_project.models.feedback import losses, taught


def lesson(history: list[str], chosen: list[str]) -> Any:
    prediction = SimpleNamespace(request=json.dumps({"history": history}))
    return SimpleNamespace(prediction=prediction, truth=SimpleNamespace(chosen=chosen))


def test_people_are_further_users_and_unknown_items_are_left_out(trained: Any) -> None:
    ids = [item.id for item in trained.split.items[:3]]
    grown = taught(trained.split, [lesson(ids[:2], [ids[2], "?"])])

    assert grown.before_test.n_users == trained.split.before_test.n_users + 1
    assert grown.train.histories()[-1].tolist() == grown.before_test.histories()[-1].tolist() == [0, 1, 2]
    assert grown.test.histories()[-1].tolist() == []
    assert grown.test.keys == trained.split.test.keys


def test_a_list_that_holds_what_was_chosen_first_has_no_loss(trained: Any) -> None:
    history = [trained.predictor.items[0].id]
    (prediction,) = trained.predictor.predict([history])
    first = prediction.recommendations[0].item.id

    assert losses(trained.predictor, [lesson(history, [first]), lesson(history, ["?"])]) == [0, 1]
