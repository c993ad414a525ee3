"""Houses: prices in two neighborhoods rise by 30 %.

The houses are those of the test split, which the champion has not learned from, at the prices that were paid for them,
2 % up or down by chance. A retraining learns none of these as a row: they tell it the price level of a neighborhood
alone, and that is taken off again where models are compared on the test split. So its figures stay those of houses that
nothing was learned of. The two steps that are learned from are about the same 300 houses, whose agents ask again after
the change: the last word of each counts. All later steps, by which both models are compared, are about the others.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from drill_scenario import Call, Scenario
from housing.data.load import Sales, load, split

PLACES = ("CollgCr", "NAmes")
BOOM = 1.3
SCATTER = 0.02
MOST_CALLS = 4  # of one person
TAUGHT = 300  # houses of the steps that are learned from
TEACHING = 2  # steps


@cache
def houses() -> Sales:
    """Return the houses of the test split."""
    return split(load("sample")).test


def requests(_bundle: Path, n: int, drifted: bool, seed: int) -> list[Call]:  # noqa: FBT001 - as a drill asks
    """Return n requests for the price of a house; `item` is what it is sold for."""
    sales, chance = houses(), np.random.default_rng(seed)
    teaching, order = seed <= TEACHING, np.random.default_rng(0).permutation(len(sales.records))
    order = order[:TAUGHT] if teaching else order[TAUGHT:]
    people = askers(np.random.default_rng(0) if teaching else chance, "agent" if teaching else f"agent-{seed}")
    calls = []
    for i in order[((0 if teaching else seed * n) + np.arange(n)) % len(order)].tolist():
        house = {name: value for name, value in sales.records[i].items() if value is not None}
        level = BOOM if drifted and house["neighborhood"] in PLACES else 1.0
        price = float(sales.prices[i] * level * np.exp(chance.normal(0, SCATTER)))
        body = json.dumps({"houses": [house]}).encode()
        calls.append(Call("/v1/predictions", body, "application/json", next(people), drifted, round(price)))
    return calls


def askers(chance: np.random.Generator, name: str) -> Iterator[str]:
    """Yield who asks: each person one to four times in a row."""
    person = 0
    while True:
        yield from [f"{name}-{person}"] * int(chance.integers(1, MOST_CALLS + 1))
        person += 1


def truth(call: Call, _answer: Mapping[str, Any], _index: int) -> object:
    """Return what the house was sold for."""
    return {"price": call.item}


SCENARIO = Scenario(
    drift=f"prices in {' and '.join(PLACES)} rise by {BOOM - 1:.0%}",
    column="absolute_error,relative_error,coverage",
    requests=requests,
    truth=truth,
    rollout="shadow",
)
