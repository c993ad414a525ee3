"""The houses' part of the drill: prices rise where it says, and steps share as few houses as may be."""

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


def test_steps_that_are_learned_from_hardly_share_a_house_and_people_ask_one_to_four_times():
    first, second = (requests(Path(), 300, False, seed) for seed in (1, 2))
    assert len({call.body for call in first} | {call.body for call in second}) > 0.95 * len(houses().records)
    assert len({call.body for call in first} & {call.body for call in second}) < 30
    asked = [len(list(calls)) for _, calls in groupby(first, key=lambda call: call.subject)]
    assert set(asked) <= set(range(1, MOST_CALLS + 1))
    assert not {call.subject for call in first} & {call.subject for call in second}
    assert len({call.subject for call in first}) >= 100
