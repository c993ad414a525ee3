"""The houses' part of the drill: prices rise where it says, and models are compared on houses that taught nothing."""

import json
from itertools import groupby
from pathlib import Path

import pytest

from drill_housing import BOOM, MOST_CALLS, PLACES, SCATTER, houses, requests, truth
from housing.data.house import house_key
from housing.serving.observe import Truth
from housing.serving.schemas import PredictionRequest


@pytest.mark.parametrize("drifted", [False, True])
def test_prices_rise_in_two_places_and_nowhere_else(drifted):
    calls, paid = requests(Path(), 300, drifted, 2), {}
    for record, price in zip(houses().records, houses().prices.tolist(), strict=True):
        paid.setdefault(house_key(record), []).append(price)
    for call in calls:
        (house,) = PredictionRequest.model_validate_json(call.body).houses
        record = house.model_dump()
        level = BOOM if drifted and record["neighborhood"] in PLACES else 1.0
        told = Truth.model_validate(truth(call, {}, 0)).price
        assert min(abs(told / (price * level) - 1) for price in paid[house_key(record)]) < 5 * SCATTER
    assert {json.loads(call.body)["houses"][0]["neighborhood"] for call in calls} > set(PLACES)


def test_models_are_compared_on_houses_that_no_level_was_learned_from():
    taught, later = (
        [call for seed in seeds for call in requests(Path(), n, True, seed)]
        for seeds, n in (((1, 2), 300), (range(3, 9), 200))
    )
    of_taught, of_later = ({call.body for call in calls} for calls in (taught, later))
    assert not of_taught & of_later
    assert len(of_taught | of_later) == len(houses().records)
    assert not {call.subject for call in taught} & {call.subject for call in later}


def test_agents_ask_for_the_same_houses_after_the_change_and_each_for_one_to_four():
    before, after, later = (requests(Path(), 300, seed > 1, seed) for seed in (1, 2, 3))
    assert [(call.body, call.subject) for call in before] == [(call.body, call.subject) for call in after]
    assert len({call.body for call in before}) == 300
    for calls in (before, later):
        asked = [len(list(of_one)) for _, of_one in groupby(calls, key=lambda call: call.subject)]
        assert set(asked) <= set(range(1, MOST_CALLS + 1))
        assert len({call.subject for call in calls}) == len(asked) >= 100
